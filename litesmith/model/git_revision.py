"""A model as it was in a revision of the user's Git repository: ``REVISION:PATH``."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from pathlib import Path

from litesmith.base import files, paths, process
from litesmith.base.errors import ToolError, UsageError

_SECONDS = 60
_OTHER_OWNER = re.compile(r"dubious ownership in repository at '(.+)'")
_LFS = b"version https://git-lfs.github.com/spec/"


def is_revision(name: str) -> bool:
    """Whether a name has the form ``REVISION:PATH`` and is not the path of a file."""
    revision, colon, path = name.rpartition(":")
    return bool(colon and revision and path) and not os.path.exists(name)  # noqa: PTH110 - long names


def in_revision(revision: str, model: str) -> str:
    """The name of a file's version in a revision: ``REVISION:./PATH``.

    Raises:
        UsageError: the model is not a file of a repository.
    """
    # The name zoo:NAME has the same form.
    if is_revision(model):
        raise UsageError(
            f"{model} has no revision {revision}", "name the path of a file in a Git repository with --model"
        )
    # In Git, "./" makes a path relative to the working directory, not to the top of the repository.
    return f"{revision}:./{os.path.relpath(model)}"


def fetch(name: str) -> Path:
    """The file that ``REVISION:PATH`` names, in the cache under its digest.

    Raises:
        UsageError: there is no such revision, or it has no such file.
    """
    try:
        # A name that begins with "-" is not taken as an option.
        done = process.run(["git", "cat-file", "blob", "--end-of-options", name], timeout=_SECONDS)
    except ToolError as error:
        raise UsageError(f"{name} needs git: {error.message}", "apt-get install git") from None
    if done.code != 0:
        reason = next(iter(done.stderr.strip().splitlines()), "git failed")
        advice = "name a revision and a file that it has: HEAD~1:models/det.tflite"
        if (owned := _OTHER_OWNER.search(done.stderr)) is not None:
            advice = f"if you trust it: git config --global --add safe.directory {shlex.quote(owned[1])}"
        raise UsageError(f"{name} cannot be read from git: {reason.removeprefix('fatal: ')}", advice)
    if done.stdout.startswith(_LFS):
        raise UsageError(
            f"{name} is stored in Git LFS, and git has only a pointer to it",
            "check the revision out (git worktree add) and name the file there",
        )
    digest = hashlib.sha256(done.stdout).hexdigest()
    path = paths.cache_folder() / "revisions" / digest[:16] / Path(name.rpartition(":")[2]).name
    if not path.is_file() or files.sha256(path) != digest:
        files.write_atomically(path, done.stdout)
    return path
