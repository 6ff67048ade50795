"""Runs each node of a program on the reference's own inputs, and compares what it computes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from litesmith.measure.verify.cases import Case, Index
from litesmith.measure.verify.intermediates import intermediates, subgraph_of
from litesmith.measure.verify.limits.limit import Limit, NodeView, equal
from litesmith.measure.verify.limits.node_limit import limit_of
from litesmith.measure.verify.program_under_test import ProgramUnderTest
from litesmith.measure.verify.sensitivity import measured_limit
from litesmith.measure.verify.tensor_values import Record, TensorValues, records
from litesmith.model.model_file import Model
from litesmith.model.tensors import Array, from_bytes

DETECTION = "TFLite_Detection_PostProcess"
_INFINITE = float("inf")


@dataclass(frozen=True, kw_only=True)
class WrongNode:
    """A node whose output is not what the reference computes from the same inputs.

    ``error`` and ``limit`` are absolute, at the element that is worst in relation to its limit: steps for
    integers.  ``actual`` is None where the output has another size.
    """

    index: int
    op: str
    tensor: int
    name: str
    dtype: str
    error: float
    limit: float
    reason: str
    actual: Array | None = field(repr=False, compare=False)

    def line(self) -> str:
        """The node in a few words."""
        unit = "" if self.dtype.startswith(("float", "complex")) else " steps"
        what = (
            "has another size"
            if self.actual is None
            else "has NaN or infinity elsewhere"
            if not np.isfinite(self.error)
            else f"is off by {self.error:.3g}{unit} where {self.limit:.3g}{unit} is right ({self.reason})"
        )
        return f"node {self.index}, {self.op}, {self.name!r}, {what}"


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """What was found for one case.

    ``roundings`` are the differences of right outputs, by tensor: floats, or a quantised tensor's steps in
    the form of :func:`~litesmith.measure.verify.rewriting.with_additions`.  ``reasons`` says why outputs that
    differ are right.  ``skipped`` names tensors that could not be given or compared.  ``overflows`` says that
    XNNPACK gave infinity for the largest finite number.
    """

    compared: int
    wrong: tuple[WrongNode, ...]
    roundings: Mapping[int, Array]
    reasons: tuple[str, ...]
    skipped: tuple[str, ...]
    overflows: bool


def check_nodes(
    program: ProgramUnderTest, model: Model, case: Case, folder: Path | None = None
) -> NodeReport:
    """Runs a program that was built for it (``node_check``) and compares all nodes.

    Values are kept in ``folder`` if it is given.

    Raises:
        VerificationError: the program or the reference fails, or there are too many values.
    """
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        place = folder or Path(scratch)
        values = intermediates(model, case, place)
        written = place / "outputs.bin"
        arguments = ("--node-inputs", str(values.path), "--node-outputs", str(written))
        program.run(case, arguments)
        return _Comparison(model, case, values).report(written)


class _Comparison:
    def __init__(self, model: Model, case: Case, values: TensorValues) -> None:
        self._model = model
        self._case = case
        self._values = values
        self._graph = case.part.subgraph
        self._overflows = False
        self._subgraph = subgraph_of(model.analysis, case.part.signature)
        self._producers = {
            tensor: (node, slot)
            for node, one in enumerate(self._graph.nodes)
            for slot, tensor in enumerate(one.outputs)
            if tensor >= 0
        }

    def report(self, written: Path) -> NodeReport:
        wrong: list[WrongNode] = []
        roundings: dict[int, Array] = {}
        reasons: dict[str, None] = {}
        skipped: dict[str, None] = {}
        compared = 0
        for record in records(written):
            expected = self._values.get(record.tensor)
            name = self._graph.tensors[record.tensor].name
            if record.value is None or expected is None:
                skipped[name] = None
                continue
            compared += 1
            found = self._compare(record, expected)
            if isinstance(found, WrongNode):
                wrong.append(found)
            elif found is not None:
                rounding, reason = found
                reasons[reason] = None
                if rounding is not None:
                    roundings[record.tensor] = rounding
        return NodeReport(
            compared=compared,
            wrong=tuple(wrong),
            roundings=roundings,
            reasons=tuple(reasons),
            skipped=tuple(skipped),
            overflows=self._overflows,
        )

    def _place(self, record: Record) -> tuple[int, int]:
        """The node that computes a tensor, and the position of the tensor among its outputs."""
        if record.node < len(self._graph.nodes):
            outputs = self._graph.nodes[record.node].outputs
            # A variable is an input that the node writes.
            return record.node, outputs.index(record.tensor) if record.tensor in outputs else len(outputs)
        return self._producers[record.tensor]

    def _compare(self, record: Record, expected: Array) -> WrongNode | tuple[Array | None, str] | None:
        """A wrong node; or the difference of a right one, with the reason; None for equal values."""
        position, slot = self._place(record)
        view = self._view(position, delegated=record.node >= len(self._graph.nodes))
        actual = None
        if record.value is not None and record.shape == expected.shape:
            actual = from_bytes(record.value, expected.dtype, expected.shape)
        if actual is None:
            return self._wrong(view, position, record, _INFINITE, 0.0, "", None)
        written = self._written(view, slot)
        actual, expected = actual[written], expected[written]
        if expected.dtype.kind in "bO":
            count = float(np.count_nonzero(actual != expected))
            return self._wrong(view, position, record, count, 0.0, "equal", actual) if count else None
        with np.errstate(invalid="ignore", over="ignore"):
            same = (actual == expected) | ((actual != actual) & (expected != expected))
            if bool(same.all()):
                return None
            difference = _difference(actual, expected)
        limit = self._limit(view, position, slot, expected)
        allowed = np.broadcast_to(limit.value, expected.shape)
        with np.errstate(invalid="ignore"):
            over = view.delegated & overflowed(actual, expected)
            right = same | (difference <= allowed) | over
            self._overflows |= bool(over.any())
        if not bool(right.all()):
            excess = np.where(right, -1.0, difference - allowed)
            at = np.unravel_index(
                int(np.nanargmax(np.where(np.isnan(excess), _INFINITE, excess))), excess.shape
            )
            error = float(difference[at])
            error = error if np.isfinite(error) else _INFINITE
            return self._wrong(view, position, record, error, float(allowed[at]), limit.reason, actual)
        return self._rounding(record.tensor, actual, expected, same, written), limit.reason

    def _view(self, position: int, *, delegated: bool) -> NodeView:
        node = self._graph.nodes[position]
        return NodeView(
            op=self._model.analysis.operator_codes[node.opcode_index].op,
            node=node,
            tensors=self._graph.tensors,
            values=self._values,
            delegated=delegated,
        )

    def _limit(self, view: NodeView, position: int, slot: int, expected: Array) -> Limit:
        if slot >= len(view.node.outputs):
            slot = 0
        found = limit_of(view, slot, expected)
        found = found or measured_limit(self._model, self._subgraph, position, view, slot)
        return found or equal(f"the arithmetic of {view.op} has no limit here")

    def _written(self, view: NodeView, slot: int) -> Index:
        """The elements that a node writes: not the rows after the last detection."""
        if view.op != DETECTION or slot >= len(view.node.outputs) - 1:
            return ...
        count = self._values.get(view.node.outputs[-1])
        return ... if count is None else (slice(None), slice(int(count.flat[0])))

    def _rounding(
        self, tensor: int, actual: Array, expected: Array, same: Array, written: Index
    ) -> Array | None:
        """The difference as a constant of an ADD; None for a tensor that ADD does not take."""
        if written is not ...:
            return None
        if expected.dtype == np.float32:
            with np.errstate(invalid="ignore", over="ignore"):
                difference = np.where(same, 0, actual - expected).astype(np.float32)
                return np.where(np.isfinite(difference), difference, np.float32(0))
        if not self._graph.tensors[tensor].quantized or expected.dtype.name not in ("int8", "uint8", "int16"):
            return None
        steps = np.clip(actual.astype(np.int32) - expected, -127, 127)
        return (steps + (128 if expected.dtype == np.uint8 else 0)).astype(expected.dtype)

    def _wrong(
        self,
        view: NodeView,
        position: int,
        record: Record,
        error: float,
        limit: float,
        reason: str,
        actual: Array | None,
    ) -> WrongNode:
        tensor = self._graph.tensors[record.tensor]
        return WrongNode(
            index=position,
            op=view.op,
            tensor=record.tensor,
            name=tensor.name,
            dtype=tensor.dtype,
            error=error,
            limit=limit,
            reason=reason,
            actual=actual,
        )


def overflowed(actual: Array, expected: Array) -> Array:
    """Where a number is infinite and the reference has the largest finite one of the same sign.

    The built-in kernels' activations end there, XNNPACK's do not end at all.
    """
    if expected.dtype.kind != "f":
        return np.zeros(expected.shape, bool)
    largest = np.finfo(expected.dtype).max
    found: Array = np.isinf(actual) & (np.abs(expected) == largest) & (np.sign(actual) == np.sign(expected))
    return found


def _difference(actual: Array, expected: Array) -> Array:
    """The absolute difference; infinite where only one of two is finite."""
    if expected.dtype.kind in "fc":
        wide = np.complex128 if expected.dtype.kind == "c" else np.float64
        found: Array = np.abs(actual.astype(wide) - expected)
        return np.where(np.isnan(found), _INFINITE, found)
    # Python's integers do not overflow where 64 bits would.
    wider = object if expected.dtype.itemsize == 8 else np.int64
    steps: Array = np.abs(actual.astype(wider) - expected.astype(wider))
    return steps.astype(np.float64)
