"""The executor of programs on a board: inputs are sent there, outputs come back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import process
from litesmith.base.errors import BoardError
from litesmith.board.deploy.remote import MOST_OUTPUT, UNCHANGED, Remote, script
from litesmith.model.entry_points import Part, signature_of
from litesmith.model.tensors import Array, to_bytes

# Of a part of an answer, in bytes: enough for any that fits.
_SIZE = re.compile(rb"[0-9]{1,12}")


@dataclass(frozen=True, kw_only=True)
class BoardExecutor:
    """Runs programs that were uploaded to a board; an :class:`~litesmith.measure.verify.executor.Executor`.

    ``token`` is that of the board's lock, which the caller holds.  ``step`` names the step of a deployment
    or a measurement in error messages.  ``outputs`` is the number of the program's outputs, by the signature
    that it is told to run: what a board sends is not trusted to say that.
    """

    remote: Remote
    token: str
    description: str
    outputs: Mapping[str | None, int]
    step: str = "smoke run"

    def run(
        self, program: str, arguments: Sequence[str], inputs: Sequence[Array], outputs: Path
    ) -> process.Completed:
        """See :class:`~litesmith.measure.verify.executor.Executor`.

        Raises:
            BoardError: the connection failed, or the board did not send exactly the program's outputs.
        """
        board = self.remote.board
        tensors = [to_bytes(value) for value in inputs]
        sizes = " ".join(str(len(tensor)) for tensor in tensors)
        words = (*board.run_prefix, program, *arguments)
        answer = self.remote.run(
            self.step,
            script("run"),
            *(board.folder, self.token, str(math.ceil(board.run_timeout)), sizes, *words),
            stdin=b"".join(tensors),
            # The board itself ends a program that takes too long; its report must still get through.
            seconds=board.run_timeout + board.timeout,
            most=MOST_OUTPUT,
        )
        stdout = b""
        if answer.code == 0:
            stdout, tensors_back = self._split(answer.stdout, self.outputs[signature_of(arguments)])
            for position, tensor in enumerate(tensors_back):
                (outputs / f"out{position}.bin").write_bytes(tensor)
        return process.Completed(argv=words, code=answer.code, stdout=stdout, stderr=answer.stderr)

    def _split(self, answer: bytes, count: int) -> tuple[bytes, list[bytes]]:
        """What the script sends back → the program's standard output, and its output tensors.

        The first line has the size of each part in bytes; the parts follow without separators.
        """
        head, _, rest = answer.partition(b"\n")
        words = head.split()
        if not all(_SIZE.fullmatch(word) for word in words):
            raise self._unexpected("its answer does not begin with sizes")
        if len(words) != 1 + count:
            raise self._unexpected(f"it sent {max(len(words) - 1, 0)} outputs, and the program has {count}")
        sizes = [int(word) for word in words]
        if len(rest) != sum(sizes):
            raise self._unexpected("its answer was cut short")
        pieces = []
        for size in sizes:
            pieces.append(rest[:size])
            rest = rest[size:]
        stdout, *tensors = pieces
        return stdout, tensors

    def _unexpected(self, message: str) -> BoardError:
        return BoardError(self.remote.board.name, self.step, message, UNCHANGED)


def output_counts(parts: Sequence[Part]) -> dict[str | None, int]:
    """The number of outputs of each part, by its signature."""
    return {part.signature: len(part.outputs) for part in parts}
