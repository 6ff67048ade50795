"""What delegated nodes require of XNNPACK (files, micro-kernels, memory), and the choice of kernels."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from litesmith.base.errors import UsageError
from litesmith.model import contents
from litesmith.model.model_file import open_model
from litesmith.predict.xnnpack import delegation, kernel_choice
from litesmith.predict.xnnpack.packed_weights import packed_weights
from litesmith.runtime import op_registry
from litesmith.runtime.graph import RuntimeNode
from litesmith.runtime.xnnpack import source_index, wrappers
from litesmith.runtime.xnnpack.library import XnnpackLibrary, select
from litesmith.runtime.xnnpack.required import RequiredMicrokernels, Requirements
from litesmith.runtime.xnnpack.requirements import requirements_of
from litesmith.study.op_models import all_cases
from litesmith.study.op_models.writer import Graph
from litesmith.target import instruction_sets, profiles
from litesmith.target.instruction_sets import flags_of, instruction_set_of
from litesmith.toolchain.registry import load as load_toolchain
from tests.conftest import EXAMPLES, Cli

REGISTRY = op_registry.load()
HALF = (0.5, 0)
NONE = frozenset[Any]()


def node_of(g: Graph) -> RuntimeNode:
    """The last node of a graph that is delegated as a whole."""
    model = contents.analyse_bytes(g.content(), "model")
    found = delegation.prepare(model, g.content(), REGISTRY)
    (part,) = found.subgraphs
    assert part.stays == {}
    return found.graphs[0].nodes[-1]


def convolution(
    *,
    size: int = 1,
    stride: int = 1,
    inputs: int = 8,
    outputs: int = 16,
    pixels: int = 4,
    dtype: str = "float32",
) -> RuntimeNode:
    g = Graph()
    floats = dtype == "float32"
    kind = dtype if floats else "int32"
    weights = g.const(np.ones([outputs, size, size, inputs]), dtype, None if floats else HALF)
    bias = g.const(np.zeros(outputs), kind, None if floats else (0.25, 0))
    x = g.input([1, pixels, pixels, inputs], dtype, quant=None if floats else HALF)
    g.op(
        "CONV_2D",
        [x, weights, bias],
        [g.output(dtype, quant=None if floats else HALF)],
        "Conv2D",
        strideW=stride,
        strideH=stride,
        dilationWFactor=1,
        dilationHFactor=1,
    )
    return node_of(g)


def depthwise(size: int, channels: int = 8, multiplier: int = 1) -> RuntimeNode:
    g = Graph()
    weights = g.const(np.ones([1, size, size, channels * multiplier]))
    bias = g.const(np.zeros(channels * multiplier))
    g.op(
        "DEPTHWISE_CONV_2D",
        [g.input([1, 9, 9, channels]), weights, bias],
        [g.output()],
        "DepthwiseConv2D",
        strideW=1,
        strideH=1,
        depthMultiplier=multiplier,
        dilationWFactor=1,
        dilationHFactor=1,
    )
    return node_of(g)


def matrix(rows: int) -> RuntimeNode:
    g = Graph()
    operands = [g.input([rows, 8]), g.const(np.ones([4, 8])), g.const(np.zeros(4))]
    g.op("FULLY_CONNECTED", operands, [g.output()], "FullyConnected")
    return node_of(g)


def kinds(node: RuntimeNode) -> set[tuple[str, str, int]]:
    return {(one.config, one.kind, one.taps) for one in requirements_of(node).microkernels}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (convolution(), ("f32_gemm", "gemm", 0)),
        (convolution(pixels=1), ("f32_gemm", "gemm1", 0)),
        (convolution(size=3), ("f32_igemm", "igemm", 0)),
        (convolution(size=3, pixels=3), ("f32_igemm", "igemm", 0)),
        (convolution(size=1, stride=2), ("f32_igemm", "igemm", 0)),
        (convolution(size=3, inputs=1, outputs=1), ("f32_dwconv", "dwconv", 9)),
        (convolution(dtype="int8"), ("qs8_qc8w_gemm", "gemm", 0)),
        (convolution(dtype="int8", inputs=7), ("qs8_qc8w_gemm", "gemm", 0)),
        (convolution(dtype="int8", inputs=3, size=3), ("qs8_qc8w_narrow_gemm", "igemm", 0)),
        (convolution(dtype="uint8", inputs=3), ("qu8_gemm", "gemm", 0)),
        (convolution(inputs=3), ("f32_gemm", "gemm", 0)),
        (depthwise(3), ("f32_dwconv", "dwconv", 9)),
        (depthwise(5), ("f32_dwconv", "dwconv", 25)),
        (depthwise(6), ("f32_igemm", "igemm", 0)),
        (depthwise(1), ("f32_vmulcaddc", "", 0)),
        (depthwise(3, multiplier=2), ("f32_igemm", "igemm", 0)),
        (matrix(1), ("f32_gemm", "gemm1", 0)),
        (matrix(2), ("f32_gemm", "gemm", 0)),
    ],
)
def test_the_kind_of_micro_kernel(node: RuntimeNode, expected: tuple[str, str, int]) -> None:
    assert expected in kinds(node)


@pytest.mark.parametrize(("channels", "operator"), [(1, "qs8"), (16, "qs8_qc8w")])
def test_per_channel_scales_use_another_operator(channels: int, operator: str) -> None:
    g = Graph()
    quant: Any = HALF if channels == 1 else ([0.5] * 16, [0] * 16, 0)
    bias: Any = (0.25, 0) if channels == 1 else ([0.25] * 16, [0] * 16, 0)
    operands = [
        g.input([1, 4, 4, 8], "int8", quant=HALF),
        g.const(np.ones([16, 3, 3, 8]), "int8", quant),
        g.const(np.zeros(16), "int32", bias),
    ]
    g.op(
        "CONV_2D",
        operands,
        [g.output("int8", quant=HALF)],
        "Conv2D",
        strideW=1,
        strideH=1,
        dilationWFactor=1,
        dilationHFactor=1,
    )
    assert requirements_of(node_of(g)).operators == {f"convolution2d_nhwc_{operator}"}


def test_an_activation_adds_an_operator() -> None:
    def added(activation: int) -> Requirements:
        g = Graph()
        g.op("ADD", [g.input([4]), g.input([4])], [g.output()], "Add", fusedActivationFunction=activation)
        return requirements_of(node_of(g))

    assert {one.config for one in added(0).microkernels} == {"f32_vadd"}
    assert {one.config for one in added(1).microkernels} == {"f32_vadd", "f32_clamp"}


def test_every_delegated_node_has_requirements() -> None:
    without = set()
    for case in all_cases():
        model = contents.analyse_bytes(case.content, case.name)
        found = delegation.prepare(model, case.content, REGISTRY)
        for graph, part in zip(found.graphs, found.subgraphs, strict=True):
            for index in part.nodes:
                try:
                    requirements_of(graph.nodes[index])
                except LookupError:
                    without.add(case.name)
    assert without == set()


def parts(
    *needs: RequiredMicrokernels,
    sets: tuple[str, ...] = ("sse4.1",),
    operators: frozenset[str] = NONE,
    architecture: instruction_sets.Architecture = "x86_64",
) -> XnnpackLibrary:
    wanted = Requirements(operators=operators | {"convolution2d_nhwc_f32"}, microkernels=frozenset(needs))
    return select(wanted, architecture, sets)


def rows(found: XnnpackLibrary) -> set[str]:
    names = (re.search(r"xnn_f32_(i?gemm)_minmax_ukernel_(\d+)x", one.symbol) for one in found.microkernels)
    return {f"{match[1]} {match[2]}" for match in names if match}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("gemm1", "gemm 1"), ("gemm", "gemm 4"), ("igemm1", "igemm 1"), ("igemm", "igemm 4")],
)
def test_only_matrix_kernels_of_the_required_kind(kind: str, expected: str) -> None:
    config = "f32_igemm" if kind.startswith("igemm") else "f32_gemm"
    assert rows(parts(RequiredMicrokernels(config=config, kind=kind))) == {expected}


NARROW = RequiredMicrokernels(config="qs8_qc8w_narrow_gemm", kind="igemm")
WIDE = RequiredMicrokernels(config="qs8_qc8w_gemm", kind="gemm")
INT8 = frozenset({"convolution2d_nhwc_qs8_qc8w"})


@pytest.mark.parametrize(
    ("architecture", "sets", "expected"),
    [
        (
            "aarch64",
            ("neon",),
            {"igemm 4x16__asm_aarch64_neon_mlal_lane_cortex_a53_prfm", "gemm 2x8c8__asm_aarch64_neon_mlal"},
        ),
        (
            "aarch64",
            ("dotprod",),
            {"igemm 4x16c4__asm_aarch64_neondot_ld128", "gemm 4x16c4__asm_aarch64_neondot_ld128"},
        ),
        ("aarch64", ("i8mm",), {"igemm 4x16c8__neoni8mm", "gemm 4x16c8__neoni8mm"}),
        (
            "armv7",
            ("vfpv4",),
            {"igemm 4x8__asm_aarch32_neon_mlal_lane_ld64", "gemm 4x8__asm_aarch32_neon_mlal_lane_ld64"},
        ),
        ("x86_64", ("avx2",), {"igemm 3x8c8__avx2", "gemm 3x8c8__avx2"}),
    ],
)
def test_kernels_for_few_channels(
    architecture: instruction_sets.Architecture, sets: tuple[str, ...], expected: set[str]
) -> None:
    found = parts(NARROW, WIDE, sets=sets, operators=INT8, architecture=architecture)
    names = (
        re.search(r"qs8_qc8w_(i?gemm)_minmax_fp32_ukernel_(\w+)", one.symbol) for one in found.microkernels
    )
    assert {f"{match[1]} {match[2]}" for match in names if match} == expected


@pytest.mark.parametrize(
    ("needs", "architecture", "sets", "both"),
    [
        ((NARROW, WIDE), "aarch64", ("neon",), True),
        ((WIDE,), "aarch64", ("neon",), False),
        ((NARROW, WIDE), "x86_64", ("avx2",), False),
    ],
)
def test_convolutions_select_kernels_by_their_channels(
    needs: tuple[RequiredMicrokernels, ...],
    architecture: instruction_sets.Architecture,
    sets: tuple[str, ...],
    both: bool,
) -> None:
    found = parts(*needs, sets=sets, operators=INT8, architecture=architecture)
    cuts = "\n".join(wrappers.cuts(found, "src/operators/convolution-nhwc.c", ""))
    assert ("group_input_channels < 8 ? litesmith_init_narrow_gemm_config()" in cuts) == both


def test_kernels_of_each_instruction_set() -> None:
    need = RequiredMicrokernels(config="qs8_qc8w_dwconv", kind="dwconv", taps=9)
    found = parts(need, sets=("sse4.1", "avx2", "avx512vnni"))
    taps = {
        (instruction_set_of(one.source), "_9p" in one.symbol)
        for one in found.microkernels
        if "dwconv" in one.symbol
    }
    assert taps == {("sse41", True), ("avx2", True), ("avx512skx", True)}
    assert found.constant_hardware is None
    assert parts(need).constant_hardware == tuple(
        f"xnn_arch_x86_{name}" for name in ("sse", "sse2", "ssse3", "sse4_1")
    )


def test_kernels_of_cores() -> None:
    need = RequiredMicrokernels(config="qs8_qc8w_gemm", kind="gemm")
    found = parts(need, sets=("cortex-a53", "dotprod", "cortex-a55"), architecture="aarch64")
    names = {one.symbol.partition("_ukernel_")[2] for one in found.microkernels if "_gemm_" in one.symbol}
    assert names == {
        "4x16__asm_aarch64_neon_mlal_lane_cortex_a53_prfm",
        "4x16c4__asm_aarch64_neondot_ld128",
        "4x16c4__asm_aarch64_neondot_cortex_a55",
    }
    assert instruction_sets.core("aarch64", "cortex-a55") == "xnn_uarch_cortex_a55"
    assert instruction_sets.core("aarch64", "dotprod") == "xnn_uarch_unknown"


def test_an_unneeded_kernel_is_a_null_pointer() -> None:
    found = parts(RequiredMicrokernels(config="f32_gemm", kind="gemm"))
    text = "x = xnn_f32_gemm_minmax_ukernel_1x8__sse_load1; y = (xnn_gemm_ukernel_fn) z;"
    cuts = list(wrappers.cuts(found, "src/configs/gemm-config.c", text))
    assert "#define xnn_f32_gemm_minmax_ukernel_1x8__sse_load1 NULL" in cuts
    assert not any("xnn_gemm_ukernel_fn" in line for line in cuts)


def test_an_unneeded_operator_returns_an_error() -> None:
    found = parts(RequiredMicrokernels(config="f32_gemm", kind="gemm"))
    text = "xnn_create_convolution2d_nhwc_f32(a); xnn_create_convolution2d_nhwc_qu8(a);"
    cuts = "\n".join(wrappers.cuts(found, "src/subgraph/convolution-2d.c", text))
    assert "xnn_create_convolution2d_nhwc_qu8(...) xnn_status_unsupported_hardware" in cuts
    assert "nhwc_f32" not in cuts


def test_the_source_of_every_kernel_is_known() -> None:
    known = source_index.load()
    named = {
        symbol
        for by_config in known.hardware.values()
        for by_set in by_config.values()
        for symbols in by_set.values()
        for symbol in symbols
        if "_ukernel" in symbol
    }
    assert named == set(known.microkernels)
    assert {name for one in known.operators.values() for name in one.configs} - set(known.configs) == {
        *("binary_reference", "unary_reference"),
        # For inputs that are packed while a matrix is multiplied, which programs do not ask for.
        *("f32_qdint8_pack_lh", "f32_qduint8_pack_lh"),
    }


def test_instruction_sets_include_their_prerequisites() -> None:
    assert [one.name for one in instruction_sets.closed("x86_64", ["avx512"])] == ["sse4.1", "avx2", "avx512"]
    assert "xnn_arch_x86_avx2" in instruction_sets.hardware("x86_64", ["avxvnni"])
    with pytest.raises(ValueError, match="armv7 has no instruction set 'avx2'; it has neon, vfpv4"):
        instruction_sets.closed("armv7", ["avx2"])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("src/qs8-qc8w-gemm/gen/qs8-qc8w-gemm-7x16c8-minmax-fp32-avx512vnni-prfm.c", "avx512vnni"),
        ("src/f32-dwconv/gen/f32-dwconv-9p8c-minmax-neon.c", "neon"),
        ("src/xx-copy/xx-copy-scalar-memcpy.c", "scalar"),
    ],
)
def test_the_instruction_set_of_a_file(source: str, name: str) -> None:
    assert instruction_set_of(source) == name


def test_flags_of_a_file() -> None:
    dot = "src/a-4x16c4-neondot.c"
    profile = profiles.load("aarch64")
    zig, gcc = (load_toolchain(name).compile_flags(profile).extensions for name in ("zig", "gcc"))
    assert flags_of(dot, zig) == ("-mcpu=cortex_a53+dotprod",)
    assert flags_of(dot, gcc) == ("-march=armv8.2-a+dotprod",)
    assert flags_of("src/a-4x16c8-neoni8mm.c", gcc) == ("-march=armv8.2-a+dotprod+i8mm",)
    assert "-mavx512vnni" in flags_of("src/a-7x16c8-avx512vnni.c", gcc)
    assert flags_of("src/a-4x8-scalar.c", zig) == ()


def test_packed_weights_are_padded_to_the_kernels() -> None:
    # 16 columns of 8 floats and a bias, for a kernel of 8 columns; on AVX-512 it has 32.
    assert packed_weights([convolution()], "x86_64", "sse4.1") == 16 * (8 * 4 + 4)
    assert packed_weights([convolution()], "x86_64", "avx512") == 32 * (8 * 4 + 4)
    # 16 columns of 3 channels, a bias and a scale; otherwise there would be 8 channels.
    few = convolution(dtype="int8", inputs=3, size=3)
    assert packed_weights([few], "aarch64", "neon") == 16 * (9 * 3 + 4 + 4)
    assert packed_weights([few], "aarch64", "dotprod") == 16 * (9 * 4 + 4 + 4)
    # 8 channels, 9 taps and a bias each.
    assert packed_weights([depthwise(3)], "armv7", "vfpv4") == 8 * (9 * 4 + 4)


def chosen(name: str, target: str, kernels: str) -> kernel_choice.KernelChoice:
    model = open_model(str(EXAMPLES / f"{name}.tflite"))
    return kernel_choice.choose(profiles.load(target).with_kernels(kernels), [model], REGISTRY)


def test_nothing_is_delegated_by_default() -> None:
    found = chosen("digits", "armv7", "builtin")
    assert (found.delegated_ops, found.to_json()["chosen"]) == (None, "builtin")


@pytest.mark.parametrize(
    ("name", "target", "result"),
    [("digits", "armv7", "xnnpack"), ("gesture", "armv7", "xnnpack"), ("digits", "riscv64", "builtin")],
)
def test_the_automatic_choice(name: str, target: str, result: str) -> None:
    assert chosen(name, target, "auto").to_json()["chosen"] == result


def test_a_model_that_xnnpack_cannot_accelerate(tmp_path: Any) -> None:
    g = Graph()
    g.op("LOG", [g.input([4])], [g.output()])
    path = tmp_path / "exp.tflite"
    path.write_bytes(g.content())
    model = open_model(str(path))
    found = kernel_choice.choose(profiles.load("armv7").with_kernels("xnnpack"), [model], REGISTRY)
    line = f"XNNPACK takes no node of {path}: XNNPACK has no such op (1 LOG)"
    assert (found.delegated_ops, found.reason, found.notes) == (None, line, (line,))
    assert found.to_json()["reason"] == line
    assert found.to_json()["models"][0]["subgraphs"][0]["stays"] == {"0": "XNNPACK has no such op"}
    # "auto" may choose either kernels: that is no news.
    assert kernel_choice.choose(profiles.load("armv7").with_kernels("auto"), [model], REGISTRY).notes == ()


def declined(tmp_path: Any, g: Graph) -> kernel_choice.KernelChoice:
    path = tmp_path / "m.tflite"
    path.write_bytes(g.content())
    profile = profiles.load("armv7").with_kernels("xnnpack")
    return kernel_choice.choose(profile, [open_model(str(path))], REGISTRY)


def test_the_reasons_of_most_nodes_are_named(tmp_path: Any) -> None:
    g = Graph()
    for _ in range(3):
        g.op("LOG", [g.input([4])], [g.output()])
    g.op("GREATER", [g.input([4]), g.input([4])], [g.output("bool")])
    for _ in range(2):
        g.op("ABS", [g.input([4], "int32")], [g.output("int32")])
    g.op("RELU", [g.input([4], "int32")], [g.output("int32")])
    found = declined(tmp_path, g)
    assert found.delegated_ops is None
    (line,) = found.notes
    assert line.partition("m.tflite: ")[2] == (
        "XNNPACK has no such op (3 LOG, 1 GREATER); its input has the dtype int32 (2 ABS, 1 RELU)"
    )


def test_plan_and_estimate_say_that_no_node_is_taken(cli: Cli, tmp_path: Any) -> None:
    g = Graph()
    g.op("LOG", [g.input([4])], [g.output(shape=[4])])
    (tmp_path / "log.tflite").write_bytes(g.content())
    line = "XNNPACK takes no node of log.tflite: XNNPACK has no such op (1 LOG)"
    asked = ("--target", "armv7", "--model", "log.tflite", "--kernels")
    for command in ("plan", "estimate"):
        shown = cli(command, *asked, "xnnpack")
        assert (shown.returncode, shown.stdout.count(line)) == (0, 1), shown.stderr
        assert line not in cli(command, *asked, "builtin").stdout
    planned = json.loads(cli("plan", *asked, "xnnpack", "--json").stdout)
    assert (planned["kernels"]["chosen"], planned["kernels"]["reason"]) == ("builtin", line)
    estimated = json.loads(cli("estimate", *asked, "xnnpack", "--json").stdout)
    assert (estimated["kernels"], estimated["kernels_reason"]) == ("builtin", line)


def test_each_model_without_a_node_is_named(tmp_path: Any) -> None:
    g = Graph()
    g.op("LOG", [g.input([4])], [g.output()])
    (tmp_path / "log.tflite").write_bytes(g.content())
    models = [open_model(str(path)) for path in (tmp_path / "log.tflite", EXAMPLES / "digits.tflite")]
    found = kernel_choice.choose(profiles.load("armv7").with_kernels("xnnpack"), models, REGISTRY)
    assert found.delegated_ops is not None
    (line,) = found.notes
    assert line.endswith("log.tflite: XNNPACK has no such op (1 LOG)")


def test_ops_keep_their_kernels_if_the_file_has_no_shapes(tmp_path: Any) -> None:
    def whole(shape: list[int]) -> frozenset[str]:
        g = Graph()
        g.op("ABS", [g.input([4])], [g.output(shape=shape)])
        path = tmp_path / "abs.tflite"
        path.write_bytes(g.content())
        model = open_model(str(path))
        found = kernel_choice.choose(profiles.load("armv7").with_kernels("xnnpack"), [model], REGISTRY)
        assert found.delegated_ops is not None
        return found.delegated_ops.fully_delegated

    assert (whole([4]), whole([])) == (frozenset({"ABS"}), NONE)


def test_an_unknown_choice_of_kernels() -> None:
    with pytest.raises(UsageError, match="unknown kernels 'xnpack'") as error:
        profiles.load("armv7").with_kernels("xnpack")
    assert "xnnpack" in str(error.value.next_step)
