"""What verification found: :class:`Verdict`, and its form in ``verify.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The output that is farthest from the reference.

    ``error`` and ``tolerance`` are in steps for integers and fractions of the reference's range for floats.
    """

    sample: str
    output: int
    name: str
    dtype: str
    error: float
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What verification found.

    ``passed`` is None when the program was not verified; ``reason`` says why.  For a wrong output ``reason``
    is the reason for its tolerance, and what may explain the error.
    """

    passed: bool | None
    reason: str
    model: str
    samples: int
    worst: Worst | None
    reference: str
    ran_with: str
    program_sha256: str

    def to_json(self) -> dict[str, Any]:
        """An element of ``verify.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Reads what :meth:`to_json` gave."""
        content = json.loads(text)
        worst = content.pop("worst")
        return cls(**content, worst=Worst(**worst) if worst else None)

    def line(self) -> str:
        """The verdict in one line."""
        if self.passed is None:
            return f"{self.model}: not verified: {self.reason}"
        if self.worst is None:
            return f"{self.model}: verified, no outputs to compare"
        worst = self.worst
        unit = "" if worst.dtype.startswith("float") else " steps"
        return (
            f"{self.model}: {'verified' if self.passed else 'WRONG'}, {self.samples} inputs, "
            f"worst output {worst.output} ({worst.name}) on {worst.sample}: "
            f"error {worst.error:.3g}{unit}, tolerance {worst.tolerance:g}{unit}, ran with {self.ran_with}"
            f"{'; ' if self.reason else ''}{self.reason}"
        )
