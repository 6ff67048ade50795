"""Signatures, inputs of unknown size, strings, and custom ops of the user."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from litesmith.model import tensors
from litesmith.study.op_models.writer import Graph
from tests.conftest import EXAMPLES, Cli, one_error_line
from tests.integration.conftest import Build, Built
from tests.unit.test_samples import two_signatures

CUSTOM = EXAMPLES / "custom_op"


@pytest.fixture(scope="module")
def built(build: Build, tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, Path]:
    model = two_signatures(tmp_path_factory.mktemp("model"))
    return build("x86_64", model), model


def test_all_signatures_are_verified(built: tuple[Built, Path]) -> None:
    (verdict,) = built[0].json("verify.json")["verdicts"]
    assert verdict["passed"] is True
    assert verdict["samples"] == 8


def test_a_shape_for_the_program(built: tuple[Built, Path], tmp_path: Path) -> None:
    program, model = built
    value = np.arange(15, dtype=np.float32).reshape(5, 3)
    (tmp_path / "in.bin").write_bytes(tensors.to_bytes(value))
    arguments = ("--model", model, "--input", tmp_path / "in.bin", "--output-dir", tmp_path)
    done = program.run(*arguments, "--input-shape", "t0=5x3", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"][0]["shape"] == [5, 3]
    assert np.fromfile(tmp_path / "out0.bin", np.float32).tolist() == (2 * value).ravel().tolist()
    named = program.run(*arguments, "--signature", "double", "--input-shape", "x=5x3")
    assert named.returncode == 0, named.stderr
    without = program.run(*arguments)
    assert without.returncode == 2
    assert "has 60 bytes, input 0 (t0) has 12" in without.stderr


def test_strings_in_and_booleans_out(built: tuple[Built, Path], tmp_path: Path) -> None:
    program, model = built
    for name, strings in (("a", ["x", "äö"]), ("b", ["x", ""])):
        (tmp_path / name).write_bytes(tensors.to_bytes(tensors.as_strings(np.array(strings))))
    inputs = ("--input", tmp_path / "a", "--input", tmp_path / "b", "--output-dir", tmp_path)
    done = program.run("--model", model, "--signature", "equal", *inputs)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out0.bin").read_bytes() == b"\x01\x00"
    nothing_given = program.run("--model", model, "--signature", "equal", "--output-dir", tmp_path)
    assert nothing_given.returncode == 0, nothing_given.stderr
    assert (tmp_path / "out0.bin").read_bytes() == b"\x01\x01"


@pytest.mark.parametrize(
    "content",
    [b"", b"abc", np.array([2, 16, 17, 99], np.int32).tobytes(), np.array([9] * 6, np.int32).tobytes()],
)
def test_damaged_strings_exit_with_2(built: tuple[Built, Path], tmp_path: Path, content: bytes) -> None:
    program, model = built
    (tmp_path / "in.bin").write_bytes(content)
    done = program.run("--model", model, "--signature", "equal", "--input", tmp_path / "in.bin")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--signature", "none"), "no signature none; it has double equal"),
        (("--input-shape", "y=1"), "there is no such input; the inputs are t0"),
        (("--input-shape", "t0"), "is not of the form NAME=1x224x224x3"),
        (("--input-shape", "t0=1x"), "is not of the form"),
        (("--signature",), "--signature needs a value"),
    ],
)
def test_arguments_that_the_program_refuses(
    built: tuple[Built, Path], arguments: tuple[str, ...], expected: str
) -> None:
    program, model = built
    done = program.run("--model", model, *arguments)
    assert done.returncode == 2
    assert expected in done.stderr


def test_shape_and_signature_of_a_build(cli: Cli, tmp_path: Path) -> None:
    model = two_signatures(tmp_path)
    arguments = ("build", "--target", "x86_64", "--model", model)
    done = cli(*arguments, "--signature", "double", "--input-shape", "x=7x3", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdicts"][0]["samples"] == 4
    wrong = cli(*arguments, "--signature", "doubel", "--out", "other")
    assert wrong.returncode == 2
    assert "perhaps you meant 'double'" in one_error_line(wrong)
    assert not (tmp_path / "other").exists()


def test_a_model_without_inputs(build: Build, tmp_path: Path) -> None:
    g = Graph()
    g.op("ADD", [g.const([1.0, 2.0]), g.const([3.0, 5.0])], [g.output(shape=[2])], "Add")
    (tmp_path / "m.tflite").write_bytes(g.content())
    built = build("x86_64", tmp_path / "m.tflite")
    assert built.run("--model", tmp_path / "m.tflite", "--output-dir", tmp_path).returncode == 0
    assert np.fromfile(tmp_path / "out0.bin", np.float32).tolist() == [4.0, 7.0]


def test_a_retrained_model_runs_in_the_same_program(build: Build, tmp_path: Path) -> None:
    def model(weight: float) -> Path:
        g = Graph()
        g.op("MUL", [g.input([2]), g.const([weight, weight])], [g.output(shape=[2])], "Mul")
        path = tmp_path / f"{weight}.tflite"
        path.write_bytes(g.content())
        return path

    built = build("x86_64", model(2.0))
    (tmp_path / "in.bin").write_bytes(np.array([1, 3], np.float32).tobytes())
    for weight in (2.0, 5.0):
        arguments = ("--model", model(weight), "--input", tmp_path / "in.bin", "--output-dir", tmp_path)
        assert built.run(*arguments).returncode == 0
        assert np.fromfile(tmp_path / "out0.bin", np.float32).tolist() == [weight, 3 * weight]


def test_without_the_model_check(cli: Cli, tmp_path: Path) -> None:
    from tests.conftest import ROOT

    profile = (ROOT / "targets/x86_64.yaml").read_text() + "model_check: false\n"
    (tmp_path / "trusting.yaml").write_text(profile)
    model = EXAMPLES / "gesture.tflite"
    sizes = {}
    for target in ("x86_64", "trusting.yaml"):
        done = cli("build", "--target", target, "--model", model, "--out", f"out-{target}")
        assert done.returncode == 0, done.stderr
        sizes[target] = json.loads((tmp_path / f"out-{target}/size.json").read_text())
    assert sizes["trusting.yaml"]["model_check"] is None
    cost = sizes["x86_64"]["model_check"]
    assert cost == sizes["x86_64"]["binary"]["code"] - sizes["trusting.yaml"]["binary"]["code"]
    assert cost > 1000


CUSTOM_WORDS = ("build", "--target", "x86_64", "--model", CUSTOM / "signed_sqrt.tflite")


@pytest.mark.parametrize("target", ["x86_64", "armv7"])
def test_a_custom_op_gives_numpys_answers(cli: Cli, tmp_path: Path, target: str) -> None:
    arguments = ("build", "--target", target, "--model", CUSTOM / "signed_sqrt.tflite", "--out", "out")
    done = cli(*arguments, "--custom-ops", CUSTOM / "custom_ops.yaml")
    assert done.returncode == 0, done.stderr
    (verdict,) = json.loads((tmp_path / "out/verify.json").read_text())["verdicts"]
    assert verdict["passed"] is True
    assert verdict["samples"] == 2
    selected = json.loads((tmp_path / "out/selection.json").read_text())["ops"]
    assert "custom/signed_sqrt.cc" in next(op for op in selected if op["name"] == "SignedSqrt")["sources"]


def test_wrong_expectations_are_found(cli: Cli, tmp_path: Path) -> None:
    shutil.copy(CUSTOM / "signed_sqrt.tflite", tmp_path / "m.tflite")
    with np.load(CUSTOM / "signed_sqrt.inputs.npz") as stored:
        values = dict(stored)
    values["one_out0"] = values["one_out0"] + 1
    np.savez(tmp_path / "m.inputs.npz", **values)
    done = cli(
        *("build", "--target", "x86_64", "--model", "m.tflite"), "--custom-ops", CUSTOM / "custom_ops.yaml"
    )
    assert done.returncode == 4
    assert "WRONG" in one_error_line(done)


@pytest.mark.parametrize(
    ("old", "new", "code", "expected"),
    [
        ("name: SignedSqrt", "name: Mfcc", 2, "'Mfcc' exists in TensorFlow Lite"),
        ("sources: [signed_sqrt.cc]", "sources: [gone.cc]", 2, "there is no source"),
        ("sources: [signed_sqrt.cc]", "sources: [../x.cc]", 2, "x.cc is outside"),
        ("include: [.]", "include: [gone]", 2, "there is no include folder"),
        ("versions: [1, 1]", "versions: [2, 1]", 2, "the lowest and the highest version"),
        ("registration: example::", "registration: 1x::", 2, "a C++ function is expected"),
        ("sources:", "source:", 2, "ops.0.sources"),
        ("Register_SIGNED_SQRT", "Register_OTHER", 1, "does not link"),
    ],
)
def test_custom_ops_that_cannot_be_used(
    cli: Cli, tmp_path: Path, old: str, new: str, code: int, expected: str
) -> None:
    for name in ("signed_sqrt.cc", "custom_ops.yaml"):
        shutil.copy(CUSTOM / name, tmp_path / name)
    described = (tmp_path / "custom_ops.yaml").read_text()
    assert old in described
    (tmp_path / "custom_ops.yaml").write_text(described.replace(old, new))
    done = cli(*CUSTOM_WORDS, "--custom-ops", "custom_ops.yaml", "--out", "out")
    assert done.returncode == code, done.stderr
    assert expected in one_error_line(done)
    assert not (tmp_path / "out").exists()


def test_a_compile_error_in_the_users_file(cli: Cli, tmp_path: Path) -> None:
    shutil.copy(CUSTOM / "custom_ops.yaml", tmp_path)
    source = (CUSTOM / "signed_sqrt.cc").read_text()
    (tmp_path / "signed_sqrt.cc").write_text(source.replace("out[i] =", "out[j] ="))
    done = cli(*CUSTOM_WORDS, "--custom-ops", "custom_ops.yaml", "--out", "out")
    assert done.returncode == 1
    line = one_error_line(done)
    assert f"{tmp_path}/signed_sqrt.cc:" in line
    assert "'j'" in line
