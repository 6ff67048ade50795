from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from litesmith.base import files, units
from litesmith.base.errors import LitesmithError


def test_digests() -> None:
    assert files.digest_of("a", 1) == files.digest_of("a", 1)
    assert files.digest_of("a", 1) != files.digest_of("a1")
    assert files.digest_of(["a", "b"]) != files.digest_of(["ab"])
    assert files.digest_of({"x": 1, "y": 2}) == files.digest_of({"y": 2, "x": 1})


def test_the_digest_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    assert files.sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_writing_atomically(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "f"
    files.write_atomically(path, "ä")
    files.write_atomically(path, b"b")
    assert path.read_bytes() == b"b"
    assert [p.name for p in path.parent.iterdir()] == ["f"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_failed_write_leaves_no_files(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        files.write_atomically(path, "x")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_staging_folder_is_removed_after_success_and_failure(tmp_path: Path) -> None:
    with files.staging_folder(tmp_path / "out") as staged:
        assert staged.parent == tmp_path
    with contextlib.suppress(RuntimeError), files.staging_folder(tmp_path / "out") as staged:
        (staged / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def staged_build(folder: Path, text: str) -> Path:
    staged = folder / f"staged-{text}"
    (staged / "bin").mkdir(parents=True)
    (staged / "bin" / "m").write_text(text)
    (staged / "manifest.json").write_text(text)
    return staged


def test_publishing_into_a_new_folder(tmp_path: Path) -> None:
    files.publish(staged_build(tmp_path, "one"), tmp_path / "out")
    assert (tmp_path / "out/bin/m").read_text() == "one"


def test_publishing_over_an_old_build_keeps_other_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    files.publish(staged_build(tmp_path, "one"), out)
    (out / "notes.txt").write_text("mine")
    (out / "bin" / "stale").write_text("old program")
    files.publish(staged_build(tmp_path, "two"), out)
    assert (out / "bin/m").read_text() == (out / "manifest.json").read_text() == "two"
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "bin/stale").exists()


def test_an_optional_file_of_an_earlier_build_is_removed(tmp_path: Path) -> None:
    first, second = staged_build(tmp_path, "one"), staged_build(tmp_path, "two")
    (first / "verify.json").write_text("one")
    files.publish(first, tmp_path / "out", ["verify.json"])
    assert (tmp_path / "out/verify.json").exists()
    files.publish(second, tmp_path / "out", ["verify.json"])
    assert not (tmp_path / "out/verify.json").exists()


def test_publishing_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(LitesmithError, match="is a file"):
        files.publish(staged_build(tmp_path, "one"), tmp_path / "out")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (10239, "10239 B"),
        (10240, "10.0 KiB"),
        (2**20, "1.00 MiB"),
        (5 * 2**20 + 2**19, "5.50 MiB"),
    ],
)
def test_human_readable_sizes(count: int, text: str) -> None:
    assert units.human_size(count) == text
