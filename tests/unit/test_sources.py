from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from litesmith.base import apt
from litesmith.base.errors import SourceError
from litesmith.runtime import source_tree
from litesmith.runtime.pins import COMPONENTS, Component, Origin, Patch


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


FILES = {
    "top/LICENSE": b"free",
    "top/src/a.cc": b"int a = one;",
    "top/src/a_test.cc": b"test",
    "top/doc/b.txt": b"text",
}


def tar(path: Path, content: dict[str, bytes], mode: str = "w:xz") -> str:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def component(*origins: Origin, patches: tuple[Patch, ...] = ()) -> Component:
    return Component(
        name="thing",
        version="1",
        origins=origins,
        keep=("LICENSE", "src/"),
        drop=("_test.cc",),
        license="MIT",
        license_file="LICENSE",
        patches=patches,
    )


def upstream(address: str, sha256: str, root: str = "*") -> Origin:
    return Origin(kind="upstream", location=address, sha256=sha256, root=root)


def unpacked(tree: source_tree.SourceTree) -> dict[str, bytes]:
    folder = tree.root / tree.sources["thing"].folder
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".litesmith.json"
    }


@pytest.mark.parametrize("mode", ["w:xz", "w:gz", "w:bz2", "w"])
def test_only_the_used_parts_of_a_tar_are_unpacked(
    served: tuple[Path, str], empty_cache: Path, mode: str
) -> None:
    folder, address = served
    digest = tar(folder / "t.tar", FILES, mode)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar", digest)),))
    assert unpacked(tree) == {"LICENSE": b"free", "src/a.cc": b"int a = one;"}
    assert tree.manifest()["thing"]["origin"] == "upstream"
    assert tree.manifest()["thing"]["sha256"] == digest
    assert not list(empty_cache.rglob("archive*"))


def test_a_zip(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    with zipfile.ZipFile(folder / "t.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    digest = hashlib.sha256((folder / "t.zip").read_bytes()).hexdigest()
    tree = source_tree.source_tree((component(upstream(f"{address}/t.zip", digest)),))
    assert set(unpacked(tree)) == {"LICENSE", "src/a.cc"}
    assert empty_cache.is_dir()


def test_a_deep_root_stops_at_its_end(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    content = {
        "x/other/src/n": b"no",
        "x/deep/y/LICENSE": b"l",
        "x/deep/y/src/a.cc": b"a",
        "x/zz/src/n": b"no",
    }
    digest = tar(folder / "t.tar", content)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar", digest, "*/deep/y")),))
    assert unpacked(tree) == {"LICENSE": b"l", "src/a.cc": b"a"}
    assert empty_cache.is_dir()


def test_the_second_origin_is_used_when_the_first_does_not_answer(
    served: tuple[Path, str], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    (folder / "pool").mkdir()
    digest = tar(folder / "pool" / "t.tar", FILES)
    monkeypatch.setattr(apt, "debian_mirrors", lambda: (f"{address}/",))
    debian = Origin(kind="debian", location="pool/t.tar", sha256=digest)
    first = upstream("http://127.0.0.1:1/t.tar", "0" * 64)
    tree = source_tree.source_tree((component(first, debian),))
    assert tree.manifest()["thing"]["origin"] == "debian"
    assert tree.manifest()["thing"]["location"] == "pool/t.tar"
    assert empty_cache.is_dir()


def test_a_wrong_digest_is_an_error_and_no_other_origin_is_tried(
    served: tuple[Path, str], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    digest = tar(folder / "t.tar", FILES)
    monkeypatch.setenv("LITESMITH_DEBIAN_MIRROR", address)
    good = Origin(kind="debian", location="t.tar", sha256=digest)
    with pytest.raises(SourceError, match=r"archive of thing from .* does not have the pinned SHA-256"):
        source_tree.source_tree((component(upstream(f"{address}/t.tar", "0" * 64), good),))
    assert [p.name for p in (empty_cache / "sources").iterdir()] == []


def test_no_network_names_the_file_and_all_origins(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "debian_mirrors", lambda: ("http://127.0.0.1:1/",))
    first = upstream("http://127.0.0.1:1/a/t.tar", "0" * 64)
    second = Origin(kind="debian", location="pool/t.tar", sha256="1" * 64)
    with pytest.raises(SourceError) as caught:
        source_tree.source_tree((component(first, second),))
    assert "thing 1 could not be fetched" in caught.value.message
    assert "127.0.0.1:1/a/t.tar (ConnectionError)" in caught.value.message
    assert "127.0.0.1:1/pool/t.tar" in caught.value.message
    assert "LITESMITH_DEBIAN_MIRROR" in caught.value.next_step
    assert not list((empty_cache / "sources").iterdir())


def test_an_http_error_is_reported(
    served: tuple[Path, str], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = served
    monkeypatch.setattr(apt, "debian_mirrors", lambda: ())
    second = Origin(kind="debian", location="pool/t.tar", sha256="1" * 64)
    with pytest.raises(SourceError, match=r"HTTP 404.*no apt configuration"):
        source_tree.source_tree((component(upstream(f"{address}/none", "0" * 64), second),))
    assert empty_cache.is_dir()


def test_sources_are_fetched_once(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    wanted = (component(upstream(f"{address}/t.tar", tar(folder / "t.tar", FILES))),)
    first = source_tree.source_tree(wanted)
    (folder / "t.tar").unlink()
    assert source_tree.source_tree(wanted).identity() == first.identity()
    assert empty_cache.is_dir()


def test_members_that_would_leave_the_folder_are_ignored(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    content = {"top/src/../../../evil": b"x", "top/src/a.cc": b"a", "/etc/src/b": b"x"}
    digest = tar(folder / "t.tar", content)
    tree = source_tree.source_tree((component(upstream(f"{address}/t.tar", digest)),))
    assert unpacked(tree) == {"src/a.cc": b"a"}
    assert not list(empty_cache.rglob("evil"))


def test_an_archive_without_the_required_files(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    digest = tar(folder / "t.tar", {"top/other": b"x"})
    with pytest.raises(SourceError, match="contains none of its files"):
        source_tree.source_tree((component(upstream(f"{address}/t.tar", digest)),))
    assert not list((empty_cache / "sources").iterdir())


def test_a_file_that_is_not_an_archive(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    (folder / "t.tar").write_bytes(b"hello" * 100)
    digest = hashlib.sha256((folder / "t.tar").read_bytes()).hexdigest()
    with pytest.raises(SourceError, match="cannot be unpacked"):
        source_tree.source_tree((component(upstream(f"{address}/t.tar", digest)),))
    assert not list((empty_cache / "sources").iterdir())


def test_a_patch_is_applied_and_changes_the_identity(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    origin = upstream(f"{address}/t.tar", tar(folder / "t.tar", FILES))
    plain = source_tree.source_tree((component(origin),))
    patched = source_tree.source_tree(
        (component(origin, patches=(Patch(path="src/a.cc", find="one", replace="two"),)),)
    )
    assert unpacked(patched)["src/a.cc"] == b"int a = two;"
    assert unpacked(plain)["src/a.cc"] == b"int a = one;"
    assert plain.identity() != patched.identity()
    assert patched.manifest()["thing"]["patched"] == "src/a.cc"
    assert empty_cache.is_dir()


def test_a_patch_that_does_not_apply(served: tuple[Path, str], empty_cache: Path) -> None:
    folder, address = served
    origin = upstream(f"{address}/t.tar", tar(folder / "t.tar", FILES))
    with pytest.raises(SourceError, match=r"patch of thing's src/a\.cc does not apply"):
        source_tree.source_tree(
            (component(origin, patches=(Patch(path="src/a.cc", find="nine", replace="two"),)),)
        )
    assert not list((empty_cache / "sources").iterdir())


@pytest.mark.parametrize("pinned", COMPONENTS, ids=lambda c: c.name)
def test_every_component_has_two_pinned_origins(pinned: Component) -> None:
    assert [origin.kind for origin in pinned.origins] == ["upstream", "debian"]
    for origin in pinned.origins:
        assert len(origin.sha256) == 64
        assert int(origin.sha256, 16)
    assert pinned.origins[0].location.startswith("https://git")
    assert pinned.origins[1].location.startswith("pool/main/")
    assert any(pinned.license_file.startswith(prefix) for prefix in pinned.keep)
