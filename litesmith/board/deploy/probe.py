"""A board → :class:`Facts`: what it is, what it has, what lies on it; and whether a program fits it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base.errors import BoardError
from litesmith.board.deploy.remote import Remote, script
from litesmith.target.profiles import Profile

# What `uname -m` says of machines that run programs of an architecture.
_MACHINES: Mapping[str, frozenset[str]] = {
    "armv6": frozenset({"armv6l", "armv7l", "armv8l"}),
    "armv7": frozenset({"armv7l", "armv8l"}),
    "aarch64": frozenset({"aarch64", "arm64"}),
    "riscv64": frozenset({"riscv64"}),
    "x86_64": frozenset({"x86_64", "amd64"}),
}
# Instructions that programs of a profile use wherever they run, as /proc/cpuinfo calls them.
_NEEDED: Mapping[str, frozenset[str]] = {
    "armv7": frozenset({"neon"}),
    "x86_64": frozenset({"sse4_2", "popcnt"}),
}
_WIDER = _MACHINES["aarch64"]
_ARM = frozenset({"armv6", "armv7"})
_ARMHF_LOADER = "ld-linux-armhf.so.3"
_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)")
# The compiler's libraries that a program which is linked dynamically may need.
_LIBRARY = re.compile(rb"\0(libstdc\+\+\.so\.6|libgcc_s\.so\.1|libatomic\.so\.1)(?=\0)")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a board said of itself.

    ``free`` and ``memory`` are bytes, None when it does not know; ``libc`` is the name of its loader,
    ``loaders`` are all that it has, ``libraries`` the compiler's, ``lacks`` the commands that deploying
    needs and it has not, ``releases`` what was deployed.
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
    """Asks a board.

    Raises:
        BoardError: it does not answer.
    """
    answer = remote.run("probe", script("probe"), remote.board.folder)
    found: dict[str, list[str]] = {}
    for line in answer.stdout.decode(errors="replace").splitlines():
        key, _, value = line.partition("=")
        found.setdefault(key, []).append(value.strip())
    if "machine" not in found:
        raise BoardError(
            remote.board.name,
            "probe",
            f"its shell does not do what a POSIX shell does: {answer.last_line()}",
            "deploying takes a POSIX shell and sha256sum, or busybox",
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
    """Bytes of a number of KiB as a board says it; None when it is none."""
    return int(text) * 1024 if text.isdigit() else None


def misfit(facts: Facts, profile: Profile, program: Path | None = None) -> str:
    """Why programs of a profile do not run on a board; empty when they do, as far as it says."""
    machines = _MACHINES[profile.architecture]
    if facts.machine in _WIDER and _ARMHF_LOADER in facts.loaders and profile.architecture in _ARM:
        # A 64-bit kernel below a 32-bit system: NEON is part of that architecture, and called otherwise.
        return "" if program is None else _libc_misfit(facts, program.read_bytes(), _ARMHF_LOADER)
    if facts.machine not in machines:
        return f"it is a {facts.machine}, and {profile.name} is for {', '.join(sorted(machines))}"
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
        return "it has no glibc, and the program is linked with it: build with --toolchain zig"
    have = tuple(int(part) for part in facts.libc_version.split(".") if part.isdigit())
    if have and have < wanted:
        return f"its glibc is {facts.libc_version}, and the program needs {version}"
    missing = {name.decode() for name in _LIBRARY.findall(program)} - set(facts.libraries)
    if missing:
        return f"it has no {', '.join(sorted(missing))}: install it there, or build with --toolchain zig"
    return ""
