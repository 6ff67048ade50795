"""Tensors as programs read and write them: raw and little-endian; strings as TensorFlow Lite packs them.

A string tensor is an array of ``bytes`` (dtype object) here, and in a file: int32 count, count
+ 1 int32 offsets from the start, then the bytes of all strings
(``tensorflow/lite/string_util.h``).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_WORD = 4


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype of a schema dtype.

    Raises:
        TypeError: NumPy has no such dtype (resource, variant, bfloat16, int4, uint4, int2).
    """
    return np.dtype(object) if dtype == "string" else np.dtype(dtype)


def to_bytes(array: Array) -> bytes:
    """The content of a tensor's file."""
    if array.dtype.kind != "O":
        return np.ascontiguousarray(array).tobytes()
    texts = [bytes(text) for text in array.ravel()]
    offsets = np.cumsum([_WORD * (len(texts) + 2), *map(len, texts)])
    return b"".join([np.int32(len(texts)).tobytes(), offsets.astype(np.int32).tobytes(), *texts])


def from_bytes(raw: bytes | memoryview, dtype: np.dtype[Any], shape: Sequence[int]) -> Array | None:
    """The tensor in a file; None when the file has another size or form."""
    count = int(np.prod(shape, dtype=np.int64))
    if dtype.kind != "O":
        return np.frombuffer(raw, dtype).reshape(shape) if len(raw) == count * dtype.itemsize else None
    if len(raw) < _WORD * (count + 2):
        return None
    head = np.frombuffer(raw, np.int32, count + 2)
    offsets = [int(offset) for offset in head[1:]]
    in_order = all(a <= b for a, b in itertools.pairwise(offsets))
    if head[0] != count or offsets[0] != _WORD * (count + 2) or offsets[-1] > len(raw) or not in_order:
        return None
    array = np.empty(count, object)
    array[:] = [bytes(raw[a:b]) for a, b in itertools.pairwise(offsets)]
    return array.reshape(shape)


def as_strings(array: Array) -> Array:
    """An array of ``bytes`` from one of fixed-length bytes or text, which NumPy files contain."""
    made = np.empty(array.size, object)
    made[:] = [text.encode() if isinstance(text, str) else bytes(text) for text in array.ravel()]
    return made.reshape(array.shape)
