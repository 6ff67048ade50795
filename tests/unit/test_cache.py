from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
