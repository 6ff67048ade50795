"""How far an output of a whole model may be from the reference, and why: :class:`Tolerance`."""

from __future__ import annotations

from dataclasses import dataclass

from litesmith.measure.verify.sensitivity import FACTOR
from litesmith.model.tensors import Array


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest error that is accepted, in the unit of :func:`error_of`, and the reason for it."""

    value: float
    reason: str


EQUAL = Tolerance(value=0.0, reason="integers, strings and Booleans must be equal")
FLOAT = Tolerance(value=1e-5, reason="floats may be summed in another order")
ANOTHER_SIZE = Tolerance(value=0.0, reason="an output of another size is not accepted")


def tolerance_of(expected: Array) -> Tolerance:
    """The tolerance of an output whose nodes were not looked at one by one."""
    return FLOAT if expected.dtype.kind in "fc" else EQUAL


def drift_tolerance(expected: Array, moved: float) -> Tolerance:
    """The tolerance of an output of right nodes; ``moved`` is how far their roundings move the reference."""
    usual = tolerance_of(expected)
    if FACTOR * moved <= usual.value:
        return usual
    return Tolerance(
        value=FACTOR * moved,
        reason=f"{FACTOR:g} × how far the reference itself moves with the roundings of its nodes",
    )
