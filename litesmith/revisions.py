"""A model as it was in a revision of the user's Git repository: ``REVISION:PATH``."""

from __future__ import annotations

import hashlib
from pathlib import Path

from litesmith import files, paths, process
from litesmith.errors import ToolError, UsageError

_SECONDS = 60
_LFS = b"version https://git-lfs.github.com/spec/"


def is_revision(name: str) -> bool:
    """Whether a name can be meant as ``REVISION:PATH``, and not as the path of a file."""
    revision, colon, path = name.partition(":")
    return bool(colon and revision and path) and not Path(name).exists()


def fetch(name: str) -> Path:
    """The file that ``REVISION:PATH`` names, in the cache under its digest.

    Raises:
        UsageError: there is no such revision, or it has no such file.
    """
    try:
        # What follows cannot be an option.
        done = process.run(["git", "show", "--end-of-options", name], timeout=_SECONDS)
    except ToolError as error:
        raise UsageError(f"{name} needs git: {error.message}", "apt-get install git") from None
    if done.code != 0:
        reason = next(iter(done.stderr.strip().splitlines()), "git show failed")
        raise UsageError(
            f"{name} cannot be had from git: {reason.removeprefix('fatal: ')}",
            "name a revision and a file that it has: HEAD~1:models/det.tflite",
        )
    if done.stdout.startswith(_LFS):
        raise UsageError(
            f"{name} is kept in Git LFS, and git shows its pointer only",
            "check the revision out (git worktree add) and name the files there",
        )
    digest = hashlib.sha256(done.stdout).hexdigest()
    path = paths.cache_folder() / "revisions" / digest[:16] / Path(name.partition(":")[2]).name
    if not path.exists():
        files.write_atomically(path, done.stdout)
    return path
