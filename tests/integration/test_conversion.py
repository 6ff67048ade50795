"""Conversions with a fake in place of the process that runs TensorFlow."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litesmith.base.errors import SourceError, ToolError, UnsupportedModelError, UsageError
from litesmith.workflow.convert import conversion, environment
from litesmith.workflow.convert.conversion_request import ConversionRequest
from tests.conftest import EXAMPLES
from tests.conversions import keras_archive, npz
from tests.models import CUSTOM, Op, build_model

pytestmark = pytest.mark.build


def result_of(**changes: Any) -> dict[str, Any]:
    return {
        "event": "result",
        "tensorflow": "2.0",
        "parameters": 1000,
        "inputs": [],
        "outputs": ["y"],
        "frozen": True,
        "comparison": {"reason": "nothing was computed"},
        "calibrated": 0,
        "notes": [],
        **changes,
    }


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replaces the Python that has TensorFlow: reports the given events and copies the given model."""

    def make(*events: dict[str, Any], model: Path = EXAMPLES / "digits.tflite", code: str = "") -> None:
        lines = "".join(f"{json.dumps(event)}\n" for event in events)
        script = (
            f"#!{sys.executable}\nimport json, pathlib, shutil, sys\n"
            "folder = pathlib.Path(json.loads(pathlib.Path(sys.argv[3]).read_text())['folder'])\n"
            f"for name in ('model', 'float32'):\n"
            f"    shutil.copyfile({str(model)!r}, folder / (name + '.tflite'))\n"
            "shutil.copyfile(sys.argv[3], folder / 'ops_to_register.h')\n"
            "import numpy; numpy.savez(folder / 'inputs.npz', made_by=1)\n"
            f"print({lines!r}, end='', flush=True)\n{code}\n"
        )
        path = tmp_path / "python"
        path.write_text(script)
        path.chmod(0o755)
        monkeypatch.setenv(environment.VARIABLE, str(path))

    return make


@pytest.fixture
def requested(tmp_path: Path) -> ConversionRequest:
    out = tmp_path / "out"
    out.mkdir()
    data = npz(tmp_path, x=np.zeros(3))
    return ConversionRequest(
        source=keras_archive(tmp_path),
        kind="keras",
        out=out / "m.tflite",
        representative=data,
        quantize="int8",
    )


def names(requested: ConversionRequest) -> list[str]:
    return sorted(path.name for path in requested.out.parent.iterdir())


def test_files_are_written_atomically(fake: Any, requested: ConversionRequest) -> None:
    fake(
        {"event": "step", "text": "reading"},
        {"event": "progress", "what": "calibrating", "done": 1, "total": 1},
        result_of(),
    )
    found = conversion.run(requested, "armv7")
    assert names(requested) == ["m.inputs.npz", "m.tflite"]
    assert found.to_json()["after"]["saved"] == found.saved
    assert found.saved == 1 - sum(found.made.weights.values()) / 4000
    assert "CONV_2D" in found.notes[0]
    json.dumps(found.to_json(), allow_nan=False)


def test_samples_of_the_user_are_kept(fake: Any, requested: ConversionRequest) -> None:
    fake(result_of())
    npz(requested.samples.parent, requested.samples.name, mine_0=np.ones(2))
    before = requested.samples.read_bytes()
    found = conversion.run(requested, "armv7")
    assert requested.samples.read_bytes() == before
    assert any("was not written by a conversion: it stays" in note for note in found.notes)
    requested.samples.write_bytes(b"no archive")
    conversion.run(requested, "armv7")
    assert requested.samples.read_bytes() == b"no archive"


def test_samples_of_an_earlier_conversion_are_removed(fake: Any, requested: ConversionRequest) -> None:
    import dataclasses

    fake(result_of())
    conversion.run(requested, "armv7")
    conversion.run(dataclasses.replace(requested, representative=None, quantize="none"), "armv7")
    assert names(requested) == ["m.tflite"]


def test_unsupported_ops_are_refused_and_no_files_are_written(
    fake: Any, requested: ConversionRequest, tmp_path: Path
) -> None:
    import dataclasses

    model = tmp_path / "x.tflite"
    model.write_bytes(build_model([Op(CUSTOM, custom="MyOp"), Op(9, version=99)]))
    fake(result_of(), model=model)
    with pytest.raises(UnsupportedModelError, match=r"FULLY_CONNECTED has version 99.*MyOp") as caught:
        conversion.run(requested, "armv7")
    assert str(requested.source) in caught.value.message
    assert "LITESMITH_CONVERTER" in caught.value.next_step
    model.write_bytes(build_model([Op(CUSTOM, custom="MyOp")]))
    with pytest.raises(UnsupportedModelError, match="MyOp is a custom op"):
        conversion.run(requested, "armv7")
    assert names(requested) == []
    found = conversion.run(dataclasses.replace(requested, custom_ops=frozenset({"MyOp"})), "armv7")
    assert found.price is None
    assert any("no estimate of the program" in note for note in found.notes)


def test_variables_without_values_are_refused(
    fake: Any, requested: ConversionRequest, tmp_path: Path
) -> None:
    model = tmp_path / "x.tflite"
    model.write_bytes(build_model([Op(142), Op(143)]))
    fake(result_of(frozen=False), model=model)
    with pytest.raises(UnsupportedModelError, match="lost the values of its variables"):
        conversion.run(requested, "armv7")


@pytest.mark.parametrize(
    ("events", "code", "kind", "expected"),
    [
        ([{"event": "refused", "message": "no", "next_step": "do", "code": 2}], "", UsageError, "no; do"),
        (
            [{"event": "refused", "message": "no", "next_step": "", "code": 3}],
            "",
            UnsupportedModelError,
            "no",
        ),
        ([{"event": "step", "text": "reading"}], "", ToolError, "gave no result while reading"),
        ([], "raise ValueError('what')", ToolError, "failed: ValueError: what"),
        (
            [{"event": "progress", "what": "calibrating", "done": 1, "total": 3}],
            "import os; os.kill(os.getpid(), 11)",
            ToolError,
            "was ended by SIGSEGV while calibrating; LSTM and GRU layers",
        ),
    ],
)
def test_a_converter_that_fails(
    fake: Any,
    requested: ConversionRequest,
    events: list[dict[str, Any]],
    code: str,
    kind: type[Exception],
    expected: str,
) -> None:
    fake(*events, code=code)
    with pytest.raises(kind) as caught:
        conversion.run(requested, "armv7")
    assert expected in str(caught.value)
    assert names(requested) == []


def test_an_interpreter_without_tensorflow(
    requested: ConversionRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.VARIABLE, sys.executable)
    with pytest.raises(ToolError, match=r"has no TensorFlow.*LITESMITH_CONVERTER"):
        conversion.run(requested, "armv7")


def test_no_network(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    for name, value in {
        "PIP_INDEX_URL": "http://127.0.0.1:1/",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match="TensorFlow could not be installed"):
        environment.interpreter()
    assert [path.suffix for path in (empty_cache / "converter").iterdir()] == [".lock"]
