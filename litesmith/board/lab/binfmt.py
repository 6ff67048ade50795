"""Foreign programs on this machine: qemu-user, registered with the kernel's binfmt_misc.

A registration lasts until :func:`unregister`; existing registrations of other software are used as they are.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

from litesmith.base import process
from litesmith.base.errors import ToolError

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
# Debian's qemu-user-static describes each architecture's program format here.
_DESCRIPTIONS = Path("/usr/lib/binfmt.d")
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
        ToolError: the emulator is missing, or this user is not root.
    """
    name = _QEMU_NAMES[architecture]
    if platform.machine() == name or _registered(f"qemu-{name}") or _registered(_own_entry(name)):
        return
    description = _DESCRIPTIONS / f"qemu-{name}.conf"
    if not description.is_file():
        raise ToolError(f"no emulator for {architecture} is installed that works in containers", _INSTALL)
    if os.getuid() != 0:
        raise ToolError(
            f"only root can make the kernel run programs for {architecture}",
            "run './inv lab.up' as root, or enable the formats of qemu-user-static with update-binfmts",
        )
    if not (_BINFMT / "register").exists():
        done = process.run(["mount", "-t", "binfmt_misc", "binfmt_misc", _BINFMT], timeout=_SECONDS)
        if done.code != 0:
            raise ToolError(
                f"binfmt_misc cannot be mounted: {done.stderr.strip()}", "try 'modprobe binfmt_misc'"
            )
    try:
        line = description.read_text(encoding="utf-8").strip()
        (_BINFMT / "register").write_text(line.replace(f":qemu-{name}:", f":{_own_entry(name)}:", 1))
    except OSError as error:
        raise ToolError(f"the kernel does not accept {description}: {error.strerror}", _INSTALL) from None


def unregister() -> None:
    """Removes what :func:`ensure` registered."""
    for name in sorted(set(_QEMU_NAMES.values())):
        entry = _BINFMT / _own_entry(name)
        if entry.exists():
            entry.write_text("-1")


def _own_entry(name: str) -> str:
    return f"litesmith-{name}"


def _registered(name: str) -> bool:
    """Whether a format is registered so that it works inside containers (flag F)."""
    try:
        text = (_BINFMT / name).read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags:")), "")
    return text.startswith("enabled") and "F" in flags.partition(":")[2]
