"""Reference output and program output → the error between them."""

from __future__ import annotations

import numpy as np

from litesmith.model.tensors import Array

INCOMPARABLE = 1e9
"""Error of an output with another size, or with NaNs and infinities elsewhere; JSON has no infinity."""


def error_of(expected: Array, actual: Array) -> float:
    """The largest difference between the elements of two arrays of the same shape and dtype.

    Integers: in steps.  Floats: as a fraction of the range of ``expected``; of its magnitude where all of its
    elements are equal, and absolute where they are zero.  Complex numbers: as a fraction of the largest
    magnitude.  Strings and Booleans: how many elements differ.
    """
    if expected.dtype.kind in "bO":
        return float(np.count_nonzero(expected != actual))
    if expected.dtype.kind in "fc":
        return _float_error(expected, actual)
    # Python's integers do not overflow where 64 bits would.
    wide = object if expected.dtype.itemsize == 8 else np.int64
    return float(np.abs(expected.astype(wide) - actual.astype(wide)).max(initial=0))


def _float_error(expected: Array, actual: Array) -> float:
    finite = np.isfinite(expected)
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    if not bool(np.all(same | finite)) or not bool(np.all(np.isfinite(actual) | ~finite)):
        return INCOMPARABLE
    # An output can fill most of the memory: copies are made only where they are needed.
    values, others = (expected, actual) if bool(finite.all()) else (expected[finite], actual[finite])
    if values.size == 0:
        return 0.0
    is_complex = values.dtype.kind == "c"
    largest = float(np.abs(values).max())
    scale = (largest if is_complex else float(values.max() - values.min())) or largest or 1.0
    difference = np.subtract(values, others, dtype=np.complex128 if is_complex else np.float64)
    return float(np.abs(difference).max()) / scale
