from __future__ import annotations

import dataclasses
import json

import pytest

from litesmith.cli.render import size_page
from litesmith.measure.size import diff
from litesmith.measure.size.diff import Change
from tests.unit.snapshots import MADE_WITH, part, snapshot


def test_changes_are_sorted_by_size() -> None:
    found = diff.changes({"a": 5, "b": 7, "gone": 90}, {"a": 5, "b": 1, "new": 40})
    assert [(change.name, change.delta) for change in found] == [
        ("gone", -90),
        ("new", 40),
        ("b", -6),
        ("a", 0),
    ]


def test_buckets_add_up_to_the_loaded_bytes() -> None:
    made = snapshot(shared={("ADD", "MUL"): 30})
    assert sum(made.report.parts().values()) == made.report.binary.loaded
    assert made.report.parts()["shared by ADD, MUL"] == 30


def test_a_comparison() -> None:
    before = snapshot("v1", ops={"ADD": 100, "MUL": 200})
    after = snapshot("v2", core=990, ops={"ADD": 150, "SUB": 70})
    found = diff.compare(before, after)
    assert found.code == Change(name="code", before=1300, after=1210)
    assert sum(change.delta for change in found.buckets) == found.totals[1].delta
    assert [change.name for change in found.ops] == ["MUL", "SUB", "ADD"]
    assert {change.name: change.delta for change in found.symbols} == {
        "MUL_eval": -200,
        "SUB_eval": 70,
        "ADD_eval": 50,
        "core": -10,
    }
    assert json.loads(json.dumps(found.to_json()))["symbols"][0] == {
        "name": "MUL_eval",
        "before": 200,
        "after": 0,
        "delta": -200,
    }


def test_two_equal_builds() -> None:
    found = diff.compare(snapshot("a"), snapshot("b"))
    assert found.code.delta == 0
    assert found.symbols == ()
    assert "| bucket |" not in found.to_markdown()


def test_markdown() -> None:
    before, after = snapshot("v1"), snapshot("v2", ops={"ADD": 100, "MUL": 260})
    text = diff.compare(before, after).to_markdown()
    assert text.splitlines()[0] == "### Code size: 1,360 bytes (+60, +4.62 %)"
    assert "| `MUL` | 208 | 268 | +60 |" in text
    assert "| `MUL_eval` | 200 | 260 | +60 |" in text


@pytest.mark.parametrize("name", ["a|b", "a`b", "x" * 300])
def test_names_do_not_break_the_table(name: str) -> None:
    before = snapshot("a")
    after = dataclasses.replace(
        before, anatomy=dataclasses.replace(before.anatomy, parts=(*before.anatomy.parts, part(name, 5)))
    )
    (row,) = [row for row in diff.compare(before, after).to_markdown().splitlines() if "+5 |" in row]
    assert row.replace("\\|", "").count("|") == 5
    assert row.count("`") == 2
    assert len(row) < 160


def test_differences_in_tools_and_settings() -> None:
    other = dataclasses.replace(MADE_WITH, linkage="dynamic")
    text = diff.compare(snapshot("a"), snapshot("b", made_with=other)).to_markdown()
    assert "- linkage: dynamic, was static" in text


def test_the_page_contains_all_data_and_loads_nothing() -> None:
    made = snapshot("</script><script>alert(1)</script>")
    text = size_page.render(made, snapshot("before"))
    assert text.count("<script") == 2
    assert "alert(1)</script>" not in text.replace("&lt;/script&gt;", "")
    start = text.index('type="application/json">') + len('type="application/json">')
    data = json.loads(text[start : text.index("</script>", start)])
    assert sum(row[4] for row in data["parts"]) == made.report.binary.loaded
    assert {row["name"]: row["marginal"] for row in data["ops"]} == {"ADD": 108, "MUL": 208}
    for outside in ("http:", "https:", "src=", "@import", "url("):
        assert outside not in text
