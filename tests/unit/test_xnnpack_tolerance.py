"""How far the outputs of a program with XNNPACK may differ from the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litesmith.measure.verify import reference
from litesmith.measure.verify.cases import Case, Index, detection_counts
from litesmith.measure.verify.comparison import error_of
from litesmith.measure.verify.reference import Answer, Question
from litesmith.measure.verify.tolerance import UpstreamOutput, xnnpack_tolerance
from litesmith.measure.verify.xnnpack_reference import XnnpackReference
from litesmith.model import entry_points
from litesmith.model.model_file import open_model
from litesmith.model.tensors import Array
from litesmith.study.op_models.writer import Graph
from tests.conftest import EXAMPLES

INT = np.array([10, 20, 30], np.int8)
FLOAT = np.array([0.0, 0.5, 1.0], np.float32)


def accepted(known: Array, upstream: Array | None, actual: Array, written: Index = ...) -> bool:
    """Whether an output passes if upstream's build with XNNPACK gives ``upstream``."""
    output = UpstreamOutput(reference=known, xnnpack=upstream, written=written)
    found = xnnpack_tolerance("zeros", {"zeros": output}, actual)
    assert found.reason
    return error_of(known[written], actual[written]) <= found.value


@pytest.mark.parametrize(
    ("upstream", "actual", "passes"),
    [
        (INT, INT + 1, True),
        (INT, INT + 2, False),
        (INT + 5, INT + 5, True),
        (INT + 5, INT + 4, True),
        (INT + 5, INT + 6, False),
        (None, INT + 1, True),
        (None, INT + 2, False),
    ],
)
def test_integers_from_xnnpack(upstream: Any, actual: Any, passes: bool) -> None:
    assert accepted(INT, upstream, actual) is passes


@pytest.mark.parametrize(
    ("upstream", "actual", "passes"),
    [
        (FLOAT + 0.01, FLOAT + np.float32(0.01), True),
        (FLOAT + 0.01, FLOAT + np.float32(0.02), False),
        (FLOAT, FLOAT + np.float32(0.01), False),
        # Elements that no node writes can have any value, in both of upstream's programs.
        (np.array([0, 0.5, 1e9], np.float32), FLOAT + np.float32(0.01), False),
    ],
)
def test_floats_from_xnnpack(upstream: Any, actual: Any, passes: bool) -> None:
    assert accepted(FLOAT, np.asarray(upstream, np.float32), actual) is passes


@pytest.mark.parametrize(("row", "passes"), [(0, False), (1, True)])
def test_rows_after_the_last_detection_are_not_compared(row: int, passes: bool) -> None:
    boxes = np.full([1, 2, 4], 0.5, np.float32)
    boxes[0, 0] = 0.25
    actual = boxes.copy()
    actual[0, row] += 100
    upstream = (boxes - row).astype(np.float32)
    assert accepted(boxes, upstream, actual, (slice(None), slice(1))) is passes


def test_outputs_with_a_row_per_detection() -> None:
    analysis = open_model(str(EXAMPLES / "det.tflite")).analysis
    assert [detection_counts(analysis, part) for part in entry_points.parts(analysis)] == [{0: 3, 1: 3, 2: 3}]
    analysis = open_model(str(EXAMPLES / "digits.tflite")).analysis
    assert [detection_counts(analysis, part) for part in entry_points.parts(analysis)] == [{}]


def test_float_models_have_the_usual_tolerance(tmp_path: Any) -> None:
    g = Graph()
    g.op("ABS", [g.input([4])], [g.output()], "Abs")
    path = tmp_path / "abs.tflite"
    path.write_bytes(g.content())
    assert not XnnpackReference(open_model(str(path)), []).quantised


def test_upstreams_outputs_are_computed_once_and_looked_up_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(str(EXAMPLES / "det.tflite"))
    (part,) = entry_points.parts(model.analysis)
    boxes, classes, count = np.zeros([1, 9, 4]), np.zeros([1, 9]), np.array([2.0])
    cases = [
        Case(
            part=part,
            sample=name,
            inputs=(),
            expected=(boxes, classes, classes, count),
            detection_counts=detection_counts(model.analysis, part),
        )
        for name in ("zeros", "random 0", "random 1")
    ]
    asked: list[Question] = []

    def answers(questions: list[Question]) -> list[dict[str, Answer]]:
        asked.extend(questions)
        return [
            {
                "zeros": Answer(outputs=(boxes + 1, classes, classes, count), error=""),
                "random 0": Answer(outputs=(), error="the interpreter crashed"),
                "random 1": Answer(outputs=(boxes[:, 1:], classes, classes, count), error=""),
            }
        ]

    monkeypatch.setattr(reference, "answers", answers)
    upstream = XnnpackReference(model, cases)
    assert upstream.quantised
    assert asked == []
    found = upstream.outputs(part, 0)
    assert [question.delegates for question in asked] == [True]
    assert {name for name, one in found.items() if one.xnnpack is None} == {"random 0", "random 1"}
    assert found["zeros"].written == (slice(None), slice(2))
    assert upstream.outputs(part, 3)["zeros"].written is ...
    assert len(asked) == 1
