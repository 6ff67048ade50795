"""Where the newest interpreter differs: TensorFlow Lite 2.14.0's own build gives the same outputs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from litesmith.base import apt, paths
from litesmith.measure.verify.comparison import error_of
from litesmith.measure.verify.executor import LocalExecutor
from litesmith.model.tensors import Array
from tests.integration.conftest import require_or_skip
from tests.integration.op_cases import (
    DIFFERENT,
    DIFFERENT_ON_AARCH64,
    Prepared,
    build_program,
    compared,
    prepare,
)

# The last wheels of the runtime of the pinned version; their interpreter supports only NumPy 1.
PINNED = """
numpy==1.26.4 --hash=sha256:666dbfb6ec68962c033a450943ded891bed2d54e6755e35e5835d63f4f6931d5
tflite-runtime==2.14.0 --hash=sha256:195ab752e7e57329a68e54dd3dd5439fad888b9bff1be0f0dc042a3237a90e4d
"""
PINNED_AARCH64 = """
numpy==1.26.4 --hash=sha256:7ab55401287bfec946ced39700c053796e7cc0e3acbef09993a9ad2adba6ca6e
tflite-runtime==2.14.0 --hash=sha256:ce9fa5d770a9725c746dcbf6f59f3178233b3759f09982e8b2db8d2234c333b0
"""
# Debian packages of the Python that runs the wheels under the emulator.
PYTHON = ("libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal")
LIBRARIES = ("libexpat1", "libffi8", "libgcc-s1", "libgomp1", "libstdc++6", "zlib1g")
SCRIPT = """

import sys

import numpy as np
from tflite_runtime.interpreter import Interpreter, OpResolverType

model, inputs, outputs = sys.argv[1:]
kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
interpreter = Interpreter(model, experimental_op_resolver_type=kind)
interpreter.allocate_tensors()
with np.load(inputs) as given:
    for i, detail in enumerate(interpreter.get_input_details()):
        interpreter.set_tensor(detail["index"], given[str(i)])
interpreter.invoke()
found = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
np.savez(outputs, **{str(i): value for i, value in enumerate(found)})
"""


@pytest.fixture(scope="module")
def upstream() -> Path:
    """A Python with the interpreter of TensorFlow Lite 2.14.0; created once."""
    folder = paths.cache_folder() / "tests" / "tflite-2.14.0"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        (folder / "requirements.txt").write_text(PINNED)
        argv = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*argv, "--require-hashes", "-r", folder / "requirements.txt"], check=True)
        (folder / "ready").touch()
    return python


@pytest.fixture(scope="module")
def upstream_aarch64() -> tuple[list[str], Path]:
    """Upstream's aarch64 build of the same interpreter, under the emulator: command and packages."""
    emulator, debootstrap = shutil.which("qemu-aarch64"), shutil.which("debootstrap")
    ready = emulator is not None and debootstrap is not None and os.getuid() == 0
    require_or_skip("" if ready else "an aarch64 Debian needs root, debootstrap and qemu-user")
    assert emulator is not None
    assert debootstrap is not None
    folder = paths.cache_folder() / "tests" / "tflite-2.14.0-aarch64"
    root, site = folder / "root", folder / "site"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        site.mkdir(parents=True)
        mirror = apt.debian_suites("bookworm")[0].split()[0]
        names = ",".join((*PYTHON, *LIBRARIES))
        argv = [debootstrap, "--foreign", "--arch=arm64", "--variant=minbase", f"--include={names}"]
        subprocess.run([*argv, "bookworm", root, mirror], check=True, capture_output=True)
        for name in (*PYTHON, *LIBRARIES):
            (package,) = (root / "var/cache/apt/archives").glob(f"{name}_*.deb")
            # Extracted by tar: dpkg would replace the link /lib with a folder.
            packed = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True)
            tar = ["tar", "--extract", "--keep-directory-symlink", f"--directory={root}"]
            subprocess.run(tar, input=packed.stdout, check=True)
        (folder / "requirements.txt").write_text(PINNED_AARCH64)
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        argv += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", f"--target={site}"]
        argv += ["--platform=manylinux_2_34_aarch64", "--platform=manylinux2014_aarch64"]
        subprocess.run([*argv, "-r", folder / "requirements.txt"], check=True)
        (folder / "ready").touch()
    return [emulator, "-cpu", "cortex-a53", "-L", str(root), str(root / "usr/bin/python3.11")], site


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    return {one.path.stem: one for one in prepare(tmp_path_factory.mktemp("ops"))}


@pytest.mark.parametrize("name", sorted(DIFFERENT_ON_AARCH64))
def test_upstreams_own_aarch64_build_differs_in_the_same_way(
    prepared: dict[str, Prepared],
    upstream_aarch64: tuple[list[str], Path],
    tmp_path: Path,
    name: str,
) -> None:
    command, site = upstream_aarch64
    found = prepared[name]
    binary, executor = build_program("aarch64", [found], pruned=True)
    differences = []
    for sample in ("random 0", "random 1", "random 2"):
        inputs = found.tried[sample].inputs
        expected = interpreter_outputs(
            [*command, "-c"], f"import sys; sys.path.insert(0, {str(site)!r})", found.path, inputs, tmp_path
        )
        assert errors(binary, executor, found, sample, expected) == {0}
        newest = found.answers[sample].outputs
        differences.append(max(error_of(a, b) for a, b in zip(expected, newest, strict=True)))
    assert max(differences) == 1


def errors(
    program: Path, executor: LocalExecutor, found: Prepared, sample: str, expected: Sequence[Array]
) -> set[float]:
    """The errors of the program's outputs, compared with the expected ones."""
    return {one.error for one in compared(program, executor, found, sample, expected)}


def interpreter_outputs(
    command: Sequence[str | Path], before: str, model: Path, inputs: Sequence[Array], folder: Path
) -> list[Array]:
    """The outputs of an interpreter."""
    np.savez(folder / "in.npz", **{str(i): value for i, value in enumerate(inputs)})
    argv = [*command, f"{before}\n{SCRIPT}", model, folder / "in.npz", folder / "out.npz"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "out.npz") as stored:
        return [stored[str(i)] for i in range(len(stored.files))]


@pytest.mark.parametrize("name", sorted(DIFFERENT))
@pytest.mark.parametrize("target", ["x86_64", "armv7", "aarch64"])
def test_upstreams_own_build_differs_in_the_same_way(
    prepared: dict[str, Prepared],
    upstream: Path,
    tmp_path: Path,
    target: str,
    name: str,
) -> None:
    found = prepared[name]
    binary, executor = build_program(target, [found], pruned=True)
    sample = found.tried["random 0"]
    expected = interpreter_outputs([upstream, "-c"], "", found.path, sample.inputs, tmp_path)
    assert errors(binary, executor, found, "random 0", expected) == {0}
    # It is the newest interpreter that differs.
    newest = found.answers["random 0"].outputs
    assert any(error_of(a, b) > 0 for a, b in zip(expected, newest, strict=True))
