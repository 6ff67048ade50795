from __future__ import annotations

import json
from pathlib import Path

import pytest

from litesmith.base.errors import UnsupportedModelError
from litesmith.model import contents
from litesmith.runtime import selection
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.selection import Selection
from tests.conftest import EXAMPLES
from tests.models import ADD, CONV_2D, CUSTOM, FLOAT32, INT8, INT32, QUANTIZE, Op, build_model


def select(tmp_path: Path, registry: Registry, *models: list[Op]) -> selection.Selection:
    analyses = []
    for number, wanted in enumerate(models):
        path = tmp_path / f"m{number}.tflite"
        path.write_bytes(build_model(wanted))
        analyses.append(contents.analyse(path))
    return selection.select(analyses, registry)


def test_one_model(tmp_path: Path, registry: Registry) -> None:
    chosen = select(tmp_path, registry, [Op(ADD, version=2, dtypes=(INT8, INT8, INT8))])
    (op,) = chosen.ops
    assert (op.name, op.code, op.versions, op.count, op.dtypes) == ("ADD", 0, (2, 2), 1, ("int8",))
    assert op.registration == "tflite::ops::builtin::Register_ADD"


def test_the_union_of_two_models(tmp_path: Path, registry: Registry) -> None:
    chosen = select(
        tmp_path,
        registry,
        [Op(ADD, dtypes=(FLOAT32, FLOAT32))],
        [Op(ADD, version=2, dtypes=(INT8, INT8)), Op(CONV_2D, version=3, dtypes=(INT8, INT8, INT32, INT8))],
    )
    add, conv = chosen.ops
    assert (add.versions, add.count, add.dtypes) == ((1, 2), 2, ("float32", "int8"))
    assert (conv.name, conv.count) == ("CONV_2D", 1)
    assert [model.path.rsplit("/", 1)[-1] for model in chosen.models] == ["m0.tflite", "m1.tflite"]


def test_an_unused_operator_code_is_selected(tmp_path: Path, registry: Registry) -> None:
    chosen = select(tmp_path, registry, [Op(ADD), Op(QUANTIZE, used=False)])
    assert [op.name for op in chosen.ops] == ["ADD", "QUANTIZE"]


def test_the_dtype_mask_uses_the_bits_of_the_schema(tmp_path: Path, registry: Registry) -> None:
    nodes = [Op(ADD, dtypes=(dtype, dtype, dtype)) for dtype in (FLOAT32, INT32, INT8)]
    (op,) = select(tmp_path, registry, nodes).ops
    assert op.dtype_mask == 1 << 0 | 1 << 2 | 1 << 9


def test_an_unsupported_model_is_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UnsupportedModelError, match="Nobody"):
        select(tmp_path, registry, [Op(CUSTOM, custom="Nobody")])


def test_without_an_op(tmp_path: Path, registry: Registry) -> None:
    chosen = select(tmp_path, registry, [Op(ADD), Op(CONV_2D)])
    assert [op.name for op in chosen.without("ADD").ops] == ["CONV_2D"]
    assert chosen.without("ADD").models == chosen.models


def test_selection_json_has_the_documented_keys(registry: Registry) -> None:
    content = selection.select([contents.analyse(EXAMPLES / "det.tflite")], registry).to_json()
    assert set(content) == {"models", "ops", "sparse"}
    assert set(content["models"][0]) == {"path", "sha256"}
    for op in content["ops"]:
        assert [key for key in op if key != "depthwise"] == [
            "name",
            "code",
            "custom",
            "versions",
            "count",
            "dtypes",
            "registration",
            "sources",
        ]
    custom = [op for op in content["ops"] if op["custom"]]
    assert [op["name"] for op in custom] == ["TFLite_Detection_PostProcess"]
    assert "tensorflow/lite/kernels/detection_postprocess.cc" in custom[0]["sources"]


@pytest.mark.parametrize(
    ("source", "upstream"),
    [
        ("tensorflow/tensorflow/lite/kernels/add.cc", "tensorflow/lite/kernels/add.cc"),
        ("ruy/ruy/wait.cc", "ruy/wait.cc"),
        ("fft2d/fftsg.c", "fft2d/fftsg.c"),
        ("farmhash/src/farmhash.cc", "farmhash/src/farmhash.cc"),
    ],
)
def test_upstream_paths(source: str, upstream: str) -> None:
    assert selection.upstream_path(source) == upstream


@pytest.mark.parametrize("name", ["det", "gesture", "words"])
def test_a_build_reads_only_selection_json(registry: Registry, name: str) -> None:
    chosen = selection.select([contents.analyse(EXAMPLES / f"{name}.tflite")], registry)
    text = json.dumps(chosen.to_json())
    assert Selection.from_json(json.loads(text), registry) == chosen
