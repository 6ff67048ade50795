"""The nodes that the delegate takes, and the arena of the rest: upstream's rules, on handmade graphs.

The expected values were printed by upstream's delegate itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from litesmith.base.errors import ModelError
from litesmith.model import contents
from litesmith.predict.arena import prediction
from litesmith.predict.xnnpack import delegation, partition
from litesmith.predict.xnnpack.delegation import DelegatedSubgraph, Delegation
from litesmith.runtime.graph import Memory, RuntimeGraph, RuntimeNode, RuntimeTensor, Subset
from litesmith.runtime.op_registry import Registry
from litesmith.study.op_models import all_cases
from litesmith.study.op_models.tensor_types import Quant
from litesmith.study.op_models.writer import Graph
from tests.conftest import ROOT

HALF: Quant = (0.5, 0)


def delegate(graph: Graph) -> Delegation:
    content = graph.content()
    return delegation.prepare(contents.analyse_bytes(content, "made.tflite"), content)


def alone(graph: Graph) -> DelegatedSubgraph:
    """The only subgraph."""
    (found,) = delegate(graph).subgraphs
    return found


def reason(graph: Graph) -> str:
    """The reason why the last node is not delegated."""
    found = alone(graph)
    return found.stays.get(len(graph.current.operators) - 1, "taken")


# Ops and dtypes.

TAKEN = {
    "float32 int8 uint8": """
        ADD CONCATENATION DEPTHWISE_CONV_2D DEPTH_TO_SPACE LEAKY_RELU LOGISTIC MAX_POOL_2D MEAN MUL PAD
        QUANTIZE REDUCE_MAX REDUCE_MIN RESHAPE RESIZE_BILINEAR SPACE_TO_DEPTH SPLIT SUB SUM TANH
        TRANSPOSE TRANSPOSE_CONV
        """,
    "float32 hybrid int8 uint8": "CONV_2D FULLY_CONNECTED",
    "float32 hybrid int8": "BATCH_MATMUL",
    "float32 int8": "ELU STABLEHLO_COMPOSITE",
    "int8 uint8": "DEQUANTIZE",
    "float32": """
        ABS AVERAGE_POOL_2D CEIL COS DIV EXP FLOOR GELU HARD_SWISH IF MAXIMUM MINIMUM NEG PRELU RELU RELU6
        RELU_N1_TO_1 ROUND RSQRT SIN SOFTMAX SQRT SQUARE SQUARED_DIFFERENCE STABLEHLO_CASE
        STABLEHLO_REDUCE_WINDOW WHILE
        """,
}


def test_supported_ops_and_dtypes(registry: Registry) -> None:
    found: dict[str, set[str]] = {}
    for case in all_cases():
        model = contents.analyse_bytes(case.content, case.name)
        if any(one.nodes for one in delegation.prepare(model, case.content, registry).subgraphs):
            dtype, *_ = case.name.removeprefix(f"{case.op}_").split("_")
            found.setdefault(case.op, set()).add(dtype)
    assert found == {op: set(dtypes.split()) for dtypes, ops in TAKEN.items() for op in ops.split()}


def test_every_node_is_delegated_or_has_a_reason(registry: Registry) -> None:
    for case in all_cases():
        model = contents.analyse_bytes(case.content, case.name)
        for one, subgraph in zip(
            delegation.prepare(model, case.content, registry).subgraphs, model.subgraphs, strict=True
        ):
            assert sorted([*one.nodes, *one.stays]) == list(range(len(subgraph.nodes))), case.name
            assert all(one.stays.values())
            assert sorted(index for part in one.partitions for index in part) == list(one.nodes)


# Reasons.


def unary(op: str, dtype: str = "float32", quant: Quant | None = None, **options: Any) -> Callable[[], Graph]:
    def make() -> Graph:
        g = Graph()
        inputs, outputs = [g.input([1, 4], dtype, quant=quant)], [g.output(dtype, quant=quant)]
        g.op(op, inputs, outputs, options.pop("kind", None), **options)
        return g

    return make


def convolution(
    dtype: str = "float32",
    *,
    scales: Sequence[float] = (0.5,),
    bias: str = "constant",
    weights: str = "constant",
    activation: int = 0,
    bias_scales: int = 1,
    output: float = 0.5,
) -> Callable[[], Graph]:
    def make() -> Graph:
        g = Graph()
        whole = dtype == "float32"
        quant: Quant | None = None if whole else (list(scales), [0] * len(scales), 0)
        kind = "float32" if whole else "int32"
        many: Quant = ([0.25] * bias_scales, [0] * bias_scales, 0)
        tensors = {
            "constant": lambda shape, of, q: g.tensor(shape, of, quant=q, data=np.ones(shape, of)),
            "input": lambda shape, of, q: g.input(shape, of, quant=q),
        }
        inputs = [
            g.input([1, 5, 5, 2], dtype, quant=None if whole else HALF),
            tensors[weights]([2, 3, 3, 2], dtype, quant),
            *([tensors[bias]([2], kind, None if whole else many)] if bias in tensors else []),
        ]
        options = {"strideW": 1, "strideH": 1, "fusedActivationFunction": activation}
        g.op("CONV_2D", inputs, [g.output(dtype, quant=None if whole else (output, 0))], "Conv2D", **options)
        return g

    return make


def pad(shape: list[int], *, constant: bool) -> Callable[[], Graph]:
    def make() -> Graph:
        g = Graph()
        paddings = np.ones([len(shape), 2], np.int32)
        g.op(
            "PAD",
            [
                g.input(shape),
                g.const(paddings, "int32") if constant else g.input([len(shape), 2], "int32"),
            ],
            [g.output()],
            "Pad",
        )
        return g

    return make


def mean(*axes: int, keep: bool = True) -> Callable[[], Graph]:
    def make() -> Graph:
        g = Graph()
        inputs = [g.input([1, 4, 4, 2]), g.const(axes, "int32")]
        g.op("MEAN", inputs, [g.output()], "Reducer", keepDims=keep)
        return g

    return make


def add(first: float, output: float) -> Callable[[], Graph]:
    def make() -> Graph:
        g = Graph()
        inputs = [g.input([4], "int8", quant=(scale, 0)) for scale in (first, 0.5)]
        g.op("ADD", inputs, [g.output("int8", quant=(output, 0))], "Add")
        return g

    return make


def strided(*, stride: int = 1, shrink: int = 0) -> Callable[[], Graph]:
    def make() -> Graph:
        g = Graph()
        numbers = ([0, 0], [4, 4], [stride, 1])
        inputs = [g.input([4, 4]), *(g.const(one, "int32") for one in numbers)]
        g.op("STRIDED_SLICE", inputs, [g.output()], "StridedSlice", shrinkAxisMask=shrink)
        return g

    return make


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (unary("ABS"), "taken"),
        (unary("LOG"), "XNNPACK has no such op"),
        (unary("RELU", "int8", HALF), "its input has the dtype int8"),
        (unary("LOGISTIC", "int16", (1 / 32768, 0)), "its input has the dtype int16"),
        (unary("TANH", "int8", None), "its input has no scale"),
        (unary("SOFTMAX", kind="Softmax", beta=2.0), "its beta is 2"),
        (unary("LEAKY_RELU", kind="LeakyRelu", alpha=0.0), "its alpha is 0"),
        (
            unary("LEAKY_RELU", "int8", HALF, kind="LeakyRelu", alpha=0.001),
            "its scales and its alpha give 0.001",
        ),
        (convolution(), "taken"),
        (convolution("int8", scales=(0.5, 0.25), bias_scales=2), "taken"),
        (convolution(weights="input"), "its filter is not constant"),
        (convolution(bias="input"), "its bias is not constant"),
        (convolution(bias="none"), "it has 2 inputs"),
        (convolution(activation=4), "it has the activation TANH"),
        (pad([2, 3], constant=True), "taken"),
        (pad([2, 3], constant=False), "it has an output that gets its size only when the model runs"),
        (mean(1, 2), "taken"),
        (mean(2, keep=False), "taken"),
        (mean(1), "taken"),
        (mean(-2, -3), "taken"),
        (add(0.5, 0.5), "taken"),
        (add(200.0, 0.5), "the ratio of its inputs' and its output's scales is 400"),
        (strided(), "taken"),
        (strided(stride=2), "its strides are [2, 1]"),
        (strided(shrink=1), "it has the shrink_axis_mask 1"),
    ],
)
def test_reasons(make: Callable[[], Graph], expected: str) -> None:
    assert reason(make()) == expected


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            convolution("int8", scales=(0.5, 0.25), bias_scales=1),
            "its bias does not have the scales of its filter",
        ),
        (
            convolution("int8", output=1e-6),
            "its filter has a scale that is too large for its output's scale",
        ),
    ],
)
def test_nodes_that_xnnpack_refuses(make: Callable[[], Graph], expected: str) -> None:
    assert reason(make()) == f"XNNPACK refuses node 0, CONV_2D, which the delegate takes: {expected}"


@pytest.mark.parametrize(("point", "taken"), [(0, True), (1, False)])
def test_a_zero_point_of_a_depthwise_filter(point: int, taken: bool) -> None:
    g = Graph()
    weights = g.const(np.ones([1, 3, 3, 2]), "int8", quant=(0.5, point))
    inputs = [g.input([1, 5, 5, 2], "int8", quant=HALF), weights, g.const([0, 0], "int32", quant=(0.25, 0))]
    options = {"strideW": 1, "strideH": 1, "depthMultiplier": 1}
    g.op("DEPTHWISE_CONV_2D", inputs, [g.output("int8", quant=HALF)], "DepthwiseConv2D", **options)
    assert bool(alone(g).nodes) is taken


def test_one_refused_node_prevents_all_delegation() -> None:
    g = Graph()
    x, y = g.input([2, 3]), g.input([2, 3], "int8", quant=HALF)
    g.op("ABS", [x], [g.output()])
    g.op("LOG", [x], [g.output()])
    rescaled = g.output("int8", quant=(0.25, 0))
    g.op("SLICE", [y, g.const([0, 0], "int32"), g.const([1, 3], "int32")], [rescaled], "Slice")
    found = alone(g)
    why = (
        "XNNPACK refuses node 2, SLICE, which the delegate takes: "
        "its input has a different scale or zero point than its output"
    )
    assert found.stays == {0: why, 1: "XNNPACK has no such op", 2: why}


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "bool"])
def test_other_dtypes_are_not_transposed(dtype: str) -> None:
    g = Graph()
    x, y = g.input([2, 3]), g.input([2, 3], dtype)
    g.op("ABS", [x], [g.output()])
    g.op("TRANSPOSE", [y, g.const([1, 0], "int32")], [g.output(dtype)], "Transpose")
    assert alone(g).nodes == (0,)


def test_weights_with_a_zero_point_are_not_delegated() -> None:
    def matrix(zero_point: int) -> tuple[int, ...]:
        g = Graph()
        weights = g.const(np.ones([3, 4], np.int8), "int8", quant=(0.5, zero_point))
        bias = g.const(np.zeros(3, np.int32), "int32", quant=(0.25, 0))
        operands = [g.input([2, 4], "int8", quant=HALF), weights, bias]
        g.op("FULLY_CONNECTED", operands, [g.output("int8", quant=HALF)], "FullyConnected")
        return alone(g).nodes

    assert (matrix(0), matrix(1)) == ((0,), ())


def test_a_subgraph_without_nodes_has_no_plan() -> None:
    g = Graph()
    g.op("LOG", [g.input([2, 3])], [g.output()])
    found = alone(g)
    assert (found.nodes, found.plan) == ((), ())


@pytest.mark.parametrize(("scale", "taken"), [(0.5, True), (0.25, False)])
def test_ops_that_only_move_data_do_not_rescale(scale: float, taken: bool) -> None:
    g = Graph()
    inputs = [g.input([4], "int8", quant=HALF), g.const([2, 2], "int32")]
    g.op("RESHAPE", inputs, [g.output("int8", quant=(scale, 0))], "Reshape")
    assert bool(alone(g).nodes) is taken


@pytest.mark.parametrize(
    ("begin", "end", "masks", "taken"),
    [
        ([0, 1], [4, 4], (0, 0), True),
        ([0, -2], [4, -1], (0, 0), True),
        ([0, 0], [4, 100], (0, 0), True),
        ([0, 0], [4, 100], (0, 2), True),
        ([-9, 0], [4, 4], (0, 0), True),
        ([-9, 0], [4, 4], (1, 0), True),
    ],
)
def test_slices_that_exceed_their_input(
    begin: list[int], end: list[int], masks: tuple[int, int], taken: bool
) -> None:
    g = Graph()
    inputs = [g.input([4, 4]), *(g.const(one, "int32") for one in (begin, end, [1, 1]))]
    options = {"beginMask": masks[0], "endMask": masks[1]}
    g.op("STRIDED_SLICE", inputs, [g.output()], "StridedSlice", **options)
    assert bool(alone(g).nodes) is taken


@pytest.mark.parametrize(("height", "taken"), [(5, True), (6, True), (7, False)])
def test_a_transposed_convolution_may_not_grow(height: int, taken: bool) -> None:
    g = Graph()
    shape, weights = g.const([1, height, 5, 1], "int32"), g.const(np.ones([1, 3, 3, 2]))
    options = {"padding": 1, "strideW": 2, "strideH": 2}
    inputs = [shape, weights, g.input([1, 2, 2, 2])]
    g.op("TRANSPOSE_CONV", inputs, [g.output()], "TransposeConv", **options)
    assert bool(alone(g).nodes) is taken


@pytest.mark.parametrize(("rank", "taken"), [(6, True), (7, False)])
def test_xnnpack_supports_six_dimensions(rank: int, taken: bool) -> None:
    g = Graph()
    g.op("ABS", [g.input([1] * rank)], [g.output()])
    assert bool(alone(g).nodes) is taken


def test_the_kernel_determines_the_dtype_of_its_output() -> None:
    g = Graph()
    inputs = [g.input([2], "uint8", quant=HALF) for _ in range(2)]
    # Upstream's own tests include such a file.
    g.op("ADD", inputs, [g.output("float32", quant=HALF)], "Add")
    found = delegate(g)
    assert found.subgraphs[0].nodes == (0,)
    assert found.graphs[0].tensors[2].bytes == 2


# Tensors that get their size only when the model runs.


def test_nodes_from_the_first_dynamic_one_on_are_not_delegated() -> None:
    g = Graph()
    x, shape = g.input([4]), g.input([1], "int32")
    made = [g.tensor([], "float32") for _ in range(2)]
    g.op("ABS", [x], [made[0]])
    g.op("RESHAPE", [made[0], shape], [made[1]], "Reshape")
    g.op("NEG", [made[1]], [g.output()])
    g.op("NEG", [x], [g.output()])
    found = alone(g)
    sized = "an output that gets its size only when the model runs"
    assert found.nodes == (0,)
    after = f"it comes after node 1, RESHAPE, which has {sized}"
    assert found.stays == {1: f"it has {sized}", 2: after, 3: after}


def test_a_subgraph_that_cannot_be_prepared() -> None:
    g = Graph()
    g.op("ADD", [g.input([2]), g.input([3])], [g.output()], "Add")
    assert "cannot be prepared" in reason(g)


def test_a_damaged_file() -> None:
    g = Graph()
    g.op("ABS", [g.input([2])], [g.output()])
    content = g.content()
    model = contents.analyse_bytes(content, "made.tflite")
    with pytest.raises(ModelError, match="damaged"):
        delegation.prepare(model, content[:8] + b"\xff" * (len(content) - 8))


# Constants that are unpacked while the model is loaded.


def unpacking(after: Callable[[Graph, int, int], None] | None = None) -> DelegatedSubgraph:
    """A convolution with a float16 filter; ``after`` gets the filter as float32 and the output."""
    g = Graph()
    filters = g.const(np.ones([2, 3, 3, 2]), "float16")
    unpacked, made = g.tensor([2, 3, 3, 2], "float32"), g.tensor([], "float32")
    g.op("DEQUANTIZE", [filters], [unpacked])
    inputs = [g.input([1, 5, 5, 2]), unpacked, g.const([0, 0])]
    g.op("CONV_2D", inputs, [made], "Conv2D", strideW=1, strideH=1)
    g.current.outputs.append(made)
    if after is not None:
        after(g, unpacked, made)
    return alone(g)


def test_a_constant_is_unpacked_for_the_delegate() -> None:
    found = unpacking()
    assert (found.nodes, found.unpacked, found.also_unpacked) == ((0, 1), (0,), ())
    assert found.partitions == ((0, 1),)


@pytest.mark.parametrize(
    "after",
    [
        lambda g, filters, _: g.op("LOG", [filters], [g.output()]),
        lambda g, filters, _: g.current.outputs.append(filters),
    ],
    ids=["another node reads it", "the caller reads it"],
)
def test_it_is_unpacked_twice_when_others_read_it(after: Callable[[Graph, int, int], None]) -> None:
    found = unpacking(after)
    assert (1 in found.nodes, found.unpacked, found.also_unpacked) == (True, (), (0,))
    assert found.stays[0] == "its output is needed by a node that is not taken, or by the model's caller"


def test_unchecked_nodes_count_as_other_readers() -> None:
    def after(g: Graph, filters: int, made: int) -> None:
        loose = g.tensor([], "float32")
        g.op("RESHAPE", [made, g.input([1], "int32")], [loose], "Reshape")
        g.op("MUL", [filters, loose], [g.output()], "Mul")

    found = unpacking(after)
    assert (found.nodes, found.also_unpacked) == ((1,), (0,))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_result_of_the_model_is_not_unpacked(dtype: str) -> None:
    case = next(one for one in all_cases() if one.name == f"DENSIFY_{dtype}")
    (found,) = delegation.prepare(contents.analyse_bytes(case.content, case.name), case.content).subgraphs
    assert found.stays == {0: "its output is needed by a node that is not taken, or by the model's caller"}


@pytest.mark.parametrize(("read_elsewhere", "nodes"), [(False, (0, 1, 2)), (True, (2,))])
def test_constants_are_unpacked_through_two_nodes_or_none(
    read_elsewhere: bool, nodes: tuple[int, ...]
) -> None:
    case = next(one for one in all_cases() if one.name == "DENSIFY_int8")
    g = Graph()
    g.model = schema.ModelT.InitFromPackedBuf(case.content, 0)
    (g.current,) = g.model.subgraphs
    (dense,) = g.current.outputs
    scaled = g.current.tensors[g.tensor([1], "int8", quant=HALF)]
    g.current.tensors[dense].quantization = scaled.quantization
    shape = [int(size) for size in g.current.tensors[dense].shape]
    made = g.tensor(shape, "float32")
    g.op("DEQUANTIZE", [dense], [made])
    g.current.inputs, g.current.outputs = [], []
    g.op("FULLY_CONNECTED", [g.input([1, shape[1]]), made, -1], [g.output()], "FullyConnected")
    if read_elsewhere:
        g.op("LOG", [made], [g.output()])
    assert alone(g).nodes == nodes


def test_a_constant_without_a_scale_is_not_unpacked() -> None:
    g = Graph()
    constant, made = g.const(np.ones([2, 2]), "int8"), g.tensor([2, 2], "float32")
    g.op("DEQUANTIZE", [constant], [made])
    g.op("FULLY_CONNECTED", [g.input([1, 2]), made, -1], [g.output()], "FullyConnected")
    found = alone(g)
    assert found.stays == {0: "its input has no scale"}
    assert found.nodes == (1,)


# Partitions.


def parts(
    nodes: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]],
    taken: set[int],
    outputs: tuple[int, ...] = (),
    dtypes: dict[int, str] | None = None,
) -> list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]]:
    """Nodes by op, inputs and outputs → each subset's nodes, inputs, outputs, and whether it is delegated."""
    count = 1 + max(index for _, inputs, made in nodes for index in (*inputs, *made))
    tensors = [
        RuntimeTensor(name="", dtype=(dtypes or {}).get(i, "float32"), dims=(), memory=Memory.ARENA)
        for i in range(count)
    ]
    held = RuntimeGraph(
        name="",
        tensors=tensors,
        inputs=[0],
        outputs=outputs,
        nodes=[
            RuntimeNode(op=op, index=i, inputs=inputs, outputs=list(made), tensors=tensors)
            for i, (op, inputs, made) in enumerate(nodes)
        ],
    )
    return [(one.nodes, one.inputs, one.outputs, one.delegated) for one in partition.plan(held, taken)]


# The graph of graph_info.h: 0 → 1 → 2* → 3* → 5, 1 → 4 → 5.
EXAMPLE = [
    ("A", (0,), (1,)),
    ("A", (1,), (2,)),
    ("A", (2,), (3,)),
    ("A", (3,), (4,)),
    ("A", (2,), (5,)),
    ("A", (4, 5), (6,)),
]


def test_the_example_of_upstreams_documentation() -> None:
    assert parts(EXAMPLE, {2, 3}, (6,)) == [
        ((0, 1, 4), (0,), (2, 5), False),
        ((2, 3), (2,), (4,), True),
        ((5,), (4, 5), (6,), False),
    ]


def test_nodes_with_side_effects_keep_their_order() -> None:
    resources = {3: "resource", 5: "resource"}
    assert [nodes for nodes, *_ in parts(EXAMPLE, {2, 3}, (6,), resources)] == [(0, 1), (2, 3), (4, 5)]
    control = [("CALL_ONCE", (), ()), ("A", (0,), (1,)), ("IF", (1,), (2,)), ("WHILE", (0,), (3,))]
    assert [nodes for nodes, *_ in parts(control, {1})] == [(0,), (1,), (2, 3)]


def test_no_delegated_nodes_give_no_partitions() -> None:
    assert parts(EXAMPLE, set(), (6,)) == []


def test_all_nodes_delegated_become_one_kernel() -> None:
    assert parts(EXAMPLE, set(range(6)), (6, 2)) == [((0, 1, 2, 3, 4, 5), (0,), (2, 6), True)]


def test_optional_and_repeated_tensors() -> None:
    nodes = [("A", (0, -1, 0), (1, -1)), ("B", (1, 1), (2,)), ("A", (1, 2), (3,))]
    assert parts(nodes, {0, 2}, (3, 0, 1)) == [
        ((0,), (0,), (1,), True),
        ((1,), (1,), (2,), False),
        ((2,), (1, 2), (3,), True),
    ]


def test_an_input_is_counted_although_an_earlier_node_of_the_subset_made_another() -> None:
    nodes = [("A", (0,), (1,)), ("B", (0,), (2,)), ("A", (1, 2), (3,)), ("A", (1,), (4,))]
    assert parts(nodes, {0, 2, 3}, (3, 4)) == [
        ((0, 3), (0,), (1, 4), True),
        ((1,), (0,), (2,), False),
        ((2,), (1, 2), (3,), True),
    ]


def test_a_cycle_is_never_ready() -> None:
    assert parts([("A", (2,), (1,)), ("A", (1,), (2,)), ("A", (0,), (3,))], {2}) == [((2,), (0,), (), True)]


# The arena without delegated nodes.


def arena(graph: Graph, *, delegated: bool) -> prediction.ArenaPlan:
    content = graph.content()
    model = contents.analyse_bytes(content, "made.tflite")
    plans = delegation.prepare(model, content).plans if delegated else ()
    return prediction.predict(model, content, delegated=plans)


def chain(*ops: str) -> Graph:
    g = Graph()
    index = g.input([100])
    for op in ops:
        made = g.tensor([], "float32")
        g.op(op, [index], [made])
        index = made
    g.current.outputs.append(index)
    return g


def test_tensors_within_a_partition_are_not_in_the_arena() -> None:
    graph = chain("ABS", "NEG", "LOG", "ABS", "NEG")
    (plan,) = arena(graph, delegated=True).subgraphs
    # In a program of this graph, upstream's delegate leaves two tensors between the five nodes, and the last.
    assert {one.name: (one.first_node, one.last_node) for one in plan.tensors} == {
        "t0": (0, 2),
        "t2": (0, 1),
        "t3": (1, 2),
        "t5": (2, 2),
    }
    assert plan.nodes == 3
    (before,) = arena(graph, delegated=False).subgraphs
    assert {one.name for one in before.tensors} == {f"t{i}" for i in range(6)}


def test_scratch_of_delegated_nodes_is_not_in_the_arena() -> None:
    graph = convolution()()
    assert {one.kind for one in arena(graph, delegated=False).subgraphs[0].tensors} == {
        "input",
        "output",
        "scratch",
    }
    (plan,) = arena(graph, delegated=True).subgraphs
    assert {one.kind for one in plan.tensors} == {"input", "output"}


def test_unknown_sizes_name_the_nodes_of_the_file() -> None:
    g = chain("ABS", "NEG", "ABS")
    made, rows = g.current.outputs.pop(), g.tensor([], "int64")
    flags = g.tensor([], "bool")
    g.op("NOT_EQUAL", [made, g.const(0.0)], [flags])
    g.op("WHERE", [flags], [rows])
    g.op("CAST", [rows], [g.output()])
    (plan,) = arena(g, delegated=True).unknown
    assert (plan.node, plan.op) == (4, "WHERE")


def test_subgraphs_of_control_flow_are_placed_before_their_callers() -> None:
    """A branch then has memory for its input, which it would otherwise share with its caller."""
    case = next(one for one in all_cases() if one.name == "IF_float32")
    model = contents.analyse_bytes(case.content, case.name)
    plans = delegation.prepare(model, case.content).plans
    inside = [
        {one.kind for subgraph in plan.subgraphs[1:] for one in subgraph.tensors}
        for plan in (
            prediction.predict(model, case.content),
            prediction.predict(model, case.content, delegated=plans),
        )
    ]
    assert "input" not in inside[0]
    assert "input" in inside[1]


@pytest.mark.parametrize(
    ("name", "size"), [("det", 50948), ("digits", 3176), ("gesture", 792), ("words", 1672)]
)
def test_examples(name: str, size: int, registry: Registry) -> None:
    """Arena bytes of upstream's runtime with its delegate, built with GCC."""
    path: Path = ROOT / "examples" / f"{name}.tflite"
    content = path.read_bytes()
    model = contents.analyse_bytes(content, name)
    plans = delegation.prepare(model, content, registry).plans
    plan = prediction.predict(model, content, registry=registry, delegated=plans)
    assert (plan.bytes, plan.exact) == (size, True)


def test_gesture_is_delegated_as_a_whole() -> None:
    """Its inputs are floats and its weights integers: XNNPACK quantises the inputs when it runs."""
    content = (ROOT / "examples/gesture.tflite").read_bytes()
    (found,) = delegation.prepare(contents.analyse_bytes(content, "gesture"), content).subgraphs
    assert found.plan == (
        Subset(nodes=(0, 1, 2, 3, 4), inputs=tuple(range(8)), outputs=(12,), delegated=True),
    )
