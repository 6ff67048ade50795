"""How far an output may be from the reference, and why: :class:`Tolerance`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from litesmith.measure.verify.cases import Index
from litesmith.measure.verify.comparison import error_of
from litesmith.model.tensors import Array

QUANTISED = frozenset({"int4", "int8", "uint8"})
"""Dtypes of quantised tensors that XNNPACK computes with."""

_LARGEST_DRIFT = 0.1
"""Fraction of a float output's range; upstream builds that differ by more are not compared."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest error that is accepted, in the unit of :func:`error_of`, and the reason for it."""

    value: float
    reason: str


EQUAL = Tolerance(value=0.0, reason="integers, strings and Booleans must be equal")
FLOAT = Tolerance(value=1e-5, reason="floats may be summed in another order")
ANOTHER_SIZE = Tolerance(value=0.0, reason="an output of another size is not accepted")


def tolerance_of(expected: Array) -> Tolerance:
    """The tolerance of an output of the runtime's own kernels."""
    return FLOAT if expected.dtype.kind in "fc" else EQUAL


@dataclass(frozen=True, kw_only=True)
class UpstreamOutput:
    """One output for one sample, from two builds of upstream's: without delegates and with XNNPACK.

    ``xnnpack`` is None where the build with XNNPACK failed or its output has another shape.  ``written`` is
    the index of the elements that the model writes.
    """

    reference: Array
    xnnpack: Array | None
    written: Index


def xnnpack_tolerance(sample: str, outputs: Mapping[str, UpstreamOutput], actual: Array) -> Tolerance:
    """The tolerance of an output of a quantised model with nodes that XNNPACK runs.

    ``outputs`` are the same output for all samples, ``actual`` is the program's for ``sample``.

    The output is correct if each element equals that of one of upstream's two builds.  Otherwise integers
    may differ by one step, because each node of XNNPACK's rounds once where built-in kernels round twice.
    If upstream's build with XNNPACK is farther from the reference, for any of the samples, then so may the
    program be: a rounding in an early node can grow in later ones.  Elements that the model does not write
    are not compared.
    """
    here = outputs[sample]
    written, expected = actual[here.written], here.reference[here.written]
    accepted = error_of(expected, written)
    if here.xnnpack is not None:
        upstream = here.xnnpack[here.written]
        nearest = np.where(_distance(written, upstream) < _distance(written, expected), upstream, expected)
        if error_of(nearest, written) <= tolerance_of(nearest).value:
            return Tolerance(value=accepted, reason="each element equals that of one of upstream's builds")
    return Tolerance(
        value=min(accepted, _drift(outputs, expected.dtype)),
        reason="as far as upstream's build with XNNPACK is from the reference, or one step",
    )


def _drift(outputs: Mapping[str, UpstreamOutput], dtype: np.dtype[Any]) -> float:
    """How far upstream's build with XNNPACK is from the reference, at most, for any sample."""
    errors = [1.0 if dtype.name in QUANTISED else 0.0]
    for output in outputs.values():
        if output.xnnpack is not None:
            errors.append(error_of(output.reference[output.written], output.xnnpack[output.written]))
    return max(error for error in errors if error <= _LARGEST_DRIFT or dtype.kind != "f")


def _distance(one: Array, other: Array) -> Array:
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return np.where(np.isnan(difference), np.inf, difference)
