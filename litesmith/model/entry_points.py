"""Model and choice → the parts of the model that run: the first subgraph, and those of signatures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from litesmith.base.errors import UsageError, nearest
from litesmith.model.analysis import ModelAnalysis, Subgraph, Tensor
from litesmith.model.tensors import Array

_SIGNATURE = "--signature"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The entry point of a part: the first subgraph, or a signature.

    For a signature, ``inputs`` and ``outputs`` are its argument names in the order of the subgraph's inputs
    and outputs.
    """

    signature: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a model that runs: its first subgraph, or that of a signature.

    ``shapes`` are the requested shapes of inputs, by tensor index.
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
        """The same part for these inputs, whose shapes may differ from those in the file."""
        sized = {
            index: value.shape
            for index, value in zip(self.subgraph.inputs, inputs, strict=True)
            if value.shape != self.subgraph.tensors[index].allocated_shape or index in self.shapes
        }
        return replace(self, shapes=sized)

    def arguments(self) -> list[str]:
        """The arguments that make the program run this part."""
        words = [_SIGNATURE, self.signature] if self.signature is not None else []
        for index, shape in self.shapes.items():
            words += ["--input-shape", f"{self._called(index)}={'x'.join(map(str, shape))}"]
        return words

    def _called(self, index: int) -> str:
        """The name of an input, or its position where several have that name, or it has none."""
        name = self.subgraph.tensors[index].name
        alone = sum(tensor.name == name for tensor in self.inputs) == 1
        return name if name and alone else str(self.subgraph.inputs.index(index))


def signature_of(arguments: Sequence[str]) -> str | None:
    """The signature in arguments of a program, which :meth:`Part.arguments` gave."""
    if _SIGNATURE not in arguments:
        return None
    return arguments[list(arguments).index(_SIGNATURE) + 1]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a user chose to run: a signature, and shapes of inputs by name or position; or everything."""

    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


EVERYTHING = Choice()


def parse_shapes(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``NAME=1x224x224x3`` → shapes by name, or by position (``0=1x224x224x3``).

    Raises:
        UsageError: a word does not have that form.
    """
    shapes = {}
    for word in words:
        # Names of tensors may contain any character; the dimensions follow the last "=".
        name, _, dimensions = word.rpartition("=")
        if not name or not re.fullmatch(r"(\d+(x\d+)*)?", dimensions):
            raise UsageError(f"--input-shape {word} is not of the form NAME=1x224x224x3", "correct it")
        shapes[name] = tuple(int(number) for number in dimensions.split("x") if number)
    return shapes


def parts(analysis: ModelAnalysis, choice: Choice = EVERYTHING) -> tuple[Part, ...]:
    """The parts of a model that run: its first subgraph, and signatures with another subgraph.

    Raises:
        UsageError: there is no such signature or input.
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
    called = [subgraph.tensors[index].name for index in subgraph.inputs]
    positions = {str(position): index for position, index in enumerate(subgraph.inputs)}
    names = {**positions, **dict(zip(called, subgraph.inputs, strict=True))}
    signed: set[str] = set()
    entry = Entry()
    for signature in analysis.signatures:
        if signature.subgraph != number:
            continue
        signed |= set(signature.inputs)
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
        if called.count(name) > 1 and name not in signed:
            raise UsageError(
                f"{analysis.path} has {called.count(name)} inputs {name!r} for --input-shape",
                f"give the position of one: {called.index(name)}={'x'.join(map(str, shape))}",
            )
        if name not in names:
            listed = [one for one in names if one not in positions]
            advice = nearest(name, listed) or f"the inputs are {', '.join(called) or 'none'}"
            raise UsageError(f"{analysis.path} has no input {name!r} for --input-shape", advice)
        shapes[names[name]] = shape
    return Part(signature=key, subgraph=subgraph, entry=entry, shapes=shapes)
