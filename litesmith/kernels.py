"""Which kernels a program really runs on which CPU: executed instructions, counted by kind.

The emulator logs every block of code that it executes, with its instructions; an instruction
of a kind that is in the log was executed, whatever the program merely contains.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from litesmith import pipeline, process, profiles, verify
from litesmith.errors import VerificationError

_RUN_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class KernelRun:
    """One inference on an emulated CPU.

    ``dot_products`` counts the distinct dot-product instructions (SDOT, UDOT) that were
    executed, None where the architecture has none.
    """

    target: str
    cpu: str
    model: str
    dot_products: int | None
    verdict: str


_CPUS = (("aarch64", "cortex-a53"), ("aarch64", "max"), ("armv7", "cortex-a7"))

# qemu prints the words of instructions that it has no name for; SDOT and UDOT by vector and by
# element, in the encoding of the Arm Architecture Reference Manual.
_DOT_PRODUCT = re.compile(r"\b(?:sdot|udot)\b")
_WORD = re.compile(r"^0x[0-9a-f]+:\s+([0-9a-f]{8})\b", re.MULTILINE)


def is_dot_product(word: int) -> bool:
    """Whether an A64 instruction word is SDOT or UDOT (vector or by element)."""
    vector = word & 0x9FE0FC00 == 0x0E809400
    element = word & 0x9FC0F400 == 0x0F80E000
    return vector or element


def dot_products(log: str) -> int:
    """Distinct dot-product instructions in qemu's log of executed code."""
    words = {int(word, 16) for word in _WORD.findall(log)}
    return sum(is_dot_product(word) for word in words) or len(set(_DOT_PRODUCT.findall(log)))


def kernel_runs(model: str, scratch: Path) -> tuple[KernelRun, ...]:
    """Runs the model on emulated CPUs with and without dot-product instructions.

    Targets whose emulator is missing are left out.
    """
    found = []
    for target, cpu in _CPUS:
        profile = profiles.load(target)
        runner = verify.find_runner(profile, cpu)
        if isinstance(runner, str):
            continue
        out = scratch / target
        built = pipeline.build(pipeline.Request(target=target, models=(model,), out=str(out)))
        opened = pipeline.open_model(model)
        verdict = verify.verify(built.program, profile, opened.analysis, opened.path, cpu=cpu)
        found.append(
            KernelRun(
                target=target,
                cpu=cpu,
                model=model,
                dot_products=count_dot_products(runner, built.program, opened.path)
                if target == "aarch64"
                else None,
                verdict="equal" if verdict.passed else "different",
            )
        )
    return tuple(found)


def count_dot_products(runner: verify.Runner, program: Path, model: Path) -> int:
    """Distinct dot-product instructions that one inference on zeros executes.

    Raises:
        VerificationError: the program failed.
    """
    with tempfile.TemporaryDirectory(prefix="litesmith-") as folder:
        log = Path(folder) / "executed.log"
        words = [runner.argv[0], *runner.argv[1:], "-d", "in_asm", "-D", str(log), str(program)]
        done = process.run([*words, "--model", str(model)], timeout=_RUN_SECONDS)
        if done.code != 0:
            raise VerificationError(f"{model}: the program failed: {done.stderr.strip()}")
        return dot_products(log.read_text(errors="replace"))
