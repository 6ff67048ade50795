"""Every example and zoo model on every target: built, run and compared with the reference."""

from __future__ import annotations

import pytest

from tests.conftest import EXAMPLES
from tests.integration.conftest import Build

TARGETS = ("armv7", "armv6", "aarch64", "riscv64", "x86_64")
MODELS = ("zoo:vww", "zoo:kws", "zoo:ic", "zoo:ad", "det", "digits", "words", "gesture")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", MODELS)
def test_right_answers(build: Build, target: str, model: str) -> None:
    name = model if model.startswith("zoo:") else EXAMPLES / f"{model}.tflite"
    built = build(target, name)
    (verdict,) = built.json("verify.json")["verdicts"]
    assert verdict["passed"] is True
    assert verdict["samples"] >= 4
    assert verdict["worst"]["error"] <= verdict["worst"]["tolerance"]
    if verdict["worst"]["dtype"] == "int8":
        assert verdict["worst"]["error"] == 0
    size = built.json("size.json")
    ops = sum(op["attributed"] for op in size["ops"].values())
    loaded = size["core"] + sum(size["buckets"].values()) + ops
    assert loaded == size["binary"]["loaded"]
    assert loaded - size["buckets"]["headers"] == size["binary"]["code"]
    selected = built.json("selection.json")["ops"]
    assert set(size["ops"]) == {op["name"] for op in selected}
    assert all(0 < op["marginal"] < loaded for op in size["ops"].values())


@pytest.mark.parametrize(
    ("target", "cpu", "expected"),
    [
        ("aarch64", "cortex-a53", "Kernel8bitNeonA55ish"),
        ("aarch64", "cortex-a72", "Kernel8bitNeon"),
        ("aarch64", "max", "Kernel8bitNeonDotprod"),
        ("armv7", "cortex-a7", "Kernel8bitNeon"),
        ("armv6", "arm1176", "portable C++"),
    ],
)
def test_the_kernels_are_chosen_on_the_boards_cpu(build: Build, target: str, cpu: str, expected: str) -> None:
    from litesmith.measure.verify import verification
    from litesmith.measure.verify.executor import find_executor
    from litesmith.model import model_file
    from litesmith.study.bench import ruy_kernels
    from litesmith.target import profiles

    built = build(target, "zoo:vww")
    profile = profiles.load(target)
    executor = find_executor(profile, cpu)
    model = model_file.open_model("zoo:vww")
    debug = built.program.with_name(f"{built.program.name}.debug")
    executed = ruy_kernels.executed_kernels(executor, debug, model.path)
    assert expected in executed
    assert any("Dotprod" in name for name in executed) == (cpu == "max")
    verdict = verification.verify(built.program, profile, model, cpu=cpu)
    assert verdict.passed, verdict.line()


def test_two_models_in_one_program(build: Build) -> None:
    built = build("x86_64", EXAMPLES / "digits.tflite", EXAMPLES / "words.tflite")
    assert built.program.name == "digits-words"
    for name in ("digits", "words"):
        assert built.run("--model", EXAMPLES / f"{name}.tflite").returncode == 0
