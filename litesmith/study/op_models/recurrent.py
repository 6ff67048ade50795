"""Recurrent cells: states are variable tensors, weights constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from litesmith.study.op_models.writer import Graph, OpModels

_RNG = np.random.default_rng(11)
_TANH = 4
INPUT, UNITS, BATCH, STEPS = 4, 3, 2, 5


def _weights(g: Graph, shape: tuple[int, ...], word: str) -> int:
    if word == "float32":
        return g.const(_RNG.uniform(-0.6, 0.6, shape))
    if word == "hybrid uint8":
        return g.const(_RNG.integers(0, 256, shape), "uint8", quant=(0.005, 128))
    return g.const(_RNG.integers(-127, 128, shape), "int8", quant=(0.005, 0))


def _cell_inputs(g: Graph, word: str, cifg: bool = False, peephole: bool = False) -> list[int]:
    """Weights and biases of an LSTM: the inputs 1 to 17 of the ops."""
    absent = [-1]
    to_gate = [_weights(g, (UNITS, INPUT), word) for _ in range(4)]
    recurrent = [_weights(g, (UNITS, UNITS), word) for _ in range(4)]
    peepholes = [_weights(g, (UNITS,), word) for _ in range(3)] if peephole else absent * 3
    biases = [g.const(_RNG.uniform(-0.2, 0.2, UNITS)) for _ in range(4)]
    if cifg:
        to_gate[0] = recurrent[0] = biases[0] = -1
        peepholes[0] = -1
    return [*to_gate, *recurrent, *peepholes, *biases, -1, -1]


def _states(g: Graph, count: int) -> list[int]:
    return [g.tensor([BATCH, UNITS], "float32", variable=True) for _ in range(count)]


def lstm() -> OpModels:
    """Long short-term memory: one step, a sequence, both directions."""
    for word in ("float32", "hybrid", "hybrid uint8"):
        for label, more in (("", {}), (" cifg", {"cifg": True}), (" peephole", {"peephole": True})):
            if label and word != "float32":
                continue
            options: dict[str, Any] = {"fusedActivationFunction": _TANH, "cellClip": 10.0}
            g = Graph()
            x = g.input([BATCH, INPUT])
            cell = _cell_inputs(g, word, **more)
            g.op("LSTM", [x, *cell, *_states(g, 2), -1, -1, -1, -1], [g.output()], "LSTM", **options)
            yield "LSTM", word + label, g
            g = Graph()
            x = g.input([STEPS, BATCH, INPUT])
            cell = _cell_inputs(g, word, **more)
            inputs = [x, *cell, *_states(g, 2), -1, -1, -1, -1]
            kind = "UnidirectionalSequenceLSTM"
            g.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [g.output()], kind, timeMajor=True, **options)
            yield "UNIDIRECTIONAL_SEQUENCE_LSTM", word + label, g
        g = Graph()
        x = g.input([STEPS, BATCH, INPUT])
        inputs = [x, *_cell_inputs(g, word), *_cell_inputs(g, word), *_states(g, 4), *[-1] * 9]
        kind = "BidirectionalSequenceLSTM"
        outputs = [g.output(), g.output()]
        g.op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, kind, timeMajor=True, **options)
        yield "BIDIRECTIONAL_SEQUENCE_LSTM", word, g
    yield "UNIDIRECTIONAL_SEQUENCE_LSTM", "int8*", _integer_lstm()


def _integer_lstm() -> Graph:
    """8-bit weights and activations, 16-bit cell state."""
    g = Graph()
    x = g.input([STEPS, BATCH, INPUT], "int8", quant=(0.02, 1))
    weights = [g.const(_RNG.integers(-127, 128, (UNITS, INPUT)), "int8", quant=(0.005, 0)) for _ in range(4)]
    recurrent = [
        g.const(_RNG.integers(-127, 128, (UNITS, UNITS)), "int8", quant=(0.005, 0)) for _ in range(4)
    ]
    biases = [g.const(_RNG.integers(-90, 90, UNITS), "int32", quant=(0.0001, 0)) for _ in range(4)]
    output_state = g.tensor([BATCH, UNITS], "int8", quant=(1 / 128, 0), variable=True)
    cell_state = g.tensor([BATCH, UNITS], "int16", quant=(2.0**-11, 0), variable=True)
    middle = [g.tensor([], "int16", quant=(2.0**-12, 0)) for _ in range(4)]
    middle.append(g.tensor([], "int8", quant=(1 / 128, 0)))
    inputs = [x, *weights, *recurrent, -1, -1, -1, *biases, -1, -1, output_state, cell_state, -1, -1, -1, -1]
    node = g.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        inputs,
        [g.output("int8", quant=(1 / 128, 0))],
        "UnidirectionalSequenceLSTM",
        fusedActivationFunction=_TANH,
        cellClip=8.0,
        timeMajor=True,
    )
    node.intermediates = middle
    return g


def rnn() -> OpModels:
    """Plain recurrence."""
    for word in ("float32", "hybrid", "hybrid uint8"):
        for op, kind, shape in (
            ("RNN", "RNN", [BATCH, INPUT]),
            ("UNIDIRECTIONAL_SEQUENCE_RNN", "SequenceRNN", [BATCH, STEPS, INPUT]),
        ):
            g = Graph()
            x = g.input(shape)
            cell = [
                _weights(g, (UNITS, INPUT), word),
                _weights(g, (UNITS, UNITS), word),
                g.const([0.1, -0.2, 0.3]),
            ]
            g.op(op, [x, *cell, *_states(g, 1)], [g.output()], kind, fusedActivationFunction=1)
            yield op, word, g
        g = Graph()
        x = g.input([BATCH, STEPS, INPUT])
        inputs = [x]
        for _ in range(2):
            inputs += [_weights(g, (UNITS, INPUT), word), _weights(g, (UNITS, UNITS), word)]
            inputs += [g.const([0.1, -0.2, 0.3]), *_states(g, 1)]
        g.op(
            "BIDIRECTIONAL_SEQUENCE_RNN",
            [*inputs, -1, -1, -1],
            [g.output(), g.output()],
            "BidirectionalSequenceRNN",
            fusedActivationFunction=1,
        )
        yield "BIDIRECTIONAL_SEQUENCE_RNN", word, g


def svdf() -> OpModels:
    """Singular value decomposition filters."""
    memory, rank, units = 6, 2, 4
    filters = units * rank
    for word in ("float32", "hybrid", "hybrid uint8"):
        g = Graph()
        x = g.input([BATCH, INPUT])
        feature, time = _weights(g, (filters, INPUT), word), _weights(g, (filters, memory), word)
        state = g.tensor([BATCH, memory * filters], "float32", variable=True)
        g.op("SVDF", [x, feature, time, g.const([0.1] * units), state], [g.output()], "SVDF", rank=rank)
        yield "SVDF", word, g
    g = Graph()
    x = g.input([BATCH, INPUT], "int8", quant=(0.02, 0))
    feature = g.const(_RNG.integers(-127, 128, (filters, INPUT)), "int8", quant=(0.01, 0))
    time = g.const(_RNG.integers(-3000, 3000, (filters, memory)), "int16", quant=(0.0001, 0))
    bias = g.const([5] * units, "int32", quant=(0.00005, 0))
    state = g.tensor([BATCH, memory * filters], "int16", quant=(0.001, 0), variable=True)
    g.op(
        "SVDF",
        [x, feature, time, bias, state],
        [g.output("int8", quant=(0.05, 2))],
        "SVDF",
        rank=rank,
        fusedActivationFunction=1,
    )
    yield "SVDF", "int8*", g


FAMILY = (lstm, rnn, svdf)
