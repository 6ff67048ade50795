"""Programs with AddressSanitizer and UndefinedBehaviorSanitizer, and a server that runs them fast."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from litesmith.build import session
from litesmith.build.request import Request, ResolvedRequest
from litesmith.model.model_file import open_model
from litesmith.target import profiles
from litesmith.target.profiles import Profile
from litesmith.toolchain.gcc import Gcc

SECONDS = 10
"""Processor time of one run."""

ALLOCATION_MB, RESIDENT_MB = 256, 1024
"""The memory that a program gets: the largest block, and the sum, with what AddressSanitizer adds."""

SANITISER = 99
"""The exit code of a run in which a sanitiser found something."""

_SANITISE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-sanitize=vptr")
# With -O2, sanitised kernels take three times as long to compile.
_COMPILE = ("-O1", *_SANITISE, "-fno-omit-frame-pointer")
# Hundreds of inline checks in one function take the compiler minutes.
_VECTORS = ("-fno-sanitize=undefined", "--param=asan-instrumentation-with-call-threshold=0")
_CONTROL, _STATUS = 198, 199
_OPTIONS = {
    "ASAN_OPTIONS": ":".join(
        (
            f"exitcode={SANITISER}:detect_leaks=0:allocator_may_return_null=1:verify_asan_link_order=0",
            f"max_allocation_size_mb={ALLOCATION_MB}:hard_rss_limit_mb={RESIDENT_MB}",
            # The program's own handlers must not hide what happened.
            "handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_sigill=2:detect_stack_use_after_return=0",
        )
    ),
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


class SanitisingGcc(Gcc):
    """GCC that links the sanitisers' libraries, too."""

    def link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags of ``g++`` for the link step."""
        return (*super().link_flags(profile), *_SANITISE)


def sanitised_profile(name: str) -> Profile:
    """The profile, with flags that make its programs look for faults."""
    profile = profiles.load(name)
    gcc = profile.toolchains["gcc"].model_copy(update={"flags": _COMPILE})
    sources = {
        pattern: (*flags, *_VECTORS) if pattern.startswith("ruy/") else flags
        for pattern, flags in profile.source_flags.items()
    }
    return profile.model_copy(
        update={
            "toolchains": {"gcc": gcc},
            "optimise": None,
            "optimise_sources": {},
            "source_flags": sources,
        }
    )


def sanitised_program(models: Sequence[Path], *, prune: bool = True, kernels: str | None = None) -> Path:
    """A program for these models, with symbols, for x86_64."""
    request = Request(target="x86_64", models=tuple(map(str, models)), prune=prune, kernels=kernels)
    profile = sanitised_profile(request.target)
    resolved = ResolvedRequest(
        request=request,
        profile=profile.with_kernels(kernels) if kernels else profile,
        toolchain=SanitisingGcc(),
        models=tuple(open_model(str(path)) for path in models),
    )
    with session.opened(resolved) as opened:
        return opened.builder.build(opened.project()).debug


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: its exit code, or minus the number of the signal that ended it."""

    code: int
    stderr: str

    @property
    def fault(self) -> str:
        """What is wrong with this end; empty if it is one that is allowed.

        Allowed are an answer, and exit code 2, 3 or 4 with an error as the last line.
        """
        lines = self.stderr.splitlines()
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        if self.code == SANITISER:
            marks = ("ERROR: AddressSanitizer", "runtime error:", "AddressSanitizer:")
            return next((line for line in lines if any(mark in line for mark in marks)), "sanitiser")
        if self.code not in {0, 2, 3, 4}:
            return f"exit code {self.code}"
        errors = [line for line in lines if line.startswith("error: ")]
        if self.code != 0 and (len(errors) != 1 or lines[-1] != errors[0]):
            return f"exit code {self.code} with {len(errors)} error lines"
        return ""


class Server:
    """Runs a program again and again, each time in a fork that stops before ``main``."""

    def __init__(self, process: subprocess.Popen[bytes], control: int, status: int, stderr: Path) -> None:
        self._process, self._control, self._status, self._stderr = process, control, status, stderr

    def run(self) -> Ended:
        """Runs the program once, with the arguments that the server was started with."""
        os.write(self._control, b"x")
        answer = os.read(self._status, 4)
        if len(answer) != 4:
            raise RuntimeError(f"the fork server ended: {self._stderr.read_text(errors='replace')}")
        code = os.waitstatus_to_exitcode(struct.unpack("i", answer)[0])
        return Ended(code=code, stderr=self._stderr.read_text(errors="replace"))


@contextmanager
def served(program: Path, *arguments: str | Path) -> Iterator[Server]:
    """A server for a program that is linked dynamically, with or without sanitisers."""
    with tempfile.TemporaryDirectory(prefix="fork-server-") as name:
        folder = Path(name)
        library, stderr = folder / "fork_server.so", folder / "stderr"
        source = Path(__file__).parent / "fork_server.c"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
        control_read, control = os.pipe()
        status, status_write = os.pipe()

        def numbered() -> None:
            os.dup2(control_read, _CONTROL)
            os.dup2(status_write, _STATUS)

        environment = {
            **os.environ,
            **_OPTIONS,
            "LD_PRELOAD": str(library),
            "SERVER_SECONDS": str(SECONDS),
        }
        with stderr.open("w+b") as errors:
            process = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                pass_fds=(_CONTROL, _STATUS),
                preexec_fn=numbered,
            )
        os.close(control_read)
        os.close(status_write)
        try:
            yield Server(process, control, status, stderr)
        finally:
            os.close(control)
            process.wait(timeout=120)
            os.close(status)
