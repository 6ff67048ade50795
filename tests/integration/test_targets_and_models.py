"""Every example and zoo model on every target: built, run, equal to the reference."""

from __future__ import annotations

import json

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
    code = size["binary"]["code"]
    assert (
        size["core"] + sum(size["buckets"].values()) + sum(op["attributed"] for op in size["ops"].values())
        == code
    )
    selected = built.json("selection.json")["ops"]
    assert set(size["ops"]) == {op["name"] for op in selected}
    assert all(0 < op["marginal"] < code for op in size["ops"].values())


@pytest.mark.parametrize("cpu", ["cortex-a53", "max"])
def test_aarch64_takes_dot_products_only_where_the_cpu_has_them(build: Build, cpu: str) -> None:
    from litesmith import kernels, pipeline, profiles, verify

    built = build("aarch64", "zoo:vww")
    profile = profiles.load("aarch64")
    runner = verify.find_runner(profile, cpu)
    assert isinstance(runner, verify.Runner)
    model = pipeline.open_model("zoo:vww")
    executed = kernels.count_dot_products(runner, built.program, model.path)
    assert (executed > 0) == (cpu == "max")
    verdict = verify.verify(built.program, profile, model.analysis, model.path, cpu=cpu)
    assert verdict.passed, json.dumps(verdict.to_json())


def test_armv7_has_neon_kernels_and_armv6_has_not(build: Build) -> None:
    from elftools.elf.elffile import ELFFile

    symbols = {}
    for target in ("armv7", "armv6"):
        built = build(target, "zoo:vww")
        debug = built.folder / "bin" / f"{built.program.name}.debug"
        with debug.open("rb") as stream:
            table = ELFFile(stream).get_section_by_name(".symtab")
            symbols[target] = {symbol.name for symbol in table.iter_symbols()}
    assert any("Kernel8bitNeon" in name for name in symbols["armv7"])
    assert not any("Kernel8bitNeon" in name for name in symbols["armv6"])


def test_two_models_in_one_program(build: Build) -> None:
    built = build("x86_64", EXAMPLES / "digits.tflite", EXAMPLES / "words.tflite")
    assert built.program.name == "digits-words"
    for name in ("digits", "words"):
        assert built.run("--model", EXAMPLES / f"{name}.tflite").returncode == 0
