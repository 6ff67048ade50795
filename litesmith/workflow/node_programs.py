"""Programs that run single nodes, which verification asks for when the outputs of a model are not enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import files
from litesmith.base.errors import VerificationError
from litesmith.build.request import ResolvedRequest
from litesmith.build.session import Session, opened


@dataclass(frozen=True, kw_only=True)
class SessionPrograms:
    """Those of an open session; see :class:`~litesmith.measure.verify.judgement.NodePrograms`."""

    session: Session

    def checked(self) -> Path:
        """The program of the session with the mode for single nodes: only ``main.cc`` is compiled again."""
        return self.session.builder.stripped(self.session.project(node_check=True))

    def unpruned(self) -> Path:
        """The same without pruning."""
        return self.session.builder.stripped(self.session.project(node_check=True, pruned=False))


@dataclass(frozen=True, kw_only=True)
class RebuiltPrograms:
    """Those of a finished program, whose request is opened again when they are asked for."""

    program: Path
    resolved: Callable[[], ResolvedRequest]

    def checked(self) -> Path:
        """See :class:`SessionPrograms`.

        Raises:
            VerificationError: the same request does not make this program any more.
        """
        with opened(self.resolved()) as session:
            if files.sha256(session.builder.stripped(session.project())) != files.sha256(self.program):
                raise VerificationError(
                    f"the nodes of {self.program} cannot be looked at: it is not what 'build' makes now",
                    "build it again with the same options",
                )
            return SessionPrograms(session=session).checked()

    def unpruned(self) -> Path:
        """See :class:`SessionPrograms`."""
        with opened(self.resolved()) as session:
            return SessionPrograms(session=session).unpruned()
