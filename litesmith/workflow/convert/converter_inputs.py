"""Inputs of a model: their shapes, and samples for them from a file or at random."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litesmith.workflow.convert.refused import RefusedError, one_line, some

Array = NDArray[Any]
Samples = list[tuple[Array, ...]]

RANDOM_SAMPLES = 8
MARK = "made_by"
"""An array of ``.inputs.npz`` that says that the file is ours; its name is no sample's."""


@dataclass(frozen=True)
class Spec:
    """An input: its name as people know it, its dtype, its shape with -1 for what is unknown.

    ``shape`` is None where even the number of dimensions is unknown.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None

    @property
    def safe(self) -> str:
        """The name as functions of TensorFlow can have it."""
        return safe_name(self.name)


def safe_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name).lstrip("_") or "tensor"


def fixed_shape(spec: Spec, asked: Mapping[str, Sequence[int]], shown: str) -> tuple[int, ...]:
    """The shape that an input gets: the one that was asked for, else its own with a batch of one.

    Raises:
        RefusedError: a dimension is unknown, or the shape that was asked for does not fit.
    """
    for name in (spec.name, spec.safe):
        if name in asked:
            shape = tuple(asked[name])
            known = spec.shape
            if known is not None and (
                len(shape) != len(known) or any(d not in (-1, s) for d, s in zip(known, shape, strict=True))
            ):
                raise RefusedError(
                    f"{shown}: the input {spec.name!r} has the shape {shown_shape(known)}, "
                    f"not {shown_shape(shape)}",
                    "correct --input-shape",
                )
            return shape
    if spec.shape is not None and -1 not in spec.shape[1:]:
        return tuple(1 if dimension == -1 else dimension for dimension in spec.shape)
    raise RefusedError(
        f"{shown}: the input {spec.name!r} has the shape {shown_shape(spec.shape)}, which is not known",
        f"say it with --input-shape {spec.name}=1x224x224x3",
    )


def shown_shape(shape: Sequence[int] | None) -> str:
    if shape is None:
        return "?"
    return "x".join("?" if dimension == -1 else str(dimension) for dimension in shape) or "()"


def require_names(asked: Mapping[str, Any], specs: Sequence[Spec], shown: str) -> None:
    """Refuses shapes of inputs that do not exist."""
    known = {name for spec in specs for name in (spec.name, spec.safe)}
    for name in asked:
        if name not in known:
            raise RefusedError(
                f"{shown} has no input {name!r} for --input-shape",
                f"the inputs are {', '.join(spec.name for spec in specs) or 'none'}",
            )


def read_samples(path: Path, specs: Sequence[Spec], shown: str) -> Samples:
    """The inputs of an ``.npz`` file, one tuple for each sample.

    Raises:
        RefusedError: it cannot be read, or its arrays do not fit.
    """
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files if name != MARK}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise RefusedError(f"{shown} cannot be read: {one_line(error)}", "save it with numpy.savez") from None
    return fit(arrays, specs, shown)


def fit(arrays: Mapping[str, Array], specs: Sequence[Spec], shown: str) -> Samples:
    """Arrays of a file as samples of the inputs, whose shapes are fixed.

    Two forms: an array for each input, by its name, with samples in front; or arrays named
    ``<sample>_<input index>``, each of an input's own shape.  A single array needs no name.

    Raises:
        RefusedError: they do not fit.
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
        raise RefusedError(f"{shown} has not as many samples for each input: {listed}", "correct the file")
    if not counts or not counts[0]:
        raise RefusedError(f"{shown} has no samples", "put at least one into it")
    return list(zip(*chosen, strict=True))


def _only(arrays: Mapping[str, Array], spec: Spec) -> bool:
    """Whether there is but one array, with samples of an input."""
    return len(arrays) == 1 and all(_rest(array, spec) is not None for array in arrays.values())


def _rest(array: Array, spec: Spec) -> Callable[[int], Array] | None:
    """How a sample is cut out of an array with samples in front; None where it does not fit."""
    shape = spec.shape or ()
    if array.ndim and array.shape[1:] == shape:
        return lambda i: np.asarray(array[i])
    if shape[:1] == (1,) and array.shape[1:] == shape[1:] and array.ndim:
        return lambda i: np.asarray(array[i : i + 1])
    return None


def _along(array: Array, spec: Spec, where: str) -> list[Array]:
    cut = _rest(array, spec)
    if cut is None:
        inner = spec.shape or ()
        wanted = shown_shape((-1, *(inner[1:] if inner[:1] == (1,) else inner)))
        raise RefusedError(
            f"{where}: {array.dtype}{list(array.shape)} does not fit the input {spec.name!r}, {spec.dtype} "
            f"{shown_shape(spec.shape)}",
            f"samples come first: {wanted}",
        )
    whole = _typed(array, spec, where)
    cut = _rest(whole, spec)
    assert cut is not None, "the shape is the same"  # noqa: S101
    return [cut(i) for i in range(len(whole))]


def _indexed(arrays: Mapping[str, Array], specs: Sequence[Spec], shown: str) -> list[list[Array]]:
    stored = {name: match for name in arrays if (match := re.fullmatch(r"(.*)_(out)?(\d+)", name))}
    samples = list(dict.fromkeys(match[1] for match in stored.values()))
    wanted = [f"{sample}_{i}" for sample in samples for i in range(len(specs))]
    if len(stored) < len(arrays) or not set(wanted) <= set(arrays):
        raise RefusedError(
            f"{shown} has the arrays {some(sorted(arrays))}, the inputs are {some(s.name for s in specs)}",
            "name arrays like the inputs, with samples first, or <sample>_<input index>",
        )
    chosen: list[list[Array]] = []
    for position, spec in enumerate(specs):
        column = []
        for sample in samples:
            name = f"{sample}_{position}"
            if arrays[name].shape != spec.shape:
                raise RefusedError(
                    f"{shown}, {name}: {arrays[name].dtype}{list(arrays[name].shape)} does not fit the input "
                    f"{spec.name!r}, {spec.dtype} {shown_shape(spec.shape)}",
                    "correct the file",
                )
            column.append(_typed(arrays[name], spec, f"{shown}, {name}"))
        chosen.append(column)
    return chosen


def _typed(array: Array, spec: Spec, where: str) -> Array:
    """The array in the input's dtype, where nothing is lost but the last digits."""
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
        f"store what the model was trained on, as {spec.dtype}",
    )


def random_samples(specs: Sequence[Spec]) -> Samples:
    """Inputs where nobody gave any: the same each time."""
    rng = np.random.default_rng(1)
    return [tuple(_random(rng, spec) for spec in specs) for _ in range(RANDOM_SAMPLES)]


def _random(rng: np.random.Generator, spec: Spec) -> Array:
    shape = spec.shape or ()
    if spec.dtype == "string":
        return np.full(shape, b"text", object)
    wanted = np.dtype(spec.dtype)
    if wanted.kind in "fc":
        return rng.uniform(-1, 1, shape).astype(wanted)
    # Plain integers are indices, lengths or axes more often than not.
    return rng.integers(0, 2, shape).astype(wanted)
