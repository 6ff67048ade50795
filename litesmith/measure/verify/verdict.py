"""What verification found: :class:`Verdict`, and its form in ``verify.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

VERIFIED, WRONG, NOT_VERIFIED = "verified", "wrong", "not verified"


@dataclass(frozen=True, kw_only=True)
class Output:
    """An output beside the expected one, and the reason for its tolerance.

    ``error`` and ``tolerance`` are in steps for integers and fractions of the reference's range for floats.
    """

    sample: str
    output: int
    name: str
    dtype: str
    error: float
    tolerance: float
    reason: str

    @property
    def unit(self) -> str:
        """What errors are counted in."""
        return "" if self.dtype.startswith("float") else " steps"


@dataclass(frozen=True, kw_only=True)
class ComparedNode:
    """A wrong node; ``error`` and ``limit`` are absolute, ``inputs`` is a folder, and ``line`` is for people.

    ``upstream`` says what upstream's own build of the same version answers.
    """

    sample: str
    node: int
    op: str
    tensor: int
    name: str
    dtype: str
    error: float
    limit: float
    reason: str
    line: str
    inputs: str
    upstream: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What verification found.

    ``passed`` is None when the program was not verified; ``reason`` says why.  ``refused`` says that this is
    because the reference refuses the model, or crashes.  For a wrong program ``reason`` says what is wrong.
    ``outputs`` has, for each output of the model, the sample with the largest error; ``worst`` is the worst
    of them.  ``nodes`` is the number of nodes' outputs that were compared one by one: 0 where the outputs of
    the model were within their usual tolerances.  ``uncompared`` names tensors of nodes that could not be
    given or compared, such as resources.
    """

    passed: bool | None
    reason: str
    model: str
    samples: int
    worst: Output | None
    reference: str
    ran_with: str
    program_sha256: str
    refused: bool = False
    outputs: tuple[Output, ...] = ()
    nodes: int = 0
    uncompared: tuple[str, ...] = ()
    wrong_node: ComparedNode | None = None

    @property
    def status(self) -> str:
        """``verified``, ``wrong`` or ``not verified``."""
        return NOT_VERIFIED if self.passed is None else VERIFIED if self.passed else WRONG

    @property
    def fails(self) -> bool:
        """Whether a build with ``--verify strict`` ends with this verdict."""
        return self.passed is False or self.refused

    @property
    def how(self) -> str:
        """In a few words how the program was judged."""
        if self.passed is None:
            return "not compared"
        if self.worst is None and not self.passed:
            return "it was run"
        if self.nodes:
            return (
                f"{self.nodes} outputs of nodes on the reference's own inputs, then the outputs of the model "
                "beside how far the reference moves with the same roundings"
            )
        return "the outputs of the model"

    def to_json(self) -> dict[str, Any]:
        """An element of ``verify.json``."""
        return {"status": self.status, "how": self.how, **asdict(self)}

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Reads what :meth:`to_json` gave."""
        content = json.loads(text)
        del content["status"], content["how"]
        worst, node = content.pop("worst"), content.pop("wrong_node")
        return cls(
            **{
                **content,
                "outputs": tuple(Output(**one) for one in content["outputs"]),
                "uncompared": tuple(content.get("uncompared", ())),
            },
            worst=Output(**worst) if worst else None,
            wrong_node=ComparedNode(**node) if node else None,
        )

    def line(self) -> str:
        """The verdict in one line."""
        if self.passed is None:
            return f"{self.model}: not verified: {self.reason}"
        if self.worst is None:
            return f"{self.model}: " + (
                "verified, no outputs to compare" if self.passed else f"WRONG: {self.reason}"
            )
        worst, unit = self.worst, self.worst.unit
        start = f"{self.model}: {'verified' if self.passed else 'WRONG'}, {self.samples} inputs"
        place = f"output {worst.output} ({worst.name}) on {worst.sample}"
        end = f"ran with {self.ran_with}{'; ' if self.reason else ''}{self.reason}"
        if self.passed and self.nodes:
            every = f"every node is right on the reference's own inputs{self._but()}"
            return (
                f"{start}: {every}; worst {place}: "
                f"{worst.error:.3g}{unit} off, no more than the nodes' roundings explain; {end}"
            )
        accepted = f"tolerance {worst.tolerance:.3g}{unit}"
        return f"{start}, worst {place}: error {worst.error:.3g}{unit}, {accepted}, {end}"

    def _but(self) -> str:
        """Which tensors of nodes were not compared."""
        if not self.uncompared:
            return ""
        first, count = self.uncompared[0], len(self.uncompared)
        return f", but {first}{f' and {count - 1} more tensors' if count > 1 else ''} could not be compared"
