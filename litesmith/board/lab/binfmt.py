"""Foreign programs on this machine: qemu-user, registered with the kernel's binfmt_misc.

The registration lasts until :func:`withdraw`; whatever somebody else has registered is used as it is.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

from litesmith.base import process
from litesmith.base.errors import ToolError

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
# Debian's qemu-user-static says here how the kernel knows an architecture's programs.
_KNOWN_FORMATS = Path("/usr/lib/binfmt.d")
_INSTALL = "on Debian: apt-get install qemu-user-static"
_SECONDS = 20

_QEMU_NAMES: Mapping[str, str] = {
    "armv6": "arm",
    "armv7": "arm",
    "aarch64": "aarch64",
    "riscv64": "riscv64",
    "x86_64": "x86_64",
}


def ensure(architecture: str) -> None:
    """Makes the kernel run programs of an architecture, in containers too.

    Raises:
        ToolError: the emulator is missing, or only root may do that.
    """
    name = _QEMU_NAMES[architecture]
    if platform.machine() == name or _registered(f"qemu-{name}") or _registered(_ours(name)):
        return
    known = _KNOWN_FORMATS / f"qemu-{name}.conf"
    if not known.is_file():
        raise ToolError(f"there is no emulator that containers could use for {architecture}", _INSTALL)
    if os.getuid() != 0:
        raise ToolError(
            f"only root can make the kernel run programs for {architecture}",
            "run './inv lab.up' as root, or enable qemu-user-static's formats with update-binfmts",
        )
    if not (_BINFMT / "register").exists():
        done = process.run(["mount", "-t", "binfmt_misc", "binfmt_misc", _BINFMT], timeout=_SECONDS)
        if done.code != 0:
            raise ToolError(
                f"binfmt_misc cannot be mounted: {done.stderr.strip()}", "see 'modprobe binfmt_misc'"
            )
    try:
        line = known.read_text(encoding="utf-8").strip()
        (_BINFMT / "register").write_text(line.replace(f":qemu-{name}:", f":{_ours(name)}:", 1))
    except OSError as error:
        raise ToolError(f"the kernel does not take {known}: {error.strerror}", _INSTALL) from None


def withdraw() -> None:
    """Takes back what :func:`ensure` registered."""
    for name in sorted(set(_QEMU_NAMES.values())):
        entry = _BINFMT / _ours(name)
        if entry.exists():
            entry.write_text("-1")


def _ours(name: str) -> str:
    return f"litesmith-{name}"


def _registered(name: str) -> bool:
    """Whether a format is there, and its interpreter is found from inside of a container (flag F)."""
    try:
        text = (_BINFMT / name).read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags:")), "")
    return text.startswith("enabled") and "F" in flags.partition(":")[2]
