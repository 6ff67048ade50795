"""Where the newest interpreter answers otherwise: TensorFlow Lite 2.14.0's own build beside ours."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest

from litesmith import paths
from litesmith.op_models import all_cases
from tests.integration.test_every_op import DIFFERENT, Prepared, Program, prepared, program

__all__ = ["prepared", "program"]

# The last wheels of the runtime of our version; the interpreter in it knows NumPy 1 only.
PINNED = """
numpy==1.26.4 --hash=sha256:666dbfb6ec68962c033a450943ded891bed2d54e6755e35e5835d63f4f6931d5
tflite-runtime==2.14.0 --hash=sha256:195ab752e7e57329a68e54dd3dd5439fad888b9bff1be0f0dc042a3237a90e4d
"""
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
    """Python with the interpreter of TensorFlow Lite 2.14.0; made once."""
    folder = paths.cache_folder() / "tests" / "tflite-2.14.0"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        (folder / "requirements.txt").write_text(PINNED)
        words = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*words, "--require-hashes", "-r", folder / "requirements.txt"], check=True)
        (folder / "ready").touch()
    return python


@pytest.mark.parametrize("name", sorted(DIFFERENT))
@pytest.mark.parametrize("target", ["x86_64", "armv7", "aarch64"])
def test_upstreams_own_build_differs_in_the_same_way(
    prepared: dict[str, list[Prepared]],
    program: Program,
    upstream: Path,
    tmp_path: Path,
    target: str,
    name: str,
) -> None:
    from litesmith import verify

    (case,) = [case for case in all_cases() if case.name == name]
    (found,) = [one for one in prepared[case.op] if one.path.stem == name]
    binary, runner = program(target)
    sample = found.tried["random 0"]
    np.savez(tmp_path / "in.npz", **{str(i): value for i, value in enumerate(sample.inputs)})
    (tmp_path / "run.py").write_text(SCRIPT)
    words = [upstream, tmp_path / "run.py", found.path, tmp_path / "in.npz", tmp_path / "out.npz"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as stored:
        expected = [stored[str(i)] for i in range(len(stored.files))]
    worst = verify.verify_sample(binary, runner, found.path, found.part, "random 0", sample.inputs, expected)
    assert worst is not None
    assert worst.error == 0
    # And the newest interpreter is the one that differs.
    newest = found.answers["random 0"].outputs
    assert any(verify.compare(a, b)[0] > 0 for a, b in zip(expected, newest, strict=True))
