"""Plans, compared with what programs report and opened in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from litesmith.target import profiles
from tests.conftest import EXAMPLES, Cli, one_error_line
from tests.integration.browser import load_page
from tests.integration.conftest import Build

pytestmark = pytest.mark.build

MODELS = ["zoo:vww", "zoo:kws", "zoo:ic", "zoo:ad", *sorted(str(path) for path in EXAMPLES.glob("*.tflite"))]
MENU = ("--target", "armv7", "--menu", "mobilenet_v1")


def planned(cli: Cli, *arguments: str | Path) -> dict[str, Any]:
    done = cli("plan", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("target", ["x86_64", "armv7"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: Path(model).stem)
def test_a_plan_matches_what_the_program_reports(cli: Cli, build: Build, model: str, target: str) -> None:
    found = planned(cli, "--target", target, "--model", model)
    built = build(target, model)
    path = found["model_file"]
    said = json.loads(built.run("--model", path, "--json").stdout)
    assert found["arena_bytes"] == said["arena_bytes"]
    code = built.json("size.json")["binary"]["code"]
    assert abs(found["program_bytes"] - code) <= found["program_error"] * code
    assert found["model_bytes"] == Path(path).stat().st_size
    assert found["macs"] == sum(found["macs_by_op"].values()) == sum(node["macs"] for node in found["nodes"])
    assert {line["name"] for line in found["budget"]} == {"flash", "ram"}
    assert found["verdict"] == "fits"


def test_a_budget_that_is_too_small(cli: Cli) -> None:
    arguments = ("--target", "armv7", "--model", EXAMPLES / "det.tflite")
    found = planned(cli, *arguments, "--flash", "100KB", "--ram", "64KB", "--fps", "1000000")
    assert found["verdict"] == "does not fit"
    assert {line["name"]: line["verdict"] for line in found["budget"]} == {
        "flash": "does not fit",
        "ram": "does not fit",
        "frames per second": "does not fit",
    }
    table = cli("plan", *arguments, "--flash", "100KB")
    assert (table.returncode, "does not fit" in table.stdout) == (0, True)


def test_invalid_requests_for_plans(cli: Cli, tmp_path: Path) -> None:
    det = EXAMPLES / "det.tflite"
    for arguments, message in (
        (("--target", "armv7"), "give either --model or --menu"),
        (("--target", "armv7", "--menu", "mobilnet_v1"), "unknown menu 'mobilnet_v1'"),
        ((*MENU, "--kernels", "auto"), "--kernels goes with --model"),
        ((*MENU, "--signature", "f"), "--signature goes with --model"),
        ((*MENU, "--input-shape", "x=1x2"), "--input-shape goes with --model"),
        (("--target", "armv7", "--model", det, "--fps", "0"), "--fps 0 leaves nothing"),
        (("--target", "armv7", "--model", det, "--flash", "big"), "--flash big is not a number"),
        (("--target", "armv7", "--model", det, "--plot", "x.png"), "--plot draws a menu"),
        (("--model", det), "--target is missing"),
    ):
        done = cli("plan", *arguments)
        assert (done.returncode, message in one_error_line(done)) == (2, True), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_the_page_of_a_plan(chromium: str, cli: Cli, tmp_path: Path) -> None:
    model = EXAMPLES / "det.tflite"
    found = planned(cli, "--target", "armv7", "--model", model, "--fps", "5", "--html", "plan.html")
    dom, requests = load_page(chromium, tmp_path / "plan.html", tmp_path)
    assert requests == set()
    # Every layer has its MACs, and every tensor its bytes.
    for node in found["nodes"]:
        assert f"<td>{node['macs']:,}</td>" in dom
    assert len(re.findall(r"<rect [^>]*><title>[^<]+ bytes \((?:input|output|activation|scratch)", dom)) > 15
    assert "frames per second" in dom


@pytest.mark.full
def test_the_page_and_the_chart_of_a_menu(chromium: str, cli: Cli, tmp_path: Path) -> None:
    arguments = ("--target", "armv7", "--menu", "mobilenet_v1", "--fps", "5", "--flash", "1000KB")
    found = planned(cli, *arguments, "--flops", "500M", "--html", "menu.html", "--plot", "menu.png")
    assert (found["best"], found["best_arithmetic"]) == ("0.25_224", "int8")
    assert (tmp_path / "menu.png").read_bytes().startswith(b"\x89PNG")
    dom, requests = load_page(chromium, tmp_path / "menu.html", tmp_path)
    assert requests == set()
    for choice in found["choices"]:
        assert choice["variant"] in dom
    assert '<svg class="plot"' in dom


def test_a_calibration(cli: Cli, tmp_path: Path) -> None:
    """Two models on this machine: their throughput is added to the profile, and plans use it."""
    models = ("--model", "zoo:kws", "--model", EXAMPLES / "words.tflite")
    done = cli("calibrate", "--target", "x86_64", *models, "--runs", "5", "--out", "mine.yaml", "--json")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    profile = profiles.load(str(tmp_path / "mine.yaml"))
    assert profile.throughput is not None
    assert profile.throughput.model_dump(mode="json") == measured["throughput"]
    assert set(measured["throughput"]["macs"]) == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    assert all(rate > 0 for of_op in measured["throughput"]["macs"].values() for rate in of_op.values())
    found = planned(cli, "--target", tmp_path / "mine.yaml", "--model", "zoo:kws")
    assert "measured on" in found["latency_ms"]["basis"]
    assert found["latency_ms"]["low"] < found["latency_ms"]["high"]


def test_impossible_calibrations(cli: Cli, tmp_path: Path) -> None:
    for arguments, message in (
        (("--target", "armv7", "--runs", "0"), "--runs 0 is too few"),
        (("--target", "armv7", "--out", "x.txt"), "is not a YAML file"),
        (("--target", "x86_64", "--model", "zoo:ad", "--runs", "1"), "one model is too few"),
        (("--target", "armv7", "--board", "bench"), "there is no inventory"),
    ):
        done = cli("calibrate", *arguments)
        assert (done.returncode, message in one_error_line(done)) == (2, True), done.stderr
    assert list(tmp_path.iterdir()) == []
