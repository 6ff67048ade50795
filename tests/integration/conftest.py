from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litesmith.base import files, paths
from litesmith.base.errors import LitesmithError
from litesmith.build.request import Request
from litesmith.container import docker_client
from litesmith.container.docker_client import EngineError
from litesmith.measure.verify.executor import find_executor
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from litesmith.workflow import build_and_verify
from litesmith.workflow.convert import environment
from tests.conftest import EXAMPLES

DET = EXAMPLES / "det.tflite"


@dataclass(frozen=True)
class Built:
    """A built program and how to run it on this machine."""

    folder: Path
    program: Path
    runner: tuple[str, ...]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        argv = [*self.runner, str(self.program), *map(str, arguments)]
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=120)

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


Build = Callable[..., Built]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds through the pipeline; programs come from the cache if they have been built before.

    If two workers need the same program, one of them builds it and the other waits.
    """
    locks = tmp_path_factory.getbasetemp().parent

    def make(
        target: str,
        *models: str | Path,
        embed_model: bool = False,
        toolchain: str | None = None,
        kernels: str | None = None,
        prune: bool = True,
    ) -> Built:
        out = tmp_path_factory.mktemp("build") / "out"
        request = Request(
            target=target,
            models=tuple(map(str, models)),
            out=str(out),
            embed_model=embed_model,
            toolchain=toolchain,
            kernels=kernels,
            prune=prune,
        )
        with files.locked(locks / f"{files.digest_of(str(replace(request, out=None)))}.lock"):
            outcome = build_and_verify.build(request)
        profile, name = profiles.load(target).choose(toolchain)
        executor = find_executor(profile, sysroot=load_toolchain(name).sysroot(profile))
        for verdict in outcome.verdicts:
            assert verdict.passed, verdict.line()
        return Built(folder=out, program=outcome.program, runner=executor.argv)

    return make


def build_by_hand(project: Path, **environment: str) -> None:
    """Builds a generated project with the command in its own README."""
    readme = (project / "README.md").read_text().splitlines()
    (line,) = [x.strip() for x in readme if x.startswith("    cmake ")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        line,
        shell=True,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PATH": path, **environment},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def share(cache: Path, *names: str) -> None:
    """Links folders of the default cache, which may still be empty, into the private cache of a test."""
    for name in names:
        usual = paths.cache_folder() / name
        usual.mkdir(parents=True, exist_ok=True)
        if not (cache / name).is_symlink():
            (cache / name).symlink_to(usual)


def default_sigint() -> None:
    """Restores SIGINT in a child that gets Ctrl-C: background jobs, so perhaps the test run, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def require_or_skip(problem: str) -> None:
    """Skips a test whose tools are missing; in CI the test fails."""
    if problem and os.environ.get("CI"):
        pytest.fail(problem)
    elif problem:
        pytest.skip(problem)


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """A running Docker engine that has the base of the toolchain images."""
    try:
        docker_client.require()
    except EngineError as error:
        require_or_skip(str(error))


@pytest.fixture(scope="session")
def root() -> None:
    """Root privileges, to switch users, start a Docker engine, and mount a small disk."""
    require_or_skip("" if os.getuid() == 0 else "this test needs root")


@pytest.fixture(scope="session")
def converter() -> Path:
    """The Python that has TensorFlow; its environment is created if it does not exist."""
    try:
        return environment.interpreter()
    except LitesmithError as error:
        require_or_skip(str(error))
        raise


Make = Callable[..., Path]


@pytest.fixture(scope="session")
def make_models(converter: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Runs a script of this folder's parent under TensorFlow; returns the folder that it wrote into."""

    def run(script: str, *arguments: str) -> Path:
        folder = tmp_path_factory.mktemp(Path(script).stem)
        done = subprocess.run(
            [str(converter), str(Path(__file__).parent.parent / script), str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=900,
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "KERAS_HOME": str(folder / "keras"),
                "KERAS_BACKEND": "tensorflow",
                "CUDA_VISIBLE_DEVICES": "-1",
            },
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return folder

    return run


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium."""
    found = shutil.which("chromium")
    require_or_skip("" if found else "chromium is not installed; apt-get install chromium")
    return str(found)


@pytest.fixture(scope="session")
def cross_gcc() -> None:
    """Debian's cross compilers on this machine."""
    missing = []
    for name in profiles.available():
        if options := profiles.load(name).toolchains.get("gcc"):
            missing += [options.target] if shutil.which(f"{options.target}-g++") is None else []
    require_or_skip(
        f"not installed: g++ for {', '.join(missing)}; './inv doctor' lists the packages" if missing else ""
    )


@pytest.fixture(scope="session")
def det_armv7(build: Build) -> Built:
    return build("armv7", DET)


@pytest.fixture(scope="session")
def digits_x86(build: Build) -> Built:
    return build("x86_64", EXAMPLES / "digits.tflite")


def outputs(folder: Path, dtypes: Sequence[str]) -> list[np.ndarray[Any, Any]]:
    return [np.fromfile(folder / f"out{i}.bin", dtype) for i, dtype in enumerate(dtypes)]
