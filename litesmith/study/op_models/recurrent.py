"""Recurrent cells: states are variable tensors, weights constants.

The labels name the arithmetic: ``float32``; ``int8*`` for quantised activations; ``hybrid`` and
``hybrid uint8`` for float activations with weights of eight bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from litesmith.study.op_models.tensor_types import TensorType
from litesmith.study.op_models.writer import Graph, OpModels

# One stream of random numbers: the values depend on the order of the models and of their tensors.
_RNG = np.random.default_rng(11)

_ABSENT = -1
_RELU, _TANH = 1, 4
_INPUT, _UNITS, _BATCH, _STEPS = 4, 3, 2, 5
_ARITHMETICS = ("float32", "hybrid", "hybrid uint8")

_LSTM_OPTIONS: dict[str, Any] = {"fusedActivationFunction": _TANH, "cellClip": 10.0}
_LSTM_OPS: tuple[tuple[str, str, list[int], dict[str, bool]], ...] = (
    ("LSTM", "LSTM", [_BATCH, _INPUT], {}),
    (
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UnidirectionalSequenceLSTM",
        [_STEPS, _BATCH, _INPUT],
        {"timeMajor": True},
    ),
)
_LSTM_VARIANTS: dict[str, dict[str, bool]] = {
    "": {},
    " cifg": {"cifg": True},
    " peephole": {"peephole": True},
}
"""Coupled input and forget gates: the input gate has no weights.  Peepholes: gates see the cell state."""


def _weights(g: Graph, shape: tuple[int, ...], arithmetic: str) -> int:
    if arithmetic == "float32":
        return g.const(_RNG.uniform(-0.6, 0.6, shape))
    if arithmetic == "hybrid uint8":
        return g.const(_RNG.integers(0, 256, shape), "uint8", quant=(0.005, 128))
    return g.const(_RNG.integers(-127, 128, shape), "int8", quant=(0.005, 0))


def _lstm_cell(g: Graph, arithmetic: str, *, cifg: bool = False, peephole: bool = False) -> list[int]:
    """Weights and biases of an LSTM, without a projection: the inputs 1 to 17 of the ops."""
    from_input = [_weights(g, (_UNITS, _INPUT), arithmetic) for _ in range(4)]
    recurrent = [_weights(g, (_UNITS, _UNITS), arithmetic) for _ in range(4)]
    peepholes = [_weights(g, (_UNITS,), arithmetic) for _ in range(3)] if peephole else [_ABSENT] * 3
    biases = [g.const(_RNG.uniform(-0.2, 0.2, _UNITS)) for _ in range(4)]
    if cifg:
        from_input[0] = recurrent[0] = biases[0] = peepholes[0] = _ABSENT
    projection = [_ABSENT] * 2
    return [*from_input, *recurrent, *peepholes, *biases, *projection]


def _states(g: Graph, count: int) -> list[int]:
    return [g.tensor([_BATCH, _UNITS], "float32", variable=True) for _ in range(count)]


def lstm() -> OpModels:
    """Long short-term memory: one step, a sequence, both directions."""
    layer_norm = [_ABSENT] * 4
    for arithmetic in _ARITHMETICS:
        for label, variant in _LSTM_VARIANTS.items():
            if label and arithmetic != "float32":
                continue
            for op, table, shape, options in _LSTM_OPS:
                g = Graph()
                x = g.input(shape)
                cell = _lstm_cell(g, arithmetic, **variant)
                inputs = [x, *cell, *_states(g, 2), *layer_norm]
                g.op(op, inputs, [g.output()], table, **_LSTM_OPTIONS, **options)
                yield op, arithmetic + label, g
        yield "BIDIRECTIONAL_SEQUENCE_LSTM", arithmetic, _bidirectional_lstm(arithmetic)
    yield "UNIDIRECTIONAL_SEQUENCE_LSTM", "int8*", _integer_lstm()


def _bidirectional_lstm(arithmetic: str) -> Graph:
    g = Graph()
    x = g.input([_STEPS, _BATCH, _INPUT])
    forward, backward = _lstm_cell(g, arithmetic), _lstm_cell(g, arithmetic)
    auxiliary = [_ABSENT] * 9
    inputs = [x, *forward, *backward, *_states(g, 4), *auxiliary]
    outputs = [g.output(), g.output()]
    options = {**_LSTM_OPTIONS, "timeMajor": True}
    g.op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, "BidirectionalSequenceLSTM", **options)
    return g


def _integer_lstm() -> Graph:
    """8-bit weights and activations, 16-bit cell state."""
    weight, activation = TensorType("int8", (0.005, 0)), TensorType("int8", (1 / 128, 0))
    g = Graph()
    x = g.input([_STEPS, _BATCH, _INPUT], "int8", quant=(0.02, 1))
    from_input = [g.const(_RNG.integers(-127, 128, (_UNITS, _INPUT)), weight) for _ in range(4)]
    recurrent = [g.const(_RNG.integers(-127, 128, (_UNITS, _UNITS)), weight) for _ in range(4)]
    biases = [g.const(_RNG.integers(-90, 90, _UNITS), "int32", quant=(0.0001, 0)) for _ in range(4)]
    output_state = g.tensor([_BATCH, _UNITS], activation, variable=True)
    cell_state = g.tensor([_BATCH, _UNITS], "int16", quant=(2.0**-11, 0), variable=True)
    gates = [g.tensor([], "int16", quant=(2.0**-12, 0)) for _ in range(4)]
    hidden = g.tensor([], activation)
    peepholes, projection, layer_norm = [_ABSENT] * 3, [_ABSENT] * 2, [_ABSENT] * 4
    inputs = [
        x,
        *from_input,
        *recurrent,
        *peepholes,
        *biases,
        *projection,
        output_state,
        cell_state,
        *layer_norm,
    ]
    node = g.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        inputs,
        [g.output(activation)],
        "UnidirectionalSequenceLSTM",
        fusedActivationFunction=_TANH,
        cellClip=8.0,
        timeMajor=True,
    )
    node.intermediates = [*gates, hidden]
    return g


def _rnn_cell(g: Graph, arithmetic: str) -> list[int]:
    """Weights, bias and state."""
    weights = [_weights(g, (_UNITS, _INPUT), arithmetic), _weights(g, (_UNITS, _UNITS), arithmetic)]
    return [*weights, g.const([0.1, -0.2, 0.3]), *_states(g, 1)]


def rnn() -> OpModels:
    """Plain recurrence: one step, a sequence, both directions."""
    for arithmetic in _ARITHMETICS:
        for op, table, shape in (
            ("RNN", "RNN", [_BATCH, _INPUT]),
            ("UNIDIRECTIONAL_SEQUENCE_RNN", "SequenceRNN", [_BATCH, _STEPS, _INPUT]),
        ):
            g = Graph()
            x = g.input(shape)
            cell = _rnn_cell(g, arithmetic)
            g.op(op, [x, *cell], [g.output()], table, fusedActivationFunction=_RELU)
            yield op, arithmetic, g
        g = Graph()
        x = g.input([_BATCH, _STEPS, _INPUT])
        forward, backward = _rnn_cell(g, arithmetic), _rnn_cell(g, arithmetic)
        auxiliary = [_ABSENT] * 3
        g.op(
            "BIDIRECTIONAL_SEQUENCE_RNN",
            [x, *forward, *backward, *auxiliary],
            [g.output(), g.output()],
            "BidirectionalSequenceRNN",
            fusedActivationFunction=_RELU,
        )
        yield "BIDIRECTIONAL_SEQUENCE_RNN", arithmetic, g


_MEMORY, _RANK, _SVDF_UNITS = 6, 2, 4
_FILTERS = _SVDF_UNITS * _RANK


def svdf() -> OpModels:
    """Singular value decomposition filters."""
    for arithmetic in _ARITHMETICS:
        g = Graph()
        x = g.input([_BATCH, _INPUT])
        feature = _weights(g, (_FILTERS, _INPUT), arithmetic)
        time = _weights(g, (_FILTERS, _MEMORY), arithmetic)
        state = g.tensor([_BATCH, _MEMORY * _FILTERS], "float32", variable=True)
        bias = g.const([0.1] * _SVDF_UNITS)
        g.op("SVDF", [x, feature, time, bias, state], [g.output()], "SVDF", rank=_RANK)
        yield "SVDF", arithmetic, g
    yield "SVDF", "int8*", _integer_svdf()


def _integer_svdf() -> Graph:
    """8-bit activations, 16-bit state and time weights."""
    g = Graph()
    x = g.input([_BATCH, _INPUT], "int8", quant=(0.02, 0))
    feature = g.const(_RNG.integers(-127, 128, (_FILTERS, _INPUT)), "int8", quant=(0.01, 0))
    time = g.const(_RNG.integers(-3000, 3000, (_FILTERS, _MEMORY)), "int16", quant=(0.0001, 0))
    bias = g.const([5] * _SVDF_UNITS, "int32", quant=(0.00005, 0))
    state = g.tensor([_BATCH, _MEMORY * _FILTERS], "int16", quant=(0.001, 0), variable=True)
    output = g.output("int8", quant=(0.05, 2))
    options = {"rank": _RANK, "fusedActivationFunction": _RELU}
    g.op("SVDF", [x, feature, time, bias, state], [output], "SVDF", **options)
    return g


FAMILY = (lstm, rnn, svdf)
