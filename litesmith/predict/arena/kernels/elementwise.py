"""Ops whose outputs have the shape of an input, or of inputs broadcast together."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.predict.arena.kernels.kernel import Kernel, Temporaries, in_arena, like_input, on_heap
from litesmith.runtime.graph import Dims, Memory, RuntimeNode


def broadcast(*shapes: Dims) -> Dims:
    """``CalculateShapeForBroadcast`` of ``kernel_util.cc``.

    Raises:
        ValueError: the shapes do not fit together.
    """
    rank = max(len(shape) for shape in shapes)
    columns = zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True)
    found = []
    for column in columns:
        size = 0 if 0 in column else max(column)
        if any(dimension not in (1, size) for dimension in column):
            raise ValueError(f"{shapes} cannot be broadcast")
        found.append(size)
    return tuple(found)


def _broadcast(node: RuntimeNode) -> None:
    node.resize(0, broadcast(node.dims(0), node.dims(1)))


def _mul(node: RuntimeNode) -> None:
    dims = broadcast(node.dims(0), node.dims(1))
    if node.fixed(0, 1):
        node.computed(0, dims)
    else:
        node.resize(0, dims)


def _select(node: RuntimeNode) -> None:
    output = node.output()
    parts = [node.of(position) for position in range(3)]
    if output is None or (all(part.elements == 1 for part in parts) and output.elements == 1):
        return  # the output keeps the shape in the file
    node.resize(0, broadcast(*(part.dims for part in parts)) if node.op == "SELECT_V2" else node.dims(1))


def _bitcast(node: RuntimeNode) -> None:
    dims, output = node.dims(0), node.output()
    if output is None:
        return
    before, after = (_TYPE_BYTES.get(dtype, 8) for dtype in (node.of(0).dtype, output.dtype))
    if before > after:
        dims = (*dims, before // after)
    elif before < after:
        dims = dims[:-1]
    node.resize(0, dims)


def _dequantize(node: RuntimeNode) -> None:
    """A constant is converted once, and its result is kept."""
    output = node.output()
    if output is not None and node.of(0).memory is Memory.CONSTANT:
        output.memory = Memory.PERSISTENT
    node.resize(0, node.dims(0))


def _persistent_like_input(node: RuntimeNode) -> None:
    """DENSIFY and NumericVerify: the output keeps its contents between inferences."""
    output = node.output()
    if output is not None:
        output.memory = Memory.PERSISTENT
    node.resize(0, node.dims(0))


def _broadcast_args(node: RuntimeNode) -> None:
    dims = (max(node.dims(0)[0], node.dims(1)[0]),)
    if node.fixed(0, 1):
        node.computed(0, dims)
    else:
        node.resize(0, dims)


_LIKE_INPUT = [
    "ABS",
    "ATAN2",
    "BUCKETIZE",
    "CAST",
    "COMPLEX_ABS",
    "COS",
    "CUMSUM",
    "ELU",
    "GELU",
    "HARD_SWISH",
    "IMAG",
    "L2_NORMALIZATION",
    "LEAKY_RELU",
    "LOCAL_RESPONSE_NORMALIZATION",
    "LOG",
    "LOGICAL_NOT",
    "LOGISTIC",
    "LOG_SOFTMAX",
    "QUANTIZE",
    "REAL",
    "RELU",
    "RELU6",
    "RELU_0_TO_1",
    "RELU_N1_TO_1",
    "REVERSE_SEQUENCE",
    "REVERSE_V2",
    "RSQRT",
    "SIGN",
    "SIN",
    "SOFTMAX",
    "SQRT",
    "SQUARE",
    "TANH",
]
_LIKE_INPUT_AND_ITS_DTYPE = [
    "CEIL",
    "DYNAMIC_UPDATE_SLICE",
    "EXP",
    "FAKE_QUANT",
    "FLOOR",
    "MATRIX_SET_DIAG",
    "NEG",
    "ROUND",
    "ZEROS_LIKE",
]
_BROADCAST = [
    "EQUAL",
    "GREATER",
    "GREATER_EQUAL",
    "LESS",
    "LESS_EQUAL",
    "LOGICAL_AND",
    "LOGICAL_OR",
    "NOT_EQUAL",
]
_BROADCAST_WITH_DTYPE_OF_FIRST = [
    "BITWISE_XOR",
    "FLOOR_DIV",
    "FLOOR_MOD",
    "MAXIMUM",
    "MINIMUM",
    "POW",
    "PRELU",
    "RIGHT_SHIFT",
]
_BROADCAST_WITH_DTYPE_OF_SECOND = ["ADD", "DIV", "SQUARED_DIFFERENCE", "SUB"]

_TYPE_BYTES = {"float32": 4, "int32": 4, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "uint32": 4}


def _add_n_temporaries(node: RuntimeNode) -> Temporaries:
    # One buffer for each thread; programs have one thread.
    return [in_arena("sums", node.of(0).dtype, (node.of(0).elements,))]


def _numeric_verify_temporaries(node: RuntimeNode) -> Temporaries:
    return [on_heap("dequantised", node.of(1).dtype, node.dims(0))]


KERNELS: Mapping[str, Kernel] = {
    **dict.fromkeys(_LIKE_INPUT, Kernel(prepare=like_input)),
    **dict.fromkeys(_LIKE_INPUT_AND_ITS_DTYPE, Kernel(prepare=like_input, dtype_from=0)),
    **dict.fromkeys(_BROADCAST, Kernel(prepare=_broadcast)),
    **dict.fromkeys(_BROADCAST_WITH_DTYPE_OF_FIRST, Kernel(prepare=_broadcast, dtype_from=0)),
    **dict.fromkeys(_BROADCAST_WITH_DTYPE_OF_SECOND, Kernel(prepare=_broadcast, dtype_from=1)),
    "ADD_N": Kernel(prepare=like_input, temporaries=_add_n_temporaries, reserved=1, dtype_from=0),
    "BITCAST": Kernel(prepare=_bitcast),
    "BROADCAST_ARGS": Kernel(prepare=_broadcast_args),
    "DENSIFY": Kernel(prepare=_persistent_like_input, dtype_from=0),
    "DEQUANTIZE": Kernel(prepare=_dequantize),
    "MUL": Kernel(prepare=_mul),
    "NumericVerify": Kernel(prepare=_persistent_like_input, temporaries=_numeric_verify_temporaries),
    "SELECT": Kernel(prepare=_select, dtype_from=1),
    "SELECT_V2": Kernel(prepare=_select, dtype_from=1),
}
