"""The executor of programs on a board: inputs are sent there, outputs come back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import process
from litesmith.base.errors import BoardError
from litesmith.board.deploy.remote import Remote, script
from litesmith.model.tensors import Array, to_bytes


@dataclass(frozen=True, kw_only=True)
class BoardExecutor:
    """Runs programs that were uploaded to a board; an :class:`~litesmith.measure.verify.executor.Executor`.

    ``token`` is that of the board's lock, which the caller holds.  ``step`` names the step of a deployment
    or a measurement in error messages.
    """

    remote: Remote
    token: str
    description: str
    step: str = "smoke run"

    def run(
        self, program: str, arguments: Sequence[str], inputs: Sequence[Array], outputs: Path
    ) -> process.Completed:
        """See :class:`~litesmith.measure.verify.executor.Executor`.

        Raises:
            BoardError: the connection failed, or the outputs are incomplete.
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
        )
        stdout = b""
        if answer.code == 0:
            stdout, tensors_back = self._split(answer.stdout)
            for position, tensor in enumerate(tensors_back):
                (outputs / f"out{position}.bin").write_bytes(tensor)
        return process.Completed(argv=words, code=answer.code, stdout=stdout, stderr=answer.stderr)

    def _split(self, answer: bytes) -> tuple[bytes, list[bytes]]:
        """What the script sends back → the program's standard output, and its output tensors.

        The first line has the size of each part in bytes; the parts follow without separators.
        """
        head, _, rest = answer.partition(b"\n")
        sizes = [int(word) for word in head.split()]
        if len(rest) != sum(sizes):
            raise BoardError(self.remote.board.name, self.step, "its answer was cut short", "deploy again")
        pieces = []
        for size in sizes:
            pieces.append(rest[:size])
            rest = rest[size:]
        stdout, *tensors = pieces
        return stdout, tensors
