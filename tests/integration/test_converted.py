"""Models converted by the newest TensorFlow: refused with a next step, or run with the same outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from litesmith.study.op_models.writer import Graph
from tests.conftest import Cli, one_error_line
from tests.integration.conftest import Build

CONVERTED = Path(__file__).parent.parent / "data" / "converted"


@pytest.mark.parametrize("target", ["x86_64", "armv7"])
@pytest.mark.parametrize(
    "name", ["dense_dynamic_range_per_tensor", "dense_float16", "dense_int16", "dense_int8", "lstm"]
)
def test_supported_models(build: Build, target: str, name: str) -> None:
    (verdict,) = build(target, CONVERTED / f"{name}.tflite").json("verify.json")["verdicts"]
    assert verdict["passed"] is True


def small(name: str, folder: Path) -> Path:
    """Models that no public converter writes, in the format of other converters."""
    g = Graph()
    if name == "delegate_only":
        g.custom_op("Convolution2DTransposeBias", [g.input([1, 4, 4, 2])], [g.output()])
    elif name == "float16_activations":
        g.op("ADD", [g.input([4], "float16"), g.input([4], "float16")], [g.output("float16")], "Add")
    else:
        weights = g.tensor([4, 5], "int4", quant=(0.1, 0), data=np.arange(10, dtype=np.uint8))
        g.op("BATCH_MATMUL", [g.input([3, 4]), weights], [g.output()], "BatchMatMul")
    path = folder / f"{name}.tflite"
    path.write_bytes(g.content())
    return path


@pytest.mark.parametrize(
    ("name", "what", "way_out"),
    [
        ("flex", "FlexMatrixInverse is a Flex op", "without tf.lite.OpsSet.SELECT_TF_OPS"),
        ("flex", "needs all of TensorFlow", "or write it as a custom op"),
        (
            "dense_dynamic_range",
            "FULLY_CONNECTED has version 12, this runtime supports at most 10",
            "_experimental_disable_per_channel_quantization_for_dense_layers = True",
        ),
        ("delegate_only", "Convolution2DTransposeBias is a custom op", "--custom-ops"),
        ("float16_activations", "ADD: input 0, 't0', is float16", "float32 activations"),
        ("int4_matrix", "BATCH_MATMUL: input 1, 't1', is int4", "int8 weights"),
    ],
)
def test_unsupported_models(cli: Cli, tmp_path: Path, name: str, what: str, way_out: str) -> None:
    stored = CONVERTED / f"{name}.tflite"
    model = stored if stored.exists() else small(name, tmp_path)
    done = cli("build", "--target", "armv7", "--model", model, "--out", "out")
    assert done.returncode == 3
    line = one_error_line(done)
    assert what in line
    assert way_out in line
    assert not (tmp_path / "out").exists()
