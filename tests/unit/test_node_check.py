"""Single nodes: the files of values, the limits of ops, models that are written for the reference."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from litesmith.measure.verify import rewriting, tensor_values
from litesmith.measure.verify.limits.limit import SMALLEST, NodeView, growth, magnitude
from litesmith.measure.verify.limits.node_limit import limit_of
from litesmith.measure.verify.node_check import overflowed
from litesmith.measure.verify.tensor_values import TensorValues
from litesmith.model import contents
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.tensors import Array
from litesmith.study.op_models.tensor_types import TensorType
from litesmith.study.op_models.writer import Graph

EPSILON = 2.0**-24


def written(folder: Path, count: int, values: dict[int, Array]) -> TensorValues:
    path = folder / "tensors.bin"
    assert tensor_values.write(path, count, values.items(), 1 << 20)
    return TensorValues(path)


def test_values_of_every_dtype_are_read_again(tmp_path: Path) -> None:
    values: dict[int, Array] = {
        0: np.arange(6, dtype=np.float32).reshape(2, 3),
        2: np.array([True, False]),
        3: np.array([b"a", b"", "ä".encode()], object),
        4: np.zeros((0, 3), np.int8),
        5: np.array(7, np.int64),
    }
    found = written(tmp_path, 7, values)
    for index, value in values.items():
        read = found.get(index)
        assert read is not None
        assert read.dtype == value.dtype
        assert np.array_equal(read, value)
    assert 1 not in found
    assert found.get(6) is None


def test_the_table_of_values_is_what_programs_read(tmp_path: Path) -> None:
    found = written(tmp_path, 3, {1: np.array([1, 2], np.int16)})
    content = found.path.read_bytes()
    count, *places = struct.unpack_from("<7q", content)
    assert count == 3
    assert places[:2] == places[4:] == [0, 0]
    offset, size = places[2:4]
    assert np.frombuffer(content[offset : offset + size], np.int16).tolist() == [1, 2]


def test_too_many_values(tmp_path: Path) -> None:
    assert not tensor_values.write(tmp_path / "t.bin", 1, [(0, np.zeros(100, np.int8))], 99)


def test_a_record_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "outputs.bin"
    head = struct.pack("<5i", 0, 4, 9, 9, 2) + struct.pack("<2i", 1, 3)
    whole = head + struct.pack("<q", 3) + b"abc"
    path.write_bytes(whole + whole[:-1])
    (one,) = tensor_values.records(path)
    assert (one.node, one.tensor, one.shape) == (4, 9, (1, 3))
    assert one.value is not None
    assert bytes(one.value) == b"abc"
    path.write_bytes(b"")
    assert list(tensor_values.records(path)) == []


def test_sums_grow_with_the_root_of_their_terms_beyond_64() -> None:
    assert [growth(n) for n in (1, 64, 256, 1024)] == [1, 64, 128, 256]


def test_the_magnitude_of_a_tensor_leaves_out_what_is_not_finite() -> None:
    assert magnitude(np.array([1, -3, np.nan, np.inf], np.float32)) == 3
    assert magnitude(np.array([-128, 5], np.int8)) == 128
    assert magnitude(None) == 0


def analysed(g: Graph, folder: Path) -> ModelAnalysis:
    path = folder / "m.tflite"
    path.write_bytes(g.content())
    return contents.analyse(path)


def view(g: Graph, folder: Path, op: str, values: dict[int, Array], *, delegated: bool = False) -> NodeView:
    graph = analysed(g, folder).subgraphs[0]
    return NodeView(
        op=op,
        node=graph.nodes[0],
        tensors=graph.tensors,
        values=written(folder, len(graph.tensors), values),
        delegated=delegated,
    )


def dense(folder: Path, data: Array, weights: Array, kind: str | TensorType = "float32") -> NodeView:
    g = Graph()
    inputs = [g.input(data.shape), g.const(weights, kind)]
    g.op("FULLY_CONNECTED", inputs, [g.output("float32", [1, len(weights)])], "FullyConnected")
    return view(g, folder, "FULLY_CONNECTED", {0: data, 1: weights})


def test_sums_of_products_by_channel(tmp_path: Path) -> None:
    data = np.array([[3, 4]], np.float32)
    weights = np.array([[1, 0], [30, 40]], np.float32)
    found = limit_of(dense(tmp_path, data, weights), 0, np.zeros((1, 2), np.float32))
    assert found is not None
    # 2 terms and the bias, in both programs: 2 × 4 roundings of |x| × |w|.
    assert found.value == pytest.approx(np.array([8 * EPSILON * 5, 8 * EPSILON * 5 * 50]), rel=1e-6)


def test_only_inputs_at_an_exact_half_may_be_quantised_to_another_step(tmp_path: Path) -> None:
    quant = TensorType("int8", ([0.5], [0], 0))
    weights = np.array([[10, 20, 30]], np.int8)
    for half, least in ((0.0, 0.0), (2.5, 20 * 0.5)):
        data = np.array([[127, half, 3]], np.float32)
        found = limit_of(dense(tmp_path, data, weights, quant), 0, np.zeros((1, 1), np.float32))
        assert found is not None
        assert least <= float(found.value.max()) < least + 0.01


@pytest.mark.parametrize(("delegated", "steps"), [(False, 0), (True, 1)])
def test_xnnpack_may_be_one_step_off(tmp_path: Path, delegated: bool, steps: int) -> None:
    kind = TensorType("int8", (0.1, 0))
    g = Graph()
    g.op("ADD", [g.input([1], kind), g.input([1], kind)], [g.output(kind, [1])], "Add")
    found = limit_of(view(g, tmp_path, "ADD", {}, delegated=delegated), 0, np.zeros(1, np.int8))
    assert found is not None
    assert found.value == steps


@pytest.mark.parametrize(("op", "steps"), [("GELU", 1), ("HARD_SWISH", 0)])
def test_a_table_of_another_c_library_may_be_one_step_off(tmp_path: Path, op: str, steps: int) -> None:
    kind = TensorType("int16", (0.001, 0))
    g = Graph()
    g.op(op, [g.input([1], kind)], [g.output(kind, [1])])
    found = limit_of(view(g, tmp_path, op, {}), 0, np.zeros(1, np.int16))
    assert found is not None
    assert found.value == steps


def test_xnnpack_does_not_end_at_the_largest_finite_number() -> None:
    largest = np.finfo(np.float32).max
    expected = np.array([largest, -largest, largest, 1, np.nan], np.float32)
    actual = np.array([np.inf, -np.inf, -np.inf, np.inf, np.inf], np.float32)
    assert overflowed(actual, expected).tolist() == [True, True, False, False, False]


def test_ops_that_move_numbers_change_none(tmp_path: Path) -> None:
    g = Graph()
    g.op("RESHAPE", [g.input([2]), g.const([2, 1], "int32")], [g.output("float32", [2, 1])])
    found = limit_of(view(g, tmp_path, "RESHAPE", {}), 0, np.ones((2, 1), np.float32))
    assert found is not None
    assert found.value == 0


def test_functions_of_single_numbers_are_judged_by_their_own_size(tmp_path: Path) -> None:
    g = Graph()
    g.op("LOGISTIC", [g.input([2])], [g.output("float32", [2])])
    data = np.array([-50, 1e-40], np.float32)
    expected = np.array([2e-22, 0.5], np.float32)
    found = limit_of(view(g, tmp_path, "LOGISTIC", {0: data}), 0, expected)
    assert found is not None
    assert found.value[0] == pytest.approx(12 * EPSILON * 2e-22 + SMALLEST, rel=1e-6)
    # The program takes the subnormal input as zero.
    assert found.value[1] == np.inf


def test_dequantised_numbers_are_differences_of_products(tmp_path: Path) -> None:
    # The detector's own values: 35 * 0.0897 - 34 * 0.0897 is off by a rounding of 3.05, not of 0.0897.
    scale, zero = 0.0896991640329361, 34
    g = Graph()
    g.op("DEQUANTIZE", [g.input([2], TensorType("int8", (scale, zero)))], [g.output("float32", [2])])
    data = np.array([35, 1], np.int8)
    expected = ((data.astype(np.float64) - zero) * scale).astype(np.float32)
    limit = limit_of(view(g, tmp_path, "DEQUANTIZE", {0: data}), 0, expected)
    assert limit is not None
    assert limit.value == pytest.approx([2 * 2 * EPSILON * 35 * scale, 2 * 2 * EPSILON * zero * scale])
    rounded = np.float32(35) * np.float32(scale) - np.float32(zero) * np.float32(scale)
    assert 2 * 2 * EPSILON * scale < abs(float(rounded) - float(expected[0])) < limit.value[0]


def test_an_op_without_a_listed_limit_is_measured(tmp_path: Path) -> None:
    g = Graph()
    g.op("L2_NORMALIZATION", [g.input([1, 2])], [g.output("float32", [1, 2])], "L2Norm")
    assert limit_of(view(g, tmp_path, "L2_NORMALIZATION", {}), 0, np.ones((1, 2), np.float32)) is None


def chain() -> Graph:
    """Two nodes; the first one's output goes to the second and out."""
    kind = TensorType("uint8", (0.1, 128))
    g = Graph()
    middle = g.output(kind, [1, 4])
    g.op("RELU", [g.input([1, 4], kind)], [middle])
    g.op("RESHAPE", [middle, g.const([4, 1], "int32")], [g.output(kind, [4, 1])])
    return g


def test_roundings_are_added_behind_the_nodes() -> None:
    content = chain().content()
    changed = rewriting.with_additions(content, 0, {0: np.full((1, 4), 129, np.uint8)})
    found = contents.analyse_bytes(changed, "m")
    (graph,) = found.subgraphs
    relu, add, reshape = graph.nodes
    (moved,) = add.outputs
    assert add.inputs[0] == relu.outputs[0] == 0
    assert graph.outputs[0] == reshape.inputs[0] == moved
    assert graph.tensors[moved].quantization == graph.tensors[0].quantization
    assert graph.tensors[add.inputs[1]].quantization.zero_points == (128,)
    with pytest.raises(ValueError, match="more than"):
        rewriting.with_additions(content, 0, {0: np.zeros(rewriting.MOST_BYTES + 1, np.uint8)})


def test_a_node_alone() -> None:
    g = chain()
    alone = contents.analyse_bytes(rewriting.single_node(g.content(), 0, 1, [0]), "m")
    (graph,) = alone.subgraphs
    (node,) = graph.nodes
    assert graph.inputs == (0,)
    assert graph.outputs == node.outputs
    assert graph.tensors[node.inputs[1]].weight_bytes == 8


def test_a_subnormal_factor_counts_as_zero(tmp_path: Path) -> None:
    """x * sigmoid(x) of a published kind of network: the program, with XNNPACK, gives -0 for x = -88.6."""
    g = Graph()
    g.op("MUL", [g.input([2]), g.input([2])], [g.output("float32", [2])], "Mul")
    data, factors = np.array([-88.61212, 3], np.float32), np.array([3.282801e-39, 2], np.float32)
    found = limit_of(view(g, tmp_path, "MUL", {0: data, 1: factors}), 0, data * factors)
    assert found is not None
    assert found.value[0] == np.inf
    assert found.value[1] == pytest.approx(4 * EPSILON * 6 + SMALLEST, rel=1e-6)


def test_sums_lose_what_counts_as_zero(tmp_path: Path) -> None:
    data = np.array([[1e-39, 0]], np.float32)
    weights = np.array([[1000, 0]], np.float32)
    found = limit_of(dense(tmp_path, data, weights), 0, np.array([[1e-36]], np.float32))
    assert found is not None
    assert found.value[0] > 1e-36
