from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from litesmith.base import apt
from litesmith.base.errors import SourceError
from litesmith.runtime import fetching, source_tree
from litesmith.runtime.components import Archive, Component, Origin
from litesmith.runtime.content_digest import content_digest
from litesmith.runtime.edits.patch import Patch
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
from tests.xz_archive import of_blocks

NOWHERE = "http://127.0.0.1:1"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the URL at which it is served; it is the only mirror of Debian, too."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(apt, "debian_mirrors", lambda: (f"{address}/",))
    yield folder, address
    server.shutdown()
    server.server_close()
    thread.join()


FILES = {
    "top/LICENSE": b"free",
    "top/src/a.cc": b"int a = one;",
    "top/src/a_test.cc": b"test",
    "top/doc/b.txt": b"text",
}
KEPT = {"LICENSE": b"free", "src/a.cc": b"int a = one;"}
DIGEST = "h1:HsNEBhob4qBukiiPIPIs7BumqKZ8dhNvYlW2i9fQS38="
"""Of ``KEPT``, by ``sha256sum LICENSE src/a.cc | sha256sum | xxd -r -p | base64``."""


def tar(path: Path, content: dict[str, bytes], mode: str = "w:xz") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def component(
    *origins: Origin, name: str = "thing", digest: str = DIGEST, patches: tuple[Patch, ...] = ()
) -> Component:
    return Component(
        name=name,
        version="1",
        revision="a1b2c3",
        digest=digest,
        origins=origins,
        keep=("src/",),
        drop=("_test.cc",),
        license="MIT",
        license_file="LICENSE",
        patches=patches,
    )


def upstream(address: str, sha256: str = "", root: str = "*") -> Origin:
    return Origin(archive=Archive(kind="upstream", location=address, sha256=sha256), root=root)


def debian(path: str, sha256: str, root: str = "*", reverts: tuple[Patch, ...] = ()) -> Origin:
    archive = Archive(kind="debian", location=path, sha256=sha256)
    return Origin(archive=archive, root=root, reverts=reverts)


def unpacked(tree: source_tree.SourceTree, name: str = "thing") -> dict[str, bytes]:
    folder = tree.root / tree.sources[name].folder
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".litesmith.json"
    }


def left_behind(cache: Path) -> list[str]:
    """Every file in the cache, except for the lock of the downloads."""
    return [str(path) for path in cache.rglob("*") if path.is_file() and path.parent.name != "locks"]


def test_the_digest_is_that_of_gos_directory_hash() -> None:
    digests = {path: hashlib.sha256(data).digest() for path, data in KEPT.items()}
    assert content_digest(digests) == DIGEST
    assert content_digest(dict(reversed(digests.items()))) == DIGEST
    # sha256sum of an empty file, base64 of its binary form: no file, no line.
    assert content_digest({}) == "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_the_digest_sorts_paths_by_their_bytes() -> None:
    # printf x > a-b; mkdir a; printf y > a/b; sha256sum a-b a/b | sha256sum | xxd -r -p | base64
    digests = {"a/b": hashlib.sha256(b"y").digest(), "a-b": hashlib.sha256(b"x").digest()}
    assert content_digest(digests) == "h1:WRfZiTBw9OhHnI3qCbB15xa7EqxZ2XINre5N2rJ/plc="


@pytest.mark.parametrize("mode", ["w:xz", "w:gz", "w:bz2", "w"])
def test_only_the_kept_files_of_a_tar_are_unpacked(
    served: tuple[Path, str], empty_cache: Path, mode: str
) -> None:
    folder, address = served
    sha256 = tar(folder / "t.tar", FILES, mode)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar", sha256)),))
    assert unpacked(tree) == KEPT
    assert tree.manifest()["thing"] == {
        "version": "1",
        "revision": "a1b2c3",
        "digest": DIGEST,
        "origin": "upstream",
        "location": f"{address}/t.tar",
        "sha256": sha256,
        "license": "MIT",
        "patched": "",
    }
    assert list((empty_cache / "downloads").iterdir()) == []


def test_an_archive_without_a_pinned_digest_is_recorded_with_the_one_it_has(
    served: tuple[Path, str], empty_cache: Path
) -> None:
    folder, address = served
    sha256 = tar(folder / "t.tar", FILES)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar")),))
    assert tree.manifest()["thing"]["sha256"] == sha256
    assert empty_cache.is_dir()


def test_a_deep_root(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    content = {
        "x/other/src/n": b"no",
        "x/deep/y/LICENSE": b"free",
        "x/deep/y/src/a.cc": b"int a = one;",
        "x/zz/src/n": b"no",
    }
    sha256 = tar(folder / "t.tar", content)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar", sha256, "*/deep/y")),))
    assert unpacked(tree) == KEPT
    assert empty_cache.is_dir()


def test_files_of_a_folder_need_not_be_next_to_each_other(
    served: tuple[Path, str], empty_cache: Path
) -> None:
    folder, address = served
    content = {"x/y/LICENSE": b"free", "x/z/src/a.cc": b"no", "x/y/src/a.cc": b"int a = one;"}
    tar(folder / "t.tar", content)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar", root="*/y")),))
    assert unpacked(tree) == KEPT
    assert empty_cache.is_dir()


def test_one_archive_serves_several_components_and_is_fetched_once(
    served: tuple[Path, str], empty_cache: Path
) -> None:
    folder, _ = served
    content = {
        "x/one/LICENSE": b"free",
        "x/one/src/a.cc": b"int a = one;",
        "x/two/LICENSE": b"free",
        "x/two/src/a.cc": b"int a = two;",
    }
    sha256 = tar(folder / "pool/t.tar", content)
    wanted = (
        component(debian("pool/t.tar", sha256, "*/one"), name="one"),
        # The archive's makers changed this one.
        component(
            debian(
                "pool/t.tar",
                sha256,
                "*/two",
                reverts=(Patch(path="src/a.cc", find="two", replace="one"),),
            ),
            name="two",
        ),
    )
    tree = source_tree.source_tree(wanted)
    assert unpacked(tree, "one") == unpacked(tree, "two") == KEPT
    assert empty_cache.is_dir()


@pytest.mark.parametrize("known", ["right", "wrong", "damaged", "unknown"])
def test_an_archive_of_many_blocks(served: tuple[Path, str], empty_cache: Path, known: str) -> None:
    folder, _ = served
    content = {f"x/a{n}": b"%d" % n * 1000 for n in range(20)}
    content |= {"x/one/LICENSE": b"free", "x/one/src/a.cc": b"int a = one;", "x/z": b"z" * 9000}
    tar(folder / "t.tar", content, "w")
    with tarfile.open(folder / "t.tar") as archive:
        right = archive.getmember("x/one/LICENSE").offset // 512
    (folder / "t.tar.xz").write_bytes(of_blocks((folder / "t.tar").read_bytes(), 2000))
    origin = debian("t.tar.xz", hashlib.sha256((folder / "t.tar.xz").read_bytes()).hexdigest(), "*/one")
    # From the block after the licence's, one of its files is missing; the next one is no header.
    block = {"right": right, "wrong": right + 2, "damaged": right + 1, "unknown": 0}[known]
    tree = source_tree.source_tree((component(dataclasses.replace(origin, tar_block=block)),))
    assert unpacked(tree) == KEPT
    assert empty_cache.is_dir()


def test_the_second_origin_is_used_when_the_first_does_not_answer(
    served: tuple[Path, str], empty_cache: Path
) -> None:
    folder, _ = served
    sha256 = tar(folder / "pool" / "t.tar", FILES)
    tree = source_tree.source_tree((component(upstream(f"{NOWHERE}/t.tar"), debian("pool/t.tar", sha256)),))
    assert tree.manifest()["thing"]["origin"] == "debian"
    assert tree.manifest()["thing"]["location"] == "pool/t.tar"
    assert empty_cache.is_dir()


def test_both_origins_make_the_same_folder(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    sha256 = tar(folder / "pool" / "t.tar", FILES)
    tar(folder / "t.tar.gz", {f"thing-1/{name[4:]}": data for name, data in FILES.items()}, "w:gz")
    pinned = component(upstream(f"{address}/t.tar.gz"), debian("pool/t.tar", sha256))
    first = source_tree.source_tree((pinned,))
    assert first.manifest()["thing"]["origin"] == "upstream"
    for name in ("sources", "originals"):
        (empty_cache / name).rename(empty_cache / f"{name}.old")
    (folder / "t.tar.gz").unlink()
    second = source_tree.source_tree((pinned,))
    assert second.manifest()["thing"]["origin"] == "debian"
    assert second.identity() == first.identity()


def test_a_wrong_digest_is_an_error_and_no_other_origin_is_tried(
    served: tuple[Path, str], empty_cache: Path
) -> None:
    folder, address = served
    sha256 = tar(folder / "t.tar", FILES)
    pinned = component(upstream(f"{address}/t.tar", "0" * 64), debian("t.tar", sha256))
    with pytest.raises(SourceError, match=r"archive of thing from .* does not have the pinned SHA-256"):
        source_tree.source_tree((pinned,))
    assert left_behind(empty_cache) == []


@pytest.mark.parametrize(
    "content",
    [
        {**FILES, "top/src/a.cc": b"int a = evil;"},
        {**FILES, "top/src/more.cc": b""},
        {"top/LICENSE": b"free"},
    ],
    ids=["changed", "added", "missing"],
)
@pytest.mark.parametrize("kind", ["upstream", "debian"])
def test_falsified_files_are_refused(
    served: tuple[Path, str], empty_cache: Path, kind: str, content: dict[str, bytes]
) -> None:
    folder, address = served
    sha256 = tar(folder / "t.tar", content)
    origins = (upstream(f"{address}/t.tar") if kind == "upstream" else debian("t.tar", sha256),)
    with pytest.raises(SourceError, match=r"the files of thing in the archive http.*/t.tar are not those"):
        source_tree.source_tree((component(*origins, debian("t.tar", sha256)),))
    assert left_behind(empty_cache) == []


def test_no_network_names_the_component_and_all_origins(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "debian_mirrors", lambda: (f"{NOWHERE}/",))
    with pytest.raises(SourceError) as caught:
        source_tree.source_tree((component(upstream(f"{NOWHERE}/a/t.tar"), debian("pool/t.tar", "1" * 64)),))
    assert "thing 1 could not be fetched" in caught.value.message
    assert caught.value.message.endswith("tried 127.0.0.1:1 (ConnectionError)")
    assert "LITESMITH_DEBIAN_MIRROR" in caught.value.next_step
    assert "LITESMITH_SOURCES" in caught.value.next_step
    assert left_behind(empty_cache) == []


def test_an_http_error_is_reported(
    served: tuple[Path, str], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = served
    monkeypatch.setattr(apt, "debian_mirrors", lambda: ())
    pinned = component(upstream(f"{address}/none"), debian("pool/t.tar", "1" * 64))
    with pytest.raises(SourceError, match=r"HTTP 404.*no apt configuration"):
        source_tree.source_tree((pinned,))
    assert empty_cache.is_dir()


def test_sources_are_fetched_once(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    tar(folder / "t.tar", FILES)
    wanted = (component(upstream(f"{address}/t.tar")),)
    first = source_tree.source_tree(wanted)
    (folder / "t.tar").unlink()
    assert source_tree.source_tree(wanted).identity() == first.identity()
    assert empty_cache.is_dir()


def test_an_interruption_while_unpacking_costs_no_other_download(
    served: tuple[Path, str], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = served
    wanted = (component(debian("t.tar", tar(folder / "t.tar", FILES))),)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fetching, "unpack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            source_tree.source_tree(wanted)
    (folder / "t.tar").unlink()
    assert unpacked(source_tree.source_tree(wanted)) == KEPT
    assert list((empty_cache / "downloads").iterdir()) == []


def test_other_patches_need_no_other_download(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    tar(folder / "t.tar", FILES)
    origin = upstream(f"{address}/t.tar")
    plain = source_tree.source_tree((component(origin),))
    (folder / "t.tar").unlink()
    patched = source_tree.source_tree(
        (component(origin, patches=(Patch(path="src/a.cc", find="one", replace="two"),)),)
    )
    assert unpacked(patched)["src/a.cc"] == b"int a = two;"
    assert unpacked(plain)["src/a.cc"] == b"int a = one;"
    assert plain.identity() != patched.identity()
    assert patched.manifest()["thing"]["patched"] == "src/a.cc"
    assert empty_cache.is_dir()


def test_members_that_would_leave_the_folder_are_ignored(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    content = {**FILES, "top/src/../../../evil": b"x", "/etc/src/b": b"x", "top/src//c": b"x"}
    tar(folder / "t.tar", content)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar")),))
    assert unpacked(tree) == KEPT
    assert not list(empty_cache.rglob("evil"))


def test_an_archive_without_the_required_files(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    tar(folder / "t.tar", {"top/other": b"x"})
    with pytest.raises(SourceError, match="contains none of the files of thing 1"):
        source_tree.source_tree((component(upstream(f"{address}/t.tar")),))
    assert left_behind(empty_cache) == []


def test_a_file_that_is_not_an_archive(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    (folder / "t.tar").write_bytes(b"hello" * 200)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        source_tree.source_tree((component(upstream(f"{address}/t.tar")),))
    assert left_behind(empty_cache) == []


@pytest.mark.parametrize("mode", ["w:xz", "w:gz", "w:bz2", "w"])
@pytest.mark.parametrize("part", [0.3, 0.7])
def test_a_truncated_archive(served: tuple[Path, str], empty_cache: Path, mode: str, part: float) -> None:
    folder, address = served
    content = {
        "LICENSE": b"free",
        "src/large": b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(999)),
    }
    pinned = component(
        upstream(f"{address}/t.tar"),
        digest=content_digest({path: hashlib.sha256(data).digest() for path, data in content.items()}),
    )
    tar(folder / "t.tar", {f"top/{path}": data for path, data in content.items()}, mode)
    data = (folder / "t.tar").read_bytes()
    (folder / "t.tar").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(SourceError, match="archive http"):
        source_tree.source_tree((pinned,))
    assert left_behind(empty_cache) == []


def test_a_patch_that_does_not_apply(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    tar(folder / "t.tar", FILES)
    for path in ("src/a.cc", "src/none.cc"):
        with pytest.raises(SourceError, match=rf"patch of thing's {path} does not apply"):
            source_tree.source_tree(
                (
                    component(
                        upstream(f"{address}/t.tar"),
                        patches=(Patch(path=path, find="nine", replace="two"),),
                    ),
                )
            )
    assert not list((empty_cache / "sources").iterdir())


def test_the_archive_of_a_folder_is_noted_in_it(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    sha256 = tar(folder / "t.tar", FILES)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar")),))
    stamp = tree.root / tree.sources["thing"].folder / ".litesmith.json"
    assert json.loads(stamp.read_text()) == {
        "kind": "upstream",
        "location": f"{address}/t.tar",
        "sha256": sha256,
    }
    assert empty_cache.is_dir()


@pytest.mark.parametrize("pinned", [*COMPONENTS, *XNNPACK_COMPONENTS], ids=lambda c: c.name)
def test_every_component_is_pinned(pinned: Component) -> None:
    assert len(pinned.digest) == len(DIGEST)
    assert pinned.keeps(pinned.license_file)
    *projects, debians = pinned.origins
    assert debians.archive.kind == "debian"
    assert len(debians.archive.sha256) == 64
    assert int(debians.archive.sha256, 16)
    assert debians.archive.location.startswith("pool/main/")
    for origin in projects:
        assert origin.archive.kind == "upstream"
        assert origin.archive.location.startswith("https://git")
        assert pinned.revision in origin.archive.location


@pytest.mark.parametrize("pinned", COMPONENTS, ids=lambda c: c.name)
def test_components_of_all_programs_have_two_origins(pinned: Component) -> None:
    assert [origin.archive.kind for origin in pinned.origins] == ["upstream", "debian"]
