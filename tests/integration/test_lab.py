"""Virtual boards: emulated root file systems of other architectures, each with a real SSH server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litesmith.board.lab import root_file_system
from litesmith.board.lab import virtual_boards as lab
from litesmith.board.lab.virtual_boards import Lab
from litesmith.container import docker_client
from tests.conftest import EXAMPLES, Cli, one_error_line
from tests.integration.conftest import require_or_skip

pytestmark = pytest.mark.usefixtures("docker_engine", "root")

GESTURE = EXAMPLES / "gesture.tflite"
DIGITS = EXAMPLES / "digits.tflite"


def containers_and_networks(label: str = root_file_system.LABEL) -> list[str]:
    """The containers and networks of labs."""
    found = []
    for arguments in (("ps", "--all"), ("network", "ls")):
        found += docker_client.call(*arguments, "--quiet", f"--filter=label={label}").stdout.decode().split()
    return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two armv7 boards, which are removed completely afterwards."""
    missing = [name for name in ("qemu-arm-static", "debootstrap") if not shutil.which(name)]
    require_or_skip(
        f"not installed: {', '.join(missing)}; './inv doctor' lists the packages" if missing else ""
    )
    inventory = tmp_path_factory.mktemp("lab") / "boards.yaml"
    made = lab.up(lab.parse("armv7:2"), inventory)
    yield made
    assert lab.down(inventory) == 2
    assert containers_and_networks() == []
    assert docker_client.call("images", "--quiet", f"--filter=label={root_file_system.LABEL}").stdout == b""
    assert list(inventory.parent.iterdir()) == []
    assert not Path("/proc/sys/fs/binfmt_misc/litesmith-arm").exists()


def shell(bench: Lab, number: int, script: str) -> str:
    """The output of a shell on a board, run without its SSH server."""
    container = bench.boards[number].container
    return docker_client.call("exec", container, "sh", "-c", script).stdout.decode().strip()


def current(bench: Lab, number: int) -> str:
    """Runs the current release of a board and returns its name."""
    folder = f"{root_file_system.FOLDER}/current"
    said = shell(bench, number, f"{folder}/program --model {folder}/model-0.tflite --json")
    assert "latency_ms" in json.loads(said)
    return shell(bench, number, f"readlink {folder}").rpartition("/")[2]


def inventory_option(bench: Lab) -> tuple[str, str]:
    return ("--boards", str(bench.inventory))


def test_boards_report_their_properties(cli: Cli, bench: Lab) -> None:
    done = cli("boards", "--probe", "--json", *inventory_option(bench))
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert [one["facts"]["machine"] for one in seen] == ["armv7l", "armv7l"]
    assert {one["facts"]["libc"] for one in seen} == {"ld-linux-armhf.so.3"}


def test_a_deployment_to_the_lab(cli: Cli, bench: Lab) -> None:
    arguments = ("deploy", "--target", "armv7", "--tag", "lab", "--json", *inventory_option(bench))
    done = cli(*arguments, "--model", GESTURE)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["boards"]
    first = results["armv7-1"]["deployment"]
    assert [current(bench, n) for n in (0, 1)] == [first["release"]] * 2
    assert "verified" in first["verdict"]
    # A dynamically linked program needs the board's own libraries.
    dynamic = cli(*arguments, "--model", GESTURE, "--toolchain", "gcc")
    assert dynamic.returncode == 0, dynamic.stderr
    assert current(bench, 0) != first["release"]
    assert cli("rollback", "--all", *inventory_option(bench)).returncode == 0
    assert [current(bench, n) for n in (0, 1)] == [first["release"]] * 2


def test_a_measurement_in_the_lab(cli: Cli, bench: Lab, tmp_path: Path) -> None:
    arguments = ("bench.board", "--board", "armv7-1", "--target", "armv7", *inventory_option(bench))
    found: list[dict[str, Any]] = []
    before = shell(bench, 0, f"ls -A {root_file_system.FOLDER}/files")
    for runs in ("10", "20"):
        done = cli(*arguments, "--model", GESTURE, "--runs", runs, "--json")
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
        (tmp_path / f"{runs}.json").write_text(done.stdout)
    assert shell(bench, 0, f"ls -A {root_file_system.FOLDER}/files") == before
    report = found[1]
    took = report["latency_ms"]
    assert 0 < took["min"] <= took["median"] <= took["p90"] <= took["max"]
    assert report["peak_rss_bytes"] > report["arena_bytes"] > 0
    # Every node of the model ran once in each inference; together they take all of the time.
    analysed = json.loads(cli("analyse", "--model", GESTURE, "--json").stdout)
    wanted = {op["name"]: op["count"] for op in analysed["ops"]}
    assert {op["op"]: op["nodes"] for op in report["ops"]} == wanted
    assert all(op["calls"] == op["nodes"] for op in report["ops"])
    assert sum(op["share"] for op in report["ops"]) == pytest.approx(1)
    compared = json.loads(cli("bench.compare", "10.json", "20.json", "--json").stdout)
    assert compared["differences"] == {"runs": ["10", "20"]}


def test_a_reboot_during_a_deployment(cli: Cli, bench: Lab, tmp_path: Path) -> None:
    """The power fails during the smoke run of the new program: the board keeps its previous release."""
    arguments = ["deploy", "--target", "armv7", "--board", "armv7-2", "--json", *inventory_option(bench)]
    done = cli(*arguments, "--model", GESTURE)
    assert done.returncode == 0, done.stderr
    before = current(bench, 1)
    deployer = subprocess.Popen(
        [sys.executable, "-m", "litesmith", *arguments, "--model", EXAMPLES / "det.tflite"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not shell(bench, 1, f"ls -d {root_file_system.FOLDER}/.scratch-* 2>/dev/null"):
        assert deployer.poll() is None, "it was faster than the power cut"
    docker_client.call("restart", "--time=0", bench.boards[1].container)
    stdout, stderr = deployer.communicate(timeout=120)
    assert deployer.returncode == 1, stdout + stderr
    results = json.loads(stdout)["boards"]["armv7-2"]
    assert (results["status"], results["step"]) == ("failed", "smoke run")
    assert "error: armv7-2, smoke run: " in stderr
    assert current(bench, 1) == before
    again = cli(*arguments, "--model", EXAMPLES / "det.tflite")
    assert again.returncode == 0, again.stderr
    assert current(bench, 1) == json.loads(again.stdout)["boards"]["armv7-2"]["deployment"]["release"]
    hidden = shell(bench, 1, f"find {root_file_system.FOLDER} -name '.*'")
    assert hidden == ""


def test_a_second_lab_is_started_and_stopped(cli: Cli, bench: Lab, tmp_path: Path) -> None:
    done = cli("lab.up", "--boards", "armv7:1", "--json")
    assert done.returncode == 0, done.stderr
    (board,) = json.loads(done.stdout)["boards"]
    name = board["container"].rpartition("-armv7-")[0]
    assert len(containers_and_networks(f"{root_file_system.LABEL}={name}")) == 2
    assert (tmp_path / "boards.lab/key").stat().st_mode & 0o077 == 0
    again = cli("lab.up", "--boards", "armv7:1")
    assert (again.returncode, "there is a lab already" in one_error_line(again)) == (2, True)
    done = cli("lab.down")
    assert (done.returncode, done.stdout) == (0, "1 boards removed\n")
    assert containers_and_networks(f"{root_file_system.LABEL}={name}") == []
    assert list(tmp_path.iterdir()) == []
    assert shell(bench, 0, "uname -m") == "armv7l"


def test_impossible_labs(cli: Cli, tmp_path: Path) -> None:
    for boards, message in (
        ("armv7", "'armv7' is not TARGET:COUNT"),
        ("armv7:0", "'armv7:0' is not TARGET:COUNT"),
        ("armv9:1", "unknown target 'armv9'"),
        ("armv7:1,armv7:2", "a target is named twice"),
        ("armv7:100", "too many boards"),
    ):
        done = cli("lab.up", "--boards", boards)
        assert (done.returncode, message in one_error_line(done)) == (2, True), done.stderr
    done = cli("lab.down")
    assert (done.returncode, "there is no lab" in one_error_line(done)) == (2, True)
    (tmp_path / "boards.yaml").write_text("boards: {}\n")
    done = cli("lab.up", "--boards", "armv7:1")
    assert (done.returncode, "boards.yaml exists and does not belong to a lab" in one_error_line(done)) == (
        2,
        True,
    )
    assert (tmp_path / "boards.yaml").read_text() == "boards: {}\n"
