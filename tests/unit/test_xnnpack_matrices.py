"""Matrix products in XNNPACK: batches of them, and weights and inputs with scales of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from litesmith.model import contents
from litesmith.predict.xnnpack import delegation
from litesmith.predict.xnnpack.delegation import Delegation
from litesmith.predict.xnnpack.packed_weights import packed_weights
from litesmith.predict.xnnpack.workspace import workspace_bytes
from litesmith.runtime.xnnpack import wrappers
from litesmith.runtime.xnnpack.library import select
from litesmith.runtime.xnnpack.required import RequiredMicrokernels, Requirements
from litesmith.runtime.xnnpack.requirements import requirements_of
from litesmith.study.op_models.tensor_types import Blockwise, Quant
from litesmith.study.op_models.writer import Graph, packed

Make = Callable[[], Graph]
HALF: Quant = (0.5, 0)
ROWS, COLUMNS = 6, 64


def delegate(make: Make) -> Delegation:
    content = make().content()
    return delegation.prepare(contents.analyse_bytes(content, "made.tflite"), content)


def reason(make: Make) -> str:
    (found,) = delegate(make).subgraphs
    return found.stays.get(0, "taken")


def product(
    dtypes: tuple[str, str] = ("float32", "float32"),
    *,
    first: Sequence[int] = (2, 3, 4),
    second: Sequence[int] = (2, 4, 5),
    constant: bool = True,
    quant: Quant = HALF,
    output: Quant = HALF,
    adjoint: tuple[bool, bool] = (False, False),
) -> Make:
    def made() -> Graph:
        g = Graph()
        left, right = dtypes
        a = g.input(first, left, quant=None if left == "float32" else HALF)
        scales = None if right == "float32" else quant
        b = g.const(np.ones(second), right, scales) if constant else g.input(second, right, quant=scales)
        made = g.output(left, quant=None if left == "float32" else output)
        g.op("BATCH_MATMUL", [a, b], [made], "BatchMatMul", adjX=adjoint[0], adjY=adjoint[1])
        return g

    return made


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (product(), "taken"),
        (product(constant=False), "taken"),
        (product(("int8", "int8"), constant=False), "taken"),
        (product(("float32", "int8"), quant=(0.5, 3)), "taken"),
        (product(("float32", "int8"), quant=([0.5] * 5, [0] * 5, 2)), "taken"),
        (
            product(("float32", "int8"), quant=([0.5] * 4, [0] * 4, 1)),
            "its second input has scales along its dimension 1",
        ),
        (product(("float32", "int8"), constant=False), "its second input is not constant"),
        (product(("int8", "int8"), quant=(0.5, 3)), "its second input has a zero point"),
        (
            product(("int8", "int8"), quant=([0.5] * 5, [0] * 5, 2)),
            "its second input differs from its first input in dtype or kind of quantisation",
        ),
        (
            product(("int8", "int8"), output=(0.0005, 0)),
            "its output has a scale that is too small for its inputs' scales",
        ),
    ],
)
def test_products_of_batches(make: Make, expected: str) -> None:
    assert reason(make) == expected


@pytest.mark.parametrize(
    ("make", "operator", "kind"),
    [
        (product(), "batch_matrix_multiply_nc_f32_const_weights", "gemm"),
        (product(first=(2, 1, 4)), "batch_matrix_multiply_nc_f32", "gemm1"),
        (product(first=(2, 4, 1), adjoint=(True, False)), "transpose_nd_x32", "gemm1"),
        (product(("int8", "int8")), "batch_matrix_multiply_nc_qs8_const_weights", "gemm"),
        (product(("float32", "int8")), "convert_nc_f32_qd8", "gemm"),
    ],
)
def test_what_products_require(make: Make, operator: str, kind: str) -> None:
    found = requirements_of(delegate(make).graphs[0].nodes[0])
    assert operator in found.operators
    assert {one.kind for one in found.microkernels if one.config.endswith("gemm")} == {kind}


@pytest.mark.parametrize(
    ("make", "constant", "computed"),
    [
        # Two matrices of 32 columns (a tile), each with a bias: 2 x 32 x (4 x 4 + 4) bytes.
        (product(), 1280, 0),
        (product(constant=False), 0, 1280),
        # 16 columns, of which each has 8 rows, the sum of weights and a scale: 2 x 16 x (8 + 4 + 4).
        (product(("int8", "int8")), 512, 0),
        (product(("int8", "int8"), constant=False), 0, 512),
    ],
)
def test_memory_of_products(make: Make, constant: int, computed: int) -> None:
    found = delegate(make)
    assert packed_weights(found.graphs[0].nodes, "x86_64", "avx512vnni") == constant
    # The workspace has 16 bytes more at each end.
    assert workspace_bytes(found, "x86_64", ["avx512vnni"]) == (computed + 32 if computed else 0)


def in_blocks(*, size: int = 32, scale: float = 0.5, dtype: str = "float16", count: int = 2) -> Make:
    def made() -> Graph:
        g = Graph()
        scales = g.const(np.full((ROWS, count), scale), dtype)
        values = np.ones((ROWS, COLUMNS), np.int8)
        weights = g.tensor((ROWS, COLUMNS), "int4", quant=Blockwise(scales, size), data=packed(values, 4))
        inputs = [g.input([3, COLUMNS]), weights, g.const(np.zeros(ROWS))]
        g.op("FULLY_CONNECTED", inputs, [g.output()], "FullyConnected", keepNumDims=True)
        return g

    return made


REFUSED = "XNNPACK refuses node 0, FULLY_CONNECTED, which the delegate takes: its filter"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (in_blocks(), "taken"),
        (in_blocks(size=16, count=4), "its filter has blocks of 16"),
        (in_blocks(count=1), f"{REFUSED} has 6 scales for blocks of 32"),
        (in_blocks(scale=0), f"{REFUSED} has a scale that is not positive"),
        (in_blocks(dtype="float32"), f"{REFUSED} has scales that are not a constant of float16"),
    ],
)
def test_weights_with_a_scale_for_each_block(make: Make, expected: str) -> None:
    assert reason(make) == expected


def test_memory_of_weights_in_blocks() -> None:
    node = delegate(in_blocks()).graphs[0].nodes[0]
    assert "fully_connected_nc_qd8_f32_qb4w_f16_scales" in requirements_of(node).operators
    # 8 columns (a tile), each of 32 bytes, a sum, a bias, and two scales of 2 bytes, in a multiple of 64.
    assert packed_weights([node], "x86_64", "avx512vnni") == -(-8 * (32 + 4 + 4 + 4) // 64) * 64


def test_weights_in_blocks_are_packed_by_portable_code() -> None:
    need = RequiredMicrokernels(config="qd8_f32_qb4w_gemm", kind="gemm")
    required = Requirements(
        operators=frozenset({"fully_connected_nc_qd8_f32_qb4w"}), microkernels=frozenset({need})
    )
    found = select(required, "aarch64", ["dotprod"])
    assert "xnn_pack_qb4_weights_and_biases" in found.pointers
    assert not any("packw" in name for name in found.pointers)


def test_a_convolution_of_pixels_has_one_scale_for_an_image() -> None:
    g = Graph()
    weights = g.const(np.ones([4, 1, 1, 8]), "int8", quant=HALF)
    inputs = [g.input([1, 5, 5, 8]), weights, g.const(np.zeros(4))]
    options = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    g.op("CONV_2D", inputs, [g.output()], "Conv2D", **options)
    found = requirements_of(delegate(lambda: g).graphs[0].nodes[0])
    assert found.operators == {"convolution2d_nhwc_qd8_f32_qc8w", "convert_nc_f32_qd8"}


@pytest.mark.parametrize(("kept", "there"), [(True, True), (False, False)])
def test_portable_functions_are_there_if_they_are_needed(kept: bool, there: bool) -> None:
    references = frozenset({("unary", "sigmoid", "int8")} if kept else ())
    found = select(Requirements(references=references), "x86_64", ["sse4.1"])
    text = "config = xnn_init_unary_reference_config(op_type, input_datatype, output_datatype);"
    cuts = "\n".join(wrappers.cuts(found, "src/operators/unary-elementwise-nc.c", text))
    assert ("xnn_init_unary_reference_config(...) NULL" not in cuts) is there


@pytest.mark.parametrize(
    ("path", "constant"),
    [("src/operators/fully-connected-nc.c", True), ("src/operators/batch-matrix-multiply-nc.c", False)],
)
def test_only_products_of_batches_have_transposed_weights(path: str, constant: bool) -> None:
    found = select(Requirements(), "x86_64", ["sse4.1"])
    cuts = "\n".join(wrappers.cuts(found, path, ""))
    assert ("#define XNN_FLAG_TRANSPOSE_WEIGHTS 0" in cuts) is constant
