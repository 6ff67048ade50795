"""Upstream's own build with XNNPACK, which shows how far from the reference a correct program can be."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from litesmith.measure.verify import reference
from litesmith.measure.verify.cases import Case
from litesmith.measure.verify.reference import Answer, Question
from litesmith.measure.verify.tolerance import QUANTISED, UpstreamOutput
from litesmith.model.entry_points import Part
from litesmith.model.model_file import Model

Key = tuple[str | None, str]
"""Signature and sample."""


class XnnpackReference:
    """Outputs of upstream's build with XNNPACK for the cases of a model, computed when they are needed."""

    def __init__(self, model: Model, cases: Sequence[Case]) -> None:
        self._model = model
        self._cases = cases

    @functools.cached_property
    def quantised(self) -> bool:
        """Whether the model is quantised.  XNNPACK and the built-in kernels round differently only then."""
        tensors = (tensor for graph in self._model.analysis.subgraphs for tensor in graph.tensors)
        return any(tensor.dtype in QUANTISED for tensor in tensors)

    def outputs(self, part: Part, position: int) -> dict[str, UpstreamOutput]:
        """One output of a part for each sample, by the sample's name."""
        found: dict[str, UpstreamOutput] = {}
        for case in self._cases:
            if case.part.signature == part.signature:
                expected = case.expected[position]
                answer = self._answers[part.signature, case.sample]
                xnnpack = None if answer.error else answer.outputs[position]
                found[case.sample] = UpstreamOutput(
                    reference=expected,
                    xnnpack=xnnpack if xnnpack is not None and xnnpack.shape == expected.shape else None,
                    written=case.written(position),
                )
        return found

    @functools.cached_property
    def _answers(self) -> Mapping[Key, Answer]:
        parts = {case.part.signature: case.part for case in self._cases}
        questions = [
            Question(
                model=self._model.path,
                sha256=self._model.analysis.sha256,
                entry=part.entry,
                samples={
                    case.sample: case.inputs for case in self._cases if case.part.signature == signature
                },
                delegates=True,
            )
            for signature, part in parts.items()
        ]
        answered = zip(parts, reference.answers(questions), strict=True)
        return {(signature, sample): one for signature, found in answered for sample, one in found.items()}
