"""Errors: one clear line, the right exit code, no partial output, and the next run works."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from litesmith.base import paths
from tests.conftest import EXAMPLES, Cli, one_error_line
from tests.integration.conftest import default_sigint, share
from tests.models import CUSTOM, FLOAT32, INT32, RESHAPE, Op, build_model

pytestmark = pytest.mark.build

DIGITS = EXAMPLES / "digits.tflite"
GESTURE = EXAMPLES / "gesture.tflite"


def leftovers(folder: Path) -> list[str]:
    """All files but those that are only locked."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return [str(path) for path in found if "locks" not in path.parts]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["build", "--target", "armv7"], 2, "--model is missing; for example --model examples/det.tflite"),
        (["build", "--model", DIGITS], 2, "--target is missing"),
        (["build", "--target", "armv8l", "--model", DIGITS], 2, "unknown target 'armv8l'"),
        (["build", "--target", "arm64", "--model", DIGITS], 2, "perhaps you meant 'aarch64'"),
        (["build", "--target", "b.yaml", "--model", DIGITS], 2, "there is no profile file b.yaml"),
        (
            ["build", "--target", "armv7", "--toolchain", "zgi", "--model", DIGITS],
            2,
            "perhaps you meant 'zig'",
        ),
        (["build", "--target", "armv7", "--model", "none.tflite"], 2, "there is no model file none.tflite"),
        (["build", "--target", "armv7", "--model", "zoo:vw"], 2, "perhaps you meant 'vww'"),
        (["build", "--target", "armv7", "--model", DIGITS, "--out", "/dev/null"], 2, "/dev/null is a file"),
        (
            ["build", "--target", "armv7", "--model", DIGITS, "--model", DIGITS, "--embed-model"],
            2,
            "takes one model",
        ),
        (
            ["verify", "--target", "armv7", "--model", DIGITS],
            2,
            "there is no program build/armv7/digits/bin/digits",
        ),
        (
            ["verify", "--target", "x86_64", "--model", DIGITS, "--program", DIGITS, "--cpu", "max"],
            2,
            "has no emulator",
        ),
        (["analyse"], 2, "--model is missing"),
        (["analyse", "--model", "."], 2, ". is a folder"),
        (["targets", "--check", "none.yaml"], 2, "there is no profile file none.yaml"),
        (["bench", "--runs", "1"], 2, "--runs 1 is too few"),
        (["bench.kernels", "--runs", "4"], 2, "--runs 4 is too few"),
        (["bench", "--runs", "abc"], 2, "invalid literal for int() with base 10: 'abc'"),
        (["build", "--nope"], 2, "No idea what '--nope' is"),
        (["biuld"], 2, "No idea what 'biuld' is"),
        (["build", "--target"], 2, "needed value and was not given one"),
    ],
)
def test_bad_arguments(cli: Cli, tmp_path: Path, arguments: list[str], code: int, expected: str) -> None:
    done = cli(*arguments)
    assert done.returncode == code
    assert expected in one_error_line(done)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"", "m.tflite", "is empty"),
        (b"\x08\x07\x12\x04onnx", "m.onnx", "ONNX model"),
        (b"PK\x03\x04" + bytes(99), "m.keras", "Keras archive"),
        (bytes(range(155, 255)) * 50, "m.tflite", "not a .tflite file"),
        (DIGITS.read_bytes()[:20000], "m.tflite", "is damaged"),
    ],
    ids=["empty", "onnx", "keras", "random", "truncated"],
)
def test_bad_models(cli: Cli, tmp_path: Path, content: bytes, name: str, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    for command in (["analyse"], ["build", "--target", "armv7"]):
        done = cli(*command, "--model", name)
        assert done.returncode == 2
        assert expected in one_error_line(done)
    assert leftovers(tmp_path) == [name]


def test_an_unsupported_model_exits_with_3_before_the_build(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(build_model([Op(CUSTOM, custom="FlexErf")]))
    done = cli(
        "build", "--target", "armv7", "--model", "m.tflite", env={"LITESMITH_CACHE": str(tmp_path / "c")}
    )
    assert done.returncode == 3
    assert "FlexErf is a Flex op" in one_error_line(done)
    assert leftovers(tmp_path) == ["m.tflite"]
    analysed = cli("analyse", "--model", "m.tflite")
    assert analysed.returncode == 3
    assert "cannot run: FlexErf" in analysed.stdout


def test_no_network_names_the_origins_that_were_tried(cli: Cli, tmp_path: Path) -> None:
    proxy = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    done = cli(
        "build", "--target", "armv7", "--model", DIGITS, env={**proxy, "LITESMITH_CACHE": str(tmp_path / "c")}
    )
    assert done.returncode == 1
    line = one_error_line(done)
    assert "could not be fetched: tried github.com (" in line
    assert "check the network connection" in line
    assert leftovers(tmp_path) == []


def test_no_network_for_the_zoo(cli: Cli, tmp_path: Path) -> None:
    env = {
        "PIP_INDEX_URL": "http://127.0.0.1:1/",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "LITESMITH_CACHE": str(tmp_path / "c"),
    }
    done = cli("analyse", "--model", "zoo:kws", env=env)
    assert done.returncode == 1
    assert "zoo model kws could not be fetched" in one_error_line(done)
    assert leftovers(tmp_path) == []


def test_a_missing_emulator_is_not_an_error(cli: Cli, tmp_path: Path) -> None:
    only_python = tmp_path / "bin"
    only_python.mkdir()
    done = cli("build", "--target", "armv7", "--model", DIGITS, env={"PATH": str(only_python)})
    assert done.returncode == 0, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "not verified" in line]
    assert lines == [f"{DIGITS}: not verified: qemu-arm is not installed; apt-get install qemu-user"]
    assert (tmp_path / "build/armv7/digits/bin/digits").exists()


def test_a_target_file_of_the_user(cli: Cli, tmp_path: Path) -> None:
    text = (paths.data_folder("targets") / "x86_64.yaml").read_text()
    (tmp_path / "board.yaml").write_text(text)
    assert cli("targets", "--check", "board.yaml").returncode == 0
    done = cli("build", "--target", "board.yaml", "--model", DIGITS)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "build/board/digits/bin/digits").exists()


def test_a_cpu_that_zig_does_not_know(cli: Cli, tmp_path: Path) -> None:
    text = (paths.data_folder("targets") / "armv7.yaml").read_text().replace("cortex_a7", "cortex_a777")
    (tmp_path / "board.yaml").write_text(text)
    done = cli("build", "--target", "board.yaml", "--model", DIGITS)
    assert done.returncode == 1
    assert "cortex_a777" in one_error_line(done)
    assert leftovers(tmp_path) == ["board.yaml"]


def test_a_full_disk(cli: Cli, tmp_path: Path) -> None:
    """The output folder is on a file system of 300 KB, in a private mount namespace."""
    out = tmp_path / "out"
    out.mkdir()
    command = [
        sys.executable,
        "-m",
        "litesmith",
        "build",
        "--target",
        "armv7",
        "--model",
        str(DIGITS),
        "--out",
        str(out / "b"),
    ]
    script = f'mount -t tmpfs -o size=300k none "{out}" && "$@"; code=$?; find "{out}" -type f; exit $code'
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", *command],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    line = one_error_line(done)
    assert "No space left on device" in line
    assert "free some disk space" in line
    assert done.stdout.strip() == ""
    again = cli("build", "--target", "armv7", "--model", DIGITS, "--out", out / "b")
    assert again.returncode == 0, again.stderr


def test_a_read_only_folder(cli: Cli, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        command = [sys.executable, "-m", "litesmith", "build", "--target", "armv7", "--model", str(DIGITS)]
        script = f'mount -t tmpfs -o ro none "{tmp_path}" && cd "{tmp_path}" && "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *command],
            capture_output=True,
            text=True,
            timeout=300,
        )
    else:
        tmp_path.chmod(0o500)
        done = cli("build", "--target", "armv7", "--model", DIGITS)
    assert done.returncode == 1, done.stderr
    assert "Read-only file system" in one_error_line(done) or "Permission denied" in one_error_line(done)


@pytest.mark.full
@pytest.mark.usefixtures("det_armv7")
@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0, 2.0, 4.0])
def test_interrupted_builds_leave_no_partial_files(cli: Cli, tmp_path: Path, seconds: float) -> None:
    """Ctrl-C during compilation (sources and libraries are cached, objects are not)."""
    cache = tmp_path / "cache"
    cache.mkdir()
    share(cache, "sources", "toolchains", "zig", "reference")
    env = {**os.environ, "LITESMITH_CACHE": str(cache)}
    work = tmp_path / "work"
    work.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "litesmith", "build", "--target", "armv7", "--model", str(DIGITS)],
        cwd=work,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=default_sigint,
    )
    time.sleep(seconds)
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=60)
    assert child.returncode in {1, 130}, stderr
    # Before that, Python may not have read the program.
    if seconds >= 0.5:
        assert child.returncode == 130, stderr
        assert "error: interrupted" in stderr
        assert "Traceback" not in stderr + stdout
    assert leftovers(work) == []
    half = [p for p in cache.rglob("*") if p.is_file() and ".part" in str(p.relative_to(cache))]
    assert half == []
    survivors = subprocess.run(["pgrep", "-f", str(cache)], capture_output=True, text=True).stdout.split()
    assert survivors == []
    if seconds == 4.0:
        done = cli("build", "--target", "armv7", "--model", DIGITS, env={"LITESMITH_CACHE": str(cache)})
        assert done.returncode == 0, done.stderr


def test_a_folder_with_other_files_is_not_overwritten(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "home/bin").mkdir(parents=True)
    (tmp_path / "home/bin/mine").write_text("precious")
    done = cli("build", "--target", "x86_64", "--model", DIGITS, "--out", "home")
    assert done.returncode == 2
    assert "contains files that are not from a litesmith build" in one_error_line(done)
    assert (tmp_path / "home/bin/mine").read_text() == "precious"


def test_a_verdict_of_an_earlier_build_is_removed(cli: Cli, tmp_path: Path) -> None:
    assert cli("build", "--target", "x86_64", "--model", DIGITS, "--out", "o").returncode == 0
    assert (tmp_path / "o/verify.json").exists()
    assert cli("build", "--target", "x86_64", "--model", DIGITS, "--out", "o", "--no-verify").returncode == 0
    assert not (tmp_path / "o/verify.json").exists()


def test_an_output_folder_on_a_separate_file_system(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "litesmith", "build", "--target", "x86_64", "--model", str(DIGITS)]
    script = f'mount -t tmpfs none "{out}" && "$@" && ls -A "{out}"'
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", *command, "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    listed = done.stdout.splitlines()
    assert "manifest.json" in listed
    assert not [name for name in listed if "partial" in name]


def test_names_that_look_like_markup(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "[b].tflite").write_bytes(build_model([Op(CUSTOM, custom="[/b]x")]))
    done = cli("analyse", "--model", "[b].tflite")
    assert done.returncode == 3, done.stderr
    assert "[/b]x" in done.stdout


def test_a_name_with_a_line_break_is_no_command_of_cmake(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m\nmessage(FATAL_ERROR mine)\n.tflite").write_bytes(GESTURE.read_bytes())
    model = next(tmp_path.glob("*.tflite"))
    done = cli("build", "--target", "x86_64", "--model", model, "--out", "out", "--no-verify")
    assert done.returncode == 0, done.stderr
    for name in ("CMakeLists.txt", "README.md", "toolchain.cmake"):
        lines = (tmp_path / "out/project" / name).read_text().splitlines()
        assert not [line for line in lines if line.startswith("message(FATAL_ERROR mine")]
    assert "\\u000amessage(FATAL_ERROR mine)\\u000a" in (tmp_path / "out/project/CMakeLists.txt").read_text()


def test_samples_that_a_model_rejects_are_skipped(cli: Cli, tmp_path: Path) -> None:
    """A shape must not contain zeros: no outputs can be compared, so that the program cannot be trusted."""
    (tmp_path / "m.tflite").write_bytes(build_model([Op(RESHAPE, dtypes=(FLOAT32, INT32, FLOAT32))]))
    words = ("build", "--target", "x86_64", "--model", "m.tflite", "--out", "out")
    done = cli(*words)
    assert done.returncode == 4, done.stderr
    assert "not verified: the reference interpreter cannot run it" in done.stderr
    assert not (tmp_path / "out").exists()
    done = cli(*words, "--verify", "warn")
    assert done.returncode == 0, done.stderr
    assert "not verified: the reference interpreter cannot run it" in done.stdout.splitlines()[-1]
    (verdict,) = json.loads((tmp_path / "out/verify.json").read_text())["verdicts"]
    assert (verdict["status"], verdict["refused"]) == ("not verified", True)


def test_a_failed_build_keeps_the_previous_one(cli: Cli, tmp_path: Path) -> None:
    assert cli("build", "--target", "x86_64", "--model", DIGITS, "--out", "out").returncode == 0
    before = {name: (tmp_path / name).read_bytes() for name in leftovers(tmp_path)}
    (tmp_path / "bad.tflite").write_bytes(b"nothing")
    assert cli("build", "--target", "x86_64", "--model", "bad.tflite", "--out", "out").returncode == 2
    after = {name: (tmp_path / name).read_bytes() for name in leftovers(tmp_path) if name != "bad.tflite"}
    assert after == before


def test_paths_with_spaces_and_non_ascii_letters(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "Modelle für später"
    folder.mkdir()
    shutil.copy(DIGITS, folder / "zwei ziffern é.tflite")
    done = cli("build", "--target", "x86_64", "--model", folder / "zwei ziffern é.tflite")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "build/x86_64/zwei ziffern é").is_dir() or (
        tmp_path / "build/x86_64/zwei_ziffern_é"
    ).is_dir()


def test_the_demo_finds_shapes_and_draws_them(cli: Cli, tmp_path: Path) -> None:
    from PIL import Image

    done = cli("demo", "--out", tmp_path / "demo.png")
    assert done.returncode == 0, done.stderr
    assert any(name in done.stdout for name in ("disc", "square", "triangle"))
    with Image.open(tmp_path / "demo.png") as picture:
        assert picture.size == (480, 480)
