"""What may explain that an output is wrong."""

from __future__ import annotations

import numpy as np

from litesmith.measure.verify import reference
from litesmith.measure.verify.cases import Case
from litesmith.measure.verify.comparison import error_of
from litesmith.measure.verify.reference import Question
from litesmith.measure.verify.tolerance import Tolerance
from litesmith.model.model_file import Model

_EXACT, _ROUNDED = "exact", "rounded"


def explain(model: Model, case: Case, output: int, tolerance: Tolerance) -> str:
    """The reason for the tolerance that an output exceeds, and whether the output is ill-conditioned."""
    reason = f"reason for the tolerance: {tolerance.reason}"
    moved = moved_by_rounding(model, case, output)
    if moved <= tolerance.value:
        return reason
    ill_conditioned = f"the reference's own answer moves by {moved:.3g} when its inputs change by a rounding"
    return f"{reason}; {ill_conditioned}"


def moved_by_rounding(model: Model, case: Case, output: int) -> float:
    """How far an output of the reference moves when each float input becomes the next float, up or down.

    In the unit of :func:`error_of`; 0 without float inputs.  Kernels that sum in another order cannot be
    expected to come closer to the reference than that.
    """
    rng = np.random.default_rng(0)
    rounded = [
        np.nextafter(value, np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf).astype(value.dtype))
        if value.dtype.kind == "f"
        else value
        for value in case.inputs
    ]
    question = Question(
        model=model.path,
        sha256=model.analysis.sha256,
        entry=case.part.entry,
        samples={_EXACT: case.inputs, _ROUNDED: rounded},
    )
    (answers,) = reference.answers([question])
    if any(answer.error for answer in answers.values()):
        return 0.0
    one, other = (answers[name].outputs[output] for name in (_EXACT, _ROUNDED))
    if one.shape != other.shape or one.dtype.kind not in "fiu":
        return 0.0
    written = case.written(output)
    return error_of(one[written], other[written])
