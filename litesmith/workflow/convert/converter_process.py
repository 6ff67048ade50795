"""Runs the worker package in a process of the Python that has TensorFlow."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import litesmith
from litesmith.base import console, files, process
from litesmith.base.errors import LitesmithError, ToolError, UnsupportedModelError, UsageError
from litesmith.runtime.op_registry import Registry
from litesmith.workflow.convert.conversion_request import ConversionRequest

_SECONDS = 6 * 3600
_WORKER = Path(__file__).with_name("worker")

# The next step after a crash, by what the converter was doing.  TensorFlow 2.21 crashes while it calibrates
# a loop.
_CRASH_ADVICE = {
    "calibrating": "LSTM and GRU layers are loops that cannot be calibrated: give them unroll=True, or use "
    "--quantize dynamic or float16"
}

_ERRORS: dict[int, type[LitesmithError]] = {1: ToolError, 2: UsageError, 3: UnsupportedModelError}


def run(request: ConversionRequest, python: Path, folder: Path, registry: Registry) -> dict[str, Any]:
    """Runs the worker, which writes its files into ``folder``; returns the fields of its ``result`` event.

    Raises:
        UsageError: the model, the data or an option cannot be used.
        UnsupportedModelError: TensorFlow Lite cannot run the model.
        ToolError: TensorFlow is missing or crashed.
    """
    modules = folder / "modules"
    _copy_worker(modules)
    task = folder / "task.json"
    files.write_atomically(task, files.to_json(_task(request, folder, registry)))
    env = {
        "PYTHONPATH": str(modules),
        # Temporary files go away with the folder, however the worker ends.
        "TMPDIR": str(folder),
        "KERAS_HOME": str(folder / "keras"),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }
    result: dict[str, Any] = {}
    last = ""
    with _progress() as show:

        def take(line: str) -> None:
            nonlocal last
            event = json.loads(line)
            last = event.get("what") or event.get("text", last)
            if event["event"] in {"result", "refused"}:
                result.update(event)
            else:
                show(event)

        done = process.follow(
            [python, "-m", "litesmith.workflow.convert.worker", task], take, env=env, timeout=_SECONDS
        )
    if console.debugging():
        console.note(done.stderr)
    if result.get("event") == "refused":
        raise _ERRORS[result["code"]](result["message"], result["next_step"])
    if done.code != 0 or not result:
        raise ToolError(
            f"{request.source}: TensorFlow's converter {_ending(done)}" + (f" while {last}" if last else ""),
            _CRASH_ADVICE.get(last, "run it again with --debug to see its messages"),
        )
    return result


def _copy_worker(to: Path) -> None:
    """Copies the worker, and the ``__init__`` modules of the packages around it, which import nothing.

    PYTHONPATH cannot name the folder that litesmith is installed in: other packages there would replace those
    of the Python with TensorFlow.
    """
    root = Path(litesmith.__file__).parent.parent
    package = _WORKER.relative_to(root)
    shutil.copytree(_WORKER, to / package, ignore=shutil.ignore_patterns("__pycache__"))
    for parent in package.parents:
        if parent.name:
            shutil.copyfile(root / parent / "__init__.py", to / parent / "__init__.py")


def _task(request: ConversionRequest, folder: Path, registry: Registry) -> dict[str, Any]:
    data = request.representative
    return {
        "source": str(request.source.absolute()),
        "shown": str(request.source),
        "kind": request.kind,
        "quantize": request.quantize,
        "io": request.io,
        "representative": str(data) if data is not None else None,
        "signature": request.signature,
        "inputs": request.inputs,
        "outputs": request.outputs,
        "shapes": dict(request.shapes),
        "allow_custom_ops": request.allow_custom_ops,
        "tf_header": request.header is not None,
        "folder": str(folder),
        "versions": {code: (op.name, op.versions[1]) for code, op in registry.builtins.items()},
    }


def _ending(done: process.Completed) -> str:
    if done.code < 0:
        return f"was ended by {signal.Signals(-done.code).name}"
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
    return f"failed: {last}" if done.code else "gave no result"


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    """Shows steps as notes, and counted progress as a bar."""
    with contextlib.ExitStack() as stack:
        advance: console.Advance | None = None

        def show(event: dict[str, Any]) -> None:
            nonlocal advance
            if event["event"] == "step":
                stack.close()
                advance = None
                console.note(event["text"])
                return
            if advance is None or event["done"] == 1:
                stack.close()
                advance = stack.enter_context(console.progress(event["what"], event["total"]))
            advance(1)

        yield show
