from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from litesmith.base.errors import UsageError
from litesmith.build.request import Request, resolve
from litesmith.cli.render import plan_page
from litesmith.model import contents
from litesmith.model.analysis import ModelAnalysis, Tensor
from litesmith.model.entry_points import Choice
from litesmith.model.model_file import open_model
from litesmith.predict import work
from litesmith.predict.plan import budget, latency, menu, plans
from litesmith.predict.plan.latency import Latency
from litesmith.predict.plan.limits import Limits, parse_limits
from litesmith.predict.work import NodeWork, Work
from litesmith.runtime.op_registry import Registry
from litesmith.study.op_models.writer import Graph
from litesmith.target import profiles
from litesmith.target.profiles import Profile, Throughput
from tests.conftest import EXAMPLES, ROOT
from tests.hostile import seeds
from tests.hostile.mutator import packed


def one_node(macs: int, op: str = "CONV_2D", kind: str = "int8", elements: int = 10) -> Work:
    node = NodeWork(subgraph=0, node=0, op=op, name="x", kind=kind, macs=macs, elements=elements)
    return Work(nodes=(node,), parameters=1, weight_bytes={})


# Published by MLPerf Tiny for the reference models, in millions.  No unit test, as the models are downloaded.
@pytest.mark.build
@pytest.mark.parametrize(
    ("model", "macs", "parameters"),
    [
        ("zoo:vww", 7_489_664, 210_850),
        ("zoo:kws", 2_656_768, 22_604),
        ("zoo:ic", 12_501_632, 77_706),
        ("zoo:ad", 264_192, 265_864),
    ],
)
def test_macs_of_the_zoo_models(model: str, macs: int, parameters: int, registry: Registry) -> None:
    found = work.count(open_model(model).analysis, registry)
    assert (found.macs, found.parameters) == (macs, parameters)
    assert sum(found.by_op().values()) == macs


def test_macs_of_the_detector_counted_by_hand(registry: Registry) -> None:
    """Every convolution of the example, counted from its layers instead of the shapes in the file."""
    found = work.count(open_model(str(EXAMPLES / "det.tflite")).analysis, registry)
    # The first one: 96x96 pixels of 3 channels, stride 2, 3x3 kernels, 16 channels.
    first = next(node for node in found.nodes if node.macs)
    assert (first.op, first.macs) == ("CONV_2D", 48 * 48 * 16 * 3 * 3 * 3)
    assert found.by_op() == {"CONV_2D": 4_700_160, "DEPTHWISE_CONV_2D": 362_880}


def shaped(*shapes: tuple[int, ...], out: tuple[int, ...]) -> work.View:
    def sized(shape: tuple[int, ...], constant: bool) -> work.Sized:
        tensor = Tensor(
            name="t",
            dtype="float32",
            shape=shape,
            allocated_shape=shape,
            weight_bytes=4 * math.prod(shape) if constant else 0,
            buffer=1,
            variable=False,
            sparse=False,
            quantized=False,
        )
        return work.Sized(tensor=tensor, shape=shape)

    first, *rest = shapes
    return work.View(
        inputs=(sized(first, False), *(sized(shape, True) for shape in rest)), outputs=(sized(out, False),)
    )


@pytest.mark.parametrize(
    ("op", "view", "macs"),
    [
        ("CONV_2D", shaped((1, 8, 8, 3), (16, 3, 3, 3), out=(1, 8, 8, 16)), 8 * 8 * 16 * 27),
        # Four groups: each output sees a quarter of the channels.
        ("CONV_2D", shaped((1, 8, 8, 16), (16, 3, 3, 4), out=(1, 8, 8, 16)), 8 * 8 * 16 * 36),
        ("DEPTHWISE_CONV_2D", shaped((2, 8, 8, 3), (1, 5, 3, 6), out=(2, 4, 8, 6)), 2 * 4 * 8 * 6 * 15),
        (
            "TRANSPOSE_CONV",
            shaped((4,), (5, 3, 3, 7), (1, 4, 4, 7), out=(1, 8, 8, 5)),
            4 * 4 * 7 * 9 * 5,
        ),
        ("CONV_3D", shaped((1, 4, 4, 4, 2), (3, 3, 3, 2, 6), out=(1, 2, 2, 2, 6)), 8 * 6 * 27 * 2),
        ("FULLY_CONNECTED", shaped((3, 20), (10, 20), out=(3, 10)), 600),
        ("FULLY_CONNECTED", shaped((2, 3, 20), (10, 20), out=(6, 10)), 1200),
        ("BATCH_MATMUL", shaped((5, 2, 3), (5, 3, 4), out=(5, 2, 4)), 5 * 2 * 4 * 3),
        # The left matrix is transposed: [depth, rows].
        ("BATCH_MATMUL", shaped((5, 3, 2), (5, 3, 4), out=(5, 2, 4)), 5 * 2 * 4 * 3),
        ("SVDF", shaped((2, 10), (8, 10), (8, 6), out=(2, 4)), 2 * (80 + 48)),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", shaped((7, 2, 10), (8, 10), (8, 8), (8,), out=(7, 2, 8)), 14 * 144),
        ("LSTM", shaped((2, 10), (8, 10), (8, 8), out=(2, 8)), 2 * 144),
    ],
)
def test_formulas(op: str, view: work.View, macs: int) -> None:
    assert work.FORMULAS[op].count(view) == macs


def test_a_fifth_to_a_tenth_of_the_peak() -> None:
    profile = profiles.load("armv7")
    resources = profile.resources
    peak = resources.clock * resources.macs_per_cycle["int8"] * resources.cores
    found = latency.of_work(one_node(1_000_000), profile)
    assert found.low == pytest.approx(1000 * 5 * 1_000_000 / peak)
    assert found.high == pytest.approx(2 * found.low)
    assert found.frames_per_second == pytest.approx((1000 / found.high, 1000 / found.low))


def test_flops_in_place_of_the_profile() -> None:
    found = latency.of_work(one_node(50_000_000), profiles.load("armv7"), 500e6)
    assert (found.low, found.high) == (200, 200)


@pytest.mark.parametrize("name", sorted(profiles.available()))
def test_every_target_has_macs_per_cycle(name: str) -> None:
    assert set(profiles.load(name).resources.macs_per_cycle) == {"float32", "int8"}


def with_throughput(**more: object) -> Profile:
    measured = Throughput(
        measured_on="bench",
        macs={"CONV_2D": {"int8": 1e9, "float32": 1e8}, "FULLY_CONNECTED": {"int8": 5e8}},
        elements={"SOFTMAX": {"int8": 1e6}},
        error=0.25,
        **more,
    )
    return profiles.load("armv7").model_copy(update={"throughput": measured})


@pytest.mark.parametrize(
    ("done", "milliseconds"),
    [
        (one_node(1_000_000), 1),
        (one_node(1_000_000, kind="float32"), 10),
        # Not measured in float32: same as int8.
        (one_node(1_000_000, op="FULLY_CONNECTED", kind="float32"), 2),
        # Not measured at all: same as other ops of the same arithmetic.
        (one_node(1_000_000, op="DEPTHWISE_CONV_2D", kind="float32"), 10),
        (one_node(0, op="SOFTMAX", elements=1000), 1),
    ],
)
def test_a_measured_throughput(done: Work, milliseconds: float) -> None:
    found = latency.of_work(done, with_throughput())
    assert found.high == pytest.approx(milliseconds * 1.25)
    assert found.low == pytest.approx(milliseconds / 1.25)
    assert "bench" in found.basis


def test_a_profile_without_throughput() -> None:
    profile = profiles.load("armv7")
    bare = profile.model_copy(
        update={"resources": profile.resources.model_copy(update={"macs_per_cycle": {}})}
    )
    with pytest.raises(UsageError, match=r"does not say resources\.macs_per_cycle\.int8"):
        latency.of_work(one_node(1), bare)


@pytest.mark.parametrize(
    ("need", "error", "have", "verdict"),
    [(100, 0, 100, "fits"), (101, 0, 100, "does not fit"), (95, 0.1, 100, "perhaps"), (90, 0.1, 100, "fits")],
)
def test_bytes_compared_with_a_board(need: float, error: float, have: float, verdict: str) -> None:
    assert budget.fits_into("flash", need, error, have).verdict == verdict


@pytest.mark.parametrize(
    ("rates", "verdict"), [((5, 10), "fits"), ((4, 6), "perhaps"), ((1, 4), "does not fit")]
)
def test_frame_rate_compared_with_a_requirement(rates: tuple[float, float], verdict: str) -> None:
    assert budget.fast_enough(rates, 5).verdict == verdict


def test_the_worst_line_is_the_verdict() -> None:
    lines = [budget.fits_into("a", 1, 0, 2), budget.fast_enough((1, 9), 5), budget.fits_into("b", 3, 0, 2)]
    assert budget.verdict_of(lines) == "does not fit"
    assert budget.verdict_of(lines[:2]) == "perhaps"
    assert budget.verdict_of(lines[:1]) == "fits"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, Limits()),
        ({"fps": "2.5", "flash": "1000KB"}, Limits(fps=2.5, flash=1_000_000)),
        ({"ram": "512KiB", "flops": "500M"}, Limits(ram=512 * 1024, flops=5e8)),
        ({"flops": "1.5g"}, Limits(flops=1.5e9)),
    ],
)
def test_limits(given: dict[str, str], found: Limits) -> None:
    empty: dict[str, str | None] = {"fps": None, "flash": None, "ram": None, "flops": None}
    assert parse_limits(**{**empty, **given}) == found


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("fps", "fast"),
        ("fps", "0"),
        ("fps", "-1"),
        ("flash", "big"),
        ("ram", "0"),
        ("flops", "M"),
        ("fps", "nan"),
    ],
)
def test_impossible_budgets(option: str, value: str) -> None:
    empty: dict[str, str | None] = {"fps": None, "flash": None, "ram": None, "flops": None}
    with pytest.raises(UsageError, match=f"--{option}"):
        parse_limits(**{**empty, option: value})


def chosen(**limits: object) -> menu.MenuReport:
    return menu.choose(menu.load("mobilenet_v1"), "armv7", None, Limits(**limits))


def test_the_example_in_the_documentation() -> None:
    """500 MFLOP/s, 1,000 KB, 5 frames per second."""
    found = chosen(flops=500e6, flash=1_000_000, fps=5)
    assert found.best is not None
    assert (found.best.variant, found.best.arithmetic) == ("0.25_224", "int8")
    assert len(found.choices) == 32
    by_name = {(one.variant, one.arithmetic): one for one in found.choices}
    assert by_name["0.50_128", "int8"].why_not.startswith("flash: ")
    assert "frames per second" in by_name["1.0_224", "int8"].why_not


def test_no_variant_fits() -> None:
    found = chosen(flash=1000)
    assert found.best is None
    assert found.to_json()["best"] is None


def test_all_variants_fit() -> None:
    found = chosen(flash=100_000_000, flops=1e12, fps=1)
    assert found.best is not None
    # int8 has the same accuracy and takes a quarter of the bytes.
    assert (found.best.variant, found.best.arithmetic) == ("1.0_224", "int8")


def test_one_published_row_is_inconsistent() -> None:
    """MACs of convolutions grow with the square of the resolution; one row of the table does not."""
    variants = menu.load("mobilenet_v1").variants
    off = []
    for name, variant in variants.items():
        width, _, resolution = name.partition("_")
        largest = variants[f"{width}_224"].million_macs
        expected = largest * (int(resolution) / 224) ** 2
        # Both are rounded to whole millions.
        if abs(variant.million_macs - expected) > 0.5 + 0.5 * (int(resolution) / 224) ** 2 + 0.01 * expected:
            off.append(name)
    assert off == ["0.25_192"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a mapping of keys"),
        ("description: x\nsource: y\nops: {int8: {CONV_2D: [int8]}}\n", "the key 'variants' is missing"),
        (
            "description: x\nsource: y\nops: {int8: {CONV_9D: [int8]}}\n"
            "variants: {a: {million_macs: 1, million_parameters: 1, top1: 50}}\n",
            "the op 'CONV_9D'",
        ),
        (
            "description: x\nsource: y\nops: {int8: {CONV_2D: [int8]}}\n"
            "variants: {a: {million_macs: 1, million_parameters: 1, top1: 150}}\n",
            "top1",
        ),
    ],
)
def test_invalid_menus(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        menu.choose(menu.load(str(path)), "armv7", None, Limits())


def test_a_menu_file_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "description: two\nsource: here\nops: {int8: {CONV_2D: [int8, int32]}}\nvariants:\n"
        "  small: {million_macs: 1, million_parameters: 0.1, top1: 50, bytes: {int8: 123}, "
        "arena: {int8: 4096}}\n"
        "  large: {million_macs: 9, million_parameters: 9, top1: 60}\n"
    )
    found = menu.choose(menu.load(str(path)), "armv7", None, Limits(flash=1_000_000, ram=8192))
    assert found.best is not None
    assert (found.best.variant, found.best.model_bytes) == ("small", 123)
    assert {line.name for line in found.choices[0].lines} == {"flash", "ram"}


def test_an_unknown_menu() -> None:
    with pytest.raises(UsageError, match="unknown menu 'mobilenet'") as caught:
        menu.load("mobilenet")
    assert "mobilenet_v1" in caught.value.next_step


def test_latency_without_work() -> None:
    found = Latency(low=0.0, high=0.0, basis="")
    assert found.frames_per_second == (0.0, 0.0)


def test_every_formula_is_documented() -> None:
    text = (ROOT / "docs/plan.md").read_text()
    for op, formula in work.FORMULAS.items():
        (line,) = [line for line in text.splitlines() if re.search(rf"[| ]{op}[ ,]", line)]
        assert formula.text in line


def of_any_length() -> ModelAnalysis:
    g = Graph()
    x = g.input([1, 1], signature=[1, -1])
    g.op("ADD", [x, x], [g.output()], "Add")
    return contents.analyse_bytes(g.content(), "any.tflite")


def test_an_input_of_unknown_shape() -> None:
    model = of_any_length()
    name = model.subgraphs[0].tensors[0].name
    with pytest.raises(UsageError, match=rf"any.tflite: the input '{name}' has the shape 1x\?") as caught:
        work.require_shapes(model, Choice())
    assert f"--input-shape {name}=1x224" in caught.value.next_step
    work.require_shapes(model, Choice(shapes={name: (1, 7)}))


def test_a_profile_without_measured_costs(tmp_path: Path) -> None:
    """The rest of the plan is still given, but its verdict is at best "perhaps"."""
    text = (ROOT / "targets/armv7.yaml").read_text().replace("optimise: size", "optimise: speed")
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    request = Request(target=str(path), models=(str(EXAMPLES / "digits.tflite"),))
    resolved = resolve(request)
    asked = (resolved.profile, resolved.toolchain, resolved.models[0])
    found = plans.plan(*asked, Limits())
    assert found.program is None
    assert "no costs have been measured for mine" in found.made_with
    assert (found.verdict, found.work.macs) == ("perhaps", 155_408)
    assert plans.plan(*asked, Limits(flash=1000)).verdict == "does not fit"
    assert "unknown" in plan_page.of_plan(found)


def test_a_variable_in_the_arena_that_is_drawn(tmp_path: Path) -> None:
    """A damaged model: a tensor of a loop's body, which XNNPACK runs, says that it is a variable."""
    path = seeds.written(tmp_path)["control"]
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    model.subgraphs[3].tensors[0].isVariable = True
    path.write_bytes(packed(model))
    resolved = resolve(Request(target="x86_64", models=(str(path),), kernels="xnnpack"))
    found = plans.plan(resolved.profile, resolved.toolchain, resolved.models[0], Limits())
    assert "(variable)" in plan_page.of_plan(found)
