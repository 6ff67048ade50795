"""Pruned programs of whole models compared with selective stock programs: same outputs, fewer bytes.

On x86_64; in the tier ``exhaustive`` on four targets.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from litesmith.build.request import Request
from litesmith.measure.verify.executor import find_executor
from litesmith.model import entry_points, samples
from litesmith.model.model_file import open_model
from litesmith.study.bench.models import default_models
from litesmith.study.op_models import all_cases
from litesmith.study.op_models.writer import Case
from litesmith.target import profiles
from litesmith.workflow import build_and_verify
from tests.conftest import EXAMPLES, Cli

TARGETS = (
    "x86_64",
    *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("armv7", "aarch64", "riscv64")),
)
VWW = "zoo:vww"


def outcome(target: str, model: str, folder: Path, *, prune: bool, toolchain: str | None = None):
    request = Request(
        target=target, models=(model,), out=str(folder), prune=prune, toolchain=toolchain, verify="off"
    )
    return build_and_verify.build(request)


@pytest.mark.parametrize("name", ["CONV_3D_float32", "CONV_3D_TRANSPOSE_float32", "BATCH_MATMUL_float32"])
def test_products_in_each_storage_order(tmp_path: Path, name: str) -> None:
    """One op alone: beside BATCH_MATMUL, the kernels of all others accept any order."""
    case = next(case for case in all_cases() if case.name == name)
    built = build_and_verify.build(
        Request(target="x86_64", models=(str(case.write(tmp_path)),), out=str(tmp_path / "out"))
    )
    (verdict,) = built.verdicts
    assert (verdict.passed, verdict.nodes) == (True, 0)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", default_models(), ids=lambda name: Path(name).stem)
def test_outputs_are_bit_identical(tmp_path: Path, target: str, name: str) -> None:
    model = open_model(name)
    (part, *_) = entry_points.parts(model.analysis)
    executor = find_executor(profiles.load(target))
    programs = [outcome(target, name, tmp_path / str(p), prune=p).program for p in (True, False)]
    for sample in samples.samples(model.analysis, model.path, part).values():
        answers = []
        for program in programs:
            with tempfile.TemporaryDirectory() as scratch:
                arguments = ["--model", str(model.path)]
                done = executor.run(str(program), arguments, sample.inputs, Path(scratch))
                assert done.code == 0, done.stderr
                outputs = range(len(part.outputs))
                answers.append([(Path(scratch) / f"out{i}.bin").read_bytes() for i in outputs])
        assert answers[0] == answers[1]


@pytest.mark.usefixtures("cross_gcc")
def test_sizes_with_gcc(tmp_path: Path) -> None:
    found = outcome("armv7", VWW, tmp_path / "gcc", prune=True, toolchain="gcc").size
    assert found.binary.code <= 118_000
    assert found.without_ops <= 62_000


def test_sizes_with_zig(tmp_path: Path) -> None:
    found = outcome("armv7", VWW, tmp_path / "zig", prune=True).size
    assert found.binary.code <= 225_000
    assert found.without_ops <= 115_000


def test_the_manifest_lists_what_was_kept(tmp_path: Path) -> None:
    outcome("x86_64", VWW, tmp_path / "b", prune=True)
    pruning = json.loads((tmp_path / "b/manifest.json").read_text())["pruning"]
    assert pruning["enabled"]
    assert pruning["dtypes"]["tensorflow/lite/kernels/conv.cc"] == ["int32", "int8"]
    assert pruning["dtypes"]["tensorflow/lite/kernels/quantize.cc"] == ["float32", "int8"]
    defines = pruning["defines"]["tensorflow/lite/core/api/flatbuffer_conversions.cc"]
    # Upstream's own switch reads no op of the model.
    assert defines == ["ParseOpData=ParseOpDataBySwitch", "LITESMITH_OPS=-1"]


def test_without_pruning_the_code_is_upstreams(tmp_path: Path) -> None:
    outcome("x86_64", VWW, tmp_path / "b", prune=False)
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    assert manifest["pruning"] == {"enabled": False, "dtypes": {}, "defines": {}}
    assert not any("LITESMITH" in define for define in manifest["flags"]["defines"])
    assert "LITESMITH_PRUNED" not in (tmp_path / "b/project/CMakeLists.txt").read_text()


def test_the_last_line_gives_the_saving(cli: Cli) -> None:
    done = cli("build", "--target", "x86_64", "--model", VWW, "--compare-stock", "--no-verify")
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    match = re.fullmatch(r"stock ([\d,]+) bytes, pruned ([\d,]+), saved ([\d,]+) \((\d+\.\d) %\)", last)
    assert match is not None, last
    stock, pruned, saved = (int(number.replace(",", "")) for number in match.groups()[:3])
    assert stock - pruned == saved
    assert saved / stock > 0.5
    # The stock program is now in the cache, so that the option is not needed.
    again = cli("build", "--target", "x86_64", "--model", VWW, "--no-verify")
    assert again.stdout.strip().splitlines()[-1] == last
    unpruned = cli("build", "--target", "x86_64", "--model", VWW, "--no-verify", "--no-prune", "--json")
    assert json.loads(unpruned.stdout)["size"]["binary"]["code"] == stock
    assert json.loads(unpruned.stdout)["stock"] is None


def with_sparse_weights(content: bytes) -> bytes:
    """The model with its first constant tensor marked as sparse."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    tensor = next(t for t in model.subgraphs[0].tensors if model.buffers[t.buffer].data is not None)
    tensor.sparsity = schema.SparsityParametersT()
    tensor.sparsity.traversalOrder = [0, 1]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_sparse_weights_are_refused_if_no_model_has_them(tmp_path: Path) -> None:
    built = outcome("x86_64", str(EXAMPLES / "digits.tflite"), tmp_path / "b", prune=True)
    path = tmp_path / "sparse.tflite"
    path.write_bytes(with_sparse_weights((EXAMPLES / "digits.tflite").read_bytes()))
    done = subprocess.run([built.program, "--model", path], capture_output=True, text=True)
    assert done.returncode == 3
    assert "error: this program was built without sparse tensors, such as " in done.stderr
    assert "build it for this model" in done.stderr


@pytest.mark.parametrize("case", [c for c in all_cases() if c.op == "DENSIFY"], ids=lambda c: c.name)
def test_sparse_weights_are_supported_if_a_model_has_them(tmp_path: Path, case: Case) -> None:
    path = case.write(tmp_path)
    built = build_and_verify.build(Request(target="x86_64", models=(str(path),), out=str(tmp_path / "b")))
    assert built.verdicts[0].passed
    assert "kSparseTensors = true" in (tmp_path / "b/project/selected_ops.cc").read_text()
