"""Running a program once for a measurement."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from litesmith.base import process
from litesmith.base.errors import VerificationError
from litesmith.measure.verify.executor import Executor
from litesmith.model.model_file import Model
from litesmith.model.tensors import Array


def run_program(
    executor: Executor, program: Path, model: Model, arguments: Sequence[str], inputs: Sequence[Array]
) -> process.Completed:
    """Runs a program with ``--model`` and ``arguments``; its outputs are discarded.

    Raises:
        VerificationError: the program failed.
    """
    with tempfile.TemporaryDirectory(prefix="litesmith-") as outputs:
        words = ("--model", str(model.path), *arguments)
        done = executor.run(str(program), words, inputs, Path(outputs))
    if done.code != 0:
        raise VerificationError(f"{model.analysis.path}: the program failed: {done.stderr.strip()}")
    return done
