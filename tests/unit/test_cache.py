from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from litesmith.base import paths
from litesmith.build import cache


def test_scratch_folders_that_appear_at_once_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A build removed the folder of another one that had created it and not locked it yet."""
    monkeypatch.setenv("LITESMITH_CACHE", str(tmp_path))

    def use(_: int) -> bool:
        with cache.scratch_folder() as folder:
            (folder / "object").touch()
            return folder.is_dir()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(400)))


def test_the_scratch_folder_of_a_killed_build_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LITESMITH_CACHE", str(tmp_path))
    left = paths.cache_folder() / "work/killed"
    left.mkdir(parents=True)
    (left / ".in-use").touch()
    with cache.scratch_folder() as folder:
        assert folder.is_dir()
        assert not left.exists()


def damage_everywhere(content: bytes) -> Iterator[bytes]:
    """Nothing, half of it, one bit flipped at the start, in the middle and at the end."""
    yield b""
    yield content[: len(content) // 2]
    for at in (0, len(content) // 2, len(content) - 1):
        yield content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_damaged_text_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "verdicts/key.json"
    cache.store_text('{"passed": true}', path)
    assert cache.is_whole(path)
    for number, content in enumerate(damage_everywhere(path.read_bytes())):
        cache.store_text(f'{{"passed": true, "number": {number}}}', path)
        path.unlink()
        path.write_bytes(content)
        assert not cache.is_whole(path)


@pytest.mark.parametrize("with_digest", [False, True])
def test_damaged_arrays_are_missing(tmp_path: Path, with_digest: bool) -> None:
    """Those without a digest are from an earlier version; their archive has checksums of its own."""
    whole = tmp_path / "whole.npz"
    np.savez(whole, np.arange(1000))
    content = whole.read_bytes()
    damaged = [b"", content[: len(content) // 2], content[:2000] + b"?" + content[2001:]]
    for number, one in enumerate([content, *damaged]):
        path = tmp_path / f"{number}.npz"
        if with_digest:
            staged = tmp_path / "staged.npz"
            staged.write_bytes(content)
            cache.store(staged, path)
            path.unlink()
        path.write_bytes(one)
        assert cache.is_whole(path) == (one == content)
