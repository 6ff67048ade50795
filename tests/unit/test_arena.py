"""The predicted arena: the runtime's placement rules, on handmade graphs."""

from __future__ import annotations

import numpy as np
import pytest

from litesmith.base.errors import ModelError, UsageError
from litesmith.model import contents
from litesmith.model.entry_points import Choice
from litesmith.predict.arena import prediction
from litesmith.predict.arena.control_flow import CONTROL
from litesmith.predict.arena.kernels import KERNELS, elementwise, reshaping, slicing
from litesmith.predict.arena.layout import ALIGNMENT
from litesmith.predict.arena.padding import rule
from litesmith.predict.arena.prediction import ArenaPlan, Placed
from litesmith.runtime.op_registry import Registry
from litesmith.study.op_models import all_cases
from litesmith.study.op_models.writer import Graph
from tests import stablehlo_models


def predict(graph: Graph, choice: Choice | None = None) -> ArenaPlan:
    content = graph.content()
    return prediction.predict(contents.analyse_bytes(content, "made.tflite"), content, choice or Choice())


def placed(plan: ArenaPlan, subgraph: int = 0) -> dict[str, Placed]:
    return {one.name: one for one in plan.subgraphs[subgraph].tensors}


# Shapes.


def test_every_op_has_a_shape_function(registry: Registry) -> None:
    control = {op for op, one in CONTROL.items() if one.prepare is not None}
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
        ("CONV_3D_float32", [("im2col", 7680, False)]),
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


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("windows", (7, 4)),
        ("dilated windows", (14, 3)),
        ("padded and dilated windows", (17, 2)),
        ("padded", (8, 18)),
        ("gathered", (2, 1, 5)),
        ("dilated", (7, 13)),
        ("dilated by computed factors", (7, 13)),
        ("composite", (4, 6)),
        ("composite with a computed shape", (2, 12)),
        ("case of other widths", (4, 2)),
    ],
)
def test_ops_of_stablehlo(name: str, shape: tuple[int, ...]) -> None:
    """The shapes are those of the reference interpreter's output."""
    plan = predict(stablehlo_models.models()[name])
    assert plan.exact
    (output,) = (one for one in plan.subgraphs[0].tensors if one.kind == "output")
    assert output.shape == shape


def test_temporaries_of_windows_are_there_even_if_nothing_is_dilated_or_padded() -> None:
    plan = predict(stablehlo_models.models()["windows"])
    scratch = {one.name: one.bytes for one in plan.subgraphs[0].tensors if one.kind == "scratch"}
    assert scratch == {"dilated input": 8 * 9 * 4, "padded input": 8 * 9 * 4}


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
    assert main.arena_bytes == 1024 + 9216 + 512
    assert plan.bytes == plan.peak_bytes == main.arena_bytes
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
    # SHAPE and its slice are computed before the first inference.
    assert {"t2", "t3"} & set(placed(plan)) == set()
    assert plan.subgraphs[0].heap_bytes == 12 + 4
    # The shape is not known until the node runs, but it can take the place of its input.
    assert placed(plan)["t9"].shares == "t1"


def test_a_reshape_that_cannot_share_a_place_moves_to_the_heap() -> None:
    """It keeps its place in the arena, as ``reshape.cc`` leaves it: here beside the graph's input."""
    g = Graph()
    x, wanted, y = g.input([4, 5]), g.input([2], "int32"), g.tensor([2, 10], "float32")
    g.op("RESHAPE", [x, wanted], [y], "Reshape")
    g.op("RELU", [y], [g.output("float32", [2, 10])])
    plan = predict(g)
    assert plan.subgraphs[0].heap_bytes == 80
    assert placed(plan)["t2"].bytes == 80
    assert plan.bytes == 128 + 64 + 128 + 80


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
    assert plan.bytes == 64 + 24


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
    assert [one.arena_bytes for one in plan.subgraphs[1:]] == [400, 848]
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
    with pytest.raises(ModelError, match="subgraph 1 calls itself"):
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
