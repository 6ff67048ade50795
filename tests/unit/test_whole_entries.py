"""Entries of the cache: what is damaged is missing, and nothing depends on where the cache is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from litesmith.base import files, whole_folders
from litesmith.base.errors import BuildError
from litesmith.build import cache
from litesmith.measure.size.owners import Owners
from litesmith.model.contents import analyse
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.selection import Selection, select
from tests.conftest import EXAMPLES

ELF = (
    b"\x7fELF\x02\x01\x01"
    + bytes(33)
    + (64).to_bytes(8, "little")
    + bytes(10)
    + bytes([64, 0, 1, 0, 0, 0])
    + bytes(64)
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITESMITH_CACHE", str(tmp_path / "cache"))


def stored(content: bytes = ELF, name: str = "entry.o") -> Path:
    final = cache.objects_folder() / "ab" / name
    staged = final.parent.parent / "staged"
    staged.parent.mkdir(parents=True, exist_ok=True)
    staged.write_bytes(content)
    cache.store(staged, final)
    return final


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


DAMAGES: tuple[Callable[[Path], None], ...] = (truncate, flip, halve, empty, grow, Path.unlink)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("same_time", [False, True])
def test_a_damaged_file_is_missing(damage: Callable[[Path], None], same_time: bool) -> None:
    path = stored()
    assert cache.is_whole(path)
    status = path.stat()
    damage(path)
    if path.exists() and same_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        cache._has_digest.cache_clear()
    assert not cache.is_whole(path)
    # It is made again.
    assert cache.is_whole(stored())


def test_a_damaged_digest_is_a_damaged_file() -> None:
    for damage in (truncate, flip, halve, empty):
        path = stored()
        damage(path.with_name("entry.o.sha256"))
        cache._has_digest.cache_clear()
        assert not cache.is_whole(path)


def test_a_file_of_an_earlier_version_is_taken_over() -> None:
    path = stored()
    path.with_name("entry.o.sha256").unlink()
    cache._has_digest.cache_clear()
    assert cache.is_whole(path)
    assert path.with_name("entry.o.sha256").read_text() == files.sha256(path)
    for damage in (truncate, halve, empty):
        path = stored()
        path.with_name("entry.o.sha256").unlink()
        damage(path)
        assert not cache.is_whole(path)


def folder(tmp_path: Path) -> Path:
    final = tmp_path / "cache/sources/one"
    with files.staging_folder(final) as staged:
        (staged / "one/inner").mkdir(parents=True)
        (staged / "one/a.h").write_text("int a;\n")
        (staged / "one/inner/b.h").write_text("int b;\n")
        whole_folders.publish(staged / "one", final)
    return final


@pytest.mark.parametrize("name", ["a.h", "inner/b.h"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_folder_is_not_whole(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    final = folder(tmp_path)
    assert whole_folders.is_whole(final)
    damage(final / name)
    whole_folders._has_digests.cache_clear()
    assert not whole_folders.is_whole(final)
    whole_folders.discard(final)
    assert not whole_folders.is_whole(final)
    assert sorted(path.name for path in final.parent.iterdir()) == []
    assert whole_folders.is_whole(folder(tmp_path))


def test_another_file_in_a_folder(tmp_path: Path) -> None:
    final = folder(tmp_path)
    (final / "stdio.h").write_text("int c;\n")
    assert not whole_folders.is_whole(final)


def test_the_first_of_two_folders_stays(tmp_path: Path) -> None:
    final = folder(tmp_path)
    with files.staging_folder(final) as staged:
        (staged / "one").mkdir()
        (staged / "one/a.h").write_text("another\n")
        whole_folders.publish(staged / "one", final)
    assert (final / "a.h").read_text() == "int a;\n"
    assert whole_folders.is_whole(final)


def test_a_link_is_replaced_at_once(tmp_path: Path) -> None:
    link = tmp_path / "zig"
    for target in ("gone", "one", "two"):
        files.link_atomically(link, tmp_path / target)
        assert link.readlink() == tmp_path / target
    assert [path.name for path in tmp_path.iterdir()] == ["zig"]


def test_paths_of_maps_do_not_depend_on_the_place(tmp_path: Path) -> None:
    path = tmp_path / "cache/objects/ab/x.o"
    assert cache.in_cache(path) == "objects/ab/x.o"
    assert cache.in_cache(Path("/usr/lib/crt1.o")) == "/usr/lib/crt1.o"
    text = f" 1 2 3 4 {path}:(.text)\n 1 2 3 4 /usr/lib/crt1.o:(.text)\n"
    assert cache.without_place(text) == " 1 2 3 4 objects/ab/x.o:(.text)\n 1 2 3 4 /usr/lib/crt1.o:(.text)\n"
    assert cache.located("objects/ab/x.o") == path
    assert cache.located("/usr/lib/crt1.o") == Path("/usr/lib/crt1.o")


@pytest.fixture
def nothing(registry: Registry) -> Selection:
    model = analyse(EXAMPLES / "gesture.tflite")
    return Selection.from_json(select([model], registry).to_json(), registry)


@pytest.mark.parametrize("path", [f"/old/objects/ab/{'a' * 64}.o", f"objects/ab/{'b' * 64}.o", "/tmp/ccx.o"])
def test_an_unknown_object_is_an_error(nothing: Selection, path: str) -> None:
    with pytest.raises(BuildError, match="which is not an object of this program"):
        Owners({}, [path], nothing, frozenset())


@pytest.mark.parametrize(
    "path", ["toolchains/zig/libc.a", "/usr/lib/crt1.o", "crti.o", "Scrt1.o", "/gcc/crtbegin.o", "libm.so.6"]
)
def test_start_files_and_libraries_are_known(nothing: Selection, path: str) -> None:
    Owners({}, [path], nothing, frozenset())
