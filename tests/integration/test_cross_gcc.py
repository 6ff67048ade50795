"""Debian's cross GCC on this machine and in containers: right answers, and the same bytes from both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from litesmith.base import paths
from tests.conftest import EXAMPLES, ROOT, Cli
from tests.integration.conftest import Build, Built, build_by_hand, share
from tests.integration.test_targets_and_models import MODELS

pytestmark = pytest.mark.usefixtures("docker_engine", "cross_gcc")

TARGETS = ("armv7", "aarch64", "riscv64", "x86_64")


def own_cache(name: str) -> Path:
    """A persistent cache that shares no objects with the default one.

    Otherwise host and container would share objects, and equal bytes would prove nothing.
    """
    folder = paths.cache_folder() / "tests" / name
    folder.mkdir(parents=True, exist_ok=True)
    share(folder, "sources", "reference", "zoo")
    return folder


@pytest.fixture
def containers_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache whose objects were all compiled in a container; persistent, because that takes minutes."""
    monkeypatch.setenv("LITESMITH_CACHE", str(own_cache("containers")))


def path_of(model: str) -> str:
    return model if model.startswith("zoo:") else str(EXAMPLES / f"{model}.tflite")


def check(built: Built, linkage: str) -> None:
    (verdict,) = built.json("verify.json")["verdicts"]
    assert verdict["passed"] is True
    assert verdict["samples"] >= 4
    if verdict["worst"]["dtype"] == "int8":
        assert verdict["worst"]["error"] == 0
    assert ("and gcc-" in verdict["ran_with"]) == (linkage == "dynamic")
    size = built.json("size.json")
    attributed = sum(op["attributed"] for op in size["ops"].values())
    assert size["core"] + sum(size["buckets"].values()) + attributed == size["binary"]["loaded"]
    assert size["core"] > 20_000
    # Marginal costs can be negative: the linker's stubs for an erratum of the Cortex-A53 fill whole
    # pages, and whether any are needed depends on the addresses of the code.
    assert all(op["marginal"] > -4096 for op in size["ops"].values())
    assert sum(op["marginal"] > 0 for op in size["ops"].values()) >= len(size["ops"]) - 2


@pytest.mark.usefixtures("containers_cache")
@pytest.mark.parametrize(
    ("target", "model"), [(TARGETS[number % len(TARGETS)], model) for number, model in enumerate(MODELS)]
)
def test_right_answers_from_a_container(build: Build, target: str, model: str) -> None:
    built = build(target, path_of(model), toolchain="docker")
    check(built, "dynamic")
    toolchain = built.json("manifest.json")["toolchain"]
    assert toolchain["name"] == "docker"
    assert toolchain["image"]["base"] == "debootstrap bookworm" or "@sha256:" in toolchain["image"]["base"]
    assert any(name.startswith("libc6-dev") for name in toolchain["packages"])


@pytest.mark.parametrize("target", TARGETS)
def test_container_and_host_give_the_same_bytes(
    build: Build, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = {"gcc": own_cache("host"), "docker": own_cache("containers")}
    built = {}
    for toolchain, cache in caches.items():
        monkeypatch.setenv("LITESMITH_CACHE", str(cache))
        built[toolchain] = build(target, path_of("gesture"), toolchain=toolchain)
        monkeypatch.undo()
    here, there = built["gcc"], built["docker"]
    check(here, "dynamic")
    manifests = [built.json("manifest.json")["toolchain"] for built in (here, there)]
    if manifests[0]["sha256"] != manifests[1]["sha256"]:
        pytest.fail(f"the compilers differ: {manifests}")
    for name in ("bin/gesture", "bin/gesture.debug", "size.json", "NOTICE"):
        assert (here.folder / name).read_bytes() == (there.folder / name).read_bytes(), name


@pytest.mark.usefixtures("containers_cache")
@pytest.mark.parametrize("target", TARGETS)
def test_static_programs_have_no_dependencies(build: Build, target: str) -> None:
    static = build(target, "zoo:vww", toolchain="docker:static")
    check(static, "static")
    assert "-static" in static.json("manifest.json")["flags"]["link"]
    assert b"ld-linux" not in static.program.read_bytes()[:1024]
    dynamic = build(target, "zoo:vww", toolchain="docker")
    assert dynamic.json("size.json")["binary"]["code"] < static.json("size.json")["binary"]["code"]


def test_no_path_of_this_machine_is_in_the_program(build: Build) -> None:
    built = build("armv7", path_of("gesture"), toolchain="gcc")
    for path in (built.program, built.folder / "bin/gesture.debug"):
        content = path.read_bytes()
        for forbidden in (str(Path.home()), str(ROOT), str(paths.cache_folder()), "/tmp/"):
            assert forbidden.encode() not in content


def test_the_notice_of_a_static_program(build: Build) -> None:
    notice = (build("armv7", path_of("gesture"), toolchain="gcc:static").folder / "NOTICE").read_text()
    assert "GNU C library: LGPL-2.1-or-later" in notice
    assert "GCC-exception-3.1" in notice
    assert "musl" not in notice


def test_an_existing_program_is_verified_with_its_own_libraries(build: Build, cli: Cli) -> None:
    built = build("aarch64", path_of("gesture"), toolchain="gcc")
    arguments = ("--target", "aarch64", "--model", EXAMPLES / "gesture.tflite", "--program", built.program)
    done = cli("verify", *arguments)
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stdout
    assert "gcc-aarch64-linux-gnu" in done.stdout


def test_the_project_is_built_with_the_command_in_its_readme(build: Build, tmp_path: Path) -> None:
    """The project of the toolchain docker compiles in a container, like the build that generated it."""
    built = build("armv7", path_of("gesture"), toolchain="docker")
    project = tmp_path / "project, äö"
    shutil.copytree(built.folder / "project", project)
    build_by_hand(project, LITESMITH_CACHE=str(paths.cache_folder()))
    assert (project / "out/gesture").read_bytes() == built.program.read_bytes()


def test_a_matrix(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    done = cli(
        *("matrix", "--targets", "armv7,aarch64", "--toolchains", "zig,gcc:dynamic"),
        *("--models", "zoo:kws,examples/gesture.tflite,gone.tflite"),
        timeout=1200,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    stored = json.loads((tmp_path / "build/matrix/matrix.json").read_text())
    cells = {(cell["target"], cell["toolchain"], cell["model"]): cell for cell in stored["cells"]}
    assert len(cells) == 12
    assert stored["failed"] == 4
    for (target, toolchain, model), cell in cells.items():
        if model == "gone.tflite":
            assert cell["verdict"] == "failed"
            assert "gone.tflite" in cell["reason"]
            continue
        assert cell["verdict"] == "verified"
        assert cell["seconds"] > 0
        built = tmp_path / cell["folder"]
        assert json.loads((built / "size.json").read_text())["binary"]["code"] == cell["code"]
        assert toolchain.partition(":")[0] in cell["made_with"]
        assert f"{cell['code']:,}" in done.stdout
        assert f", {target}, " in done.stderr or f"] {target}, " in done.stderr
    assert "[12/12]" in done.stderr
