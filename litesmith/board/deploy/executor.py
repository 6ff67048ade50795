"""Programs that run on a board: tensors travel there, outputs come back."""

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
class BoardRunner:
    """Runs a package's program on its board, for :mod:`litesmith.measure.verify.verification`."""

    remote: Remote
    token: str
    description: str
    step: str = "smoke run"

    def run(
        self, program: str, arguments: Sequence[str], inputs: Sequence[Array], outputs: Path
    ) -> process.Completed:
        """Inputs travel there, outputs come back."""
        board = self.remote.board
        tensors = [to_bytes(value) for value in inputs]
        sizes = " ".join(str(len(tensor)) for tensor in tensors)
        words = (*board.run_prefix, program, *arguments)
        answer = self.remote.run(
            self.step,
            script("run"),
            *(board.folder, self.token, str(math.ceil(board.run_timeout)), sizes, *words),
            stdin=b"".join(tensors),
            # The board ends the program by itself; what it says then takes its time, too.
            seconds=board.run_timeout + board.timeout,
        )
        said = b""
        if answer.code == 0:
            head, _, rest = answer.stdout.partition(b"\n")
            said_size, *sizes_back = map(int, head.split())
            if len(rest) != said_size + sum(sizes_back):
                raise BoardError(board.name, self.step, "its answer was cut short", "deploy again")
            said, rest = rest[:said_size], rest[said_size:]
            for position, size in enumerate(sizes_back):
                (outputs / f"out{position}.bin").write_bytes(rest[:size])
                rest = rest[size:]
        return process.Completed(argv=words, code=answer.code, stdout=said, stderr=answer.stderr)
