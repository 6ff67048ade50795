"""Architecture → the root file system of a virtual board, as an image of the Docker engine.

It is Debian's minimal variant with an OpenSSH server.  The packed file system stays in the cache; the image
is removed with the last lab.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import console, files, paths
from litesmith.build import cache
from litesmith.container import debian_root, docker_client, toolchain_images
from litesmith.container.docker_client import EngineError

USER = "board"
"""The user to log in as, who owns the install folder."""

FOLDER = "/opt/litesmith"
"""The install folder."""

_USER_ID = 1000
_SECONDS = 3600
# Bump when the recipe below changes.
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class _Debian:
    """Debian's name of an architecture, and the release to use."""

    architecture: str
    release: str = "bookworm"


_DEBIAN: Mapping[str, _Debian] = {
    "armv6": _Debian(architecture="armel"),
    "armv7": _Debian(architecture="armhf"),
    "aarch64": _Debian(architecture="arm64"),
    "riscv64": _Debian(architecture="riscv64", release="trixie"),
    "x86_64": _Debian(architecture="amd64"),
}

LABEL = "litesmith.board.lab"
"""Docker label of boards' images (``image``), and of containers and networks (the name of the lab)."""


def ensure(architecture: str) -> str:
    """The tag of the image for boards of an architecture; makes the image if it is missing.

    Raises:
        EngineError: the engine refused.
        ToolError: debootstrap is missing or failed, or this user is not root.
    """
    debian = _DEBIAN[architecture]
    key = files.digest_of(_FORMAT, debian.architecture, debian.release)[:12]
    tag = f"litesmith-lab-{debian.architecture}:{key}"
    if toolchain_images.find(tag) is not None:
        return tag
    with files.locked(paths.cache_folder() / "locks" / tag.replace(":", "-")):
        packed = paths.cache_folder() / "lab" / f"{debian.architecture}-{key}.tar"
        if not cache.is_whole(packed):
            _make(debian, packed)
        done = docker_client.call("import", f"--change=LABEL {LABEL}=image", packed, tag, timeout=_SECONDS)
    if done.code != 0:
        raise EngineError(f"the engine did not import {tag}: {done.stderr.strip()}", "see 'docker info'")
    return tag


def _make(debian: _Debian, packed: Path) -> None:
    suites = debian_root.require(debian.release, "a board", "./inv lab.up")
    console.note(
        f"making a root file system of Debian {debian.release} for {debian.architecture}, once: some minutes"
    )
    packed.parent.mkdir(parents=True, exist_ok=True)
    options = (f"--arch={debian.architecture}", "--include=openssh-server")
    with tempfile.TemporaryDirectory(prefix="litesmith-lab-") as scratch:
        archive = Path(scratch) / "root.tar"
        debian_root.make(archive, debian.release, suites[0].split()[0], options, _prepare)
        partial = packed.with_suffix(f".{os.getpid()}")
        shutil.move(archive, partial)
        cache.store(partial, packed)


def _prepare(root: Path) -> None:
    """Adds the user and its folders, removes host keys, and prepares the SSH server's run folder."""
    for name, line in (
        ("passwd", f"{USER}:x:{_USER_ID}:{_USER_ID}::/home/{USER}:/bin/sh"),
        ("shadow", f"{USER}:*:19000:0:99999:7:::"),
        ("group", f"{USER}:x:{_USER_ID}:"),
    ):
        with (root / "etc" / name).open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")
    for folder in (f"home/{USER}", FOLDER.lstrip("/")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        os.chown(root / folder, _USER_ID, _USER_ID)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "run/sshd").mkdir(parents=True, exist_ok=True)
