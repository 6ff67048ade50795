"""The whole way: :class:`Wanted` → TensorFlow's converter → what this runtime can run → files."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litesmith.base import console, files, process
from litesmith.base.errors import LitesmithError, ToolError, UnsupportedModelError, UsageError
from litesmith.model import contents
from litesmith.model.analysis import ModelAnalysis
from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Problem, Registry
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from litesmith.workflow.convert import conversion_report, environment
from litesmith.workflow.convert.conversion_report import Comparison, Conversion, Form, Output, Price
from litesmith.workflow.convert.conversion_request import Wanted

_SECONDS = 6 * 3600

# What the converter's process needs of litesmith.
_MODULES = ("refused.py", "converter_inputs.py", "comparison.py", "graphs.py", "worker.py")
_MARK = "made_by.npy"

# TensorFlow 2.21 does so for every model with a loop.
_CRASH_ADVICE = {
    "calibrating": "LSTM and GRU layers are loops that cannot be calibrated: give them unroll=True, or use "
    "--quantize dynamic or float16"
}

_ERRORS: dict[int, type[LitesmithError]] = {1: ToolError, 2: UsageError, 3: UnsupportedModelError}


def run(wanted: Wanted, target: str, toolchain: str | None = None) -> Conversion:
    """Converts, checks that the runtime has all ops, compares, and writes the files.

    Raises:
        UsageError: the model, the data or an option cannot be used.
        UnsupportedModelError: TensorFlow Lite, or the pinned runtime, cannot run the model.
        ToolError: TensorFlow is missing or crashed.
    """
    profile, name = profiles.load(target).choose(toolchain)
    chosen = load_toolchain(name)
    registry = op_registry.load()
    python = environment.interpreter()
    with tempfile.TemporaryDirectory(prefix="litesmith-convert-") as scratch:
        folder = Path(scratch)
        result = _work(wanted, python, folder, registry)
        content = (folder / "model.tflite").read_bytes()
        made = contents.analyse_bytes(content, str(wanted.source))
        plain = contents.analyse_bytes((folder / "float32.tflite").read_bytes(), str(wanted.source))
        _require_supported(registry, made, wanted)
        if not result["frozen"]:
            _require_values(registry, made)
        notes = list(result["notes"])
        price: Price | None = None
        prices: dict[str, int] = {}
        try:
            price, prices = conversion_report.priced(made, plain, registry, profile, chosen)
        except LitesmithError as error:
            notes.append(f"no estimate of the program: {error.message}")
        used = conversion_report.used_ops(made, plain, registry, prices)
        if wanted.quantize == "int8" and (left := conversion_report.left_in_float(used)):
            notes.append(f"{', '.join(left)} stayed in float32: this runtime has no int8 for that")
        written = _write(wanted, folder, content, notes)
    return Conversion(
        source=str(wanted.source),
        out=str(wanted.out),
        written=tuple(map(str, written)),
        quantize=wanted.quantize,
        io=wanted.io,
        tensorflow=result["tensorflow"],
        inputs=tuple(result["inputs"]),
        parameters=result["parameters"],
        source_bytes=_size(wanted.source),
        plain=Form.of(plain),
        made=Form.of(made),
        ops=used,
        price=price,
        comparison=_comparison(result["comparison"], wanted),
        notes=tuple(notes),
    )


def _size(path: Path) -> int:
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in found)


def _comparison(found: dict[str, Any], wanted: Wanted) -> Comparison:
    return Comparison(
        samples=found.get("samples", 0),
        data=str(wanted.representative) if wanted.representative else "random",
        outputs=tuple(Output(**output) for output in found.get("outputs", ())),
        reason=found.get("reason", ""),
    )


# The converter's process


def _work(wanted: Wanted, python: Path, folder: Path, registry: Registry) -> dict[str, Any]:
    """Runs the converter; what it makes lies in ``folder``."""
    package = folder / "modules" / "litesmith" / "workflow" / "convert"
    package.mkdir(parents=True)
    for place in (package.parent.parent, package.parent, package):
        (place / "__init__.py").touch()
    for module in _MODULES:
        shutil.copyfile(Path(__file__).with_name(module), package / module)
    task = folder / "task.json"
    files.write_atomically(task, files.to_json(_task(wanted, folder, registry)))
    env = {
        "PYTHONPATH": str(folder / "modules"),
        # Nothing of the converter's is to stay behind, however it ends.
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
            f"{wanted.source}: TensorFlow's converter {_ending(done)}" + (f" while {last}" if last else ""),
            _CRASH_ADVICE.get(last, "run it again with --debug to see all that it says"),
        )
    return result


def _task(wanted: Wanted, folder: Path, registry: Registry) -> dict[str, Any]:
    data = wanted.representative
    return {
        "source": str(wanted.source.absolute()),
        "shown": str(wanted.source),
        "kind": wanted.kind,
        "quantize": wanted.quantize,
        "io": wanted.io,
        "representative": str(data) if data is not None else None,
        "signature": wanted.signature,
        "inputs": wanted.inputs,
        "outputs": wanted.outputs,
        "shapes": dict(wanted.shapes),
        "allow_custom_ops": wanted.allow_custom_ops,
        "tf_header": wanted.header is not None,
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
    """Steps as notes, and what can be counted as a bar."""
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


# What came out of it


def _require_supported(registry: Registry, made: ModelAnalysis, wanted: Wanted) -> None:
    """Refuses what the pinned runtime cannot run, but for the user's own custom ops."""
    problems = [
        problem
        for problem in registry.problems(made)
        if not (problem.kind == "custom" and problem.op in wanted.custom_ops)
    ]
    if problems:
        first = problems[0]
        more = ", ".join(dict.fromkeys(p.message for p in problems[1:]))
        raise UnsupportedModelError(
            f"{wanted.source}, converted: {first.message}" + (f"; {more}" if more else ""), _advice(first)
        )


def _advice(problem: Problem) -> str:
    if problem.kind == "version":
        return "convert with an older TensorFlow (2.14 or so), named in LITESMITH_CONVERTER"
    if problem.kind == "builtin":
        return "replace the operation by others, or convert with an older TensorFlow (LITESMITH_CONVERTER)"
    return problem.next_step


def _require_values(registry: Registry, made: ModelAnalysis) -> None:
    """Variables whose values the converter has lost: the program would compute with nothing."""
    names = {registry.name_of(use) for use in made.ops()}
    if "READ_VARIABLE" in names and "CALL_ONCE" not in names:
        raise UnsupportedModelError(
            f"{made.path}: TensorFlow's converter has lost the values of its variables",
            "freeze them before you save it (convert_variables_to_constants_v2)",
        )


def _write(wanted: Wanted, folder: Path, content: bytes, notes: list[str]) -> list[Path]:
    """Everything that was made, the model last: where it stands, the rest is complete."""
    written = []
    if wanted.header is not None:
        files.write_atomically(wanted.header, (folder / "ops_to_register.h").read_bytes())
        written.append(wanted.header)
    if not _ours(wanted.samples):
        if wanted.representative is not None:
            notes.append(f"{wanted.samples} was there before and stays as it is")
    elif wanted.representative is not None:
        files.write_atomically(wanted.samples, (folder / "inputs.npz").read_bytes())
        written.append(wanted.samples)
    else:
        # Of an earlier conversion: it may not fit any more.
        wanted.samples.unlink(missing_ok=True)
    files.write_atomically(wanted.out, content)
    return [wanted.out, *written]


def _ours(path: Path) -> bool:
    """Whether a file of samples may be replaced: it is not there, or a conversion has made it."""
    if not path.exists():
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return _MARK in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
