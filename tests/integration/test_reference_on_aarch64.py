"""Where outputs on aarch64 differ: upstream's own build for aarch64 gives the same outputs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from litesmith.base import apt, files, paths
from litesmith.measure.verify.comparison import error_of
from litesmith.measure.verify.executor import LocalExecutor
from litesmith.model.tensors import Array
from tests.integration.conftest import require_or_skip
from tests.integration.op_cases import DIFFERENT_ON_AARCH64, Prepared, build_program, compared, prepare

LOCK_FILE = Path(__file__).parents[2] / "requirements" / "runtime.txt"
"""Where the version of the reference is pinned, with the digests of its wheels for all platforms."""

PACKAGES = ("ai-edge-litert", "numpy")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")

# Debian packages of the Python that runs the wheels under the emulator.
PYTHON = ("libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal")
LIBRARIES = ("libexpat1", "libffi8", "libgcc-s1", "libgomp1", "libstdc++6", "zlib1g")
SCRIPT = """

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

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


def pinned(package: str) -> str:
    """The lines of the lock file about a package."""
    found = re.search(rf"^{package}==.*?(?=^\S|\Z)", LOCK_FILE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, package
    return re.sub(r"^\s+#.*\n", "", found[0], flags=re.MULTILINE)


@pytest.fixture(scope="module")
def upstream_aarch64() -> tuple[list[str], Path]:
    """The reference's build for aarch64, under the emulator: command and packages; installed once."""
    emulator, debootstrap = shutil.which("qemu-aarch64"), shutil.which("debootstrap")
    ready = emulator is not None and debootstrap is not None and os.getuid() == 0
    require_or_skip("" if ready else "an aarch64 Debian needs root, debootstrap and qemu-user")
    assert emulator is not None
    assert debootstrap is not None
    wanted = "".join(pinned(package) for package in PACKAGES)
    folder = paths.cache_folder() / "tests" / f"reference-aarch64-{files.digest_of(wanted)[:12]}"
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
        (folder / "requirements.txt").write_text(wanted)
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        argv += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", f"--target={site}"]
        argv += [f"--platform={name}" for name in PLATFORMS]
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
