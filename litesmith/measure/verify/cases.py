"""Model → the inputs that a program is run on, with the outputs that are expected: :class:`Case`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType

from litesmith.base.errors import VerificationError
from litesmith.measure.verify import reference
from litesmith.measure.verify.reference import Question
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.entry_points import Part
from litesmith.model.model_file import Model
from litesmith.model.samples import samples
from litesmith.model.tensors import Array

Index = EllipsisType | tuple[slice, slice]
"""An index of an array that keeps its number of dimensions."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One inference: a part of a model, inputs, and the outputs that are expected.

    ``detection_counts`` is that of :func:`detection_counts`.
    """

    part: Part
    sample: str
    inputs: Sequence[Array]
    expected: Sequence[Array]
    detection_counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Names the case in messages."""
        signature = self.part.signature
        return self.sample if signature is None else f"{signature}, {self.sample}"

    def written(self, position: int) -> Index:
        """The index of the elements of an output that the model writes: not rows after the last detection."""
        if position not in self.detection_counts:
            return ...
        rows = int(self.expected[self.detection_counts[position]].flat[0])
        return slice(None), slice(rows)


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The cases of a model.

    ``error`` is the reference interpreter's first error for inputs that were left out; empty without one.
    """

    cases: tuple[Case, ...]
    error: str


def cases_of(model: Model, parts: Sequence[Part]) -> Cases:
    """The samples of each part for which outputs are known: the user's own, or else the reference's.

    Zeros and random numbers that the reference interpreter rejects are left out: as a shape or an
    axis, for example, they may be invalid.

    Raises:
        UsageError: the inputs beside the model do not fit it.
        VerificationError: the reference interpreter rejects the user's inputs.
    """
    tried = [samples(model.analysis, model.path, part) for part in parts]
    answers = reference.answers(
        [
            Question(
                model=model.path,
                sha256=model.analysis.sha256,
                entry=part.entry,
                samples={name: sample.inputs for name, sample in found.items() if sample.expected is None},
            )
            for part, found in zip(parts, tried, strict=True)
        ]
    )
    cases: list[Case] = []
    errors: list[str] = []
    for part, found, answered in zip(parts, tried, answers, strict=True):
        counts = detection_counts(model.analysis, part)
        for name, sample in found.items():
            expected = sample.expected
            if expected is None:
                expected, error = answered[name].outputs, answered[name].error
                if error and name.startswith("real"):
                    raise VerificationError(
                        f"{model.analysis.path}: the reference interpreter cannot run {name}: {error}",
                        "correct the inputs beside the model, or convert it again",
                    )
                if error:
                    errors.append(error)
                    continue
            cases.append(
                Case(
                    part=part,
                    sample=name,
                    inputs=sample.inputs,
                    expected=expected,
                    detection_counts=counts,
                )
            )
    return Cases(cases=tuple(cases), error=next(iter(errors), ""))


def detection_counts(analysis: ModelAnalysis, part: Part) -> dict[int, int]:
    """Positions of outputs with a row per detection → the position of the output with their number."""
    outputs = part.subgraph.outputs
    found: dict[int, int] = {}
    for node in part.subgraph.nodes:
        if analysis.operator_codes[node.opcode_index].name == "TFLite_Detection_PostProcess":
            *rows, count = node.outputs
            if count in outputs:
                found |= {outputs.index(row): outputs.index(count) for row in rows if row in outputs}
    return found
