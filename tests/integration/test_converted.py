"""Models converted by the newest TensorFlow: refused with a next step, or run with the same outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from litesmith.study.op_models.writer import Graph
from tests.conftest import Cli, one_error_line
from tests.integration.conftest import Build

CONVERTED = Path(__file__).parent.parent / "data" / "converted"


@pytest.mark.parametrize("target", ["x86_64", "armv7"])
@pytest.mark.parametrize(
    "name",
    [
        *("dense_dynamic_range", "dense_dynamic_range_per_tensor"),
        *("dense_float16", "dense_int16", "dense_int8", "lstm"),
    ],
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
        ("delegate_only", "Convolution2DTransposeBias is a custom op", "--custom-ops"),
        ("float16_activations", "ADD: input 0, 't0', is float16", "float32 activations"),
        ("int4_matrix", "BATCH_MATMUL: input 1, 't0', is int4", "int8 weights"),
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


def _with_unused_codes(path: Path, *codes: tuple[int, bytes | None, int]) -> Path:
    """A sum of two tensors, and operator codes that no node uses: code, custom op, version."""
    g = Graph()
    g.op("ADD", [g.input([2, 3]), g.input([2, 3])], [g.output()], "Add")
    for code, custom, version in codes:
        unused = schema.OperatorCodeT()
        unused.builtinCode, unused.deprecatedBuiltinCode = code, min(code, 127)
        unused.version, unused.customCode = version, custom
        g.model.operatorCodes.append(unused)
    path.write_bytes(g.content())
    return path


def test_codes_that_no_node_uses(build: Build, tmp_path: Path) -> None:
    # Converters leave such codes in models: DISPATCH_OP is in one of Google's own.  The reference resolves
    # builtin ops that no node uses, too.
    built = build("x86_64", _with_unused_codes(tmp_path / "m.tflite", (32, b"DISPATCH_OP", 1)))
    model = _with_unused_codes(
        tmp_path / "more.tflite", (32, b"DISPATCH_OP", 1), (250, None, 1), (0, None, 99)
    )
    (tmp_path / "in.bin").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    inputs = ("--input", tmp_path / "in.bin", "--input", tmp_path / "in.bin")
    ran = built.run("--model", model, *inputs, "--output-dir", tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert np.fromfile(tmp_path / "out0.bin", np.float32).tolist() == [0, 2, 4, 6, 8, 10]
