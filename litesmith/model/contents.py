"""``.tflite`` file → :class:`~litesmith.model.analysis.ModelAnalysis`.

TensorFlow is not imported and weights are not read: a model of 10 MB takes a few milliseconds.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

from litesmith.base.errors import ModelError
from litesmith.model import schema, tables
from litesmith.model.analysis import (
    CUSTOM_CODE,
    DepthwiseRow,
    ModelAnalysis,
    Node,
    OperatorCode,
    Quantization,
    Signature,
    Subgraph,
    Tensor,
    dtype_numbers,
)
from litesmith.model.file_format import read_model_file
from litesmith.model.flatbuffer import DamagedError, Span
from litesmith.model.soundness import require_sound
from litesmith.model.tables import Table

_SUPPORTED_SCHEMA = 3
# C0, DEL and C1: what terminals take for commands.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def analyse(path: Path, shown_as: str | None = None) -> ModelAnalysis:
    """Reads a model.  ``shown_as`` replaces the path in the results, for example ``zoo:vww``.

    Raises:
        ModelError: the file cannot be read, is of another format, or is damaged.
    """
    return analyse_content(read_model_file(path), path, shown_as)


def analyse_content(content: bytes, path: Path, shown_as: str | None = None) -> ModelAnalysis:
    """The same for a model whose file is read already.

    Raises:
        ModelError: it is damaged.
    """
    try:
        return _analyse(content, path, shown_as or str(path))
    except DamagedError as error:
        raise ModelError(f"{path} is damaged: {error}", "convert or copy the model again") from None


def analyse_bytes(data: bytes, name: str) -> ModelAnalysis:
    """Reads a model that is not in a file; ``name`` stands for its path.

    Raises:
        ModelError: it is damaged.
    """
    try:
        return _analyse(data, Path(name), name)
    except DamagedError as error:
        raise ModelError(f"{name} is damaged: {error}", "make the model again") from None


def _analyse(data: bytes, path: Path, shown_as: str) -> ModelAnalysis:
    model = tables.root(data)
    version = model.integer("version")
    if version != _SUPPORTED_SCHEMA:
        raise ModelError(
            f"{path} has schema version {version}, this runtime reads version {_SUPPORTED_SCHEMA}",
            "convert it again with TensorFlow 2",
        )
    codes = tuple(_operator_code(entry) for entry in model.tables("operator_codes"))
    spans = tuple(_buffer(entry, len(data)) for entry in model.tables("buffers"))
    buffers = tuple(span.size for span in spans)
    subgraphs = tuple(
        _subgraph(entry, number, buffers, codes, data)
        for number, entry in enumerate(model.tables("subgraphs"))
    )
    if not subgraphs:
        raise DamagedError("it has no subgraph")
    weights: Counter[str] = Counter()
    for subgraph in subgraphs:
        for tensor in subgraph.tensors:
            if tensor.weight_bytes:
                weights[tensor.dtype] += tensor.weight_bytes
    found = ModelAnalysis(
        path=shown_as,
        name=path.stem,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        description=model.text("description"),
        operator_codes=codes,
        subgraphs=subgraphs,
        signatures=tuple(_signature(entry, subgraphs) for entry in model.tables("signature_defs")),
        metadata=tuple(entry.text("name") for entry in model.tables("metadata")),
        weight_bytes=dict(sorted(weights.items())),
    )
    require_sound(found, lambda index: data[spans[index].start : spans[index].start + spans[index].size])
    return found


def _name(entry: Table, field: str) -> str:
    """A name in the model: programs and commands print it, so a terminal must not take it for a command."""
    name = entry.text(field)
    if _CONTROL.search(name):
        raise DamagedError(f"the name {name!r} at byte {entry.position} has control characters")
    return name


def _operator_code(entry: Table) -> OperatorCode:
    # Codes over 127 do not fit the old field, which then holds 127 (schema_utils.cc).
    code = max(entry.integer("deprecated_builtin_code"), entry.integer("builtin_code"))
    if code < 0:
        raise DamagedError(f"the operator code at byte {entry.position} is {code}")
    name = _name(entry, "custom_code") if code == CUSTOM_CODE else None
    if name == "":
        raise DamagedError(f"the custom op at byte {entry.position} has no name")
    return OperatorCode(code=code, name=name, version=entry.integer("version"))


def _buffer(entry: Table, file_size: int) -> Span:
    """Where the data of a buffer lies; as in the runtime, data in the flatbuffer comes first."""
    span = entry.span("data")
    if span is not None:
        return span
    offset, size = entry.integer("offset"), entry.integer("size")
    if offset <= 1:
        return Span(start=0, size=0)
    # Data outside of the flatbuffer proper, for models over 2 GB.
    if offset + size > file_size:
        raise DamagedError(f"the buffer at byte {entry.position} reaches over the end of the file")
    return Span(start=offset, size=size)


def _subgraph(
    entry: Table, number: int, buffers: tuple[int, ...], codes: tuple[OperatorCode, ...], data: bytes
) -> Subgraph:
    where = f"subgraph {number}"
    tensors = tuple(
        _tensor(tensor, f"tensor {i} of {where}", buffers) for i, tensor in enumerate(entry.tables("tensors"))
    )
    nodes = tuple(
        _node(operator, f"operator {i} of {where}", codes, tensors, data)
        for i, operator in enumerate(entry.tables("operators"))
    )
    inputs, outputs = entry.integers("inputs"), entry.integers("outputs")
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
    return Subgraph(name=_name(entry, "name"), tensors=tensors, inputs=inputs, outputs=outputs, nodes=nodes)


def _tensor(entry: Table, where: str, buffers: tuple[int, ...]) -> Tensor:
    buffer = entry.integer("buffer")
    if buffer >= max(len(buffers), 1):
        raise DamagedError(f"{where} uses buffer {buffer} of {len(buffers)}")
    quantization = entry.table("quantization")
    allocated = entry.integers("shape")
    shape = entry.integers("shape_signature") or allocated
    if any(dimension < -1 for dimension in (*shape, *allocated)):
        raise DamagedError(f"{where} has the shape {list(shape)}")
    kind = entry.enum("type").lower()
    return Tensor(
        name=_name(entry, "name"),
        dtype=kind if kind in dtype_numbers() else f"dtype{kind}",
        shape=shape,
        allocated_shape=tuple(max(dimension, 0) for dimension in allocated),
        weight_bytes=buffers[buffer] if buffers else 0,
        buffer=buffer,
        variable=entry.boolean("is_variable"),
        sparse=entry.has("sparsity"),
        quantized=quantization is not None and quantization.length("scale") > 0,
        quantization=_quantization(quantization) if quantization is not None else Quantization(),
    )


def _quantization(entry: Table) -> Quantization:
    details = entry.union("details")
    blocks = details is not None and details.kind == "BlockwiseQuantization"
    return Quantization(
        scales=entry.reals("scale"),
        zero_points=entry.integers("zero_point"),
        dimension=entry.integer("quantized_dimension"),
        blockwise=blocks,
        block_size=details.integer("block_size") if details is not None and blocks else 0,
        block_scales=details.integer("scales") if details is not None and blocks else -1,
    )


def _custom_options(entry: Table, where: str, data: bytes) -> bytes:
    """The options of a custom op; as in the runtime, those in the flatbuffer come first."""
    offset, size = entry.integer("large_custom_options_offset"), entry.integer("large_custom_options_size")
    if entry.has("custom_options") or offset <= 1:
        return bytes(entry.integers("custom_options"))
    if offset + size > len(data):
        raise DamagedError(f"{where} has options that reach over the end of the file")
    return data[offset : offset + size]


def _node(
    entry: Table, where: str, codes: tuple[OperatorCode, ...], tensors: tuple[Tensor, ...], data: bytes
) -> Node:
    index = entry.integer("opcode_index")
    if index >= len(codes):
        raise DamagedError(f"{where} has operator code {index} of {len(codes)}")
    inputs, outputs = entry.integers("inputs"), entry.integers("outputs")
    op = schema.enum_names("BuiltinOperator").get(codes[index].code)
    return Node(
        opcode_index=index,
        inputs=inputs,
        outputs=outputs,
        intermediates=entry.integers("intermediates"),
        custom_options=_custom_options(entry, where, data) if codes[index].custom else b"",
        options=entry.union("builtin_options") or entry.union("builtin_options_2") or Table.absent(),
        random=op in _RANDOM_OPS and not _seeded(entry.union_as("builtin_options", "RandomOptions")),
        depthwise=_depthwise_row(
            entry.union_as("builtin_options", "DepthwiseConv2DOptions"), inputs, outputs, tensors
        )
        if op == "DEPTHWISE_CONV_2D"
        else None,
    )


_IMAGE_RANK = 4


def _depthwise_row(
    options: Table, inputs: tuple[int, ...], outputs: tuple[int, ...], tensors: tuple[Tensor, ...]
) -> DepthwiseRow:

    def channels(ends: tuple[int, ...]) -> int:
        shape = tensors[ends[0]].shape if ends and 0 <= ends[0] < len(tensors) else ()
        return shape[3] if len(shape) == _IMAGE_RANK else -1

    depth = channels(inputs)
    return DepthwiseRow(
        stride_width=options.integer("stride_w"),
        input_depth=depth,
        multiplier=channels(outputs) // depth if depth > 0 else -1,
    )


_RANDOM_OPS = frozenset({"RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "MULTINOMIAL"})


def _seeded(options: Table) -> bool:
    """Whether one of the two seeds of a random op is set."""
    return bool(options.integer("seed") or options.integer("seed2"))


def _signature(entry: Table, subgraphs: tuple[Subgraph, ...]) -> Signature:
    number = entry.integer("subgraph_index")
    key = _name(entry, "signature_key")
    if number >= len(subgraphs):
        raise DamagedError(f"the signature {key!r} belongs to subgraph {number} of {len(subgraphs)}")
    return Signature(
        key=key,
        subgraph=number,
        inputs=_tensor_indices(entry, "inputs"),
        outputs=_tensor_indices(entry, "outputs"),
    )


def _tensor_indices(signature: Table, field: str) -> dict[str, int]:
    """Tensor indices by argument name."""
    return {_name(item, "name"): item.integer("tensor_index") for item in signature.tables(field)}
