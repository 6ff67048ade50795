"""Recurrent cells and sequences of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from litesmith.predict.arena.kernels.kernel import Kernel, Temporaries, in_arena, kept
from litesmith.predict.arena.kernels.sparsity import ledger
from litesmith.runtime.graph import Memory, RuntimeNode, is_hybrid

_INPUT_TO_INPUT = 1
_INPUT_TO_OUTPUT = 4
_RECURRENT_TO_OUTPUT = 8
_PROJECTION = 16
"""The weights of an LSTM among its inputs (``lstm_shared.h``); without the first, it has no input gate."""

_OUTPUT_STATE = 18
_CELL_STATE = 19
"""The states of an LSTM in one direction."""

_BACKWARD = 17
"""Where the weights of the backward cell begin, less 1: those of the forward cell begin at 1."""

_BIDIRECTIONAL_STATES = (
    (35, "forward output"),
    (37, "backward output"),
    (36, "forward cell"),
    (38, "backward cell"),
)
_AUXILIARY_INPUT = 39
_AUXILIARY_TO_FORGET = 41
_AUXILIARY_TO_OUTPUT = 43
_BACKWARD_AUXILIARY_TO_OUTPUT = 47
"""Inputs of ``bidirectional_sequence_lstm.cc``."""


def _gates(node: RuntimeNode, first: int = 0) -> int:
    """How many buffers of the size of a cell's state the gates take."""
    return 4 if node.input(first + _INPUT_TO_INPUT) is None else 5


def _lstm(node: RuntimeNode) -> None:
    if node.options.enum("kernel_type") == "BASIC":  # the basic kernel has five inputs
        batch, depth = node.dims(0)
        units = node.dims(1)[1]
        node.resize(0, node.dims(1))
        node.resize(1, node.dims(4))
        node.resize(2, (batch, depth + units))
        node.resize(3, (batch, 4 * units))
        for position in (1, 4):
            node.of(position).memory = Memory.PERSISTENT
        return
    node.resize(0, (node.dims(0)[0], node.dims(_RECURRENT_TO_OUTPUT)[1]))


def _unidirectional_lstm(node: RuntimeNode) -> None:
    node.resize(0, (*node.dims(0)[:-1], node.dims(_RECURRENT_TO_OUTPUT)[-1]))


def _bidirectional_lstm(node: RuntimeNode) -> None:
    steps = node.dims(0)[:2]
    forward, backward = (
        node.dims(position)[1] for position in (_RECURRENT_TO_OUTPUT, _BACKWARD + _RECURRENT_TO_OUTPUT)
    )
    merged = node.options.boolean("merge_outputs")
    node.resize(0, (*steps, forward + backward if merged else forward))
    if not merged:
        node.resize(1, (*steps, backward))


def _rnn(node: RuntimeNode) -> None:
    node.resize(0, (node.dims(0)[0], node.dims(1)[0]))


def _unidirectional_rnn(node: RuntimeNode) -> None:
    node.resize(0, (*node.dims(0)[:2], node.dims(1)[0]))


def _bidirectional_rnn(node: RuntimeNode) -> None:
    steps = node.dims(0)[:2]
    forward, backward = node.dims(1)[0], node.dims(5)[0]
    merged = node.options.boolean("merge_outputs")
    node.resize(0, (*steps, forward + backward if merged else forward))
    if not merged:
        node.resize(1, (*steps, backward))


def _svdf(node: RuntimeNode) -> None:
    node.resize(0, (node.dims(0)[0], node.dims(1)[0] // node.options.integer("rank")))


def _lstm_temporaries(node: RuntimeNode) -> Temporaries:
    if node.options.enum("kernel_type") == "BASIC":
        return []  # the basic kernel works in its outputs
    values, weights = node.of(0), node.of(_INPUT_TO_OUTPUT)
    batch, cells = values.dims[0], weights.dims[0]
    if values.dtype == "int8":
        dtypes = (
            ["int16"] * 4 + ["int8", "int32"] if node.intermediates == 5 else ["int8"] * 2 + ["int16"] * 6
        )
        return [in_arena(f"gate {i}", dtype, (batch, cells)) for i, dtype in enumerate(dtypes)]
    added = [in_arena("gates", values.dtype, (batch, cells * _gates(node)))]
    if not is_hybrid(values, weights):
        return added
    added += _hybrid_lstm(node, batch, cells)
    if weights.sparsity is not None:
        for position in (*range(_INPUT_TO_INPUT, _RECURRENT_TO_OUTPUT + 1), _PROJECTION):
            other = node.input(position)
            # An omitted weight still has a ledger, of size 0.
            added.append(ledger(other) if other is not None else kept("ledger", "uint8", (0,)))
    return added


def _hybrid_lstm(node: RuntimeNode, batch: int, cells: int) -> Temporaries:
    values, weights = node.of(0), node.of(_INPUT_TO_OUTPUT)
    rows = 6 if node.input(_INPUT_TO_INPUT) is None else 8
    if node.input(_PROJECTION) is not None:
        rows += math.ceil(node.dims(_RECURRENT_TO_OUTPUT)[-1] / cells)
    return [
        in_arena("quantised input", weights.dtype, values.dims),
        in_arena("quantised output state", weights.dtype, node.dims(_OUTPUT_STATE)),
        in_arena("quantised cell state", weights.dtype, node.dims(_CELL_STATE)),
        in_arena("input scales", "float32", (batch,)),
        in_arena("output state scales", "float32", (batch,)),
        in_arena("product scales", "float32", (batch,)),
        in_arena("recovered cell weights", "float32", (cells,)),
        in_arena("accumulators", "int32", (cells, batch)),
        in_arena("input zero points", "float32", (batch,)),
        in_arena("output state zero points", "float32", (batch,)),
        kept("row sums", "int32", (rows, cells)),
    ]


def _unidirectional_lstm_temporaries(node: RuntimeNode) -> Temporaries:
    values, weights = node.of(0), node.of(_INPUT_TO_OUTPUT)
    batch, cells = values.dims[1 if node.options.boolean("time_major") else 0], weights.dims[0]
    if values.dtype == "int8":
        dtypes = ["int16"] * 4 + ["int8", "int32"]
        return [in_arena(f"gate {i}", dtype, (batch, cells)) for i, dtype in enumerate(dtypes)]
    added = [in_arena("gates", values.dtype, (batch, cells * _gates(node) + 16))]
    return added + _hybrid_lstm(node, batch, cells) if is_hybrid(values, weights) else added


def _bidirectional_lstm_temporaries(node: RuntimeNode) -> Temporaries:
    values, weights = node.of(0), node.of(_INPUT_TO_OUTPUT)
    batch = values.dims[1 if node.options.boolean("time_major") else 0]
    forward, backward = weights.dims[0], node.dims(_BACKWARD + _INPUT_TO_OUTPUT)[0]
    forward_gates, backward_gates = _gates(node), _gates(node, _BACKWARD)
    added = [
        in_arena("forward gates", values.dtype, (batch, forward * forward_gates + 16)),
        in_arena("backward gates", values.dtype, (batch, backward * backward_gates)),
    ]
    if not is_hybrid(values, weights):
        return added
    auxiliary = node.input(_AUXILIARY_INPUT) if node.input(_AUXILIARY_TO_FORGET) is not None else None
    cells = max(forward, backward)
    if auxiliary is not None:
        cells = max(cells, node.dims(_AUXILIARY_TO_OUTPUT)[0], node.dims(_BACKWARD_AUXILIARY_TO_OUTPUT)[0])
    added += [in_arena("quantised input", weights.dtype, values.dims)]
    for position, label in _BIDIRECTIONAL_STATES:
        added.append(in_arena(f"quantised {label} state", weights.dtype, node.dims(position)))
    for label in ("input", "auxiliary input", "output state", "product"):
        added.append(in_arena(f"{label} scales", "float32", (batch,)))
    added += [
        in_arena("recovered cell weights", "float32", (forward,)),
        in_arena("accumulators", "int32", (cells, batch)),
    ]
    for label in ("input", "auxiliary input", "output state"):
        added.append(in_arena(f"{label} zero points", "float32", (batch,)))
    for label, first, own in (("forward", 0, forward), ("backward", _BACKWARD, backward)):
        no_input_gate = node.input(first + _INPUT_TO_INPUT) is None
        rows = 6 if no_input_gate else 8
        if auxiliary is not None:
            rows += 3 if no_input_gate else 4
        if node.input(first + _PROJECTION) is not None:
            rows += math.ceil(node.dims(first + _RECURRENT_TO_OUTPUT)[1] / own)
        added.append(kept(f"{label} row sums", "int32", (rows, own)))
    if auxiliary is not None:
        added.append(in_arena("quantised auxiliary input", weights.dtype, auxiliary.dims))
    return added


def _rnn_of(node: RuntimeNode, batch: int) -> Temporaries:
    values, weights = node.of(0), node.of(1)
    if not is_hybrid(values, weights):
        return []
    units = weights.dims[0]
    return [
        in_arena("quantised input", weights.dtype, values.dims),
        in_arena("quantised hidden state", weights.dtype, node.dims(4)),
        in_arena("scales", "float32", (batch,)),
        in_arena("accumulators", "int32", (units, batch)),
        in_arena("zero points", "int32", (batch,)),
        kept("row sums", "int32", (2, units)),
    ]


def _rnn_temporaries(node: RuntimeNode) -> Temporaries:
    return _rnn_of(node, node.dims(0)[0])


def _unidirectional_rnn_temporaries(node: RuntimeNode) -> Temporaries:
    return _rnn_of(node, node.dims(0)[1 if node.options.boolean("time_major") else 0])


def _bidirectional_rnn_temporaries(node: RuntimeNode) -> Temporaries:
    values, weights = node.of(0), node.of(1)
    if not is_hybrid(values, weights):
        return []
    batch = values.dims[1 if node.options.boolean("time_major") else 0]
    forward, backward = weights.dims[0], node.dims(5)[0]
    auxiliary = node.input(9) if node.input(10) is not None else None
    sums = 2 if auxiliary is None else 3
    added = [
        in_arena("quantised input", weights.dtype, values.dims),
        in_arena("quantised forward state", weights.dtype, node.dims(4)),
        in_arena("quantised backward state", weights.dtype, node.dims(8)),
        in_arena("scales", "float32", (batch,)),
        in_arena("accumulators", "int32", (max(forward, backward), batch)),
        in_arena("zero points", "int32", (batch,)),
        kept("forward row sums", "int32", (sums, forward)),
        kept("backward row sums", "int32", (sums, backward)),
    ]
    if auxiliary is not None:
        added.append(in_arena("quantised auxiliary input", weights.dtype, auxiliary.dims))
    return added


def _svdf_temporaries(node: RuntimeNode) -> Temporaries:
    values, weights = node.of(0), node.of(1)
    batch, filters = values.dims[0], weights.dims[0]
    integer = values.dtype == "int8"
    added = [in_arena("filters", "int32" if integer else "float32", (batch, filters))]
    if integer:
        added.append(in_arena("output", "int32", (filters // node.options.integer("rank"), batch)))
    elif is_hybrid(values, weights):
        added += [
            in_arena("quantised input", weights.dtype, values.dims),
            in_arena("scales", "float32", (batch,)),
            kept("weights in time", "float32", node.dims(2)),
            in_arena("zero points", "float32", (batch,)),
            kept("row sums", "float32", (filters,)),
        ]
    return added


KERNELS: Mapping[str, Kernel] = {
    "BIDIRECTIONAL_SEQUENCE_LSTM": Kernel(
        prepare=_bidirectional_lstm, temporaries=_bidirectional_lstm_temporaries, reserved=19
    ),
    "BIDIRECTIONAL_SEQUENCE_RNN": Kernel(
        prepare=_bidirectional_rnn, temporaries=_bidirectional_rnn_temporaries, reserved=9
    ),
    "LSTM": Kernel(prepare=_lstm, temporaries=_lstm_temporaries, reserved=21),
    "RNN": Kernel(prepare=_rnn, temporaries=_rnn_temporaries, reserved=6),
    "SVDF": Kernel(prepare=_svdf, temporaries=_svdf_temporaries, reserved=6),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Kernel(
        prepare=_unidirectional_lstm, temporaries=_unidirectional_lstm_temporaries, reserved=12
    ),
    "UNIDIRECTIONAL_SEQUENCE_RNN": Kernel(
        prepare=_unidirectional_rnn, temporaries=_unidirectional_rnn_temporaries, reserved=6
    ),
}
