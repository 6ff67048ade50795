"""How far the reference itself moves when numbers change by a rounding: a whole model, or a single node."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from litesmith.measure.verify import reference, rewriting
from litesmith.measure.verify.cases import Case
from litesmith.measure.verify.comparison import INCOMPARABLE, error_of
from litesmith.measure.verify.intermediates import NOT_IN_NUMPY, subgraph_of
from litesmith.measure.verify.limits.limit import SMALLEST, Limit, NodeView, magnitude, roundoff
from litesmith.measure.verify.reference import Answer, Question
from litesmith.model.entry_points import Entry
from litesmith.model.model_file import Model
from litesmith.model.tensors import Array

FACTOR = 4.0
"""A program may drift this many times as far as the reference does when roundings are added to its nodes.

The roundings that are added are those that the program itself was found to have, once as they are: to first
order, the reference then moves by exactly the program's drift.  What is left are the terms of higher order,
such as a number that is quantised to another step because of two roundings together.  The maximum over the
same roundings with other signs gives the scale of that.
"""

_SIGNS = ("as found", "reversed", *(f"random {number}" for number in range(8)))
"""In which the roundings are added, one after the other, until the program's drift is explained.

Where an op decides by comparing numbers that are nearly equal (an order of boxes), an output jumps or stays
as it is: several tries are needed to see it jump.
"""

NODE_FACTOR = 16.0
"""The same for an op without a listed limit: its roundings are about as many as it has stages."""

_NODE_SEEDS = range(4)
_HYBRID_ROUNDING = 1e-6
_CONTROL_FLOW = frozenset({"IF", "WHILE", "CALL_ONCE", "CALL", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE"})


def drift(
    model: Model, case: Case, roundings: Mapping[int, Array], enough: Sequence[float]
) -> tuple[float, ...]:
    """How far each output of the reference moves when ``roundings`` are added to the tensors they name.

    In the unit of :func:`error_of`.  Other signs are not tried any more when each output has moved as far as
    ``enough`` says.

    Raises:
        ValueError: the model cannot be changed in this way.
    """
    subgraph = subgraph_of(model.analysis, case.part.signature)
    moved = [0.0] * len(case.expected)
    if not roundings:
        return tuple(moved)
    for sign in _SIGNS:
        rng = np.random.default_rng(len(sign) + ord(sign[-1]))
        additions = {index: _signed(value, sign, rng) for index, value in roundings.items()}
        content = rewriting.with_additions(model.content, subgraph, additions)
        answer = _ask(content, case.part.entry, case.inputs)
        for position, expected in enumerate(case.expected):
            if answer.error or answer.outputs[position].shape != expected.shape:
                moved[position] = INCOMPARABLE
                continue
            written = case.written(position)
            error = error_of(expected[written], answer.outputs[position][written])
            moved[position] = max(moved[position], error)
        if all(one >= least for one, least in zip(moved, enough, strict=True)):
            break
    return tuple(moved)


def _signed(value: Array, sign: str, rng: np.random.Generator) -> Array:
    """The roundings of one tensor, as the constant that is added; uint8 has a zero point of 128."""
    zero = 128 if value.dtype == np.uint8 else 0
    plain = value.astype(np.float32 if value.dtype.kind == "f" else np.int32) - zero
    if sign == "reversed":
        plain = -plain
    elif sign != "as found":
        plain = plain * np.where(rng.random(plain.shape) < 0.5, -1, 1).astype(plain.dtype)
    return (plain + zero).astype(value.dtype)


def _ask(content: bytes, entry: Entry, inputs: Sequence[Array]) -> Answer:
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        path = Path(scratch) / "model.tflite"
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        question = Question(model=path, sha256=sha256, entry=entry, samples={"inputs": inputs})
        return reference.answers([question])[0]["inputs"]


def given_inputs(view: NodeView) -> list[int]:
    """The inputs of a node that are neither constants nor variables."""
    known = dict.fromkeys(index for index in view.node.inputs if index >= 0)
    return [i for i in known if not view.tensors[i].weight_bytes and not view.tensors[i].variable]


def measured_limit(model: Model, subgraph: int, position: int, view: NodeView, slot: int) -> Limit | None:
    """The limit of an output of a node without a listed one; None where the reference cannot run it alone."""
    given = given_inputs(view)
    values = [view.values.get(index) for index in given]
    if any(value is None for value in values) or any(view.tensors[i].dtype in NOT_IN_NUMPY for i in given):
        return None
    inputs = [np.array(value) for value in values if value is not None]
    try:
        content = rewriting.single_node(model.content, subgraph, position, given)
    except ValueError:
        return None
    exact = _ask(content, Entry(), inputs)
    if exact.error:
        return None
    expected = exact.outputs[slot]
    if expected.dtype.kind not in "fc":
        return None
    hybrid = _quantises(model, subgraph, view)
    moved = 0.0
    for seed in _NODE_SEEDS:
        rng = np.random.default_rng(seed)
        changed = rewriting.perturbed_constants(content, lambda one: rounded(one, rng, hybrid=False))  # noqa: B023
        answer = _ask(changed, Entry(), [rounded(one, rng, hybrid=hybrid) for one in inputs])
        if answer.error or answer.outputs[slot].shape != expected.shape:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            moved = max(moved, magnitude(np.abs(answer.outputs[slot] - expected)))
    value = NODE_FACTOR * moved + 4 * roundoff(expected.dtype) * 2 * magnitude(np.abs(expected)) + SMALLEST
    return Limit(
        value=np.asarray(value),
        reason=f"{NODE_FACTOR:g} × how far the reference's own {view.op} moves when its inputs and constants "
        "change by a rounding",
    )


def _quantises(model: Model, subgraph: int, view: NodeView) -> bool:
    """Whether the node quantises floats: it has integer weights, or nodes that it may run have."""
    tensors = [view.tensors[index] for index in view.node.inputs if index >= 0]
    if view.op in _CONTROL_FLOW:
        graphs = enumerate(model.analysis.subgraphs)
        tensors += [tensor for index, graph in graphs if index != subgraph for tensor in graph.tensors]
    return any(tensor.dtype in ("int8", "uint8", "int4") and tensor.weight_bytes for tensor in tensors)


def rounded(value: Array, rng: np.random.Generator, *, hybrid: bool) -> Array:
    """Floats moved to the next float, up or down; with ``hybrid`` so far that a quantiser may notice."""
    if value.dtype.kind != "f":
        return value
    down = rng.random(value.shape) < 0.5
    moved = np.nextafter(value, np.where(down, -np.inf, np.inf).astype(value.dtype))
    if hybrid:
        step = _HYBRID_ROUNDING * magnitude(value)
        moved = moved + np.where(down, -step, step).astype(value.dtype)
    return np.where(np.isfinite(value), moved, value)
