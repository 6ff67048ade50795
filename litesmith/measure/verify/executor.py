"""Executors, which run a program on its inputs: on this machine, under an emulator, on a board."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from litesmith.base import process
from litesmith.base.errors import NoExecutorError, UsageError
from litesmith.model.tensors import Array, to_bytes
from litesmith.target.profiles import Emulator, Profile

_RUN_SECONDS = 300


class Executor(Protocol):
    """Runs programs.

    To add a way of running them, write a class with these two members.  The command line of a program is
    described in ``templates/runtime/``: an executor adds ``--input`` and ``--output-dir`` to it, or the
    equivalent where the program runs.
    """

    @property
    def description(self) -> str:
        """What runs the program, in a few words: part of a verdict, and of the key it is cached by."""

    def run(
        self, program: str, arguments: Sequence[str], inputs: Sequence[Array], outputs: Path
    ) -> process.Completed:
        """Runs a program on ``inputs`` and writes its outputs to ``outputs/out<position>.bin``.

        ``program`` is a path where the program runs, ``outputs`` a folder on this machine.  A program that
        fails is returned, not raised.

        Raises:
            ToolError: the program did not end in time.
        """


@dataclass(frozen=True, kw_only=True)
class LocalExecutor:
    """Runs programs on this machine; ``argv`` is the emulator or the loader, with its arguments, if any."""

    argv: tuple[str, ...]
    description: str

    def run(
        self, program: str, arguments: Sequence[str], inputs: Sequence[Array], outputs: Path
    ) -> process.Completed:
        """See :class:`Executor`."""
        words = [*self.argv, program, *arguments, "--output-dir", str(outputs)]
        for position, value in enumerate(inputs):
            path = outputs / f"in{position}.bin"
            path.write_bytes(to_bytes(value))
            words += ["--input", str(path)]
        return process.run(words, timeout=_RUN_SECONDS)


def find_executor(profile: Profile, cpu: str | None = None, sysroot: Path | None = None) -> LocalExecutor:
    """The executor of a profile's programs on this machine.

    ``cpu`` replaces the CPU that the profile's emulator emulates.  ``sysroot`` holds the loader and the
    shared libraries of programs that are linked dynamically.

    Raises:
        NoExecutorError: the emulator is not installed.
        UsageError: ``cpu`` is given and the profile has no emulator.
    """
    if profile.emulator is not None:
        return _emulated(profile.emulator, cpu, sysroot)
    if cpu is not None:
        raise UsageError(f"--cpu {cpu}: the profile {profile.name} has no emulator", "leave it out")
    return _native(sysroot)


def _emulated(emulator: Emulator, cpu: str | None, sysroot: Path | None) -> LocalExecutor:
    program = shutil.which(emulator.program)
    if program is None:
        raise NoExecutorError(f"{emulator.program} is not installed", emulator.install)
    arguments = list(emulator.arguments)
    if cpu is not None:
        if "-cpu" in arguments:
            arguments[arguments.index("-cpu") + 1] = cpu
        else:
            arguments += ["-cpu", cpu]
    description = " ".join([_with_version(emulator.program, program), *arguments])
    if sysroot is not None:
        arguments += ["-L", str(sysroot)]
        description += f" and {sysroot.name}"
    return LocalExecutor(argv=(program, *arguments), description=description)


def _with_version(name: str, program: str) -> str:
    (first, *_) = process.run([program, "--version"], timeout=20).stdout.decode().splitlines()
    number = next((word for word in first.split() if word[:1].isdigit()), "")
    return f"{name} {number}".strip()


def _native(sysroot: Path | None) -> LocalExecutor:
    if sysroot is None:
        return LocalExecutor(argv=(), description="this machine")
    # The libraries that the program was linked with, not those of this machine.
    (loader,) = (sysroot / "lib").glob("ld-linux*")
    argv = (str(loader), "--library-path", str(sysroot / "lib"))
    return LocalExecutor(argv=argv, description=f"this machine and {sysroot.name}")
