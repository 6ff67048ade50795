"""Samples of a model's inputs: from an ``.npz`` file, or random."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litesmith.workflow.convert.worker.errors import RefusedError, one_line, some
from litesmith.workflow.convert.worker.input_specs import Spec, shape_text

Array = NDArray[Any]
Samples = list[tuple[Array, ...]]

RANDOM_SAMPLES = 8
MARK = "made_by"
"""An array in ``.inputs.npz`` that marks a file written by a conversion; not a valid name of a sample."""


def read_samples(path: Path, specs: Sequence[Spec], shown: str) -> Samples:
    """The inputs of an ``.npz`` file, one tuple for each sample.

    Raises:
        RefusedError: the file cannot be read, or its arrays do not fit the inputs.
    """
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files if name != MARK}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise RefusedError(f"{shown} cannot be read: {one_line(error)}", "save it with numpy.savez") from None
    return fit(arrays, specs, shown)


def fit(arrays: Mapping[str, Array], specs: Sequence[Spec], shown: str) -> Samples:
    """Arrays of a file as samples of the inputs, whose shapes are fixed.

    There are two forms: one array for each input, with the input's name and samples along the first axis; or
    arrays named ``<sample>_<input index>``, each of an input's own shape.  If the model has one input, a
    single array may have any name.

    Raises:
        RefusedError: the arrays do not fit the inputs.
    """
    names = set(arrays)
    by_name = {spec.name: spec for spec in specs}
    if not set(by_name) <= names:
        by_name = {spec.safe: spec for spec in specs}
    if specs and set(by_name) <= names:
        chosen = [_along(arrays[name], spec, f"{shown}, {name}") for name, spec in by_name.items()]
    elif len(specs) == 1 and _only(arrays, specs[0]):
        chosen = [_along(array, specs[0], f"{shown}, {name}") for name, array in arrays.items()]
    else:
        chosen = _indexed(arrays, specs, shown)
    counts = [len(values) for values in chosen]
    if len(set(counts)) > 1:
        listed = ", ".join(f"{spec.name} {count}" for spec, count in zip(specs, counts, strict=True))
        raise RefusedError(
            f"{shown} has different numbers of samples for its inputs: {listed}", "correct the file"
        )
    if not counts or not counts[0]:
        raise RefusedError(f"{shown} has no samples", "add at least one")
    return list(zip(*chosen, strict=True))


def _only(arrays: Mapping[str, Array], spec: Spec) -> bool:
    """Whether there is a single array, and it holds samples of the input."""
    return len(arrays) == 1 and all(_slicer(array, spec) is not None for array in arrays.values())


def _slicer(array: Array, spec: Spec) -> Callable[[int], Array] | None:
    """A function that takes a sample, by index, from an array of samples; None if the shape does not fit."""
    shape = spec.shape or ()
    if array.ndim and array.shape[1:] == shape:
        return lambda i: np.asarray(array[i])
    if shape[:1] == (1,) and array.shape[1:] == shape[1:] and array.ndim:
        return lambda i: np.asarray(array[i : i + 1])
    return None


def _along(array: Array, spec: Spec, where: str) -> list[Array]:
    cut = _slicer(array, spec)
    if cut is None:
        inner = spec.shape or ()
        wanted = shape_text((-1, *(inner[1:] if inner[:1] == (1,) else inner)))
        raise RefusedError(
            f"{where}: {array.dtype}{list(array.shape)} does not fit the input {spec.name!r}, {spec.dtype} "
            f"{shape_text(spec.shape)}",
            f"samples are along the first axis: {wanted}",
        )
    whole = _typed(array, spec, where)
    cut = _slicer(whole, spec)
    assert cut is not None, "the shape is the same"  # noqa: S101
    return [cut(i) for i in range(len(whole))]


def _indexed(arrays: Mapping[str, Array], specs: Sequence[Spec], shown: str) -> list[list[Array]]:
    stored = {name: match for name in arrays if (match := re.fullmatch(r"(.*)_(out)?(\d+)", name))}
    samples = list(dict.fromkeys(match[1] for match in stored.values()))
    wanted = [f"{sample}_{i}" for sample in samples for i in range(len(specs))]
    if len(stored) < len(arrays) or not set(wanted) <= set(arrays):
        raise RefusedError(
            f"{shown} has the arrays {some(sorted(arrays))}, the inputs are {some(s.name for s in specs)}",
            "name the arrays like the inputs, with samples along the first axis, or <sample>_<input index>",
        )
    chosen: list[list[Array]] = []
    for position, spec in enumerate(specs):
        column = []
        for sample in samples:
            name = f"{sample}_{position}"
            if arrays[name].shape != spec.shape:
                raise RefusedError(
                    f"{shown}, {name}: {arrays[name].dtype}{list(arrays[name].shape)} does not fit the input "
                    f"{spec.name!r}, {spec.dtype} {shape_text(spec.shape)}",
                    "correct the file",
                )
            column.append(_typed(arrays[name], spec, f"{shown}, {name}"))
        chosen.append(column)
    return chosen


def _typed(array: Array, spec: Spec, where: str) -> Array:
    """The array in the input's dtype; floating-point values may lose precision, integers stay the same."""
    wanted: np.dtype[Any] = np.dtype(object) if spec.dtype == "string" else np.dtype(spec.dtype)
    kinds = (array.dtype.kind, wanted.kind)
    if kinds == ("f", "f"):
        with np.errstate(over="ignore"):
            made = array.astype(wanted)
        if not np.isfinite(made).all():
            raise RefusedError(f"{where} has values that are not finite", "correct the file")
        return made
    if kinds[1] == "O" and kinds[0] in "SU":
        return array.astype(object)
    if kinds[0] in "iu" and kinds[1] in "iu":
        limits = np.iinfo(wanted)
        if array.size == 0 or (int(array.min()) >= limits.min and int(array.max()) <= limits.max):
            return array.astype(wanted)
    elif array.dtype == wanted:
        return array
    raise RefusedError(
        f"{where} is {array.dtype}, the input {spec.name!r} is {spec.dtype}",
        f"store values like those of the training data, as {spec.dtype}",
    )


def random_samples(specs: Sequence[Spec]) -> Samples:
    """Random inputs for a model without representative data; the same on every call."""
    rng = np.random.default_rng(1)
    return [tuple(_random(rng, spec) for spec in specs) for _ in range(RANDOM_SAMPLES)]


def _random(rng: np.random.Generator, spec: Spec) -> Array:
    shape = spec.shape or ()
    if spec.dtype == "string":
        return np.full(shape, b"text", object)
    wanted = np.dtype(spec.dtype)
    if wanted.kind in "fc":
        return rng.uniform(-1, 1, shape).astype(wanted)
    # Integer inputs are mostly indices, lengths or axes: small values are valid for most models.
    return rng.integers(0, 2, shape).astype(wanted)
