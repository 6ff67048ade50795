"""A board → :class:`Facts`: machine, CPU features, libc, space and releases; and whether a program fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base.errors import BoardError
from litesmith.board.deploy.remote import Remote, script
from litesmith.target.profiles import Profile

# Output of `uname -m` on machines that run programs of an architecture.
_MACHINES: Mapping[str, frozenset[str]] = {
    "armv6": frozenset({"armv6l", "armv7l", "armv8l"}),
    "armv7": frozenset({"armv7l", "armv8l"}),
    "aarch64": frozenset({"aarch64", "arm64"}),
    "riscv64": frozenset({"riscv64"}),
    "x86_64": frozenset({"x86_64", "amd64"}),
}
# CPU features that programs of an architecture always use, by their names in /proc/cpuinfo.
_NEEDED: Mapping[str, frozenset[str]] = {
    "armv7": frozenset({"neon"}),
    "x86_64": frozenset({"sse4_2", "popcnt"}),
}
_ARM64 = _MACHINES["aarch64"]
_ARM32 = frozenset({"armv6", "armv7"})
_ARMHF_LOADER = "ld-linux-armhf.so.3"
_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)")
_NUMBER = re.compile(r"[0-9]{1,15}")
# Shared libraries of the compiler that a dynamically linked program may need.
_LIBRARY = re.compile(rb"\0(libstdc\+\+\.so\.6|libgcc_s\.so\.1|libatomic\.so\.1)(?=\0)")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a board reports about itself.

    ``free`` and ``memory`` are bytes, None when unknown.  ``libc`` is the file name of the dynamic loader,
    ``none`` without one; ``loaders`` are all loaders, ``libraries`` the compiler's shared libraries.
    ``lacks`` are missing commands that deployments need, ``releases`` the deployed releases.
    """

    machine: str
    kernel: str
    features: tuple[str, ...]
    libc: str
    libc_version: str
    loaders: tuple[str, ...]
    libraries: tuple[str, ...]
    free: int | None
    memory: int | None
    writable: bool
    lacks: tuple[str, ...]
    current: str
    releases: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def probe(remote: Remote) -> Facts:
    """Runs ``probe.sh`` on a board.

    Raises:
        BoardError: the board did not answer, or its shell is not a POSIX shell.
    """
    result = remote.run("probe", script("probe"), remote.board.folder)
    found: dict[str, list[str]] = {}
    for line in result.stdout.decode(errors="replace").splitlines():
        key, _, value = line.partition("=")
        found.setdefault(key, []).append(value.strip())
    if "machine" not in found:
        raise BoardError(
            remote.board.name,
            "probe",
            f"its login shell is not a POSIX shell: {result.last_line()}",
            "deployments need a POSIX shell and sha256sum, or busybox",
        )

    def first(key: str) -> str:
        return found.get(key, [""])[0]

    return Facts(
        machine=first("machine"),
        kernel=first("kernel"),
        features=tuple(sorted(first("features").split())),
        libc=first("libc"),
        libc_version=first("libc_version"),
        loaders=tuple(sorted(set(found.get("loader", ())))),
        libraries=tuple(sorted(set(found.get("library", ())))),
        free=kibibytes(first("free")),
        memory=kibibytes(first("memory")),
        writable=first("writable") == "yes",
        lacks=tuple(found.get("lacks", ())),
        current=first("current"),
        releases=tuple(found.get("release", ())),
    )


def kibibytes(text: str) -> int | None:
    """A number of KiB in decimal → bytes; None when it is not a number."""
    return int(text) * 1024 if _NUMBER.fullmatch(text) else None


def misfit(facts: Facts, profile: Profile, program: Path | None = None) -> str:
    """Why programs of a profile do not run on a board; empty when the facts do not rule it out."""
    machines = _MACHINES[profile.architecture]
    if facts.machine in _ARM64 and _ARMHF_LOADER in facts.loaders and profile.architecture in _ARM32:
        # A 32-bit system on a 64-bit kernel: NEON is mandatory there, and listed under another name.
        return "" if program is None else _libc_misfit(facts, program.read_bytes(), _ARMHF_LOADER)
    if facts.machine not in machines:
        return f"its machine is {facts.machine}, and {profile.name} is for {', '.join(sorted(machines))}"
    missing = _NEEDED.get(profile.architecture, frozenset()) - set(facts.features)
    if facts.features and missing:
        return f"its CPU lacks {', '.join(sorted(missing))}, which {profile.name} uses"
    return "" if program is None else _libc_misfit(facts, program.read_bytes(), facts.libc)


def _libc_misfit(facts: Facts, program: bytes, loader: str) -> str:
    wanted = max(((int(a), int(b)) for a, b in _GLIBC.findall(program)), default=None)
    dynamic = re.search(rb"/lib(?:64)?/ld-[\w.-]+", program[:4096])
    if dynamic is None or wanted is None:
        return ""
    version = ".".join(map(str, wanted))
    if not loader.startswith("ld-linux"):
        return "it has no glibc, which the program is linked with: build with --toolchain zig"
    have = tuple(int(part) for part in facts.libc_version.split(".") if _NUMBER.fullmatch(part))
    if have and have < wanted:
        return f"its glibc is {facts.libc_version}, and the program needs {version}"
    missing = {name.decode() for name in _LIBRARY.findall(program)} - set(facts.libraries)
    if missing:
        return f"it has no {', '.join(sorted(missing))}: install it there, or build with --toolchain zig"
    return ""
