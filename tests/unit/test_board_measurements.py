from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from litesmith.base.errors import UsageError
from litesmith.study.bench.compare import compare
from litesmith.study.bench.on_board import latency
from litesmith.study.bench.profiling import NodeTime, by_op


def node(op: str, us: float, share: float, calls: float = 1) -> NodeTime:
    return NodeTime(subgraph=0, node=0, op=op, name="x", calls=calls, us=us, share=share)


def report(**more: Any) -> dict[str, Any]:
    return {
        "board": "bench",
        "runs": 10,
        "latency_ms": {"min": 1.0, "median": 2.0, "p90": 3.0, "max": 4.0},
        "time_to_first_inference_ms": 5.0,
        "peak_rss_bytes": 1000,
        "arena_bytes": 100,
        "ops": [{"op": "CONV_2D", "us": 10.0}, {"op": "SOFTMAX", "us": 1.0}],
        "made_with": {"program_bytes": 7, "kernel": "Linux 6", "clock": {"after": {"load": "1"}}},
        **more,
    }


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("microseconds", "median", "p90"),
    [
        ([5000], 5, 5),
        ([1000, 2000], 1.5, 2),
        (list(range(10_000, 0, -1000)), 5.5, 9),
        (list(range(1000, 12_000, 1000)), 6, 10),
        (list(range(1, 101)), 0.0505, 0.09),
    ],
)
def test_latencies(microseconds: list[int], median: float, p90: float) -> None:
    found = latency(microseconds)
    assert (found.min, found.max) == (min(microseconds) / 1000, max(microseconds) / 1000)
    assert (found.median, found.p90) == (pytest.approx(median), pytest.approx(p90))


def test_nodes_of_the_same_op_share_a_line() -> None:
    ops = by_op([node("SOFTMAX", 1, 0.1), node("CONV_2D", 4, 0.4), node("CONV_2D", 5, 0.5, calls=3)])
    assert [(op.op, op.nodes, op.calls, op.us) for op in ops] == [("CONV_2D", 2, 4, 9), ("SOFTMAX", 1, 1, 1)]
    assert sum(op.share for op in ops) == pytest.approx(1)


def test_two_measurements_side_by_side(tmp_path: Path) -> None:
    before = written(tmp_path / "a.json", report())
    after = written(
        tmp_path / "b.json",
        report(
            runs=20,
            latency_ms={"min": 1.0, "median": 1.0, "p90": 3.0, "max": 4.0},
            ops=[{"op": "CONV_2D", "us": 5.0}, {"op": "ADD", "us": 2.0}],
            made_with={"program_bytes": 7, "kernel": "Linux 7", "clock": {"after": {"load": "9"}}},
        ),
    )
    found = compare(before, after)
    figures = {change.name: change for change in found.figures}
    assert (figures["latency, median"].ratio, figures["latency, median"].unit) == (0.5, "ms")
    assert (figures["arena"].ratio, figures["arena"].unit) == (1, "B")
    assert [(op.name, op.before, op.after, op.ratio) for op in found.ops] == [
        ("CONV_2D", 10, 5, 0.5),
        ("ADD", 0, 2, None),
        ("SOFTMAX", 1, 0, 0),
    ]
    # A different clock, which depends on the load of the board, does not count as a difference.
    assert found.differences == {"runs": ("10", "20"), "kernel": ("Linux 6", "Linux 7")}
    assert json.loads(json.dumps(found.to_json()))["ops"][0]["ratio"] == 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not a measurement of a board"),
        ({"ops": []}, "is not a measurement of a board"),
        (report(arena_bytes="much"), "has no arena_bytes"),
        (report(latency_ms={"min": 1}), "has no latency_ms.median"),
    ],
)
def test_files_that_are_not_measurements(tmp_path: Path, content: object, message: str) -> None:
    good = written(tmp_path / "good.json", report())
    bad = written(tmp_path / "bad.json", content)
    with pytest.raises(UsageError, match=message) as caught:
        compare(good, bad)
    assert "bad.json" in str(caught.value)


def test_an_unreadable_measurement(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json cannot be read"):
        compare(tmp_path / "none.json", tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"latency_ms"')
    with pytest.raises(UsageError, match=r"cut\.json cannot be read"):
        compare(tmp_path / "cut.json", tmp_path / "cut.json")
