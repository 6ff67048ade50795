"""The predicted arena: the runtime's placement rules, on handmade graphs."""

from __future__ import annotations

import numpy as np
import pytest
from litesmith.predict.arena.ordering import LIBCXX, LIBSTDCXX, Library

from litesmith.base.errors import ModelError, UsageError
from litesmith.model import contents
from litesmith.model.entry_points import Choice
from litesmith.predict.arena import prediction
from litesmith.predict.arena.kernels import KERNELS, elementwise, reshaping, slicing
from litesmith.predict.arena.layout import ALIGNMENT, Arena, Planner
from litesmith.predict.arena.padding import rule
from litesmith.predict.arena.prediction import ArenaPlan, Placed
from litesmith.runtime.graph import Memory, RuntimeGraph, RuntimeNode, RuntimeTensor, byte_size
from litesmith.runtime.op_registry import Registry
from litesmith.study.op_models import all_cases
from litesmith.study.op_models.writer import Graph

PADDING = 2 * ALIGNMENT
EMPTY = PADDING
"""The bytes of an arena without tensors."""


def predict(graph: Graph, choice: Choice | None = None) -> ArenaPlan:
    content = graph.content()
    return prediction.predict(contents.analyse_bytes(content, "made.tflite"), content, choice or Choice())


def placed(plan: ArenaPlan, subgraph: int = 0) -> dict[str, Placed]:
    return {one.name: one for one in plan.subgraphs[subgraph].tensors}


# The arena.


def test_tensors_with_overlapping_lifetimes_are_side_by_side_and_aligned() -> None:
    one = Arena()
    offsets = [one.allocate(size, 0, 2).offset for size in (10, 64, 100)]
    assert offsets == [0, 64, 128]
    one.commit()
    assert one.buffer_bytes == 228 + PADDING


def test_a_tensor_reuses_the_place_of_a_freed_one() -> None:
    one = Arena()
    one.allocate(1000, 0, 1)
    assert one.allocate(500, 2, 3).offset == 0
    assert one.allocate(100, 1, 2).offset == 1024


def test_the_smallest_gap_that_fits_is_taken() -> None:
    one = Arena()
    for size, last in ((256, 9), (256, 0), (64, 9), (128, 0), (64, 9)):
        one.allocate(size, 0, last)
    assert one.allocate(100, 1, 2).offset == 256 + 256 + 64
    assert one.allocate(200, 1, 2).offset == 256


def test_an_empty_tensor_takes_no_space() -> None:
    one = Arena()
    one.allocate(64, 0, 5)
    assert one.allocate(0, 0, 5).offset == 0
    one.commit()
    assert one.buffer_bytes == 64 + PADDING


def test_a_buffer_never_shrinks() -> None:
    one = Arena()
    one.allocate(640, 0, 5)
    one.commit()
    one.clear()
    one.commit()
    assert one.buffer_bytes == 640 + PADDING


@pytest.mark.parametrize(
    ("dtype", "dims", "size"),
    [("float32", (2, 3), 24), ("int4", (3, 3), 5), ("int8", (), 1), ("string", (4,), 0), ("bool", (0, 7), 0)],
)
def test_bytes_of_a_tensor(dtype: str, dims: tuple[int, ...], size: int) -> None:
    assert byte_size(dtype, dims) == size


# The planner.


def chain(
    ops: list[tuple[str, tuple[int, ...], tuple[int, ...]]], sizes: list[int], outputs: tuple[int, ...]
):
    """A planner for nodes by op, inputs and outputs; tensor 0 is the graph's input."""
    tensors = [
        RuntimeTensor(name=f"t{i}", dtype="int8", dims=(size,), memory=Memory.ARENA, bytes=size)
        for i, size in enumerate(sizes)
    ]
    nodes = [
        RuntimeNode(op=op, index=i, inputs=inputs, outputs=list(made), tensors=tensors)
        for i, (op, inputs, made) in enumerate(ops)
    ]
    planner = Planner(RuntimeGraph(name="", tensors=tensors, inputs=[0], outputs=outputs, nodes=nodes))
    planner.execute(0, len(nodes) - 1)
    return planner


def test_lifetimes() -> None:
    planner = chain([("ABS", (0,), (1,)), ("ABS", (1,), (2,)), ("NEG", (2,), (3,))], [8] * 4, (3,))
    assert planner.first_node == {0: 0, 1: 0, 2: 1, 3: 2}
    # The input and the output are never freed.
    assert planner.last_node == {1: 1, 2: 2}


def test_the_largest_are_placed_first_after_the_persistent_ones() -> None:
    planner = chain([("ABS", (0,), (1,)), ("ABS", (1,), (2,)), ("ABS", (2,), (3,))], [8, 64, 640, 8], (3,))
    offsets = {index: one.offset for index, one in planner.allocations.items()}
    assert offsets == {0: 0, 2: 64, 1: 64 + 640, 3: 64 + 640}


def test_an_output_shares_an_input_without_other_readers() -> None:
    planner = chain([("ABS", (0,), (1,)), ("ADD", (1, 1), (2,)), ("NEG", (2,), (3,))], [8] * 4, (3,))
    assert planner.shared == {}  # the sum reads it twice
    planner = chain([("ABS", (0,), (1,)), ("SOFTMAX", (1,), (2,)), ("NEG", (2,), (3,))], [8] * 4, (3,))
    assert planner.shared == {2: 1}
    assert planner.last_node == {1: 2}
    assert 2 not in planner.allocations


@pytest.mark.parametrize(
    ("ops", "sizes", "outputs"),
    [
        ([("SOFTMAX", (0,), (1,)), ("NEG", (1,), (2,))], [8] * 3, (2,)),
        ([("NEG", (0,), (1,)), ("SOFTMAX", (1,), (2,))], [8] * 3, (2,)),
        ([("NEG", (0,), (1,)), ("MUL", (1,), (2,)), ("NEG", (2,), (3,))], [8, 8, 16, 16], (3,)),
        ([("NEG", (0,), (1,)), ("SOFTMAX", (1,), (2,)), ("NEG", (2,), (3,))], [4] * 4, (3,)),
        ([("NEG", (0,), (1,)), ("LOG_SOFTMAX", (1,), (2,)), ("NEG", (2,), (3,))], [8] * 4, (3,)),
    ],
    ids=["graph's input", "graph's output", "broadcast", "scalar", "other op"],
)
def test_tensors_that_cannot_share(ops, sizes: list[int], outputs: tuple[int, ...]) -> None:
    assert chain(ops, sizes, outputs).shared == {}


def test_all_reshapes_of_a_tensor_share_it() -> None:
    ops = [("NEG", (0,), (1,)), ("RESHAPE", (1,), (2,)), ("SQUEEZE", (2,), (3,)), ("BITCAST", (1,), (4,))]
    planner = chain([*ops, ("MUL", (3, 4), (5,))], [64] * 6, (5,))
    assert planner.shared == {2: 1, 3: 1, 4: 1}
    assert planner.last_node[1] == 4


# The orders of the C++ libraries.  The expected values were printed by programs of Clang 22 and GCC 12.


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        (LIBCXX, ("15 13 12 11 10 9 14 3", "20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5", "17 2 1 40 0")),
        (LIBSTDCXX, ("15 14 13 12 11 10 9 3", "20 19 18 5 6 7 8 9 10 11 12 13 14 15 16 17", "17 2 40 1 0")),
    ],
    ids=["libc++", "libstdc++"],
)
def test_hash_sets(library: Library, expected: tuple[str, ...]) -> None:
    inserted = ([3, 9, 10, 11, 12, 13, 14, 15], list(range(5, 21)), [0, 1, 2, 40, 17])
    assert [library.visited(numbers) for numbers in inserted] == [[*map(int, x.split())] for x in expected]


MANY = {
    LIBCXX: """
        0 5 25 15 20 55 50 45 40 35 10 30 3 8 13 18 23 58 53 48 43 38 33 28 31 36 26 1 56 6 11 51 16 21 46 41
        59 19 39 14 24 9 44 4 34 49 54 29 37 2 47 7 32 12 52 17 22 57 27 42
        """,
    LIBSTDCXX: """
        15 30 35 25 40 20 45 50 10 5 0 55 13 8 28 33 58 3 23 38 18 43 53 48 51 56 41 36 1 46 31 6 26 11 21 16
        59 29 4 54 9 49 14 44 19 39 24 34 17 42 47 12 22 37 52 7 27 57 2 32
        """,
}
TURNED = {
    LIBCXX: """
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 19 20 21 18 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36
        37 38 39
        """,
    LIBSTDCXX: """
        0 1 2 3 4 5 9 11 10 8 7 6 12 13 14 15 16 17 19 18 20 21 22 23 29 28 27 26 25 24 30 31 32 33 34 35 39
        36 37 38
        """,
}


@pytest.mark.parametrize(
    "library",
    [LIBCXX, LIBSTDCXX],
    ids=["libc++", "libstdc++"],
)
def test_equal_elements_are_ordered_as_by_the_library(library: Library) -> None:
    numbers = list(range(60))
    library.sort(numbers, lambda number: number * 7 % 5)
    assert numbers == [*map(int, MANY[library].split())]
    numbers = list(range(39, -1, -1))
    library.sort(numbers, lambda number: number // 6)
    assert numbers == [*map(int, TURNED[library].split())]


@pytest.mark.parametrize("library", [LIBCXX, LIBSTDCXX])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 17, 24, 130, 1000])
def test_sorting(library: Library, count: int) -> None:
    rng = np.random.default_rng(count)
    for distinct in (2, 30, 10_000):
        keys = rng.integers(0, distinct, count).tolist()
        numbers = list(range(count))
        library.sort(numbers, keys.__getitem__)
        assert sorted(numbers) == list(range(count))
        assert [keys[number] for number in numbers] == sorted(keys)


# Shapes.


def test_every_op_has_a_shape_function(registry: Registry) -> None:
    control = {"IF", "WHILE"}
    assert set(registry.by_name()) <= set(KERNELS) | control
    assert set(KERNELS) <= set(registry.by_name())


@pytest.mark.parametrize(
    ("ends", "masks", "slices"),
    [
        (((1, 0, 0), (3, 5, 3), (1, 2, 1)), (2, 4, 0, 0, 0), np.s_[1:3, :5:2, 0:]),
        (((-2, 4, -1), (9, 0, -9), (1, -2, -1)), (0, 0, 0, 0, 0), np.s_[-2:9, 4:0:-2, -1:-9:-1]),
        (((1, 0), (2, 0), (1, 1)), (2, 2, 0, 0, 1), np.s_[1, :]),
        (((0, 1), (0, 2), (1, 1)), (0, 0, 1, 0, 2), np.s_[..., 1]),
        (((0, 0, 0), (0, 0, 2), (1, 1, 1)), (0, 0, 1, 2, 0), np.s_[..., None, 0:2]),
        (((0, 3), (0, 1), (1, 1)), (0, 0, 0, 1, 0), np.s_[None, 3:1]),
    ],
)
def test_strided_slices_match_numpy(ends, masks, slices) -> None:
    expected = np.zeros((4, 5, 3))[slices].shape
    assert slicing.strided_shape((4, 5, 3), ends, masks, offset=False) == expected


def test_shapes_that_cannot_be_broadcast() -> None:
    assert elementwise.broadcast((2, 1, 3), (4, 1)) == (2, 4, 3)
    assert elementwise.broadcast((0, 3), (1, 1)) == (0, 3)
    with pytest.raises(ValueError, match="cannot be broadcast"):
        elementwise.broadcast((2, 3), (4,))


def test_an_inferred_dimension_of_a_reshape() -> None:
    assert reshaping.stretched((2, -1), (3, 4)) == (2, 6)
    assert reshaping.stretched((5, -1), (0, 5)) == (5, 0)
    assert reshaping.stretched((12,), (3, 4)) == (12,)


@pytest.mark.parametrize(("padding", "expected"), [("SAME", (48, 96)), ("VALID", (47, 92))])
def test_windows(padding: str, expected: tuple[int, int]) -> None:
    assert (rule(padding)(96, 3, 2, 1), rule(padding)(96, 3, 1, 2)) == expected


# Buffers that kernels add: name, bytes, whether they are kept.

GATES = [("gates", 248, False)]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("ADD_N_float32", [("sums", 24, False)]),
        ("BATCH_MATMUL_float32", [("left, transposed", 96, False), ("right, transposed", 160, False)]),
        (
            "BATCH_MATMUL_hybrid",
            [
                ("accumulators", 60, False),
                ("left, transposed", 96, False),
                ("offsets", 24, False),
                ("quantised input", 24, False),
                ("right, transposed", 40, True),
                ("row sums", 40, True),
                ("scales", 24, False),
            ],
        ),
        (
            "CONV_2D_hybrid",
            [
                ("accumulators", 1440, False),
                ("im2col", 2592, False),
                ("offsets", 288, False),
                ("quantised input", 288, False),
                ("row sums", 20, True),
                ("scales", 288, False),
            ],
        ),
        ("CONV_3D_float32", [("filter, transposed", 192, False), ("im2col", 7680, False)]),
        ("CONV_3D_TRANSPOSE_float32", []),
        ("DENSIFY_float32", [("t1", 48, True)]),
        (
            "DEPTHWISE_CONV_2D_hybrid",
            [("offsets", 4, False), ("quantised input", 1056, False), ("scales", 4, False)],
        ),
        ("DEQUANTIZE_float16", [("t1", 48, True)]),
        (
            "FULLY_CONNECTED_hybrid",
            [
                ("accumulators", 72, False),
                ("offsets", 12, False),
                ("quantised input", 30, False),
                ("row sums", 24, True),
                ("scales", 12, False),
            ],
        ),
        ("LSTM_float32", [("gates", 120, False)]),
        ("MEAN_float32_over_1", [("accumulators", 32, False), ("axes", 4, False), ("index", 12, False)]),
        ("REDUCE_MAX_float32_over_1", [("axes", 4, False), ("index", 12, False)]),
        ("RFFT2D_float32", [("doubles", 64, False), ("integers", 16, False)]),
        (
            "RNN_hybrid",
            [
                ("accumulators", 24, False),
                ("quantised hidden state", 6, False),
                ("quantised input", 8, False),
                ("row sums", 24, True),
                ("scales", 8, False),
                ("zero points", 8, False),
            ],
        ),
        ("SVDF_float32", [("filters", 64, False)]),
        ("SVDF_int8", [("filters", 64, False), ("output", 32, False)]),
        ("TFLite_Detection_PostProcess_float32", [("decoded boxes", 48, False), ("scores", 36, False)]),
        ("TRANSPOSE_CONV_float32", []),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM_float32", GATES),
    ],
)
def test_scratch_buffers(case: str, expected: list[tuple[str, int, bool]]) -> None:
    (model,) = (one for one in all_cases() if one.name == case)
    plan = prediction.predict(contents.analyse_bytes(model.content, case), model.content)
    found = [one for one in plan.subgraphs[0].tensors if one.kind in {"scratch", "kept"}]
    assert sorted((one.name, one.bytes, one.persistent) for one in found) == expected


def test_buffers_outside_of_the_arena() -> None:
    """A transposed convolution has its columns and its transposed weights on the heap."""
    (model,) = (one for one in all_cases() if one.name == "TRANSPOSE_CONV_float32")
    plan = prediction.predict(contents.analyse_bytes(model.content, "m"), model.content)
    assert plan.subgraphs[0].heap_bytes > 3000


# Whole models.


def image_model() -> Graph:
    g = Graph()
    x, y = g.input([1, 8, 8, 4], signature=[-1, 8, 8, 4]), g.tensor([1, 8, 8, 2], "float32")
    g.op(
        "CONV_2D",
        [x, g.const(np.ones((2, 3, 3, 4))), g.const([0, 0])],
        [y],
        "Conv2D",
        strideW=1,
        strideH=1,
    )
    g.op("RELU", [y], [g.output("float32", [1, 8, 8, 2])])
    return g


def test_contents_of_a_plan() -> None:
    plan = predict(image_model())
    (main,) = plan.subgraphs
    tensors = placed(plan)
    assert {name: (one.kind, one.bytes) for name, one in tensors.items()} == {
        "t0": ("input", 1024),
        "t1": ("activation", 512),
        "t4": ("output", 512),
        "im2col": ("scratch", 8 * 8 * 36 * 4),
    }
    assert (tensors["t0"].first_node, tensors["t0"].last_node) == (0, 1)
    assert (tensors["t1"].first_node, tensors["t1"].last_node) == (0, 1)
    assert (tensors["im2col"].first_node, tensors["im2col"].last_node) == (0, 0)
    assert main.arena_bytes == 1024 + 9216 + 512 + PADDING
    assert plan.bytes == plan.peak_bytes == main.arena_bytes + EMPTY
    assert plan.exact
    assert not plan.at_most


def test_tensors_with_overlapping_lifetimes_do_not_overlap() -> None:
    tensors = [one for one in predict(image_model()).subgraphs[0].tensors if not one.persistent]
    for one in tensors:
        assert one.offset % ALIGNMENT == 0
        for other in tensors:
            if one is other or one.last_node < other.first_node or other.last_node < one.first_node:
                continue
            assert one.offset + one.bytes <= other.offset or other.offset + other.bytes <= one.offset


def test_another_batch_size() -> None:
    plan = predict(image_model(), Choice(shapes={"t0": (3, 8, 8, 4)}))
    assert placed(plan)["t4"].shape == (3, 8, 8, 2)
    assert placed(plan)["im2col"].bytes == 3 * 9216
    with pytest.raises(UsageError, match="no input"):
        predict(image_model(), Choice(shapes={"x": (3,)}))


def test_an_invalid_shape_names_the_node_and_the_next_step() -> None:
    with pytest.raises(ModelError) as caught:
        predict(image_model(), Choice(shapes={"t0": (8, 4)}))
    assert caught.value.message.startswith(
        "made.tflite: node 0 of subgraph 0, CONV_2D, cannot work with 't0'"
    )
    assert caught.value.next_step == "say how large 't0' is: --input-shape t0=1x…"


def computed_reshape() -> Graph:
    """A flattening with an unknown batch size, as converters write it."""
    g = Graph()
    x = g.input([2, 3, 4])
    doubled = g.tensor([], "float32")
    g.op("ADD", [x, x], [doubled], "Add")
    shape, batch, packed = g.tensor([3], "int32"), g.tensor([], "int32"), g.tensor([2], "int32")
    g.op("SHAPE", [x], [shape], "Shape", outType=2)
    ends = [g.const(v, "int32") for v in ([0], [1], [1])]
    g.op("STRIDED_SLICE", [shape, *ends], [batch], "StridedSlice", shrinkAxisMask=1)
    g.op("PACK", [batch, g.const(12, "int32")], [packed], "Pack", valuesCount=2)
    flat = g.tensor([], "float32")
    g.op("RESHAPE", [doubled, packed], [flat], "Reshape")
    g.op("RELU", [flat], [g.output()])
    return g


def test_a_shape_computed_by_the_graph_is_known() -> None:
    plan = predict(computed_reshape())
    assert plan.exact
    assert placed(plan)["t10"].shape == (2, 12)
    # SHAPE and its slice are computed before the first inference; the node allocates the reshaped tensor.
    assert {"t2", "t3", "t9"} & set(placed(plan)) == set()
    assert plan.subgraphs[0].heap_bytes == 12 + 4 + 96


def test_a_data_dependent_size_is_planned_for_its_maximum() -> None:
    g = Graph()
    x = g.input([4, 5])
    asked, found, picked = g.tensor([4, 5], "bool"), g.tensor([0, 2], "int64"), g.tensor([0], "float32")
    g.op("GREATER", [x, g.const(0.0)], [asked], "Greater")
    g.op("WHERE", [asked], [found], "Where")
    g.current.outputs = [found]
    only_where = predict(g)
    assert only_where.exact  # its result is not in the arena
    g.op("GATHER_ND", [x, found], [picked], "GatherNd")
    g.current.outputs = [picked]
    plan = predict(g)
    assert plan.at_most
    assert not plan.exact
    (why,) = plan.unknown
    assert (why.op, why.node, why.at_most) == ("WHERE", 1, True)
    assert why.line() == (
        "node 1 of subgraph 0, WHERE, 't2': its size depends on the contents of 't1'; "
        "planned for its largest possible size"
    )
    assert placed(plan)["t3"].bytes == 80


def test_an_unknown_size_is_that_of_the_file() -> None:
    g = Graph()
    x, wanted, y = g.input([4, 5]), g.input([2], "int32"), g.tensor([2, 10], "float32")
    g.op("RESHAPE", [x, wanted], [y], "Reshape")
    g.op("RELU", [y], [g.output()])
    plan = predict(g)
    (why,) = plan.unknown
    assert not why.at_most
    assert not plan.at_most
    assert "depends on the contents of 't1'; planned for the size in the file" in why.line()
    assert placed(plan)["t3"].bytes == 80


def test_a_custom_op_of_the_user() -> None:
    g = Graph()
    g.custom_op("Mine", [g.input([2, 3])], [g.output("float32", [2, 3])])
    plan = predict(g)
    assert [why.reason for why in plan.unknown] == [
        "an op of your own, which may ask for more than the file says"
    ]
    assert plan.bytes == 64 + 24 + PADDING + EMPTY


def test_loops_and_branches_release_their_arenas() -> None:
    for name, released in (("WHILE_float32", [False, True, True]), ("IF_float32", [False, True, False])):
        (model,) = (one for one in all_cases() if one.name == name)
        plan = prediction.predict(contents.analyse_bytes(model.content, name), model.content)
        assert [one.released for one in plan.subgraphs] == released
        kept = [one for one in plan.subgraphs if not one.released]
        persistent = sum(one.persistent_bytes for one in plan.subgraphs)
        assert plan.bytes == sum(one.arena_bytes for one in kept) + persistent
        assert plan.peak_bytes == sum(one.arena_bytes for one in plan.subgraphs) + persistent
        assert plan.exact


def test_branches_of_different_sizes() -> None:
    g = Graph()
    condition, x = g.input([], "bool"), g.input([100])
    g.op("IF", [condition, x], [g.output()], "If", thenSubgraphIndex=1, elseSubgraphIndex=2)
    for name, count in (("then", 1), ("else", 3)):
        g.subgraph(name)
        y = g.input([100])
        for _ in range(count):
            g.op("NEG", [y], [y := g.tensor([100], "float32")])
        g.current.outputs = [y]
    plan = predict(g)
    assert [one.arena_bytes for one in plan.subgraphs[1:]] == [400 + PADDING, 848 + PADDING]
    assert [one.released for one in plan.subgraphs] == [False, True, False]
    assert [why.reason for why in plan.unknown] == [
        "which branch runs, and gives its arena back, depends on data"
    ]
    assert plan.at_most


def test_a_recursive_model_is_an_error() -> None:
    g = Graph()
    condition, x = g.input([], "bool"), g.input([4])
    g.op("IF", [condition, x], [g.output()], "If", thenSubgraphIndex=1, elseSubgraphIndex=1)
    g.subgraph("again")
    x = g.input([4])
    inner = g.tensor([], "bool")
    g.op("GREATER", [x, g.const(0.0)], [inner], "Greater")
    g.op("IF", [inner, x], [g.output()], "If", thenSubgraphIndex=1, elseSubgraphIndex=1)
    with pytest.raises(ModelError, match="calls subgraph 1 of 2"):
        predict(g)


@pytest.mark.parametrize("name", ["CONV_2D_hybrid", "WHILE_float32", "LSTM_hybrid", "STRIDED_SLICE_float32"])
def test_damaged_models_give_a_plan_or_an_error(name: str, registry: Registry) -> None:
    (sound,) = (one.content for one in all_cases() if one.name == name)
    errors = 0
    for position in range(0, len(sound) - 4, 4):
        for damage in (b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00", b"\xff\xff\xff\xff"):
            broken = sound[:position] + damage + sound[position + 4 :]
            try:
                model = contents.analyse_bytes(broken, "m")
            except ModelError:
                continue
            try:
                prediction.predict(model, broken, registry=registry)
            except ModelError:
                errors += 1
    assert errors > 0
