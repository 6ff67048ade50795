"""Single damages of examples/det.tflite and of a model with control flow, and what must be said of them.

Each is one of a kind that ended in a fault, or in an answer, before it was checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tests.conftest import EXAMPLES
from tests.hostile.mutator import packed
from tests.hostile.seeds import control_flow

_IMAGE = 0
_DEQUANTIZE, _DETECTION, _SLICE = 19, 23, 18


@dataclass(frozen=True, kw_only=True)
class Case:
    """A damage: the seed that it is done to, and a part of the error."""

    name: str
    seed: str
    change: Callable[[Any], None]
    expected: str

    def content(self) -> bytes:
        """The damaged model."""
        original = (
            control_flow().content() if self.seed == "control" else (EXAMPLES / "det.tflite").read_bytes()
        )
        model = schema.ModelT.InitFromPackedBuf(original, 0)
        self.change(model)
        return packed(model)


def _set(path: str, value: Any) -> Callable[[Any], None]:
    """Sets a field: ``subgraphs 0 operators 1 inputs``."""

    def change(model: Any) -> None:
        *steps, last = path.split()
        at = model
        for step in steps:
            at = at[int(step)] if step.isdecimal() else getattr(at, step)
        setattr(at, last, value)

    return change


def _buffer_that_wraps(model: Any) -> None:
    buffer = model.buffers[model.subgraphs[0].tensors[6].buffer]
    buffer.data, buffer.offset, buffer.size = None, (1 << 64) - 4, 8


def _large_options(model: Any) -> None:
    node = model.subgraphs[0].operators[_DETECTION]
    node.customOptions = None
    node.largeCustomOptionsOffset, node.largeCustomOptionsSize = (1 << 64) - 4, 8


def _written_twice(model: Any) -> None:
    nodes = model.subgraphs[0].operators
    nodes[1].outputs = nodes[0].outputs


def _writes_to_its_filter(model: Any) -> None:
    node = model.subgraphs[0].operators[0]
    node.outputs = [node.inputs[1]]


def _two_swapped(model: Any) -> None:
    nodes = model.subgraphs[0].operators
    nodes[0], nodes[1] = nodes[1], nodes[0]


def _no_options(model: Any) -> None:
    node = model.subgraphs[0].operators[0]
    node.builtinOptions, node.builtinOptionsType = None, 0


def _loop_without_options(model: Any) -> None:
    node = model.subgraphs[0].operators[0]
    node.builtinOptions, node.builtinOptionsType = None, 0


def _quantisation(field: str, value: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = next(
            t for t in model.subgraphs[0].tensors if t.quantization and t.quantization.scale is not None
        )
        setattr(tensor.quantization, field, value)

    return change


def _nested(model: Any) -> None:
    """Sixty subgraphs, each of which calls the next one."""
    options = schema.CallOnceOptionsT
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = schema.BuiltinOperator.CALL_ONCE, 127, 1
    model.operatorCodes.append(code)
    last = len(model.subgraphs) + 60
    for number in range(len(model.subgraphs), last):
        made = schema.SubGraphT()
        made.tensors, made.inputs, made.outputs, made.operators = [], [], [], []
        if number + 1 < last:
            node = schema.OperatorT()
            node.opcodeIndex = len(model.operatorCodes) - 1
            node.builtinOptionsType, node.builtinOptions = schema.BuiltinOptions.CallOnceOptions, options()
            node.builtinOptions.initSubgraphIndex = number + 1
            made.operators.append(node)
        model.subgraphs.append(made)


def _det(name: str, change: Callable[[Any], None], expected: str) -> Case:
    return Case(name=name, seed="det", change=change, expected=expected)


def _control(name: str, change: Callable[[Any], None], expected: str) -> Case:
    return Case(name=name, seed="control", change=change, expected=expected)


CASES = (
    _det("no operators", _set("subgraphs 0 operators", []), "has the output 60, to which no node writes"),
    _det(
        "writes to a constant",
        _writes_to_its_filter,
        "which is constant",
    ),
    _det(
        "writes to the input",
        _set("subgraphs 0 operators 0 outputs", [_IMAGE]),
        "writes to tensor 0, which is an input",
    ),
    _det("written twice", _written_twice, "node 1 of subgraph 0, DEPTHWISE_CONV_2D, writes to tensor"),
    _det("two nodes swapped", _two_swapped, "before a node writes to it"),
    _det(
        "no required input",
        _set(f"subgraphs 0 operators {_DEQUANTIZE} inputs", [-1]),
        f"node {_DEQUANTIZE} of subgraph 0, DEQUANTIZE, has no input 0",
    ),
    _det("no output", _set("subgraphs 0 operators 0 outputs", [-1]), "CONV_2D, has no tensor for an output"),
    _det(
        "stride 0",
        _set("subgraphs 0 operators 1 builtinOptions strideH", 0),
        "has no stride, dilation or window",
    ),
    _det("dilation 0", _set("subgraphs 0 operators 0 builtinOptions dilationWFactor", 0), "has no stride"),
    _det("no options", _no_options, "node 0 of subgraph 0, CONV_2D, has no options"),
    _det(
        "damaged FlexBuffers",
        _set(f"subgraphs 0 operators {_DETECTION} customOptions", list(b"\xff" * 40)),
        "has damaged options",
    ),
    _det("options outside of the file", _large_options, "of the file"),
    _det("a buffer that wraps", _buffer_that_wraps, "of the file"),
    _det("a signature of no subgraph", _set("signatureDefs 0 subgraphIndex", 7), "subgraph 7"),
    _det(
        "a signature of no tensor",
        _set("signatureDefs 0 outputs 0 tensorIndex", 9999),
        "tensor 9999, which does not exist",
    ),
    _det("a scale that is no number", _quantisation("scale", [float("nan")]), "has the scale nan"),
    _det("a negative scale", _quantisation("scale", [-0.5]), "has the scale -0.5"),
    _det(
        "a zero point out of range", _quantisation("zeroPoint", [1 << 40]), "has the zero point 1099511627776"
    ),
    _det(
        "too many elements",
        _set("subgraphs 0 tensors 0 shape", [65536, 65536, 2]),
        "more than 2147483647 elements",
    ),
    _control(
        "a loop that calls itself",
        _set("subgraphs 0 operators 0 builtinOptions bodySubgraphIndex", 0),
        "subgraph 0 calls itself",
    ),
    _control(
        "a branch that calls the loop",
        _set("subgraphs 2 operators 2 builtinOptions thenSubgraphIndex", 2),
        "subgraph 2 calls itself",
    ),
    _control(
        "a branch that is not there",
        _set("subgraphs 2 operators 2 builtinOptions elseSubgraphIndex", 99),
        "subgraph 2 calls subgraph 99, which does not exist",
    ),
    _control("a loop without options", _loop_without_options, "node 0 of subgraph 0, WHILE, has no options"),
    _control("calls that are too deep", _nested, "is called through more than 32 others"),
)
