"""Whole models with XNNPACK: outputs, CPUs, threads, several models, refusals."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from litesmith.build.request import Request
from litesmith.model import contents, entry_points
from litesmith.model.model_file import open_model
from litesmith.study.op_models import all_cases
from litesmith.study.op_models.writer import Graph
from litesmith.workflow import build_and_verify
from tests.conftest import EXAMPLES, ROOT, Cli
from tests.integration.conftest import DET, Build, Built, build_by_hand

VWW = "zoo:vww"
LIMITS = {"x86_64": 287_888, "aarch64": 260_610, "armv7": 182_500}
HALF = (0.5, 0)


@pytest.mark.parametrize("target", LIMITS)
def test_visual_wake_words_is_small_and_right(build: Build, target: str) -> None:
    built = build(target, VWW, kernels="xnnpack")
    assert built.json("size.json")["binary"]["code"] <= LIMITS[target]
    kernels = built.json("manifest.json")["kernels"]
    (model,) = kernels["models"]
    assert (kernels["chosen"], model["nodes"], model["xnnpack"]) == ("xnnpack", 33, 31)
    assert set(model["subgraphs"][0]["stays"]) == {"28", "31"}
    assert "CONV_2D" in kernels["without_kernel"]
    assert "SOFTMAX" not in kernels["without_kernel"]
    registrations = {op["name"]: op["registration"] for op in built.json("selection.json")["ops"]}
    assert registrations["CONV_2D"] == "litesmith::OnlyDelegated"
    symbols = {row["source"] for row in built.json("symbols.json")}
    assert not any(source.endswith("kernels/conv.cc") for source in symbols)


@pytest.mark.parametrize("target", ["armv6", "riscv64"])
def test_targets_without_vectors(build: Build, target: str) -> None:
    built = build(target, "zoo:kws", kernels="xnnpack")
    assert built.json("manifest.json")["kernels"]["instruction_sets"] in (["vfp"], ["scalar"])


def test_a_build_says_that_no_node_is_taken(cli: Cli, tmp_path: Path) -> None:
    g = Graph()
    g.op("LOG", [g.input([4])], [g.output(shape=[4])])
    (tmp_path / "log.tflite").write_bytes(g.content())
    line = "XNNPACK takes no node of log.tflite: XNNPACK has no such op (1 LOG)"
    done = cli("build", "--target", "x86_64", "--model", "log.tflite", "--kernels", "xnnpack", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines().count(line) == 1
    found = json.loads(done.stdout)
    assert found["kernels"] == {"asked": "xnnpack", "chosen": "builtin", "reason": line}
    manifest = json.loads((tmp_path / found["out"] / "manifest.json").read_text())
    assert manifest["kernels"]["reason"] == line


@pytest.mark.parametrize("name", ["det", "digits", "words", "gesture"])
@pytest.mark.parametrize("target", ["x86_64", "armv7"])
def test_examples(build: Build, target: str, name: str) -> None:
    built = build(target, EXAMPLES / f"{name}.tflite", kernels="xnnpack")
    assert built.json("verify.json")["verdicts"][0]["passed"] is True


@pytest.mark.parametrize(
    ("target", "cpu", "wide", "first"),
    [
        ("aarch64", "cortex-a53", *["4x16__asm_aarch64_neon_mlal_lane_cortex_a53_prfm"] * 2),
        (
            *("aarch64", "cortex-a72", "2x8c8__asm_aarch64_neon_mlal_prfm"),
            "4x16__asm_aarch64_neon_mlal_lane_cortex_a53_prfm",
        ),
        ("aarch64", "neoverse-n1", *["4x16c4__asm_aarch64_neondot_ld128"] * 2),
        ("aarch64", "max", *["4x16c8__neoni8mm"] * 2),
        ("armv7", "cortex-a7", *["4x8__asm_aarch32_neon_mlal_lane_cortex_a7_prfm"] * 2),
        ("armv7", "max", *["4x8__asm_aarch32_neon_mlal_lane_cortex_a7_prfm"] * 2),
    ],
)
def test_kernels_are_chosen_by_the_cpu_on_arm(
    build: Build, cli: Cli, target: str, cpu: str, wide: str, first: str
) -> None:
    """``first`` is the kernel of the first layer, which has three channels, ``wide`` that of the others."""
    built = build(target, VWW, kernels="xnnpack")
    done = cli("verify", "--target", target, "--program", built.program, "--model", VWW, "--cpu", cpu)
    assert done.returncode == 0, done.stderr
    log = built.folder / f"{cpu}.log"
    emulator = {"aarch64": "qemu-aarch64", "armv7": "qemu-arm"}[target]
    argv = [emulator, "-cpu", cpu, "-d", "in_asm", "-D", str(log), f"{built.program}.debug"]
    path = str(open_model(VWW).path)
    subprocess.run([*argv, "--model", path], check=True, capture_output=True)
    found = set(re.findall(r"ukernel_(\dx\d+\w*)", log.read_text(errors="replace")))
    products = {name for name in found if re.match(r"[24]x\d+(c\d)?__", name)}
    assert products == {wide, first}


@pytest.mark.parametrize(
    ("cpu", "kernel"), [("Nehalem", "__sse41"), ("Haswell", "__avx2"), ("max", "__avx2")]
)
def test_kernels_are_chosen_by_the_cpu_on_x86(build: Build, tmp_path: Path, cpu: str, kernel: str) -> None:
    built = build("x86_64", VWW, kernels="xnnpack")
    path = str(open_model(VWW).path)
    log = tmp_path / "executed.log"
    argv = ["qemu-x86_64", "-cpu", cpu, "-d", "in_asm", "-D", str(log), f"{built.program}.debug"]
    done = subprocess.run([*argv, "--model", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    executed = {line for line in log.read_text(errors="replace").splitlines() if "igemm_minmax" in line}
    assert executed
    assert all(kernel in line for line in executed)


def test_instruction_sets_of_the_profile(tmp_path: Path) -> None:
    profile = yaml.safe_load((ROOT / "targets" / "x86_64.yaml").read_text())
    profile["xnnpack"] = ["sse4.1"]
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(profile, sort_keys=False))
    outcome = build_and_verify.build(
        Request(target=str(path), models=("zoo:kws",), out=str(tmp_path / "out"), kernels="xnnpack")
    )
    kernels = json.loads((outcome.folder / "manifest.json").read_text())["kernels"]
    assert kernels["instruction_sets"] == ["sse4.1"]
    assert not any("avx" in name for name in kernels["microkernels"])
    assert outcome.verdicts[0].passed
    fewer = build_and_verify.build(
        Request(target="x86_64", models=("zoo:kws",), out=str(tmp_path / "all"), kernels="xnnpack")
    )
    assert outcome.size.binary.code < fewer.size.binary.code - 10_000


def _outputs(built: Built, model: Path, folder: Path, *more: str) -> list[bytes]:
    folder.mkdir()
    done = built.run("--model", model, "--output-dir", folder, *more)
    assert done.returncode == 0, done.stderr
    return [path.read_bytes() for path in sorted(folder.glob("out*.bin"))]


@pytest.mark.parametrize("target", ["x86_64", "armv7"])
def test_threads_give_the_same_answers(build: Build, tmp_path: Path, target: str) -> None:
    model = open_model("zoo:ic").path
    built = build(target, "zoo:ic", kernels="xnnpack")
    one = _outputs(built, model, tmp_path / "1")
    assert one == _outputs(built, model, tmp_path / "4", "--threads", "4", "--runs", "3")


def test_several_models_in_one_program(build: Build) -> None:
    built = build("armv7", VWW, EXAMPLES / "digits.tflite", DET, kernels="xnnpack")
    assert [one["passed"] for one in built.json("verify.json")["verdicts"]] == [True] * 3


def test_embedded_models_and_stock_programs(build: Build) -> None:
    assert build("armv7", "zoo:kws", kernels="xnnpack", embed_model=True).run().returncode == 0
    stock = build("x86_64", "zoo:kws", kernels="xnnpack", prune=False)
    assert stock.json("verify.json")["verdicts"][0]["passed"] is True


@pytest.mark.exhaustive
def test_the_project_builds_by_hand(build: Build, tmp_path: Path) -> None:
    """It takes two minutes to compile."""
    built = build("x86_64", "zoo:kws", kernels="xnnpack")
    project = tmp_path / "project"
    shutil.copytree(built.folder / "project", project)
    build_by_hand(project)


@pytest.mark.parametrize("op", ["IF", "WHILE"])
@pytest.mark.parametrize("target", ["x86_64", "armv7"])
def test_control_flow_around_delegated_nodes(build: Build, tmp_path: Path, target: str, op: str) -> None:
    case = next(one for one in all_cases() if one.op == op and one.name.endswith("float32"))
    built = build(target, case.write(tmp_path), kernels="xnnpack")
    (model,) = built.json("manifest.json")["kernels"]["models"]
    main, *bodies = model["subgraphs"]
    assert main["xnnpack"] == []
    assert any(body["xnnpack"] for body in bodies)


def test_a_product_that_transposes_nothing(build: Build, tmp_path: Path) -> None:
    """The delegate's code for the op calls a function that only other nodes need."""
    case = next(case for case in all_cases() if case.name == "BATCH_MATMUL_float32")
    built = build("x86_64", case.write(tmp_path), kernels="xnnpack")
    (model,) = built.json("manifest.json")["kernels"]["models"]
    assert model["subgraphs"][0]["xnnpack"] == [0]


def test_a_layer_that_keeps_its_dimensions(build: Build, tmp_path: Path) -> None:
    """The same: other nodes of the op reshape their outputs."""
    g = Graph()
    weights = g.const(np.ones((3, 4), np.float32))
    inputs = [g.input([2, 4]), weights, -1]
    g.op("FULLY_CONNECTED", inputs, [g.output(shape=[2, 3])], "FullyConnected", keepNumDims=True)
    path = tmp_path / "kept.tflite"
    path.write_bytes(g.content())
    built = build("x86_64", path, kernels="xnnpack")
    assert built.json("manifest.json")["kernels"]["without_kernel"] == ["FULLY_CONNECTED"]


def test_a_mean_that_is_read_twice(build: Build, tmp_path: Path) -> None:
    """The hand landmarks' heads: one mean of the channels, and a layer for each output."""
    rng = np.random.default_rng(3)
    g = Graph()
    mean = g.tensor([1, 5], "float32")
    axes = g.const([1, 2], "int32")
    g.op("MEAN", [g.input([1, 4, 3, 5]), axes], [mean], "Reducer", keepDims=False)
    for _ in range(2):
        weights = g.const(rng.normal(size=(3, 5)))
        g.op("FULLY_CONNECTED", [mean, weights, -1], [g.output(shape=[1, 3])], "FullyConnected")
    path = tmp_path / "heads.tflite"
    path.write_bytes(g.content())
    built = build("x86_64", path, kernels="xnnpack")
    (model,) = built.json("manifest.json")["kernels"]["models"]
    assert model["subgraphs"][0]["partitions"] == [[0, 1, 2]]
    assert built.json("verify.json")["verdicts"][0]["passed"] is True


def _matrix(folder: Path, name: str, zero_point: int) -> Path:
    """A fully connected layer of int8; XNNPACK supports no weights with a zero point."""
    g = Graph()
    weights = g.const(np.arange(12, dtype=np.int8).reshape(3, 4), "int8", quant=(0.5, zero_point))
    bias = g.const(np.zeros(3, np.int32), "int32", quant=(0.25, 0))
    output = g.output("int8", [2, 3], quant=HALF)
    g.op("FULLY_CONNECTED", [g.input([2, 4], "int8", quant=HALF), weights, bias], [output], "FullyConnected")
    path = folder / f"{name}.tflite"
    path.write_bytes(g.content())
    return path


def test_a_node_that_xnnpack_declines_exits_with_3(build: Build, tmp_path: Path) -> None:
    built = build("x86_64", _matrix(tmp_path, "taken", 0), kernels="xnnpack")
    assert built.json("manifest.json")["kernels"]["without_kernel"] == ["FULLY_CONNECTED"]
    done = built.run("--model", _matrix(tmp_path, "declined", 1))
    assert done.returncode == 3
    assert "XNNPACK does not take node 0 of subgraph 0, FULLY_CONNECTED" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_other_shapes_are_refused_if_no_kernel_supports_them(build: Build) -> None:
    built = build("x86_64", EXAMPLES / "digits.tflite", kernels="xnnpack")
    name = contents.analyse(EXAMPLES / "digits.tflite").subgraphs[0].tensors
    subgraph = contents.analyse(EXAMPLES / "digits.tflite").subgraphs[0]
    first = name[subgraph.inputs[0]].name
    done = built.run("--model", EXAMPLES / "digits.tflite", "--input-shape", f"{first}=2x28x28x1")
    assert (done.returncode, done.stdout) == (3, "")
    assert "--input-shape" in done.stderr


def test_programs_for_other_shapes_keep_kernels(tmp_path: Path) -> None:
    g = Graph()
    summed = g.tensor([1, 4], "float32", signature=[-1, 4])
    g.op("ADD", [g.input([1, 4], signature=[-1, 4]), g.const(np.arange(4.0))], [summed], "Add")
    g.op("ABS", [summed], [g.output(shape=[1, 4], signature=[-1, 4])])
    path = tmp_path / "any.tflite"
    path.write_bytes(g.content())
    name = contents.analyse(path).subgraphs[0].tensors[1].name
    request = Request(
        target="x86_64",
        models=(str(path),),
        out=str(tmp_path / "out"),
        kernels="xnnpack",
        choice=entry_points.Choice(shapes={name: (3, 4)}),
    )
    outcome = build_and_verify.build(request)
    assert outcome.verdicts[0].passed, outcome.verdicts[0].line()
    kernels = json.loads((outcome.folder / "manifest.json").read_text())["kernels"]
    assert (kernels["chosen"], kernels["without_kernel"]) == ("xnnpack", [])


def test_auto_selects_xnnpack_if_it_does_most_of_the_work(build: Build) -> None:
    found = {
        (target, name): build(target, EXAMPLES / f"{name}.tflite", kernels="auto").json("manifest.json")[
            "kernels"
        ]
        for target, name in (("armv7", "digits"), ("armv7", "gesture"), ("riscv64", "digits"))
    }
    assert {key: one["chosen"] for key, one in found.items()} == {
        ("armv7", "digits"): "xnnpack",
        ("armv7", "gesture"): "xnnpack",
        ("riscv64", "digits"): "builtin",
    }
    assert "50% are enough" in found["armv7", "gesture"]["reason"]
    assert "vector" in found["riscv64", "digits"]["reason"]


def test_the_program_reports_its_memory(build: Build) -> None:
    done = build("x86_64", VWW, kernels="xnnpack").run("--model", open_model(VWW).path, "--json")
    report = json.loads(done.stdout)
    assert report["packed_weights_bytes"] > 200_000
    assert {"arena_bytes", "workspace_bytes", "peak_rss_bytes", "time_to_first_inference_ms"} <= set(report)
    assert (report["partitions"], len(report["delegated_nodes"][0])) == (3, 31)


def test_unused_outputs(build: Build, tmp_path: Path) -> None:
    g = Graph()
    x = g.input([2, 6])
    pieces = [g.tensor([2, 3], "float32"), g.tensor([2, 3], "float32")]
    g.op("SPLIT", [g.const(1, "int32"), x], pieces, "Split", numSplits=2)
    squared = g.tensor([2, 3], "float32")
    g.op("SQUARE", [pieces[1]], [squared], "Square")
    g.op("ABS", [squared], [g.tensor([2, 3], "float32")])
    g.op("NEG", [pieces[1]], [g.output(shape=[2, 3])], "Neg")
    path = tmp_path / "unwanted.tflite"
    path.write_bytes(g.content())
    built = build("x86_64", path, kernels="xnnpack")
    (model,) = built.json("manifest.json")["kernels"]["models"]
    assert model["xnnpack"] == 4


@pytest.mark.parametrize(("op", "dtype"), [("MAX_POOL_2D", "float32"), ("AVERAGE_POOL_2D", "float32")])
def test_pools_of_one_pixel(build: Build, tmp_path: Path, op: str, dtype: str) -> None:
    g = Graph()
    options = {"strideW": 1, "strideH": 1, "filterWidth": 1, "filterHeight": 1, "fusedActivationFunction": 1}
    g.op(op, [g.input([1, 4, 4, 2], dtype)], [g.output(dtype, [1, 4, 4, 2])], "Pool2D", **options)
    path = tmp_path / "pool.tflite"
    path.write_bytes(g.content())
    assert build("x86_64", path, kernels="xnnpack").json("manifest.json")["kernels"]["chosen"] == "xnnpack"
