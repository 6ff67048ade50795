"""What a ``.tflite`` file contains: ``.tflite`` → :class:`ModelAnalysis`.

Field numbers are those of ``tensorflow/lite/schema/schema.fbs``, version 3.  TensorFlow is
not imported, weights are not read: a 10 MB model takes a few milliseconds.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from litesmith.base.errors import ModelError
from litesmith.model import flatbuffer
from litesmith.model.flatbuffer import DamagedError, Table

DTYPES: Mapping[int, str] = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float64",
    11: "complex128",
    12: "uint64",
    13: "resource",
    14: "variant",
    15: "uint32",
    16: "uint16",
    17: "int4",
}
"""``TensorType`` of the schema by its number, as the pinned runtime knows them."""

CUSTOM_CODE = 32
"""``BuiltinOperator_CUSTOM``: the operator is found by its name, not by its code."""

_SUPPORTED_SCHEMA = 3
_LARGEST = 2 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of a subgraph.

    ``shape`` uses -1 for a dimension that is known only at run time; ``allocated_shape`` is
    what the runtime allocates unless it is told otherwise.  ``weight_bytes`` is the size of
    its constant data in the file, 0 for an activation; ``buffer`` is where that lies, which
    several tensors may share.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    allocated_shape: tuple[int, ...]
    weight_bytes: int
    buffer: int
    variable: bool
    sparse: bool
    quantized: bool


@dataclass(frozen=True, kw_only=True)
class OperatorCode:
    """An entry of the operator-code table.  ``name`` is the custom op's own for code 32."""

    code: int
    name: str | None
    version: int

    @property
    def custom(self) -> bool:
        """Whether the op is found by its name."""
        return self.code == CUSTOM_CODE


@dataclass(frozen=True, kw_only=True, order=True)
class DepthwiseRow:
    """What decides which of its row kernels a DEPTHWISE_CONV_2D runs; -1 where the shape is unknown.

    ``multiplier`` is output channels for each input channel.
    """

    stride_width: int
    input_depth: int
    multiplier: int

    @property
    def known(self) -> bool:
        """Whether the model's shapes say all of it."""
        return self.input_depth > 0 and self.multiplier > 0


UNKNOWN_ROW = DepthwiseRow(stride_width=-1, input_depth=-1, multiplier=-1)
"""Of a depthwise convolution whose shapes nobody knows: it may run any of its kernels."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """An operator in a subgraph; -1 among ``inputs`` is an optional tensor left out.

    ``random`` says that it draws other numbers in each run: a random op without a seed.
    ``depthwise`` is there for DEPTHWISE_CONV_2D.
    """

    opcode_index: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    custom_options: bytes
    random: bool
    depthwise: DepthwiseRow | None = None


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """A subgraph: the main one comes first, bodies of control flow follow."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A named entry point: argument names to tensor indices of one subgraph."""

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class OpUse:
    """What a model asks of one op.

    ``count`` is 0 for an op that stands in the operator-code table and in no node: the
    runtime resolves it all the same.  ``code`` is 32 for custom ops.  ``name`` is None for
    a builtin until the registry has named it.
    """

    code: int
    name: str | None
    versions: tuple[int, int]
    count: int
    dtypes: tuple[str, ...]
    options: tuple[Any, ...] = field(default=())
    depthwise: frozenset[DepthwiseRow] = frozenset()

    @property
    def custom(self) -> bool:
        """Whether the op is found by its name."""
        return self.code == CUSTOM_CODE


@dataclass(frozen=True, kw_only=True)
class ModelAnalysis:
    """Everything that later stages ask about a model."""

    path: str
    name: str
    sha256: str
    size: int
    description: str
    operator_codes: tuple[OperatorCode, ...]
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    metadata: tuple[str, ...]
    weight_bytes: Mapping[str, int]

    def ops(self) -> tuple[OpUse, ...]:
        """The ops of the operator-code table, with what the nodes of all subgraphs add."""
        dtypes: dict[tuple[int, str | None], set[str]] = {}
        versions: dict[tuple[int, str | None], set[int]] = {}
        counts: Counter[tuple[int, str | None]] = Counter()
        options: dict[tuple[int, str | None], list[Any]] = {}
        rows: dict[tuple[int, str | None], set[DepthwiseRow]] = {}
        for entry in self.operator_codes:
            key = (entry.code, entry.name)
            dtypes.setdefault(key, set())
            options.setdefault(key, [])
            versions.setdefault(key, set()).add(entry.version)
        for subgraph in self.subgraphs:
            for node in subgraph.nodes:
                entry = self.operator_codes[node.opcode_index]
                key = (entry.code, entry.name)
                counts[key] += 1
                for index in (*node.inputs, *node.outputs, *node.intermediates):
                    if index >= 0:
                        dtypes[key].add(subgraph.tensors[index].dtype)
                if node.depthwise is not None:
                    rows.setdefault(key, set()).add(node.depthwise)
                if node.custom_options:
                    options[key].append(decode_options(node.custom_options))
        return tuple(
            OpUse(
                code=code,
                name=name,
                versions=(min(versions[code, name]), max(versions[code, name])),
                count=counts[code, name],
                dtypes=tuple(sorted(dtypes[code, name])),
                options=tuple(options[code, name]),
                depthwise=frozenset(rows.get((code, name), ())),
            )
            for code, name in sorted(dtypes, key=lambda key: (key[0], key[1] or ""))
        )


def read_model_file(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        ModelError: no such file, a folder, empty, or another format, which is named.
    """
    if path.is_dir():
        if (path / "saved_model.pb").exists() or (path / "saved_model.pbtxt").exists():
            raise ModelError(
                f"{path} is a SavedModel, not a .tflite file",
                "convert it first: tf.lite.TFLiteConverter.from_saved_model(…).convert()",
            )
        raise ModelError(f"{path} is a folder, not a .tflite file", "name the file itself")
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelError(f"{path} is larger than 2 GiB", "no runtime of this kind maps such a file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"there is no model file {path}", "check the path given with --model") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", "check its permissions") from None
    if not data:
        raise ModelError(f"{path} is empty", "convert or copy the model again")
    if data[4:8] != b"TFL3":
        raise _not_tflite(path, data)
    return data


def _not_tflite(path: Path, data: bytes) -> ModelError:
    convert = "convert it with tf.lite.TFLiteConverter first"
    suffix = path.suffix.lower()
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return ModelError(f"{path} is a Keras HDF5 file, not a .tflite file", convert)
    if data[:4] == b"PK\x03\x04":
        kind = "Keras" if suffix == ".keras" else "PyTorch or Keras" if suffix in {".pt", ".pth"} else "zip"
        return ModelError(f"{path} is a {kind} archive, not a .tflite file", convert)
    if suffix == ".onnx" or (data[:1] == b"\x08" and b"onnx" in data[:256].lower()):
        return ModelError(
            f"{path} is an ONNX model, not a .tflite file",
            "convert it to a SavedModel (onnx2tf) and that with tf.lite.TFLiteConverter",
        )
    if suffix in {".pb", ".pbtxt"}:
        return ModelError(f"{path} is a TensorFlow graph, not a .tflite file", convert)
    if data[4:8] in {b"TFL1", b"TFL2"}:
        return ModelError(
            f"{path} has the outdated schema {data[4:8].decode()}", "convert it again with TensorFlow 2"
        )
    return ModelError(
        f"{path} is not a .tflite file: bytes 4 to 7 are {data[4:8]!r}, not b'TFL3'",
        "check that it was converted and copied whole",
    )


def analyse(path: Path, shown_as: str | None = None) -> ModelAnalysis:
    """Reads a model.  ``shown_as`` replaces the path in results (``zoo:…``).

    Raises:
        ModelError: the file cannot be read, is of another format, or is damaged.
    """
    data = read_model_file(path)
    try:
        return _analyse(data, path, shown_as or str(path))
    except DamagedError as error:
        raise ModelError(f"{path} is damaged: {error}", "convert or copy the model again") from None


def analyse_bytes(data: bytes, name: str) -> ModelAnalysis:
    """Reads a model that is no file; ``name`` stands for its path.

    Raises:
        ModelError: it is damaged.
    """
    try:
        return _analyse(data, Path(name), name)
    except DamagedError as error:
        raise ModelError(f"{name} is damaged: {error}", "make the model again") from None


def _analyse(data: bytes, path: Path, shown_as: str) -> ModelAnalysis:
    model = flatbuffer.root(data)
    version = model.scalar(0, "I")
    if version != _SUPPORTED_SCHEMA:
        raise ModelError(
            f"{path} has schema version {version}, this runtime reads version {_SUPPORTED_SCHEMA}",
            "convert it again with TensorFlow 2",
        )
    codes = tuple(_operator_code(entry) for entry in model.tables(1))
    buffers = tuple(_buffer_size(entry, len(data)) for entry in model.tables(4))
    subgraphs = tuple(
        _subgraph(entry, number, buffers, codes) for number, entry in enumerate(model.tables(2))
    )
    if not subgraphs:
        raise DamagedError("it has no subgraph")
    weights: Counter[str] = Counter()
    for subgraph in subgraphs:
        for tensor in subgraph.tensors:
            if tensor.weight_bytes:
                weights[tensor.dtype] += tensor.weight_bytes
    return ModelAnalysis(
        path=shown_as,
        name=path.stem,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        description=model.text(3),
        operator_codes=codes,
        subgraphs=subgraphs,
        signatures=tuple(_signature(entry, subgraphs) for entry in model.tables(7)),
        metadata=tuple(entry.text(0) for entry in model.tables(6)),
        weight_bytes=dict(sorted(weights.items())),
    )


def _operator_code(entry: Table) -> OperatorCode:
    # Codes over 127 do not fit the old field; it holds 127 then (schema_utils.cc).
    code = max(entry.scalar(0, "b"), entry.scalar(3, "i"))
    if code < 0:
        raise DamagedError(f"the operator code at byte {entry.position} is {code}")
    name = entry.text(1) if code == CUSTOM_CODE else None
    if name == "":
        raise DamagedError(f"the custom op at byte {entry.position} has no name")
    return OperatorCode(code=code, name=name, version=entry.scalar(2, "i", 1))


def _buffer_size(entry: Table, file_size: int) -> int:
    offset, size = entry.scalar(1, "Q"), entry.scalar(2, "Q")
    if offset > 1:  # data outside of the flatbuffer proper, for models over 2 GB
        if offset + size > file_size:
            raise DamagedError(f"the buffer at byte {entry.position} reaches over the end of the file")
        return size
    span = entry.span(0)
    return span.size if span else 0


def _subgraph(
    entry: Table, number: int, buffers: tuple[int, ...], codes: tuple[OperatorCode, ...]
) -> Subgraph:
    where = f"subgraph {number}"
    tensors = tuple(_tensor(t, f"tensor {i} of {where}", buffers) for i, t in enumerate(entry.tables(0)))
    nodes = tuple(_node(n, f"operator {i} of {where}", codes, tensors) for i, n in enumerate(entry.tables(3)))
    inputs, outputs = entry.numbers(1, "i"), entry.numbers(2, "i")
    for index in (*inputs, *outputs):
        if not 0 <= index < len(tensors):
            raise DamagedError(f"an input or output of {where} is tensor {index} of {len(tensors)}")
    for index in inputs if number == 0 else ():
        if tensors[index].weight_bytes:
            raise DamagedError(f"the input {tensors[index].name!r} of the model has constant data")
    for position, node in enumerate(nodes):
        for index in (*node.inputs, *node.outputs, *node.intermediates):
            if not -1 <= index < len(tensors):
                raise DamagedError(f"operator {position} of {where} uses tensor {index} of {len(tensors)}")
    return Subgraph(name=entry.text(4), tensors=tensors, inputs=inputs, outputs=outputs, nodes=nodes)


def _tensor(entry: Table, where: str, buffers: tuple[int, ...]) -> Tensor:
    kind = entry.scalar(1, "b")
    buffer = entry.scalar(2, "I")
    if buffer >= max(len(buffers), 1):
        raise DamagedError(f"{where} uses buffer {buffer} of {len(buffers)}")
    quantization = entry.table(4)
    allocated = entry.numbers(0, "i")
    shape = entry.numbers(7, "i") or allocated
    if any(dimension < -1 for dimension in (*shape, *allocated)):
        raise DamagedError(f"{where} has the shape {list(shape)}")
    return Tensor(
        name=entry.text(3),
        dtype=DTYPES.get(kind, f"dtype{kind}"),
        shape=shape,
        allocated_shape=tuple(max(dimension, 0) for dimension in allocated),
        weight_bytes=buffers[buffer] if buffers else 0,
        buffer=buffer,
        variable=bool(entry.scalar(5, "?")),
        sparse=entry.has(6),
        quantized=quantization is not None and quantization.length(2, 4) > 0,
    )


def _node(entry: Table, where: str, codes: tuple[OperatorCode, ...], tensors: tuple[Tensor, ...]) -> Node:
    index = entry.scalar(0, "I")
    if index >= len(codes):
        raise DamagedError(f"{where} has operator code {index} of {len(codes)}")
    options = entry.span(5)
    inputs, outputs = entry.numbers(1, "i"), entry.numbers(2, "i")
    depthwise = codes[index].code == _DEPTHWISE_CODE
    return Node(
        opcode_index=index,
        inputs=inputs,
        outputs=outputs,
        intermediates=entry.numbers(8, "i"),
        custom_options=bytes(entry.numbers(5, "B")) if options else b"",
        random=codes[index].code in _RANDOM_CODES and not _seeded(entry),
        depthwise=_depthwise_row(entry.table(4), inputs, outputs, tensors) if depthwise else None,
    )


# DEPTHWISE_CONV_2D, and the rank of its images
_DEPTHWISE_CODE = 4
_IMAGE_RANK = 4


def _depthwise_row(
    options: Table | None, inputs: tuple[int, ...], outputs: tuple[int, ...], tensors: tuple[Tensor, ...]
) -> DepthwiseRow:

    def channels(ends: tuple[int, ...]) -> int:
        shape = tensors[ends[0]].shape if ends and 0 <= ends[0] < len(tensors) else ()
        return shape[3] if len(shape) == _IMAGE_RANK else -1

    depth = channels(inputs)
    return DepthwiseRow(
        stride_width=options.scalar(1, "i") if options else 0,
        input_depth=depth,
        multiplier=channels(outputs) // depth if depth > 0 else -1,
    )


# RANDOM_STANDARD_NORMAL, RANDOM_UNIFORM, MULTINOMIAL
_RANDOM_CODES = frozenset({146, 148, 149})


def _seeded(entry: Table) -> bool:
    """Whether one of the two numbers of RandomOptions is set."""
    options = entry.table(4)
    return options is not None and bool(options.scalar(0, "q") or options.scalar(1, "q"))


def _signature(entry: Table, subgraphs: tuple[Subgraph, ...]) -> Signature:
    number = entry.scalar(4, "I")
    key = entry.text(2)
    if number >= len(subgraphs):
        raise DamagedError(f"the signature {key!r} belongs to subgraph {number} of {len(subgraphs)}")
    return Signature(
        key=key,
        subgraph=number,
        inputs={item.text(0): item.scalar(1, "I") for item in entry.tables(0)},
        outputs={item.text(0): item.scalar(1, "I") for item in entry.tables(1)},
    )


_MOST_OPTION_BYTES = 64 * 1024
_MOST_OPTION_VALUES = 2000


def decode_options(options: bytes) -> Any:
    """Custom options as plain values when they are a flexbuffer map, else their hexadecimal bytes."""
    from flatbuffers import flexbuffers

    if len(options) > _MOST_OPTION_BYTES:
        return f"{len(options)} bytes"
    left = _MOST_OPTION_VALUES

    def plain(ref: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("too many values")
        if ref.IsMap:
            # The key vector of a damaged map can claim any length; ask before looping.
            items = ref.AsMap
            if len(items) > left:
                raise ValueError("too many values")
            return {str(key.AsKey): plain(value) for key, value in zip(items.Keys, items.Values, strict=True)}
        if ref.IsTypedVector or ref.IsVector or ref.IsFixedTypedVector:
            vector = ref.AsTypedVector if ref.IsTypedVector else ref.AsVector
            if len(vector) > left:
                raise ValueError("too many values")
            return [plain(value) for value in vector]
        if ref.IsNull:
            return None
        if ref.IsBool:
            return ref.AsBool
        if ref.IsInt:
            return ref.AsInt
        if ref.IsFloat:
            return ref.AsFloat
        if ref.IsString:
            return ref.AsString
        raise ValueError("not a plain value")

    try:
        value = plain(flexbuffers.GetRoot(bytearray(options)))
    except Exception:  # the library raises whatever the damaged bytes lead to
        return options.hex()
    return value if isinstance(value, dict | list) else options.hex()
