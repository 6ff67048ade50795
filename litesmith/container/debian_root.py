"""A Debian root file system, made with debootstrap from this machine's mirror and packed into an archive."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from litesmith.base import apt, process
from litesmith.base.errors import ToolError

_DEBOOTSTRAP_SECONDS = 1800
_TAR_SECONDS = 1800


def require(release: str, purpose: str, command: str) -> tuple[str, ...]:
    """Checks for debootstrap, root and a mirror, and returns the suites of a release.

    ``purpose`` (``a base``) and ``command`` are for the messages: what the root file system is for, and the
    command that makes it.

    Raises:
        ToolError: one of the three is missing.
    """
    _debootstrap()
    if os.getuid() != 0:
        raise ToolError(f"debootstrap needs root to make {purpose}", f"run '{command}' as root, once")
    suites = apt.debian_suites(release)
    if not suites:
        raise ToolError("no Debian mirror is known", "name one in LITESMITH_DEBIAN_MIRROR")
    return suites


def _debootstrap() -> str:
    found = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise ToolError("debootstrap is not installed", "on Debian: apt-get install debootstrap")
    return found


def make(
    archive: Path, release: str, mirror: str, options: Sequence[str], prepare: Callable[[Path], None]
) -> None:
    """Bootstraps a release, lets ``prepare`` change its root folder, and packs it into ``archive``.

    Raises:
        ToolError: debootstrap or tar failed.
    """
    with tempfile.TemporaryDirectory(prefix="litesmith-root-") as scratch:
        root = Path(scratch) / "root"
        _bootstrap(root, release, mirror, options)
        prepare(root)
        _pack(root, archive)


def _bootstrap(root: Path, release: str, mirror: str, options: Sequence[str]) -> None:
    # In its own mount namespace, so that its mounts disappear with it even if it is killed.
    words: list[str | Path] = ["unshare", "--mount", _debootstrap(), "--force-check-gpg"]
    done = process.run(
        [*words, "--variant=minbase", *options, release, root, mirror], timeout=_DEBOOTSTRAP_SECONDS
    )
    if done.code != 0:
        lines = (done.stdout.decode(errors="replace") + done.stderr).strip().splitlines()
        errors = [line for line in lines if line.startswith("E: ")] or lines[-1:]
        raise ToolError(
            f"debootstrap failed: {errors[0] if errors else 'no message'}",
            "check the network connection, the mirror and the free disk space",
        )


def _pack(root: Path, archive: Path) -> None:
    """Packs a root folder, without apt's caches, package lists and logs."""
    packed = process.run(
        [
            *("tar", "--create", f"--file={archive}", f"--directory={root}", "--sort=name"),
            *("--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./var/log/*"),
            ".",
        ],
        timeout=_TAR_SECONDS,
    )
    if packed.code != 0:
        raise ToolError(f"tar failed: {packed.stderr.strip()}", "check the free disk space")
