"""The program under test: runs a case and gives its outputs, or the reason why it failed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.base.errors import VerificationError
from litesmith.measure.verify.cases import Case
from litesmith.measure.verify.executor import Executor
from litesmith.model.tensors import Array, from_bytes


@dataclass(frozen=True, kw_only=True)
class ProgramUnderTest:
    """A program, and what runs it.

    ``path`` and ``model`` are paths where the program runs.  ``model`` is None for a program that contains
    its model.
    """

    executor: Executor
    path: str
    model: str | None

    def run(self, case: Case, more: Sequence[str] = ()) -> tuple[Array | None, ...]:
        """Runs the program on the inputs of a case; ``more`` are further arguments.

        Returns its outputs: None for one that has another size than the expected one.

        Raises:
            VerificationError: the program failed.
            ToolError: it did not end in time.
        """
        part = case.part.of_size(case.inputs)
        arguments = [
            *([] if self.model is None else ["--model", self.model]),
            *part.arguments(),
            *more,
            "--json",
        ]
        with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
            folder = Path(scratch)
            done = self.executor.run(self.path, arguments, case.inputs, folder)
            if done.code != 0:
                reason = _failure_in(done.stderr)
                raise VerificationError(
                    f"the program failed on {case.label} with exit code {done.code}: {reason}",
                    f"it ran with {self.executor.description}; the program is {self.path}",
                )
            return tuple(
                from_bytes((folder / f"out{position}.bin").read_bytes(), value.dtype, value.shape)
                for position, value in enumerate(case.expected)
            )


def _failure_in(stderr: str) -> str:
    """Why a program failed: the runtime's errors, which name the node, or else the last line."""
    lines = stderr.strip().splitlines() or ["it printed no error message"]
    mark = "ERROR: "
    errors = [line.removeprefix(mark).rstrip(".") for line in lines if line.startswith(mark)]
    return "; ".join(errors) or lines[-1]
