from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from litesmith.base import paths
from litesmith.base.errors import UnsupportedModelError, UsageError
from litesmith.model import contents
from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Problem, Registry
from tests.models import ADD, CONV_2D, CUSTOM, FLOAT32, Op, build_model

FULLY_CONNECTED, STABLEHLO_LOGISTIC = 9, 162


def problems(tmp_path: Path, registry: Registry, *wanted: Op) -> tuple[Problem, ...]:
    path = tmp_path / "m.tflite"
    path.write_bytes(build_model(wanted))
    return registry.problems(contents.analyse(path))


def test_all_builtins_and_custom_ops_are_registered(registry: Registry) -> None:
    assert len(registry.builtins) == 172
    assert set(registry.customs) == {
        "NumericVerify",
        "Mfcc",
        "AudioSpectrogram",
        "TFLite_Detection_PostProcess",
        "aeq.hadamard_rotation",
    }


@pytest.mark.parametrize(
    "path", sorted(paths.data_folder("ops_registry").glob("ops/*.json")), ids=lambda p: p.stem
)
def test_a_registry_file_is_complete(path: Path) -> None:
    op = op_registry.Op.model_validate(json.loads(path.read_text()))
    assert path.stem == op.name.lower()
    assert op.versions[0] >= 1
    assert op.versions[0] <= op.versions[1]
    assert op.registration.startswith("tflite::ops::custom::" if op.custom else "tflite::ops::builtin::")
    assert any("/kernels/" in source for source in op.sources)
    assert len(set(op.sources)) == len(op.sources)
    assert (op.code == 32) == op.custom


@pytest.mark.parametrize(
    ("name", "code", "versions"),
    [
        ("CONV_2D", 3, (1, 8)),
        ("FULLY_CONNECTED", 9, (1, 14)),
        ("BROADCAST_TO", 130, (2, 3)),
        ("SOFTMAX", 25, (1, 3)),
        ("RIGHT_SHIFT", 161, (1, 1)),
        ("FAKE_QUANT", 80, (1, 2)),
        ("STABLEHLO_CASE", 209, (1, 1)),
    ],
)
def test_versions_match_register_cc(
    registry: Registry, name: str, code: int, versions: tuple[int, int]
) -> None:
    assert registry.builtins[code].name == name
    assert registry.builtins[code].versions == versions


def test_sources_of_some_kernels(registry: Registry) -> None:
    assert any(s.endswith("kernels/activations.cc") for s in registry.builtins[25].sources)
    assert any("4bit" in s for s in registry.builtins[9].sources)
    assert "fft2d/fftsg2d.c" in registry.builtins[131].sources
    assert any("static_hashtable" in s for s in registry.builtins[136].sources)


def test_a_supported_model_has_no_problem(tmp_path: Path, registry: Registry) -> None:
    assert problems(tmp_path, registry, Op(ADD), Op(CONV_2D, version=3)) == ()


def test_a_flex_op(tmp_path: Path, registry: Registry) -> None:
    (problem,) = problems(tmp_path, registry, Op(CUSTOM, custom="FlexErf"))
    assert (problem.kind, problem.op) == ("flex", "FlexErf")
    assert "SELECT_TF_OPS" in problem.next_step
    assert "tf.Erf" in problem.next_step


def test_an_unknown_custom_op(tmp_path: Path, registry: Registry) -> None:
    (problem,) = problems(tmp_path, registry, Op(CUSTOM, custom="TFLite_Detection_PostProces"))
    assert problem.kind == "custom"
    assert "TFLite_Detection_PostProcess" in problem.next_step


def test_a_builtin_newer_than_the_registry(tmp_path: Path, registry: Registry) -> None:
    (problem,) = problems(tmp_path, registry, Op(5000))
    assert problem.kind == "builtin"
    assert "BUILTIN_5000 (code 5000)" in problem.message
    assert "newer" in problem.message


@pytest.mark.parametrize(
    ("code", "name"), [(29, "CONCAT_EMBEDDINGS"), (STABLEHLO_LOGISTIC, "STABLEHLO_LOGISTIC")]
)
def test_a_builtin_without_a_kernel(tmp_path: Path, registry: Registry, code: int, name: str) -> None:
    (problem,) = problems(tmp_path, registry, Op(code))
    assert problem.op == name
    assert "has no kernel in this runtime" in problem.message


def test_a_version_above_the_maximum(tmp_path: Path, registry: Registry) -> None:
    (problem,) = problems(tmp_path, registry, Op(FULLY_CONNECTED, version=15))
    assert problem.kind == "version"
    assert "version 15" in problem.message
    assert "at most 14" in problem.message


def test_a_version_below_the_minimum(tmp_path: Path, registry: Registry) -> None:
    (problem,) = problems(tmp_path, registry, Op(130, version=1))
    assert "supports 2 and later" in problem.message


def test_the_first_problem_is_raised_and_names_the_others(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build_model([Op(CUSTOM, custom="FlexErf"), Op(CUSTOM, custom="Mine"), Op(ADD)]))
    with pytest.raises(UnsupportedModelError, match="Flex op") as caught:
        op_registry.require_supported(registry, contents.analyse(path))
    assert "1 more: Mine" in caught.value.message
    assert caught.value.exit_code == 3


@pytest.fixture
def own_registry(tmp_path: Path) -> Path:
    folder = tmp_path / "registry"
    shutil.copytree(paths.data_folder("ops_registry"), folder)
    return folder


def test_registering_an_op_twice_is_an_error(own_registry: Path) -> None:
    shutil.copy(own_registry / "ops/add.json", own_registry / "ops/zz_add.json")
    with pytest.raises(UsageError, match=r"zz_add.json: the op ADD is registered twice"):
        op_registry.load(own_registry)


def test_an_unknown_key_in_a_registry_file(own_registry: Path) -> None:
    path = own_registry / "ops/add.json"
    content = json.loads(path.read_text())
    content["source"] = content.pop("sources")
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"add.json"):
        op_registry.load(own_registry)


def test_a_registry_file_that_is_not_json(own_registry: Path) -> None:
    (own_registry / "ops/add.json").write_text("{")
    with pytest.raises(UsageError, match=r"add.json cannot be read"):
        op_registry.load(own_registry)


def test_adding_an_op_only_adds_a_file(own_registry: Path, tmp_path: Path) -> None:
    content = {
        "name": "Mine",
        "code": 32,
        "custom": True,
        "registration": "mine::Register_MINE",
        "versions": [1, 2],
        "sources": ["tensorflow/tensorflow/lite/kernels/kernel_util.cc"],
    }
    (own_registry / "ops/mine.json").write_text(json.dumps(content))
    assert (
        problems(
            tmp_path, op_registry.load(own_registry), Op(CUSTOM, custom="Mine", dtypes=(FLOAT32, FLOAT32))
        )
        == ()
    )
