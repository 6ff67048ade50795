"""Model and part → inputs to run it with: :class:`Sample`."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litesmith.base.errors import UsageError
from litesmith.model.analysis import ModelAnalysis, Tensor
from litesmith.model.entry_points import EVERYTHING, Choice, Part, parts
from litesmith.model.tensors import Array, as_strings, numpy_dtype

_RANDOM_SAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Inputs for a run.  ``expected`` are the user's outputs, None where the reference computes them."""

    inputs: tuple[Array, ...]
    expected: tuple[Array, ...] | None = None


def samples(analysis: ModelAnalysis, model: Path, part: Part) -> dict[str, Sample]:
    """Inputs by name: real ones from ``<model>.inputs.npz``, zeros, and random ones.

    The file next to the model contains arrays named ``<sample>_<input index>``, and, where the reference
    cannot compute the outputs (a custom op of the user), ``<sample>_out<output index>``.  It applies to the
    first subgraph.

    Raises:
        UsageError: the arrays in the file do not fit the model's inputs.
    """
    found = _real_samples(model.with_suffix(".inputs.npz"), part) if part.signature is None else {}
    shapes = [part.shape(position) for position in range(len(part.inputs))]
    pairs = list(zip(part.inputs, shapes, strict=True))
    found["zeros"] = Sample(inputs=tuple(_zeros(tensor, shape) for tensor, shape in pairs))
    if pairs:
        # The seed depends on the model alone, not on its path.
        rng = np.random.default_rng(int(analysis.sha256[:8], 16))
        for number in range(_RANDOM_SAMPLES):
            found[f"random {number}"] = Sample(inputs=tuple(_random(rng, *pair) for pair in pairs))
    return found


def for_measuring(
    analysis: ModelAnalysis, model: Path, choice: Choice = EVERYTHING
) -> tuple[Part, str, Sample]:
    """What a measurement runs: the first part in the shapes of its first sample, that sample's name and data.

    Raises:
        UsageError: as :func:`parts` and :func:`samples`.
    """
    part = parts(analysis, choice)[0]
    name, sample = next(iter(samples(analysis, model, part).items()))
    return part.of_size(sample.inputs), name, sample


_STORED = re.compile(r"(.*)_(out)?(\d+)")


def _real_samples(path: Path, part: Part) -> dict[str, Sample]:
    found: dict[str, Sample] = {}
    if not path.is_file():
        return found
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            names = sorted({m[1] for name in stored.files if (m := _STORED.fullmatch(name))})
            for name in names:
                inputs = tuple(_stored(stored[f"{name}_{i}"]) for i in range(len(part.inputs)))
                known = f"{name}_out0" in stored.files
                outputs = tuple(
                    _stored(stored[f"{name}_out{i}"]) for i in range(len(part.outputs) if known else 0)
                )
                found[f"real {name}"] = Sample(inputs=inputs, expected=outputs if known else None)
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be used as inputs: {error}", "remove or correct it") from None
    for name, sample in found.items():
        for position, (tensor, value) in enumerate(zip(part.inputs, sample.inputs, strict=True)):
            shape = part.shape(position)
            # An input with unknown dimensions takes the shape of the sample.
            fits = value.shape == shape or _matches(value.shape, tensor.shape)
            if not fits or value.dtype != _numpy_dtype(tensor):
                raise UsageError(
                    f"{path}, {name}: {value.dtype}{list(value.shape)} does not fit the input "
                    f"{tensor.name!r}, {tensor.dtype}{list(shape)}",
                    "remove or correct it",
                )
    return found


def _stored(value: Array) -> Array:
    return as_strings(value) if value.dtype.kind in "SU" else value


def _matches(shape: Sequence[int], known: Sequence[int]) -> bool:
    return (
        -1 in known
        and len(shape) == len(known)
        and all(wanted in (-1, size) for size, wanted in zip(shape, known, strict=True))
    )


def _numpy_dtype(tensor: Tensor) -> np.dtype[Any]:
    try:
        return numpy_dtype(tensor.dtype)
    except TypeError:
        raise UsageError(
            f"the input {tensor.name!r} has the dtype {tensor.dtype}, for which there are no samples",
            "build with --no-verify",
        ) from None


def _zeros(tensor: Tensor, shape: tuple[int, ...]) -> Array:
    dtype = _numpy_dtype(tensor)
    return as_strings(np.zeros(shape, "S1")) if dtype.kind == "O" else np.zeros(shape, dtype)


def _random(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> Array:
    dtype = _numpy_dtype(tensor)
    if dtype.kind == "O":
        words = np.array(["", "a", "two words", "äöü", "42", "a longer text, with punctuation."])
        return as_strings(rng.choice(words, shape) if shape else np.array(rng.choice(words)))
    if dtype.kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    if dtype.kind == "c":
        return (rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape)).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if tensor.quantized or dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    # Integers without quantisation are usually indices, lengths or axes.
    return rng.integers(0, 2, shape).astype(dtype)
