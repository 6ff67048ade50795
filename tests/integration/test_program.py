"""The built program: options, tensors in and out, exit codes."""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests import mutations
from tests.conftest import EXAMPLES
from tests.integration.conftest import DET, Build, Built, outputs
from tests.models import ADD, CONV_2D, CUSTOM, FLOAT32, INT8, SOFTMAX, Op, build_model

pytestmark = pytest.mark.build

DIGITS = EXAMPLES / "digits.tflite"


def test_json_has_the_documented_content(det_armv7: Built) -> None:
    done = det_armv7.run("--model", DET, "--runs", "3", "--threads", "2", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [t["shape"] for t in result["inputs"]] == [[1, 96, 96, 3]]
    assert [t["dtype"] for t in result["inputs"]] == ["int8"]
    assert [t["shape"] for t in result["outputs"]] == [[1, 8, 4], [1, 8], [1, 8], [1]]
    assert {t["dtype"] for t in result["outputs"]} == {"float32"}
    assert all(t["name"] for t in result["inputs"] + result["outputs"])
    assert result["arena_bytes"] > 10_000
    assert result["peak_rss_bytes"] > 100_000
    latency = result["latency_ms"]
    assert 0 < latency["min"] <= latency["median"] <= latency["max"]
    assert result["time_to_first_inference_ms"] > 0
    assert (result["runs"], result["threads"]) == (3, 2)


def test_memory_of_the_parent_process_is_not_counted(digits_x86: Built) -> None:
    allocated = bytearray(b"x" * 64_000_000)
    result = json.loads(digits_x86.run("--model", DIGITS, "--json").stdout)
    assert 100_000 < result["peak_rss_bytes"] < len(allocated)


def test_human_readable_output(digits_x86: Built) -> None:
    done = digits_x86.run("--model", DIGITS)
    assert done.returncode == 0
    assert "out0: " in done.stdout
    assert "latency ms: min " in done.stdout


def test_a_drawn_digit_is_recognised(digits_x86: Built, tmp_path: Path) -> None:
    from litesmith.workflow.demo import drawing

    shapes = drawing()
    rng = np.random.default_rng(99)
    right = 0
    for value in range(10):
        shapes.digit(rng, value)[None].astype(np.float32).tofile(tmp_path / "in.bin")
        done = digits_x86.run("--model", DIGITS, "--input", tmp_path / "in.bin", "--output-dir", tmp_path)
        assert done.returncode == 0, done.stderr
        (probabilities,) = outputs(tmp_path, ["float32"])
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)
        right += int(probabilities.argmax()) == value
    assert right >= 9


@pytest.mark.parametrize("missing", ["subgraphs", "buffers"])
def test_a_model_without_required_parts_is_damaged(digits_x86: Built, tmp_path: Path, missing: str) -> None:
    """A valid flatbuffer: every field of a table may be absent."""
    model = schema.ModelT.InitFromPackedBuf(DIGITS.read_bytes(), 0)
    setattr(model, missing, None)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path = tmp_path / "m.tflite"
    path.write_bytes(bytes(builder.Output()))
    done = digits_x86.run("--model", path)
    assert done.returncode == 2, done.stderr
    assert "error: " in done.stderr


@pytest.mark.parametrize("name", ["\x1b]0;mine\x07\x1b[2J", "\x9b2J", "\x7f", "a\nb"])
@pytest.mark.parametrize("field", ["tensor", "signature", "custom op"])
@pytest.mark.parametrize("prune", [True, False], ids=["pruned", "stock"])
def test_names_with_commands_for_terminals_exit_with_2(
    build: Build, tmp_path: Path, name: str, field: str, prune: bool
) -> None:
    """Programs print names of tensors, signatures and custom ops."""
    built = build("x86_64", DET, prune=prune)
    model = schema.ModelT.InitFromPackedBuf(Path(DET).read_bytes(), 0)
    if field == "tensor":
        model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]].name = name
    if field == "signature":
        model.signatureDefs[0].signatureKey = name
    if field == "custom op":
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = name
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "m.tflite"
    path.write_bytes(builder.Output())
    done = built.run("--model", path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.rstrip("\n").isprintable()
    assert done.stdout == ""


def test_several_runs_and_threads_give_the_same_answer(digits_x86: Built, tmp_path: Path) -> None:
    answers = []
    for arguments in (("--runs", "1"), ("--runs", "5"), ("--threads", "4")):
        assert digits_x86.run("--model", DIGITS, "--output-dir", tmp_path, *arguments).returncode == 0
        answers.append((tmp_path / "out0.bin").read_bytes())
    assert len(set(answers)) == 1


def test_an_embedded_model_needs_no_file(build: Build, tmp_path: Path) -> None:
    built = build("x86_64", DIGITS, embed_model=True)
    done = built.run("--output-dir", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    embedded = (tmp_path / "out0.bin").read_bytes()
    assert built.run("--model", DIGITS, "--output-dir", tmp_path).returncode == 0
    assert (tmp_path / "out0.bin").read_bytes() == embedded
    assert built.json("size.json")["buckets"]["model"] == DIGITS.stat().st_size
    assert built.json("manifest.json")["embedded_model"] is True


def test_an_embedded_model_under_the_emulator(build: Build) -> None:
    assert build("armv7", DIGITS, embed_model=True).run().returncode == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--model is missing"),
        (["--model"], "--model needs a value"),
        (["--modle", "x"], "unknown option --modle"),
        (["--model", DIGITS, "--runs", "0"], "--runs 0 is not a number"),
        (["--model", DIGITS, "--runs", "2x"], "--runs 2x is not a number"),
        (["--model", DIGITS, "--threads", "-1"], "--threads -1 is not a number"),
        (["--model", "/nonexistent.tflite"], "/nonexistent.tflite: No such file"),
        (["--model", "/tmp"], "is not a file"),
        (["--model", DIGITS, "--input", "/nonexistent.bin"], "/nonexistent.bin: No such file"),
        (["--model", DIGITS, "--input", DIGITS], "has 43776 bytes, input 0"),
        (["--model", DIGITS, "--input", "a", "--input", "b"], "2 inputs given, the model has 1"),
        (["--model", DIGITS, "--output-dir", "/nonexistent"], "/nonexistent/out0.bin: No such file"),
    ],
)
def test_bad_arguments_and_files_exit_with_2(digits_x86: Built, arguments: list[str], expected: str) -> None:
    expected = expected.replace("43776", str(DIGITS.stat().st_size))
    done = digits_x86.run(*arguments)
    assert done.returncode == 2
    assert f"error: {expected}" in done.stderr or expected in done.stderr


def test_help(digits_x86: Built) -> None:
    done = digits_x86.run("--help")
    assert done.returncode == 0
    assert "--output-dir DIR" in done.stdout


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * 64, b"\x1c\0\0\0TFL3" + b"\xff" * 64])
def test_a_missing_model_exits_with_2(digits_x86: Built, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.tflite").write_bytes(content)
    done = digits_x86.run("--model", tmp_path / "m.tflite")
    assert done.returncode == 2
    assert "error: " in done.stderr


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([Op(ADD)], "built without the builtin op ADD"),
        ([Op(CUSTOM, custom="Mine")], "built without the custom op Mine"),
        ([Op(SOFTMAX, version=9)], "built for SOFTMAX version 1 to 1, the model has version 9"),
        ([Op(SOFTMAX, dtypes=(INT8, INT8))], "built without the dtype int8 for SOFTMAX"),
        (
            [Op(SOFTMAX), Op(CONV_2D, dtypes=(FLOAT32, 6, FLOAT32))],
            "built without the dtype bool for CONV_2D",
        ),
    ],
)
def test_a_model_that_the_program_was_not_built_for_exits_with_3(
    digits_x86: Built, tmp_path: Path, ops: list[Op], expected: str
) -> None:
    (tmp_path / "m.tflite").write_bytes(build_model(ops))
    done = digits_x86.run("--model", tmp_path / "m.tflite")
    assert done.returncode == 3
    assert expected in done.stderr


def test_an_int8_model_in_a_float_program_exits_with_3(digits_x86: Built) -> None:
    assert digits_x86.run("--model", EXAMPLES / "words.tflite").returncode == 3


def test_a_node_with_an_invalid_tensor_exits_with_2(digits_x86: Built, tmp_path: Path) -> None:
    def change(model: object) -> None:
        model.subgraphs[0].operators[0].inputs = [77]  # type: ignore[attr-defined]

    (tmp_path / "m.tflite").write_bytes(build_model([Op(SOFTMAX)], change=change))
    done = digits_x86.run("--model", tmp_path / "m.tflite")
    assert done.returncode == 2
    assert "tensor 77 does not exist" in done.stderr


@pytest.mark.parametrize("end", ["inputs", "outputs"])
@pytest.mark.parametrize("index", [-1, 99])
def test_a_model_whose_inputs_or_outputs_do_not_exist_exits_with_2(
    digits_x86: Built, tmp_path: Path, end: str, index: int
) -> None:
    def change(model: object) -> None:
        setattr(model.subgraphs[0], end, [index])  # type: ignore[attr-defined]

    (tmp_path / "m.tflite").write_bytes(build_model([Op(SOFTMAX)], change=change))
    done = digits_x86.run("--model", tmp_path / "m.tflite")
    assert done.returncode == 2
    assert f"tensor {index} does not exist" in done.stderr


def test_a_constant_input_exits_with_2(digits_x86: Built, tmp_path: Path) -> None:
    def change(model: object) -> None:
        data = schema.BufferT()
        data.data = list(bytes(16))
        model.buffers.append(data)  # type: ignore[attr-defined]
        model.subgraphs[0].tensors[0].buffer = 1  # type: ignore[attr-defined]

    (tmp_path / "m.tflite").write_bytes(build_model([Op(SOFTMAX)], change=change))
    done = digits_x86.run("--model", tmp_path / "m.tflite")
    assert done.returncode == 2
    assert "has constant data" in done.stderr


def test_lost_output_is_an_error(digits_x86: Built) -> None:
    with Path("/dev/full").open("w") as full:
        argv = [str(digits_x86.program), "--model", str(DIGITS), "--json"]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr


MUTATED = 1000


def test_mutated_models_never_crash_the_program(build: Build, tmp_path: Path) -> None:
    """Under the emulator, each in its own program: no crash, no hang, and an error line for each failure."""
    programs = {name: build("armv7", EXAMPLES / f"{name}.tflite") for name in ("det", "digits", "words")}
    rng = random.Random(7)

    def run(number: int, name: str, data: bytes) -> tuple[int, str]:
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(data)
        done = programs[name].run("--model", path)
        path.unlink()
        return done.returncode, done.stderr

    jobs = []
    for number in range(MUTATED):
        name = rng.choice(sorted(programs))
        jobs.append((number, name, mutations.mutate(rng, (EXAMPLES / f"{name}.tflite").read_bytes())))
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda job: run(*job), jobs))
    codes = Counter(code for code, _ in results)
    assert set(codes) <= {0, 2, 3, 4}, codes
    # Damage is detected, models with a changed weight run, and some need another program.
    assert codes[2] > MUTATED // 4
    assert codes[0] > MUTATED // 10
    assert codes[3] > 0
    for code, stderr in results:
        assert code == 0 or "error: " in stderr.lower(), stderr


def test_an_invalid_scale_is_an_error(build: Build, tmp_path: Path) -> None:
    """Upstream's kernels would abort; the program reports the error and exits with 4."""
    built = build("armv7", DET)
    model = schema.ModelT.InitFromPackedBuf(DET.read_bytes(), 0)
    for tensor in model.subgraphs[0].tensors:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            tensor.quantization.scale = np.full(len(tensor.quantization.scale), 1e30, np.float32)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    (tmp_path / "m.tflite").write_bytes(builder.Output())
    done = built.run("--model", tmp_path / "m.tflite")
    assert done.returncode == 4
    assert "error: " in done.stderr
