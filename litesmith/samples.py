"""Model + choice → what of it runs, and the inputs to try: :class:`Part` and :class:`Sample`."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from litesmith.analysis import ModelAnalysis, Subgraph, Tensor
from litesmith.errors import UsageError
from litesmith.reference import Entry
from litesmith.tensors import Array, as_strings, numpy_dtype
from litesmith.validation import nearest

_RANDOM_SAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of a model that runs: its first subgraph, or that of a signature.

    ``shapes`` are those of inputs that were asked for, by tensor index.
    """

    signature: str | None
    subgraph: Subgraph
    entry: Entry
    shapes: Mapping[int, tuple[int, ...]]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The input tensors, in order."""
        return tuple(self.subgraph.tensors[index] for index in self.subgraph.inputs)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The output tensors, in order."""
        return tuple(self.subgraph.tensors[index] for index in self.subgraph.outputs)

    def shape(self, position: int) -> tuple[int, ...]:
        """The shape that an input has in this run."""
        index = self.subgraph.inputs[position]
        return self.shapes.get(index, self.subgraph.tensors[index].allocated_shape)

    def of_size(self, inputs: Sequence[Array]) -> Part:
        """The same for these inputs, which may come in another size than the file's."""
        sized = {
            index: value.shape
            for index, value in zip(self.subgraph.inputs, inputs, strict=True)
            if value.shape != self.subgraph.tensors[index].allocated_shape or index in self.shapes
        }
        return replace(self, shapes=sized)

    def arguments(self) -> list[str]:
        """What the program is told."""
        words = ["--signature", self.signature] if self.signature is not None else []
        for index, shape in self.shapes.items():
            words += ["--input-shape", f"{self.subgraph.tensors[index].name}={'x'.join(map(str, shape))}"]
        return words


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What of a model is to run: a signature, shapes of inputs by name; everything when empty."""

    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


EVERYTHING = Choice()


def parse_shapes(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``NAME=1x224x224x3`` → shapes by name.

    Raises:
        UsageError: not of that form.
    """
    shapes = {}
    for word in words:
        # Names of tensors may hold anything, the dimensions come after the last sign.
        name, _, dimensions = word.rpartition("=")
        if not name or not re.fullmatch(r"(\d+(x\d+)*)?", dimensions):
            raise UsageError(f"--input-shape {word} is not of the form NAME=1x224x224x3", "correct it")
        shapes[name] = tuple(int(number) for number in dimensions.split("x") if number)
    return shapes


def parts(analysis: ModelAnalysis, choice: Choice = EVERYTHING) -> tuple[Part, ...]:
    """What runs of a model: its first subgraph, and signatures that have another one.

    Raises:
        UsageError: there is no such signature or no such input.
    """
    chosen: list[tuple[str | None, int]] = [(None, 0)]
    known = {signature.key: signature for signature in analysis.signatures}
    if choice.signature is not None:
        if choice.signature not in known:
            advice = nearest(choice.signature, list(known)) or f"it has {', '.join(known) or 'none'}"
            raise UsageError(f"{analysis.path} has no signature {choice.signature!r}", advice)
        chosen = [(choice.signature, known[choice.signature].subgraph)]
    else:
        chosen += [(key, signature.subgraph) for key, signature in known.items() if signature.subgraph != 0]
    return tuple(_part(analysis, key, number, choice.shapes) for key, number in chosen)


def _part(
    analysis: ModelAnalysis, key: str | None, number: int, asked: Mapping[str, tuple[int, ...]]
) -> Part:
    subgraph = analysis.subgraphs[number]
    names = {subgraph.tensors[index].name: index for index in subgraph.inputs}
    entry = Entry()
    for signature in analysis.signatures:
        if signature.subgraph != number:
            continue
        names = {**names, **signature.inputs}
        if signature.key == key:
            inputs = {index: name for name, index in signature.inputs.items()}
            outputs = {index: name for name, index in signature.outputs.items()}
            entry = Entry(
                signature=key,
                inputs=tuple(inputs.get(index, "") for index in subgraph.inputs),
                outputs=tuple(outputs.get(index, "") for index in subgraph.outputs),
            )
    shapes = {}
    for name, shape in asked.items():
        if name not in names:
            advice = nearest(name, list(names)) or f"the inputs are {', '.join(names) or 'none'}"
            raise UsageError(f"{analysis.path} has no input {name!r} for --input-shape", advice)
        shapes[names[name]] = shape
    return Part(signature=key, subgraph=subgraph, entry=entry, shapes=shapes)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Inputs to try; ``expected`` outputs where the user has given them, else the reference's."""

    inputs: tuple[Array, ...]
    expected: tuple[Array, ...] | None = None


def samples(analysis: ModelAnalysis, model: Path, part: Part) -> dict[str, Sample]:
    """Inputs to try, by name: real ones from ``<model>.inputs.npz``, zeros, and random ones.

    The file beside the model holds arrays named ``<sample>_<input index>``, and, where the
    reference cannot know them (an op of the user's own), ``<sample>_out<output index>``.  It is
    for the first subgraph.

    Raises:
        UsageError: the file's arrays do not fit the model's inputs.
    """
    found = _real_samples(model.with_suffix(".inputs.npz"), part) if part.signature is None else {}
    shapes = [part.shape(position) for position in range(len(part.inputs))]
    pairs = list(zip(part.inputs, shapes, strict=True))
    found["zeros"] = Sample(inputs=tuple(_zeros(tensor, shape) for tensor, shape in pairs))
    if pairs:
        # The same numbers for the same model, whatever its path.
        rng = np.random.default_rng(int(analysis.sha256[:8], 16))
        for number in range(_RANDOM_SAMPLES):
            found[f"random {number}"] = Sample(inputs=tuple(_random(rng, *pair) for pair in pairs))
    return found


def for_measuring(
    analysis: ModelAnalysis, model: Path, choice: Choice = EVERYTHING
) -> tuple[Part, str, Sample]:
    """What a measurement runs: the first part in the size of its first sample, and that with its name.

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
            # Inputs of unknown size come in the size that they have.
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
    # Plain integers are indices, lengths or axes more often than not.
    return rng.integers(0, 2, shape).astype(dtype)
