"""The ruy matrix kernels that a program executes on different CPUs.

The emulator logs every block of code that it executes, with its function.  A kernel in the log was executed;
other kernels may merely be linked.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import process
from litesmith.base.errors import NoExecutorError, VerificationError
from litesmith.build.request import Request
from litesmith.measure.verify import verification
from litesmith.measure.verify.executor import LocalExecutor, find_executor
from litesmith.target import profiles
from litesmith.workflow import build_and_verify

_RUN_SECONDS = 600
_CPUS = (
    ("aarch64", "cortex-a53"),
    ("aarch64", "max"),
    ("armv7", "cortex-a7"),
    ("armv6", "arm1176"),
    ("riscv64", "rv64"),
)

# Functions of namespace ruy, in the Itanium C++ ABI's mangling: the length, then the name.
_RUY_FUNCTION = re.compile(r"^IN: _ZN3ruy(\d+)(Kernel\w+)", re.MULTILINE)
_PORTABLE = re.compile(r"^IN: _ZN3ruy\w*KernelILNS_4PathE[12]E", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class KernelRun:
    """The kernels that one inference on an emulated CPU executed, and whether its outputs were right."""

    target: str
    cpu: str
    model: str
    kernels: tuple[str, ...]
    verdict: str


def kernels_in_log(log: str) -> tuple[str, ...]:
    """Names of the ruy kernels in QEMU's log; ``portable C++`` stands for those without assembly."""
    names = {name[: int(length)] for length, name in _RUY_FUNCTION.findall(log)}
    if _PORTABLE.search(log):
        names.add("portable C++")
    return tuple(sorted(names))


def executed_kernels(executor: LocalExecutor, debug_program: Path, model: Path) -> tuple[str, ...]:
    """Kernels that one inference on zeros executes; the program must not be stripped.

    Raises:
        VerificationError: the program failed.
    """
    with tempfile.TemporaryDirectory(prefix="litesmith-") as folder:
        log = Path(folder) / "executed.log"
        words = [*executor.argv, "-d", "in_asm", "-D", str(log), str(debug_program)]
        done = process.run([*words, "--model", str(model)], timeout=_RUN_SECONDS)
        if done.code != 0:
            raise VerificationError(f"{model}: the program failed: {done.stderr.strip()}")
        return kernels_in_log(log.read_text(errors="replace"))


def kernel_runs(model: str, scratch: Path) -> tuple[KernelRun, ...]:
    """Runs the model on emulated CPUs with and without dot-product and NEON instructions.

    Targets whose emulator is not installed are skipped.
    """
    found = []
    for target, cpu in _CPUS:
        profile = profiles.load(target)
        try:
            executor = find_executor(profile, cpu)
        except NoExecutorError:
            continue
        built = build_and_verify.build(Request(target=target, models=(model,), out=str(scratch / target)))
        verdict = verification.verify(built.program, profile, built.models[0], cpu=cpu)
        debug = built.program.with_name(f"{built.program.name}.debug")
        found.append(
            KernelRun(
                target=target,
                cpu=cpu,
                model=model,
                kernels=executed_kernels(executor, debug, built.models[0].path),
                verdict="right" if verdict.passed else "WRONG",
            )
        )
    return tuple(found)
