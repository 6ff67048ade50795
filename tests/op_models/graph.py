"""Writes ``.tflite`` files node by node, with the schema's own classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from litesmith import ops
from litesmith.analysis import DTYPES

Array = NDArray[Any]

_NUMBERS = {name: number for number, name in DTYPES.items()}
_REGISTRY = ops.load()
_CODES = {op.name: op for op in _REGISTRY.builtins.values()}

Quant = tuple[float, int] | tuple[Sequence[float], Sequence[int], int]
"""Scale and zero point; or one of each for every channel, and the channels' dimension."""


@dataclass(frozen=True)
class Case:
    """A model for one op and one combination of dtypes, with inputs that make sense to it."""

    op: str
    name: str
    content: bytes
    samples: Mapping[str, Sequence[Array]]

    def write(self, folder: Path) -> Path:
        """Writes the model, and its inputs beside it."""
        path = folder / f"{self.name}.tflite"
        path.write_bytes(self.content)
        if self.samples:
            stored: dict[str, Any] = {
                f"{name}_{i}": value
                for name, values in self.samples.items()
                for i, value in enumerate(values)
            }
            np.savez(path.with_suffix(".inputs.npz"), **stored)
        return path


@dataclass
class Graph:
    """A model in the making.  Tensors are indices into the current subgraph."""

    model: Any = field(default_factory=schema.ModelT)
    samples: dict[str, Sequence[Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.version = 3
        self.model.description = b"made by the tests of litesmith"
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.model.subgraphs = []
        self.subgraph("main")

    def subgraph(self, name: str) -> int:
        """Begins another subgraph; its index."""
        made = schema.SubGraphT()
        made.name = name.encode()
        made.tensors, made.operators, made.inputs, made.outputs = [], [], [], []
        self.model.subgraphs.append(made)
        self.current = made
        return len(self.model.subgraphs) - 1

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        *,
        quant: Quant | None = None,
        data: Array | bytes | None = None,
        variable: bool = False,
        signature: Sequence[int] | None = None,
    ) -> int:
        """A tensor; ``signature`` is its shape with -1 for unknown dimensions."""
        made = schema.TensorT()
        made.shape = list(shape)
        made.type = _NUMBERS[dtype]
        made.name = f"t{len(self.current.tensors)}".encode()
        made.isVariable = variable
        if signature is not None:
            made.shapeSignature = list(signature)
        if quant is not None:
            made.quantization = _quantization(quant)
        made.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
            buffer.data = np.frombuffer(raw, np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        self.current.tensors.append(made)
        return len(self.current.tensors) - 1

    def input(self, shape: Sequence[int], dtype: str = "float32", **more: Any) -> int:
        """An input of the subgraph."""
        index = self.tensor(shape, dtype, **more)
        self.current.inputs.append(index)
        return index

    def output(self, dtype: str = "float32", shape: Sequence[int] = (), **more: Any) -> int:
        """An output of the subgraph; kernels give it its shape."""
        index = self.tensor(shape, dtype, **more)
        self.current.outputs.append(index)
        return index

    def const(self, value: Any, dtype: str = "float32", quant: Quant | None = None) -> int:
        """A constant."""
        array = np.asarray(value, dtype)
        return self.tensor(array.shape, dtype, quant=quant, data=array)

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        kind: str | None = None,
        *,
        custom: bytes | None = None,
        intermediates: Sequence[int] = (),
        **options: Any,
    ) -> None:
        """A node.  ``kind`` is the table of its options (``Conv2D``), ``custom`` makes it a custom op."""
        node = schema.OperatorT()
        node.opcodeIndex = self._code(name, custom is not None)
        node.inputs, node.outputs = list(inputs), list(outputs)
        if intermediates:
            node.intermediates = list(intermediates)
        if kind is not None:
            made = getattr(schema, f"{kind}OptionsT")()
            for key, value in options.items():
                assert hasattr(made, key), f"{kind}Options has no {key}"
                setattr(made, key, value)
            node.builtinOptions = made
            node.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
        if custom is not None:
            node.customOptions = list(custom)
        self.current.operators.append(node)

    def _code(self, name: str, custom: bool) -> int:
        code = schema.OperatorCodeT()
        if custom:
            code.builtinCode = code.deprecatedBuiltinCode = 32
            code.customCode = name.encode()
            code.version = 1
        else:
            op = _CODES[name]
            code.builtinCode, code.version = op.code, op.versions[1]
            code.deprecatedBuiltinCode = min(op.code, 127)
        for index, known in enumerate(self.model.operatorCodes):
            if (known.builtinCode, known.customCode) == (code.builtinCode, code.customCode):
                return index
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def signature(
        self, key: str, subgraph: int, inputs: Mapping[str, int], outputs: Mapping[str, int]
    ) -> None:
        """A named entry point."""
        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = key.encode(), subgraph
        made.inputs, made.outputs = _named(inputs), _named(outputs)
        self.model.signatureDefs = [*(self.model.signatureDefs or []), made]

    def sample(self, name: str, *values: Any) -> None:
        """Inputs to try, as arrays."""
        self.samples[name] = [np.asarray(value) for value in values]

    def content(self) -> bytes:
        """The file."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _quantization(quant: Quant) -> Any:
    made = schema.QuantizationParametersT()
    if len(quant) == 3:
        made.scale, made.zeroPoint, made.quantizedDimension = list(quant[0]), list(quant[1]), quant[2]
    else:
        made.scale, made.zeroPoint = [quant[0]], [quant[1]]
    return made


def _named(tensors: Mapping[str, int]) -> list[Any]:
    maps = []
    for name, index in tensors.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), index
        maps.append(entry)
    return maps


def strings(values: Sequence[bytes]) -> bytes:
    """TensorFlow Lite's form of a string tensor: count, offsets, bytes."""
    head = 4 * (len(values) + 2)
    offsets = np.cumsum([head, *map(len, values)]).astype(np.int32)
    return np.int32(len(values)).tobytes() + offsets.tobytes() + b"".join(values)
