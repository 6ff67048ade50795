"""Writes ``.tflite`` files, node by node, with the classes that flatc generates from the schema."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litesmith.model.analysis import CUSTOM_CODE, dtype_numbers
from litesmith.model.tensors import Array, to_bytes
from litesmith.runtime import op_registry
from litesmith.study.op_models.tensor_types import Blockwise, Quant, TensorType


@dataclass(frozen=True)
class Case:
    """A model for one op and one combination of dtypes, and inputs that are valid for it."""

    op: str
    name: str
    content: bytes
    samples: Mapping[str, Sequence[Array]]

    def write(self, folder: Path) -> Path:
        """Writes the model, and its inputs to ``<name>.inputs.npz`` beside it; returns the model's path."""
        path = folder / f"{self.name}.tflite"
        path.write_bytes(self.content)
        if self.samples:
            stored: dict[str, Any] = {
                f"{name}_{i}": value.astype("S") if value.dtype.kind == "O" else value
                for name, values in self.samples.items()
                for i, value in enumerate(values)
            }
            np.savez(path.with_suffix(".inputs.npz"), **stored)
        return path


@dataclass
class Graph:
    """A model under construction.  Tensors are indices into the current subgraph."""

    model: Any = field(default_factory=schema.ModelT)
    samples: dict[str, Sequence[Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.version = 3
        self.model.description = b"made by litesmith"
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.model.subgraphs = []
        self.subgraph("main")

    def subgraph(self, name: str) -> int:
        """Begins another subgraph and returns its index."""
        made = schema.SubGraphT()
        made.name = name.encode()
        made.tensors, made.operators, made.inputs, made.outputs = [], [], [], []
        self.model.subgraphs.append(made)
        self.current = made
        return len(self.model.subgraphs) - 1

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str | TensorType,
        *,
        quant: Quant | None = None,
        data: Array | bytes | None = None,
        variable: bool = False,
        signature: Sequence[int] | None = None,
    ) -> int:
        """Adds a tensor and returns its index.

        ``quant`` goes with a dtype; a :class:`TensorType` has its own.  ``signature`` is the shape with -1
        for unknown dimensions.
        """
        kind = TensorType(dtype, quant) if isinstance(dtype, str) else dtype
        made = schema.TensorT()
        made.shape = list(shape)
        made.type = dtype_numbers()[kind.dtype]
        made.name = f"t{len(self.current.tensors)}".encode()
        made.isVariable = variable
        if signature is not None:
            made.shapeSignature = list(signature)
        if kind.quant is not None:
            made.quantization = _quantization(kind.quant)
        made.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
            buffer.data = np.frombuffer(raw, np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        self.current.tensors.append(made)
        return len(self.current.tensors) - 1

    def input(self, shape: Sequence[int], dtype: str | TensorType = "float32", **more: Any) -> int:
        """Adds an input of the subgraph."""
        index = self.tensor(shape, dtype, **more)
        self.current.inputs.append(index)
        return index

    def output(self, dtype: str | TensorType = "float32", shape: Sequence[int] = (), **more: Any) -> int:
        """Adds an output of the subgraph, by default without a shape: kernels set it."""
        index = self.tensor(shape, dtype, **more)
        self.current.outputs.append(index)
        return index

    def const(self, value: Any, dtype: str | TensorType = "float32", quant: Quant | None = None) -> int:
        """Adds a constant."""
        array = np.asarray(value, dtype.dtype if isinstance(dtype, TensorType) else dtype)
        return self.tensor(array.shape, dtype, quant=quant, data=array)

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        kind: str | None = None,
        /,
        **options: Any,
    ) -> Any:
        """Adds a node and returns it.

        ``kind`` is the table of its options in the schema, without the ending ``Options`` (``Conv2D``),
        ``options`` the fields of that table.
        """
        node = self._node(_builtin_code(name), inputs, outputs)
        if kind is not None:
            made = getattr(schema, f"{kind}OptionsT")()
            for key, value in options.items():
                if not hasattr(made, key):
                    raise AttributeError(f"{kind}Options has no {key}")
                setattr(made, key, value)
            if hasattr(schema.BuiltinOptions, f"{kind}Options"):
                node.builtinOptions = made
                node.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
            else:
                node.builtinOptions2 = made
                node.builtinOptions2Type = getattr(schema.BuiltinOptions2, f"{kind}Options")
        return node

    def custom_op(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: bytes = b""
    ) -> None:
        """Adds a node of a custom op, with its options as bytes."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = CUSTOM_CODE
        code.customCode = name.encode()
        code.version = 1
        node = self._node(code, inputs, outputs)
        node.customOptions = list(options)

    def _node(self, code: Any, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        node = schema.OperatorT()
        node.opcodeIndex = self._code_index(code)
        node.inputs, node.outputs = list(inputs), list(outputs)
        self.current.operators.append(node)
        return node

    def _code_index(self, code: Any) -> int:
        for index, known in enumerate(self.model.operatorCodes):
            if (known.builtinCode, known.customCode) == (code.builtinCode, code.customCode):
                return index
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def signature(
        self, key: str, subgraph: int, inputs: Mapping[str, int], outputs: Mapping[str, int]
    ) -> None:
        """Adds a signature: a subgraph with names for its inputs and outputs."""
        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = key.encode(), subgraph
        made.inputs, made.outputs = _named(inputs), _named(outputs)
        self.model.signatureDefs = [*(self.model.signatureDefs or []), made]

    def sample(self, name: str, *values: Any) -> None:
        """Adds inputs that the model is to be run with, under a name."""
        self.samples[name] = [np.asarray(value) for value in values]

    def content(self) -> bytes:
        """The content of the ``.tflite`` file."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


OpModels = Iterator[tuple[str, str, Graph]]
"""Ops, labels of what sets their models apart (mostly dtypes), and the models."""


@functools.cache
def _builtins() -> Mapping[str, op_registry.Op]:
    return {op.name: op for op in op_registry.load().builtins.values()}


def _builtin_code(name: str) -> Any:
    op = _builtins()[name]
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = op.code, op.versions[1]
    # Old readers know this field only; its values end at 127.
    code.deprecatedBuiltinCode = min(op.code, 127)
    return code


def _quantization(quant: Quant) -> Any:
    made = schema.QuantizationParametersT()
    if isinstance(quant, Blockwise):
        made.detailsType = schema.QuantizationDetails.BlockwiseQuantization
        made.details = schema.BlockwiseQuantizationT()
        made.details.scales, made.details.blockSize = quant.scales, quant.size
        made.details.zeroPoints = -1
    elif len(quant) == 3:
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


def packed(values: Array, bits: int) -> bytes:
    """The data of a constant tensor of 2 or 4 bits; the first element is in the lowest bits of a byte."""
    flat = np.asarray(values).ravel().astype(np.uint8) & ((1 << bits) - 1)
    parts = np.pad(flat, (0, -len(flat) % (8 // bits))).reshape(-1, 8 // bits)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return bytes(np.bitwise_or.reduce(parts << shifts, axis=1).astype(np.uint8))


def strings(values: Sequence[bytes]) -> bytes:
    """The data of a constant string tensor."""
    return to_bytes(np.array(values, object))
