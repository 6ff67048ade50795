"""Models of every input format, converted by TensorFlow itself, built and run."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litesmith.base.errors import ToolError, UnsupportedModelError, UsageError
from litesmith.measure.verify import reference
from litesmith.measure.verify.reference import Question
from litesmith.model import entry_points, model_file, samples
from litesmith.runtime import op_registry
from litesmith.workflow.convert import conversion, conversion_request
from litesmith.workflow.convert.conversion_report import Conversion
from tests.conftest import Cli, one_error_line
from tests.integration.conftest import Build, Make

# The formats differ in the order of a few additions.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def models(make_models: Make) -> Path:
    """A folder of models in all input formats."""
    return make_models("convert_models.py")


@pytest.fixture
def convert(models: Path, tmp_path: Path) -> Any:
    """Converts one of these models in a separate folder."""

    def run(name: str, quantize: str = "none", **options: Any) -> Conversion:
        wanted = conversion_request.check(
            source=str(models / name),
            quantize=quantize,
            out=str(tmp_path / "m.tflite"),
            **{"representative": str(models / "named.npz"), **options},
        )
        return conversion.run(wanted, "armv7")

    return run


def only(found: Conversion) -> Any:
    (output,) = found.comparison.outputs
    return output


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["small.keras", "small.h5", "small_saved", "small.pb"])
def test_every_input_format(convert: Any, tmp_path: Path, name: str) -> None:
    found = convert(name)
    assert only(found).largest_of_range < ROUNDING
    assert (only(found).top1, found.comparison.samples) == (1.0, 60)
    assert found.inputs[0]["shape"] == [1, 12, 12, 3]
    assert found.parameters == 40346
    assert abs(found.saved) < 0.01
    assert [op.name for op in found.ops if op.new] == []
    assert names(tmp_path) == ["m.inputs.npz", "m.tflite"]
    # Fixed to a batch of one, so that no op computes shapes.
    assert {op.name for op in found.ops} == {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "RESHAPE", "SOFTMAX")
    }


@pytest.mark.parametrize(
    ("quantize", "io", "saves", "new"),
    [
        ("dynamic", "float", 0.73, set()),
        ("float16", "float", 0.49, {"DEQUANTIZE"}),
        ("int8", "float", 0.74, {"QUANTIZE", "DEQUANTIZE"}),
        ("int8", "int8", 0.74, set()),
    ],
)
def test_every_quantisation_is_smaller_and_runs(
    convert: Any, build: Build, tmp_path: Path, quantize: str, io: str, saves: float, new: set[str]
) -> None:
    found = convert("small.keras", quantize, io=io)
    assert saves < found.saved < saves + 0.02
    assert {op.name for op in found.ops if op.new} == new
    assert found.price is not None
    assert (found.price.new_ops > 0) == bool(new)
    assert 0 < only(found).largest_of_range < 0.05
    assert only(found).top1 > 0.9
    (verdict,) = build("x86_64", tmp_path / "m.tflite").json("verify.json")["verdicts"]
    assert verdict["passed"] is True
    # Four from the representative data, zeros, and three random ones.
    assert verdict["samples"] == 8


def test_quantised_samples_come_from_the_representative_data(
    convert: Any, models: Path, tmp_path: Path
) -> None:
    convert("small.keras", "int8", io="int8", representative=str(models / "indexed.npz"))
    model = model_file.open_model(str(tmp_path / "m.tflite"))
    (part,) = entry_points.parts(model.analysis)
    found = samples.samples(model.analysis, model.path, part)
    real = {name: sample for name, sample in found.items() if name.startswith("real")}
    assert sorted(real) == ["real 0", "real 1", "real 2", "real 3"]
    with np.load(models / "indexed.npz") as data:
        for number, sample in enumerate(real.values()):
            assert sample.inputs[0].dtype == np.int8
            assert np.corrcoef(sample.inputs[0].ravel(), data[f"{number}_0"].ravel())[0, 1] > 0.999


def test_inputs_and_outputs_keep_their_order(convert: Any, tmp_path: Path) -> None:
    found = convert("two_ends.keras", "dynamic", representative=None)
    assert [entry["name"] for entry in found.inputs] == ["zimage", "aside"]
    assert [output.name for output in found.comparison.outputs] == ["zscores", "boxes"]
    assert found.comparison.data == "random"
    assert all(output.largest_of_range < 0.05 for output in found.comparison.outputs)
    model = model_file.open_model(str(tmp_path / "m.tflite"))
    (part,) = entry_points.parts(model.analysis)
    assert [tensor.shape for tensor in part.inputs] == [(1, 8, 8, 3), (1, 4)]
    assert [tensor.shape for tensor in part.outputs] == [(1, 5), (1, 3)]
    inputs = samples.samples(model.analysis, model.path, part)
    question = Question(
        model=model.path,
        sha256=model.analysis.sha256,
        entry=part.entry,
        samples={name: sample.inputs for name, sample in inputs.items()},
    )
    for answer in reference.answers([question])[0].values():
        assert answer.outputs[0].sum() == pytest.approx(1, abs=1e-3)


def test_ops_whose_int8_is_too_new_stay_in_float(
    convert: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The runtime has every op of this converter in int8; that of 2023 had SQRT in float32 only.
    known = op_registry.load()
    ops = {
        code: op.model_copy(update={"versions": (1, 1)}) if op.name == "SQRT" else op
        for code, op in known.builtins.items()
    }
    older = dataclasses.replace(known, builtins=ops)
    monkeypatch.setattr(conversion.op_registry, "load", lambda: older)
    data = tmp_path / "data.npz"
    np.savez(data, np.random.default_rng(1).uniform(0.1, 1, (20, 4, 8)))
    found = convert("root", "int8", representative=str(data))
    (root,) = [op for op in found.ops if op.name == "SQRT"]
    assert (root.version, root.dtypes) == (1, ("float32",))
    assert "int8" in next(op.dtypes for op in found.ops if op.name == "EXP")
    assert any("SQRT" in note for note in found.notes)
    assert only(found).largest_of_range < 0.05


def test_a_model_with_state(convert: Any, build: Build, tmp_path: Path) -> None:
    found = convert("state", representative=None)
    assert only(found).largest_of_range < ROUNDING
    assert {"VAR_HANDLE", "ASSIGN_VARIABLE", "CALL_ONCE"} <= {op.name for op in found.ops}
    (verdict,) = build("x86_64", tmp_path / "m.tflite").json("verify.json")["verdicts"]
    assert verdict["passed"] is True


def test_a_custom_op_of_the_user(convert: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="MyOp is a custom op"):
        convert("custom", representative=None)
    text = "ops:\n  - name: MyOp\n    registration: my::Register_MyOp\n    sources: [my.cc]\n"
    (tmp_path / "mine.yaml").write_text(text)
    found = convert("custom", representative=None, custom_ops=str(tmp_path / "mine.yaml"))
    assert [op.name for op in found.ops] == ["FULLY_CONNECTED", "MyOp"]
    assert "custom ops" in found.comparison.reason


def test_requested_shapes(convert: Any) -> None:
    with pytest.raises(
        UsageError, match=r"\?x\?x\?x3, with unknown dimensions; give them with --input-shape"
    ) as caught:
        convert("any_size.keras", representative=None)
    name = str(caught.value).split("'")[1]
    found = convert("any_size.keras", representative=None, shapes={name: (1, 9, 7, 3)})
    assert found.inputs[0]["shape"] == [1, 9, 7, 3]


def test_inputs_and_outputs_of_a_frozen_graph(convert: Any) -> None:
    found = convert("old.pb", representative=None)
    assert [entry["name"] for entry in found.inputs] == ["picture"]
    assert [output.name for output in found.comparison.outputs] == ["scores", "halves", "halves:1"]
    assert all(output.largest_of_range < ROUNDING for output in found.comparison.outputs)
    cut = convert(
        "old.pb", representative=None, inputs=["hidden"], outputs=["halves:1"], shapes={"hidden": (1, 6)}
    )
    assert [(entry["name"], entry["shape"]) for entry in cut.inputs] == [("hidden", [1, 6])]
    assert [output.name for output in cut.comparison.outputs] == ["halves:1"]
    assert "FULLY_CONNECTED" not in {op.name for op in cut.ops}


def test_names_that_differ_in_one_character(convert: Any) -> None:
    """TensorFlow 1 calls the second output of the node ``halves`` ``halves:1``, and another ``halves_1``."""
    found = convert("old_names.pb", representative=None, outputs=["halves:1", "halves_1"])
    assert [entry["name"] for entry in found.inputs] == ["s/x", "s_x"]
    twice, once = found.comparison.outputs
    assert (twice.name, once.name) == ("halves:1", "halves_1")
    assert max(twice.largest_of_range, once.largest_of_range) < ROUNDING
    # The inputs are between -1 and 1, the second output has the factor 16.
    assert twice.range[1] < 3
    assert once.range[1] > 3


def test_the_header_matches_that_of_tensorflows_own_tool(
    convert: Any, converter: Path, models: Path, tmp_path: Path
) -> None:
    convert("small.pb", header=str(tmp_path / "ops_to_register.h"))
    done = subprocess.run(
        [
            *(str(converter), "-m", "tensorflow.python.tools.print_selective_registration_header"),
            f"--graphs={models / 'small.pb'}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert 'isequal(op, "Conv2D")' in done.stdout
    assert (tmp_path / "ops_to_register.h").read_text() == done.stdout


@pytest.mark.parametrize(
    ("name", "options", "kind", "expected"),
    [
        ("inverse", {}, UnsupportedModelError, "TensorFlow Lite has no op for MatrixInverse"),
        ("only.weights.h5", {}, UsageError, "cannot be loaded by Keras"),
        ("several", {}, UsageError, "has several signatures; name one with --signature: one, two"),
        ("no_signature", {}, UsageError, "has no signature"),
        ("small_saved", {"outputs": ["x"]}, UsageError, "has no output 'x'"),
        ("old.pb", {"outputs": ["score"]}, UsageError, "perhaps you meant 'scores'"),
        ("not_frozen.pb", {}, UsageError, "is not frozen: it has the variables weights"),
        ("broken.pb", {}, UsageError, "is not a frozen graph"),
        ("small.keras", {"representative": "other.npz"}, UsageError, "does not fit the input 'image'"),
    ],
)
def test_what_cannot_be_converted(
    convert: Any, models: Path, tmp_path: Path, name: str, options: Any, kind: type[Exception], expected: str
) -> None:
    (models / "broken.pb").write_bytes(bytes(range(1, 200)))
    data = options.get("representative")
    with pytest.raises(kind) as caught:
        convert(name, **{**options, "representative": str(models / data) if data else None})
    assert expected in str(caught.value)
    assert names(tmp_path) == []


def test_a_crash_of_the_converter_is_reported(convert: Any, tmp_path: Path, models: Path) -> None:
    """TensorFlow 2.21 crashes when it calibrates loops."""
    data = models / "sequences.npz"
    np.savez(data, np.zeros((4, 6, 4), np.float32))
    with pytest.raises(ToolError, match="SIGSEGV while calibrating; LSTM and GRU"):
        convert("lstm.keras", "int8", representative=str(data))
    assert names(tmp_path) == []


def test_the_command_line(cli: Cli, models: Path, tmp_path: Path) -> None:
    done = cli("convert", "--from", models / "small_saved", "--quantize", "float16")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("reading ")
    assert "converting, float16" in lines
    assert "real ones (--representative) say more" in done.stdout
    assert "wrote small_saved.tflite" in done.stdout
    assert names(tmp_path) == ["small_saved.tflite"]
    failed = cli("convert", "--from", models / "inverse")
    assert failed.returncode == 3
    assert "MatrixInverse" in one_error_line(failed)
