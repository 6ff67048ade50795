"""Both forms of archives give the same sources, with the files of the pinned components; so do bundles.

The archives are made of the files in the cache, and served by this machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from litesmith.base import apt
from litesmith.base.errors import SourceError
from litesmith.runtime import fetching, source_tree
from litesmith.runtime.components import Archive, Component, Origin
from litesmith.runtime.pins import CHROMIUM, COMPONENTS, XNNPACK_COMPONENTS
from tests.conftest import EXAMPLES, Cli, one_error_line
from tests.integration.conftest import share
from tests.xz_archive import of_blocks

ALL = (*COMPONENTS, *XNNPACK_COMPONENTS)
IN_CHROMIUM = tuple(one for one in ALL if one.origins[-1].archive == CHROMIUM)
CHANGED_BY_CHROMIUM = {
    "absl/base/options.h": ("#define ABSL_OPTION_HARDENED 0\n", "#define ABSL_OPTION_HARDENED 1\n"),
    "absl/base/macros.h": (
        "#define ABSL_DEPRECATE_AND_INLINE() [[deprecated]] ABSL_REFACTOR_INLINE\n",
        "// In chromium this macro doesn't add [[deprecated]] attribute as chromium disallows to\n"
        "// use deprecated code. By removing this attribute other third party libraries get more\n"
        "// time to migrate from deprecated api to something newer.\n"
        "#define ABSL_DEPRECATE_AND_INLINE() ABSL_REFACTOR_INLINE\n",
    ),
}
"""Upstream's text and Chromium's, by file (third_party/abseil-cpp/patches)."""

Served = tuple[Path, str]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def originals() -> Mapping[str, Mapping[str, bytes]]:
    """The kept files of each component, by path."""
    store = source_tree.originals()
    fetching.fetch(ALL, store, ())
    return {
        one.name: {path: (store.folder(one) / path).read_bytes() for path in store.paths(one)} for one in ALL
    }


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A folder and its URL, the only mirror of Debian."""
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


def packed(content: Mapping[str, bytes], mode: str, comment: str = "") -> bytes:
    stream = io.BytesIO()
    headers = {"comment": comment} if comment else {}
    with tarfile.open(fileobj=stream, mode=mode, pax_headers=headers) as archive:  # type: ignore[call-overload]
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def falsified(content: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files, one bit of the largest one changed."""
    largest = max(content, key=lambda path: len(content[path]))
    data = bytearray(content[largest])
    data[len(data) // 2] ^= 1
    return {**content, largest: bytes(data)}


def from_github(component: Component, files: Mapping[str, bytes], served: Served) -> Component:
    """The component with an archive as GitHub makes it, with files that are not kept."""
    folder, address = served
    top = f"{component.name}-{component.revision}"
    content = {f"{top}/{path}": data for path, data in files.items()}
    content |= {f"{top}/.github/CODEOWNERS": b"*", f"{top}/README.rst": b"about"}
    # Components of one repository have one revision.
    path = folder / component.name / f"{component.revision}.tar.gz"
    path.parent.mkdir()
    path.write_bytes(packed(content, "w:gz", component.revision))
    archive = Archive(kind="upstream", location=f"{address}/{component.name}/{path.name}")
    return dataclasses.replace(component, origins=(Origin(archive=archive),))


def from_chromium(files: Mapping[str, Mapping[str, bytes]], served: Served) -> tuple[Component, ...]:
    """The components with one archive as Debian has it: of many blocks, with Chromium's own files."""
    folder, _ = served
    content: dict[str, bytes] = {"chromium-1/BUILD.gn": b"#"}
    for one in sorted(IN_CHROMIUM, key=lambda one: one.origins[-1].root):
        root = one.origins[-1].root.replace("*", "chromium-1")
        content |= {f"{root}/{path}": data for path, data in files[one.name].items()}
        content[f"{root.removesuffix('/src')}/README.chromium"] = b"Name:"
    content["chromium-1/third_party/zlib/zlib.h"] = b"//"
    for path, (upstreams, chromiums) in CHANGED_BY_CHROMIUM.items():
        name = f"chromium-1/third_party/abseil-cpp/{path}"
        assert upstreams.encode() in content[name]
        content[name] = content[name].replace(upstreams.encode(), chromiums.encode())
    data = of_blocks(packed(content, "w"), 1 << 20)
    (folder / "chromium.tar.xz").write_bytes(data)
    archive = Archive(kind="debian", location="chromium.tar.xz", sha256=hashlib.sha256(data).hexdigest())
    return tuple(
        dataclasses.replace(
            one, origins=(dataclasses.replace(one.origins[-1], archive=archive, tar_block=0),)
        )
        for one in IN_CHROMIUM
    )


def test_both_forms_of_archives_give_the_same_sources(
    originals: Mapping[str, Mapping[str, bytes]], served: Served, empty_cache: Path
) -> None:
    projects = tuple(from_github(one, originals[one.name], served) for one in IN_CHROMIUM)
    found = source_tree.source_tree(projects)
    assert {one["origin"] for one in found.manifest().values()} == {"upstream"}
    for name in ("sources", "originals"):
        (empty_cache / name).rename(empty_cache / f"{name}.upstream")
    again = source_tree.source_tree(from_chromium(originals, served))
    assert {one["origin"] for one in again.manifest().values()} == {"debian"}
    assert again.identity("xnnpack") == found.identity("xnnpack")


@pytest.mark.parametrize("name", ["tensorflow", "ruy", "abseil"])
@pytest.mark.parametrize("form", ["github", "chromium"])
def test_one_falsified_bit_is_refused(
    originals: Mapping[str, Mapping[str, bytes]], served: Served, empty_cache: Path, name: str, form: str
) -> None:
    wrong = {**originals, name: falsified(originals[name])}
    if form == "github":
        (pinned,) = (one for one in ALL if one.name == name)
        components: tuple[Component, ...] = (from_github(pinned, wrong[name], served),)
    else:
        components = from_chromium(wrong, served)
    with pytest.raises(SourceError, match=f"the files of {name} in the archive http") as caught:
        source_tree.source_tree(components)
    assert caught.value.exit_code == 1
    assert [path.name for path in empty_cache.rglob("*") if path.is_file()] == ["sources"]


def without_network(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line where there is no network, not even loopback."""
    return subprocess.run(
        ["unshare", "--net", "--map-root-user", sys.executable, "-m", "litesmith", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "sources.tar.xz"
    done = subprocess.run(
        [sys.executable, "-m", "litesmith", "sources", "--bundle", str(path), "--json"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    listed = {one["name"]: one for one in json.loads(done.stdout)}
    assert set(listed) == {one.name for one in ALL}
    assert all(one["present"] for one in listed.values())
    assert listed["tensorflow"]["revision"] == "999d49c10046e240cd5366d349d3a5f6af16a0d4"
    return path


def test_the_bytes_of_a_bundle_depend_on_the_files_only(bundle: Path, tmp_path: Path) -> None:
    """A bundle made of files that came from a bundle is the same."""
    second = tmp_path / "again.tar.xz"
    environment = {"LITESMITH_SOURCES": str(bundle), "LITESMITH_CACHE": str(tmp_path / "cache")}
    done = without_network("sources", "--bundle", str(second), "--json", cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert {one["origin"] for one in json.loads(done.stdout)} == {"bundle"}
    assert second.read_bytes() == bundle.read_bytes()


@pytest.mark.parametrize("kernels", ["builtin", "xnnpack"])
def test_build_verify_and_estimate_without_a_network(bundle: Path, tmp_path: Path, kernels: str) -> None:
    """Only objects and what does not come from the network are taken from the usual cache."""
    cache = tmp_path / "cache"
    cache.mkdir()
    share(cache, "objects", "zig", "reference")
    environment = {"LITESMITH_SOURCES": str(bundle), "LITESMITH_CACHE": str(cache)}
    model = str(EXAMPLES / "gesture.tflite")
    chosen = ("--target", "x86_64", "--model", model)
    done = without_network("build", *chosen, "--kernels", kernels, cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "build/x86_64/gesture"
    assert json.loads((out / "verify.json").read_text())["verdicts"][0]["passed"] is True
    sources = json.loads((out / "manifest.json").read_text())["sources"]
    assert {one["origin"] for one in sources.values()} == {"bundle"}
    assert sources["ruy"]["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    again = without_network("verify", *chosen, cwd=tmp_path, **environment)
    assert again.returncode == 0, again.stderr
    estimated = without_network("estimate", *chosen, cwd=tmp_path, **environment)
    assert estimated.returncode == 0, estimated.stderr


def test_without_a_network_and_without_a_bundle(tmp_path: Path) -> None:
    done = without_network("sources", "--fetch", cwd=tmp_path, LITESMITH_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 1
    line = one_error_line(done)
    assert "could not be fetched" in line
    assert "LITESMITH_SOURCES" in line
    assert line.count("github.com (its name cannot be resolved)") == 1


@pytest.mark.parametrize("kind", ["changed", "cut off", "another version", "no archive"])
def test_a_wrong_bundle_is_refused(bundle: Path, tmp_path: Path, kind: str) -> None:
    with tarfile.open(bundle) as archive:
        content = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    wrong = tmp_path / "wrong.tar.xz"
    changed = falsified({name: data for name, data in content.items() if name.startswith("ruy-")})
    without = {name: data for name, data in content.items() if not name.startswith("ruy-")}
    wrong.write_bytes(
        {
            "changed": lambda: packed({**content, **changed}, "w"),
            "cut off": lambda: bundle.read_bytes()[: bundle.stat().st_size // 2],
            "another version": lambda: packed(without, "w"),
            "no archive": lambda: b"hello" * 200,
        }[kind]()
    )
    cache = tmp_path / "cache"
    environment = {"LITESMITH_SOURCES": str(wrong), "LITESMITH_CACHE": str(cache)}
    done = without_network("sources", "--fetch", cwd=tmp_path, **environment)
    assert done.returncode == 1
    line = one_error_line(done)
    assert str(wrong) in line
    assert kind not in ("changed", "another version") or " ruy " in line
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["sources"]


def test_a_bundle_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    environment = {"LITESMITH_SOURCES": "none.tar.xz", "LITESMITH_CACHE": str(tmp_path / "cache")}
    done = cli("sources", "--fetch", env=environment)
    assert done.returncode == 2
    assert "none.tar.xz, which is not a file" in one_error_line(done)


@pytest.mark.parametrize(("path", "problem"), [("no/b.tar.xz", "there is no folder"), (".", "is a folder")])
def test_a_bundle_that_cannot_be_written(cli: Cli, path: str, problem: str) -> None:
    done = cli("sources", "--bundle", path)
    assert done.returncode == 2
    assert problem in one_error_line(done)
