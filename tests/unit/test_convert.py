from __future__ import annotations

import ast
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litesmith.base import paths
from litesmith.base.errors import UsageError
from litesmith.model import contents
from litesmith.runtime.op_registry import Registry
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from litesmith.workflow.convert import conversion, conversion_report, conversion_request, environment
from litesmith.workflow.convert.worker import input_specs, keras_model, quantisation, samples
from litesmith.workflow.convert.worker.comparison import Tally
from litesmith.workflow.convert.worker.errors import RefusedError, one_line
from litesmith.workflow.convert.worker.input_specs import Spec
from tests.conftest import EXAMPLES, Cli, one_error_line
from tests.conversions import keras_archive, npz

IMAGE = Spec("image", "float32", (1, 2, 3))
MASK = Spec("mask:0", "int32", (1, 4))


# Requests


def zipped(name: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, "x")
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.h5", b"", "is empty"),
        ("m.keras", b"PK\x03\x04 half", "is not a Keras archive: it is damaged"),
        ("m.h5", b"something", "is not an HDF5 file"),
        ("m.keras", zipped("else.txt"), "is not a Keras archive"),
        ("m.tflite", (EXAMPLES / "digits.tflite").read_bytes(), "is a .tflite file already"),
        ("m.onnx", b"\x08\x07", "is an ONNX model, which onnx2tf"),
        ("m.pt", zipped("data.pkl"), "PyTorch"),
        ("saved_model.pb", b"\x08\x01", "is part of a SavedModel; name its folder"),
        ("m.xyz", bytes(range(155, 255)), "is not a model in a format of TensorFlow"),
    ],
)
def test_what_cannot_be_converted(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=expected):
        conversion_request.kind_of(tmp_path / name)


def test_kinds(tmp_path: Path) -> None:
    assert conversion_request.kind_of(keras_archive(tmp_path)) == "keras"
    (tmp_path / "m.bin").write_bytes(b"\x89HDF\r\n\x1a\n rest")
    assert conversion_request.kind_of(tmp_path / "m.bin") == "keras"
    (tmp_path / "g.pb").write_bytes(b"\x0a\x00")
    assert conversion_request.kind_of(tmp_path / "g.pb") == "frozen"
    (tmp_path / "sm").mkdir()
    with pytest.raises(UsageError, match=r"folder without saved_model\.pb"):
        conversion_request.kind_of(tmp_path / "sm")
    (tmp_path / "sm/saved_model.pb").touch()
    assert conversion_request.kind_of(tmp_path / "sm") == "saved_model"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--from is missing; for example --from model.keras"),
        (["--from", "none.keras"], "there is no model none.keras; check the path given with --from"),
        (["--from", "m.keras", "--quantize", "int4"], "--quantize int4 is unknown; perhaps you meant 'int8'"),
        (["--from", "m.keras", "--quantize", "x"], "known: none, dynamic, float16, int8"),
        (["--from", "m.keras", "--quantize", "int8"], "needs sample inputs"),
        (["--from", "m.keras", "--io", "int8"], "--io int8 cannot be combined with --quantize none"),
        (["--from", "m.keras", "--io", "u8"], "--io u8 is unknown"),
        (["--from", "m.keras", "--signature", "s"], "m.keras is not a SavedModel and has no signatures"),
        (["--from", "m.keras", "--inputs", "s"], "m.keras is not a frozen graph"),
        (["--from", "m.keras", "--outputs", "s"], "is a Keras model: its outputs are known"),
        (["--from", "m.keras", "--tf-header", "h"], "TensorFlow's header can only be made from one"),
        (["--from", "m.keras", "--representative", "n.npz"], "there is no file n.npz"),
        (["--from", "m.keras", "--representative", "m.keras"], "m.keras does not contain NumPy arrays"),
        (["--from", "m.keras", "--representative", "text"], "text is not an .npz file"),
        (["--from", "m.keras", "--input-shape", "x"], "is not of the form NAME=1x224x224x3"),
        (["--from", "m.keras", "--out", "folder"], "folder is a folder; name a file with --out"),
        (["--from", "m.keras", "--out", "text/m.tflite"], "text/m.tflite cannot be written"),
        (["--from", "m.keras", "--out", "m.keras"], "m.keras would overwrite the file that --from names"),
        (
            ["--from", "m.keras", "--representative", "m.inputs.npz"],
            "m.inputs.npz would overwrite the file that --representative names",
        ),
        (["--from", "g.pb", "--tf-header", "g.tflite"], "g.tflite would be written twice"),
        (["--from", "m.keras", "--target", "armv8l"], "unknown target 'armv8l'"),
        (["--from", "m.keras", "--custom-ops", "none.yaml"], "none.yaml cannot be read"),
    ],
)
def test_bad_arguments(cli: Cli, tmp_path: Path, arguments: list[str], expected: str) -> None:
    keras_archive(tmp_path)
    npz(tmp_path, "m.inputs.npz", a=np.zeros(3))
    (tmp_path / "text").write_text("text")
    (tmp_path / "g.pb").write_bytes(b"\x0a\x00")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = cli("convert", *arguments)
    assert done.returncode == 2
    assert expected in one_error_line(done)
    assert sorted(tmp_path.rglob("*")) == before


def test_default_output_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.model").mkdir()
    (tmp_path / "my.model/saved_model.pb").touch()
    wanted = conversion_request.check(source=str(tmp_path / "my.model"), quantize="none")
    assert wanted.out == Path("my.model.tflite")
    assert wanted.samples == Path("my.model.inputs.npz")
    monkeypatch.chdir(tmp_path / "my.model")
    assert conversion_request.check(source=".", quantize="none").out == Path("my.model.tflite")


# Shapes and samples


def test_shapes_become_fixed() -> None:
    batch = Spec("a/b:0", "float32", (-1, 4))
    assert input_specs.fixed_shape(batch, {}, "m") == (1, 4)
    assert input_specs.fixed_shape(batch, {"a/b:0": (2, 4)}, "m") == (2, 4)
    assert input_specs.fixed_shape(batch, {"a_b_0": (3, 4)}, "m") == (3, 4)
    with pytest.raises(RefusedError, match=r"the shape \?x4, not 2x5"):
        input_specs.fixed_shape(batch, {"a/b:0": (2, 5)}, "m")
    with pytest.raises(RefusedError, match=r"\?x\?x3, with unknown dimensions"):
        input_specs.fixed_shape(Spec("x", "float32", (-1, -1, 3)), {}, "m")
    with pytest.raises(RefusedError, match=r"has the shape \?, with unknown dimensions"):
        input_specs.fixed_shape(Spec("x", "float32", None), {}, "m")
    assert input_specs.fixed_shape(Spec("x", "float32", None), {"x": (1, 2)}, "m") == (1, 2)
    with pytest.raises(RefusedError, match="no input 'y'"):
        input_specs.require_names({"y": (1,)}, [batch], "m")


@pytest.mark.parametrize(
    "arrays",
    [
        {"image": np.ones((5, 2, 3)), "mask:0": np.ones((5, 4), np.int64)},
        {"image": np.ones((5, 1, 2, 3)), "mask_0": np.ones((5, 1, 4), np.int8)}
        | {"mask:0": np.ones((5, 4), int)},
        {
            f"{name}_{i}": np.ones((1, 2, 3), np.float32) if i == 0 else np.ones((1, 4), np.int32)
            for name in "abcde"
            for i in range(2)
        },
    ],
    ids=["by name", "with a batch of one", "indexed"],
)
def test_samples(arrays: dict[str, Any]) -> None:
    found = samples.fit(arrays, [IMAGE, MASK], "d.npz")
    assert len(found) == 5
    for image, mask in found:
        assert (image.dtype, image.shape) == (np.float32, (1, 2, 3))
        assert (mask.dtype, mask.shape) == (np.int32, (1, 4))


def test_a_single_array_needs_no_name() -> None:
    assert len(samples.fit({"arr_0": np.ones((7, 2, 3))}, [IMAGE], "d")) == 7
    # An array of the input's own shape is one sample, the first of "arr".
    assert len(samples.fit({"arr_0": np.ones((1, 2, 3))}, [IMAGE], "d")) == 1
    # Names that look like numbered samples are tried as names of inputs first.
    numbered = Spec("input_1", "float32", (1, 2))
    assert len(samples.fit({"input_1": np.ones((4, 2))}, [numbered], "d")) == 4
    found = samples.fit({"w": np.array(["a", "bc"])}, [Spec("w", "string", (1,))], "d")
    assert [value[0].tolist() for value in found] == [["a"], ["bc"]]


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"image": np.ones((5, 2, 4))}, r"float64\[5, 2, 4\] does not fit the input 'image', float32 1x2x3"),
        ({"picture": np.ones((5, 2, 4))}, "has the arrays picture, the inputs are image"),
        ({}, "has no samples"),
        ({"image": np.ones((0, 2, 3))}, "has no samples"),
        ({"image": np.ones((5, 2, 3), np.uint8)}, "image is uint8, the input 'image' is float32"),
        ({"image": np.full((5, 2, 3), np.nan)}, "not finite"),
        ({"image": np.full((5, 2, 3), 1e300)}, "not finite"),
        ({"0_0": np.ones((1, 2, 3)), "1_0": np.ones((1, 2, 4))}, "1_0: float64.* does not fit"),
        ({"0_0": np.ones((1, 2, 3)), "1_1": np.ones((1, 2, 3))}, "has the arrays 0_0, 1_1"),
    ],
)
def test_samples_that_do_not_fit(arrays: dict[str, Any], expected: str) -> None:
    with pytest.raises(RefusedError, match=expected):
        samples.fit(arrays, [IMAGE], "d.npz")


def test_all_inputs_need_the_same_number_of_samples() -> None:
    with pytest.raises(RefusedError, match="image 5, mask:0 4"):
        samples.fit({"image": np.ones((5, 2, 3)), "mask:0": np.ones((4, 4), int)}, [IMAGE, MASK], "d")
    with pytest.raises(RefusedError, match="mask:0 is int64"):
        samples.fit({"image": np.ones((4, 2, 3)), "mask:0": np.full((4, 4), 1 << 40)}, [IMAGE, MASK], "d")


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = npz(tmp_path, image=np.array([{"a": 1}], object))
    with pytest.raises(RefusedError, match=r"d\.npz cannot be read"):
        samples.read_samples(path, [IMAGE], str(path))


def test_random_samples_fit_their_inputs() -> None:
    specs = [IMAGE, MASK, Spec("flag", "bool", ()), Spec("text", "string", (1,))]
    made = samples.random_samples(specs)
    assert len(made) == samples.RANDOM_SAMPLES
    assert [value.shape for value in made[0]] == [(1, 2, 3), (1, 4), (), (1,)]
    assert all(np.array_equal(a, b) for a, b in zip(made[0], samples.random_samples(specs)[0], strict=True))


# Comparison


def test_errors_of_an_output() -> None:
    tally = Tally()
    tally.add(np.array([[0.0, 1.0, 4.0]]), np.array([[0.0, 1.5, 3.0]]))
    tally.add(np.array([[2.0, -4.0, 0.0]]), np.array([[1.0, -4.0, 2.0]]))
    found = tally.result()
    assert found["range"] == [-4.0, 4.0]
    assert found["largest"] == 2.0
    assert found["mean"] == pytest.approx(4.5 / 6)
    assert found["largest_of_range"] == 0.25
    assert found["mean_of_range"] == pytest.approx(4.5 / 6 / 8)
    assert (found["top1"], found["rows"]) == (0.5, 2)
    assert (found["not_finite"], found["reshaped"]) == (0, "")


def test_outputs_without_classes_or_range() -> None:
    tally = Tally()
    tally.add(np.array([3.0]), np.array([3.5]))
    found = tally.result()
    assert (found["largest"], found["largest_of_range"], found["top1"]) == (0.5, None, None)
    empty = Tally().result()
    assert (empty["range"], empty["mean"]) == (None, 0.0)
    json.dumps(empty, allow_nan=False)


def test_outputs_that_are_not_finite_or_have_another_shape() -> None:
    tally = Tally()
    tally.add(np.array([np.nan, np.inf, 1.0, np.inf]), np.array([np.nan, -np.inf, np.nan, np.inf]))
    assert tally.result()["not_finite"] == 2
    tally.add(np.zeros((1, 2)), np.zeros(2))
    assert tally.result()["reshaped"] == "[1, 2] became [2]"


# Names


def test_safe_names_are_all_different() -> None:
    assert input_specs.safe_names(["halves:1", "halves_1", "s/x", "z"]) == [
        "halves_1_2",
        "halves_1",
        "s_x",
        "z",
    ]
    assert input_specs.safe_names(["a/b", "a:b", "a_b_2"]) == ["a_b", "a_b_3", "a_b_2"]
    first, second = input_specs.distinct([Spec("s/x", "float32", (1,)), Spec("s_x", "float32", (2,))])
    assert (first.safe, second.safe) == ("s_x_2", "s_x")
    # A name that an input has is that input's, even if it is the safe name of another.
    assert input_specs.fixed_shape(Spec("s/x", "float32", (-1,), first.safe), {"s_x": (2,)}, "m") == (1,)
    assert input_specs.fixed_shape(second, {"s_x": (2,)}, "m") == (2,)


# Errors of the converter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "ValueError"),
        ("first\n  second", "first second"),
        (
            'in user code:\n\n    File "/x/freezing.py", line 105, in run  *\n        return dict(a)\n\n'
            "    ValueError: the shapes differ:\n      2 and 3\n",
            "the shapes differ: 2 and 3",
        ),
        (
            '<unknown>:0: error: loc(callsite(fused["A:", "f/a@__run"] at fused["B:", "B"])): '
            '\'tf.A\' op needs (static) shapes\n<unknown>:0: note: loc(fused["B:", "B"]): called from\n',
            "'tf.A' op needs (static) shapes",
        ),
        ("\x1b[1mbold\x1b[0m text", "bold text"),
    ],
)
def test_what_an_error_says(text: str, expected: str) -> None:
    assert one_line(ValueError(text)) == expected


@pytest.mark.parametrize(
    ("text", "message", "next_step"),
    [
        (
            "TF Select ops: BiasAdd, MatMul\nDetails:\n\ttf.BiasAdd(tensor<1x2xf64>, tensor<2xf64>) -> x\n",
            "TensorFlow Lite has no op for BiasAdd, MatMul in float64",
            "let all layers compute in float32",
        ),
        (
            "TF Select ops: Erf\nDetails:\n\ttf.Erf(tensor<bf16>) -> (tensor<bf16>)\n",
            "TensorFlow Lite has no op for Erf in bfloat16",
            "let all layers compute in float32",
        ),
        (
            "TF Select ops: StatelessRandomUniformV2\nDetails:\n\ttf.StatelessRandomUniformV2() -> x\n",
            "has no op for StatelessRandomUniformV2",
            "call them with training=False",
        ),
        (
            "<unknown>:0: error: 'tf.TensorListReserve' op requires element_shape to be static",
            "needs loops of fixed shapes",
            "convert its .keras or .h5 file",
        ),
    ],
)
def test_a_refusal_advises_what_helps(text: str, message: str, next_step: str) -> None:
    found = quantisation.refusal(RuntimeError(text), "m", "none")
    assert message in found.message
    assert next_step in found.next_step
    assert found.code == 3


# Keras's own messages, as version 3.15.1 gives them; the second one quotes the model around the layer.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Could not locate class 'Mine'. Make sure custom classes", "m needs the class Mine, whose code"),
        (
            "<class 'keras.src.models.functional.Functional'> could not be deserialized properly.\n\n"
            "config={'module': 'k'}.\n\nException encountered: Could not locate class 'Own'. Make sure",
            "m needs the class Own, whose code",
        ),
        ("Unknown layer: 'Mine'. Please ensure you are using", "m needs the layer Mine, whose code"),
        (
            "Requested the deserialization of a `Lambda` layer whose `function` is a Python lambda. This "
            "carries a potential risk of arbitrary code execution",
            "m has a Lambda layer, and code in a model file is not run",
        ),
        (
            "Could not deserialize class 'Functional' because its parent module keras.src.engine.functional "
            "cannot be imported. Full object config: {'module': 'x'}",
            "m cannot be loaded by Keras 3.15.1: Could not deserialize class 'Functional' because its parent "
            "module keras.src.engine.functional cannot be imported; Keras 2.15.0 wrote it; with that Keras,",
        ),
        ("Unknown layer: 'TFOpLambda'. Please ensure", "Unknown layer: 'TFOpLambda'"),
    ],
)
def test_why_keras_does_not_load_a_file(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
    found = keras_model.unloadable(TypeError(text), path, "m", "3.15.1")
    line = f"{found.message}; {found.next_step}"
    assert expected in line
    assert "{" not in line


def test_missing_ops_are_named() -> None:
    text = "error: x\nTF Select ops: MatrixInverse, Erfc\nDetails:\n\ttf.MatrixInverse(tensor<3x3xf32>)\n"
    found = quantisation.refusal(RuntimeError(text), "m.keras", "none")
    assert found.message == "m.keras: TensorFlow Lite has no op for MatrixInverse, Erfc"
    assert found.code == 3
    other = quantisation.refusal(RuntimeError("first\nsecond" + "x" * 1000), "m.keras", "int8")
    assert other.message.startswith("m.keras cannot be converted with --quantize int8: first second")
    assert len(other.message) < 400


# The report


def test_new_ops_and_their_cost(registry: Registry) -> None:
    made = contents.analyse(EXAMPLES / "gesture.tflite")
    plain = contents.analyse(EXAMPLES / "digits.tflite")
    profile, name = profiles.load("armv7").choose(None)
    price, prices = conversion_report.priced(plain, made, registry, profile, load_toolchain(name))
    ops = conversion_report.used_ops(plain, made, registry, prices)
    new = {op.name for op in ops if op.new}
    assert new == {"CONV_2D", "MAX_POOL_2D"}
    assert price.code > price.new_ops > max(op.bytes or 0 for op in ops if op.new)
    assert price.float_code is not None
    assert all(op.bytes for op in ops)
    assert conversion_report.left_in_float(ops) == [op.name for op in ops]


# The Python that has TensorFlow


def test_the_worker_imports_no_other_module_of_litesmith() -> None:
    """It runs as a copy, under a Python that has TensorFlow but not the dependencies of litesmith."""
    package = Path(conversion.__file__).with_name("worker")
    allowed = {*sys.stdlib_module_names, "numpy", "tensorflow", "keras", "google", "h5py"}
    for path in sorted(package.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                own = name.startswith("litesmith.workflow.convert.worker")
                assert own or name.partition(".")[0] in allowed, f"{path}: {name}"


def test_an_interpreter_that_is_not_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.VARIABLE, "/no/such/python")
    with pytest.raises(UsageError, match="LITESMITH_CONVERTER=/no/such/python is not a program"):
        environment.interpreter()


def test_the_lock_file_is_part_of_litesmith() -> None:
    assert "tensorflow" in (paths.data_folder("requirements") / "models.txt").read_text()
    wheel = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert '"requirements/models.txt" = "litesmith/data/requirements/models.txt"' in wheel
