"""Instructions that one inference executes, counted under valgrind or under a target's emulator.

The count does not depend on what else the machine does; it says nothing about caches and pipelines.
"""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from litesmith.base import files, paths, process
from litesmith.base.errors import ToolError, UsageError, VerificationError
from litesmith.build import cache
from litesmith.measure.verify.executor import LocalExecutor, find_executor
from litesmith.model import samples
from litesmith.model.model_file import Model
from litesmith.study.bench.execution import run_program
from litesmith.target import profiles

VALGRIND_INFERENCES = 10
"""Inferences whose mean :func:`under_valgrind` returns."""

_EMULATOR_INFERENCES = 3
_SECONDS = 900


def under_valgrind(program: Path, model: Model) -> int:
    """Instructions of one inference of an x86_64 program on zeros; valgrind's CPU has AVX2, not AVX-512.

    Raises:
        VerificationError: the program failed.
    """

    def count(runs: int) -> int:
        words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program)]
        done = process.run([*words, "--model", str(model.path), "--runs", str(runs)], timeout=_SECONDS)
        found = re.search(r"Collected : (\d+)", done.stderr)
        if done.code != 0 or found is None:
            raise VerificationError(
                f"{model.analysis.path}: the program failed under valgrind: {done.stderr.strip()}"
            )
        return int(found[1])

    return _of_one_inference(count, VALGRIND_INFERENCES)


def require_valgrind() -> str:
    """The version of valgrind.

    Raises:
        ToolError: it is not installed.
    """
    if shutil.which("valgrind") is None:
        raise ToolError("valgrind is not installed", "on Debian: apt-get install valgrind")
    return process.run(["valgrind", "--version"], timeout=60).stdout.decode().strip()


def under_emulator(program: Path, target: str, model: Model, cpu: str | None = None) -> int:
    """Instructions of one inference under the target's emulator, on the model's first sample.

    ``cpu`` takes the place of the CPU that the profile's emulator emulates.

    Raises:
        ToolError: the emulator is missing, or its plugin cannot be compiled.
        VerificationError: the program failed, or the emulator printed no count.
    """
    emulator = find_executor(profiles.load(target), cpu)
    if not emulator.argv:
        raise UsageError(f"{target} needs no emulator", "measure its time instead")
    name, *options = emulator.argv
    counting = LocalExecutor(argv=(name, *plugin_arguments(), *options), description=emulator.description)
    _, _, sample = samples.for_measuring(model.analysis, model.path)

    def count(runs: int) -> int:
        done = run_program(counting, program, model, ("--runs", str(runs)), sample.inputs)
        return counted(done.stderr, name)

    return _of_one_inference(count, _EMULATOR_INFERENCES)


def counted(text: str, emulator: str) -> int:
    """The count of instructions in what an emulator with :func:`plugin_arguments` printed.

    Raises:
        VerificationError: there is none.
    """
    found = re.search(r"executed instructions: (\d+)", text)
    if found is None:
        raise VerificationError(f"{emulator} printed no count of instructions: {text.strip()}")
    return int(found[1])


def plugin_arguments() -> tuple[str, str]:
    """Arguments that make an emulator count instructions, and print the count when the program ends.

    Raises:
        ToolError: the plugin cannot be compiled.
    """
    return "-plugin", str(_plugin())


def _of_one_inference(count: Callable[[int], int], inferences: int) -> int:
    """The mean over ``inferences``, without start-up and the first inference; ``count`` takes the runs."""
    return round((count(inferences + 1) - count(1)) / inferences)


def _plugin() -> Path:
    """The emulator's plugin that counts instructions, compiled for this machine with zig."""
    source = paths.data_folder("templates") / "emulator" / "count_instructions.c"
    target = paths.cache_folder() / "emulator" / f"{files.sha256(source)[:16]}-{platform.machine()}.so"
    if not cache.is_whole(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.staging_folder(target) as staged:
            output = staged / "plugin.so"
            compiler = (sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O2")
            done = process.run((*compiler, "-o", output, source), timeout=_SECONDS)
            if done.code != 0:
                reason = done.stderr.strip().splitlines()[-1]
                raise ToolError("the emulator's plugin cannot be compiled", reason)
            cache.store(output, target)
    return target
