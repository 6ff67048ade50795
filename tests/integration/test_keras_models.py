"""Keras models of every kind, in every form: each is converted and answers like Keras, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from litesmith.base.errors import LitesmithError
from litesmith.measure.verify import reference
from litesmith.measure.verify.reference import Question
from litesmith.model import entry_points, model_file
from litesmith.workflow.convert import conversion, conversion_request
from litesmith.workflow.convert.conversion_report import Conversion
from tests.conftest import Cli, one_error_line
from tests.integration.conftest import Make
from tests.keras_forms import KINDS

# TensorFlow Lite adds in another order than Keras, and the sums here have at most 80 terms.
ROUNDING = 1e-5

CODE = "export it as a SavedModel where that code is (model.export), and convert that"
BUILT = "call the model, or begin it with keras.Input; train it, and save it again"

# A whole file of each kind; the forms differ in how Keras finds layers and weights.
WHOLE = [
    *(f"{name}.keras" for name in KINDS if not name.startswith(("subclass", "keras_2"))),
    *("sequential.h5", "keras_2_groups.h5", "keras_2_time_major.h5"),
    *(
        pytest.param(f"{name}.h5", marks=pytest.mark.exhaustive)
        for name in ("sequential_without_input", "inputs_in_dictionary", "outputs_in_dictionary")
    ),
]


@pytest.fixture(scope="module")
def forms(make_models: Make) -> Path:
    return make_models("keras_forms.py")


@pytest.fixture
def convert(forms: Path, tmp_path: Path) -> Callable[[str], Conversion]:
    def run(name: str) -> Conversion:
        out = str(tmp_path / "m.tflite")
        wanted = conversion_request.check(source=str(forms / name), quantize="none", out=out)
        return conversion.run(wanted, "armv7")

    return run


def require_answers_of_keras(found: Conversion, expected: Path) -> None:
    """Runs the file in the reference, on the inputs for which Keras has answered."""
    model = model_file.open_model(found.out)
    (part,) = entry_points.parts(model.analysis)
    with np.load(expected) as stored:
        given = {name: stored[name] for name in stored.files if not name.startswith("out_")}
        outputs = [stored[f"out_{number}"] for number in range(len(stored.files) - len(given))]
    by_shape = {value.shape: value for value in given.values()}
    assert len(by_shape) == len(given)
    inputs = tuple(by_shape[tuple(tensor.shape)] for tensor in part.inputs)
    question = Question(
        model=model.path, sha256=model.analysis.sha256, entry=part.entry, samples={"keras": inputs}
    )
    answer = reference.answers([question])[0]["keras"].outputs
    assert [value.shape for value in answer] == [value.shape for value in outputs]
    for value, wanted in zip(answer, outputs, strict=True):
        assert np.abs(value - wanted).max() <= ROUNDING * np.ptp(wanted)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_model(convert: Callable[[str], Conversion], forms: Path, name: str) -> None:
    kind = name.partition(".")[0]
    found = convert(name)
    assert tuple(output.name for output in found.comparison.outputs) == KINDS[kind]
    require_answers_of_keras(found, forms / f"{kind}.npz")


@pytest.mark.parametrize("kind", ["sequential", "subclass", "subclass_with_dictionaries"])
def test_an_exported_model(convert: Callable[[str], Conversion], forms: Path, kind: str) -> None:
    found = convert(f"{kind}_saved")
    # Keras numbers outputs that are not in a dictionary.
    names = KINDS[kind] if "dictionaries" in kind else ("output_0",)
    assert tuple(output.name for output in found.comparison.outputs) == names
    require_answers_of_keras(found, forms / f"{kind}.npz")


@pytest.mark.parametrize("name", ["words_saved", "state_saved"])
def test_what_an_export_keeps(convert: Callable[[str], Conversion], name: str) -> None:
    """Tables and state cannot be frozen; in a SavedModel they have values."""
    assert len(convert(name).comparison.outputs) == 1


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("not_built.keras", 2, f"not_built.keras was saved before it had an input shape; {BUILT}"),
        pytest.param(
            *("not_built.h5", 2, f"not_built.h5 was saved before it had an input shape; {BUILT}"),
            marks=pytest.mark.exhaustive,
        ),
        ("no_layers.keras", 2, f"no_layers.keras has no layers; {BUILT}"),
        ("subclass.keras", 2, f"subclass.keras needs the class Plain, whose code is not in the file; {CODE}"),
        pytest.param(
            *("subclass.h5", 2, f"subclass.h5 needs the layer Plain, whose code is not in the file; {CODE}"),
            marks=pytest.mark.exhaustive,
        ),
        ("own_class.keras", 2, f"needs the class Mine, whose code is not in the file; {CODE}"),
        ("own_layer.keras", 2, f"needs the class Own, whose code is not in the file; {CODE}"),
        pytest.param(
            *("own_layer.h5", 2, f"needs the layer Own, whose code is not in the file; {CODE}"),
            marks=pytest.mark.exhaustive,
        ),
        ("code.keras", 2, f"code.keras has a Lambda layer, and code in a model file is not run; {CODE}"),
        pytest.param(
            *("code.h5", 2, f"code.h5 has a Lambda layer, and code in a model file is not run; {CODE}"),
            marks=pytest.mark.exhaustive,
        ),
        (
            "quantised.keras",
            3,
            "Keras has quantised first, second, and TensorFlow Lite has no ops for that; save",
        ),
        ("half.keras", 3, "TensorFlow Lite has no op for BiasAdd, MatMul in float16; let all layers compute"),
        ("double.keras", 3, "TensorFlow Lite has no op for BiasAdd, MatMul in float64; let all layers"),
        ("words.keras", 3, "cannot be frozen: it looks up values in tables; export it as a SavedModel"),
        ("state.keras", 3, "cannot be frozen: it changes its variables; export it as a SavedModel"),
        ("loop_saved", 3, "needs loops of fixed shapes, and the batch of this one is unknown; convert its"),
        ("augmented_saved", 3, "call them with training=False"),
    ],
)
def test_one_line_says_why_not(
    convert: Callable[[str], Conversion], tmp_path: Path, name: str, code: int, expected: str
) -> None:
    with pytest.raises(LitesmithError) as caught:
        convert(name)
    line = f"{caught.value.message}; {caught.value.next_step}"
    assert expected in line
    assert "\n" not in line
    assert len(line) < 400
    assert caught.value.exit_code == code
    assert list(tmp_path.iterdir()) == []


def test_what_the_line_advises_works(convert: Callable[[str], Conversion]) -> None:
    """A loop whose batch is unknown in a SavedModel is converted from the .keras file."""
    assert len(convert("loop.keras").comparison.outputs) == 1


def test_the_command_line(cli: Cli, forms: Path, tmp_path: Path) -> None:
    done = cli("convert", "--from", forms / "sequential.keras", "--quantize", "none")
    assert (done.returncode, (tmp_path / "sequential.tflite").is_file()) == (0, True), done.stderr
    refused = cli("convert", "--from", forms / "own_layer.keras", "--quantize", "none")
    assert refused.returncode == 2
    assert "needs the class Own" in one_error_line(refused)
