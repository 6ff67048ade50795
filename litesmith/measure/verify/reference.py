"""The reference: LiteRT's interpreter with its built-in kernels and without delegates.

It runs in a process of its own (``python -m litesmith.measure.verify.reference``), so that a model that
crashes the interpreter does not end litesmith.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litesmith.base import files, paths, process
from litesmith.base.errors import TimeOutError
from litesmith.build import cache
from litesmith.model.entry_points import Entry
from litesmith.model.tensors import Array, from_bytes, to_bytes

_SECONDS = 120
_SECONDS_PER_SAMPLE = 1
_CPU_SECONDS = 3600

# Bump when what is stored, or how the interpreter is used, changes.
_FORMAT = 3


@dataclass(frozen=True, kw_only=True)
class Question:
    """One model, the part of it that runs, and inputs by the name of the sample."""

    model: Path
    sha256: str
    entry: Entry
    samples: Mapping[str, Sequence[Array]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Outputs of the interpreter in the order of the model's outputs; or its error, without outputs."""

    outputs: tuple[Array, ...]
    error: str


def describe() -> str:
    """The interpreter that reference outputs come from, with its version."""
    version = importlib.metadata.version("ai-edge-litert")
    return f"ai-edge-litert {version}, BUILTIN_WITHOUT_DEFAULT_DELEGATES, 1 thread"


def interpreter(model: Path, threads: int = 1, *, delegates: bool = False, keep_all: bool = False) -> Any:
    """LiteRT's interpreter for a model.

    With ``delegates`` it uses XNNPACK.  With ``keep_all`` every tensor keeps its value until the next
    inference, in memory of its own.
    """
    # Its start-up messages would go to the user's terminal.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(
        str(model),
        experimental_op_resolver_type=kind,
        num_threads=threads,
        experimental_preserve_all_tensors=keep_all,
    )


def answers(questions: Sequence[Question], seconds: float = _SECONDS) -> list[dict[str, Answer]]:
    """The interpreter's answers to each question, by the name of the sample.

    They are cached by the digests of model and inputs and by the interpreter's version.  One process computes
    all that are missing from the cache.  When a model crashes that process, or has not ended after
    ``seconds``, a new process continues with the next sample.

    Raises:
        ToolError: the interpreter cannot be started.
    """
    jobs = [
        _Job(question=number, name=name, stored=_stored(question, inputs))
        for number, question in enumerate(questions)
        for name, inputs in question.samples.items()
    ]
    missing = [job for job in jobs if not cache.is_whole(job.stored)]
    failed = _run_missing(questions, missing, seconds) if missing else {}
    found: list[dict[str, Answer]] = [{} for _ in questions]
    for job in jobs:
        error = failed.get((job.question, job.name), "")
        outputs = () if error else load_arrays(job.stored)
        found[job.question][job.name] = Answer(outputs=outputs, error=error)
    return found


@dataclass(frozen=True, kw_only=True)
class _Job:
    question: int
    name: str
    stored: Path


def _stored(question: Question, inputs: Sequence[Array]) -> Path:
    digests = [[str(v.dtype), list(v.shape), hashlib.sha256(to_bytes(v)).hexdigest()] for v in inputs]
    key = files.digest_of(_FORMAT, describe(), question.sha256, asdict(question.entry), digests)
    return paths.cache_folder() / "reference" / f"{key}.npz"


def _run_missing(
    questions: Sequence[Question], jobs: Sequence[_Job], seconds: float
) -> dict[tuple[int, str], str]:
    """Runs child processes until each job has an answer in the cache or an error; returns the errors."""
    folder = jobs[0].stored.parent
    folder.mkdir(parents=True, exist_ok=True)
    errors: dict[tuple[int, str], str] = {}
    with tempfile.TemporaryDirectory(prefix=".run-", dir=folder) as name:
        scratch = Path(name)
        for number, job in enumerate(jobs):
            _write_task(scratch, number, questions[job.question], job.name)
        left = list(range(len(jobs)))
        while left:
            ending = _run_child(scratch, left, seconds)
            while left and (error := _collect(scratch, left[0], jobs[left[0]])) is not None:
                job = jobs[left.pop(0)]
                if error:
                    errors[job.question, job.name] = error
            if left:
                # The child died on this job; the next child continues with the job after it.
                job = jobs[left.pop(0)]
                errors[job.question, job.name] = f"the interpreter {ending}"
    return errors


def _write_task(scratch: Path, number: int, question: Question, sample: str) -> None:
    save_arrays(scratch / f"{number}.in.npz", question.samples[sample])
    task = {
        "model": str(question.model.absolute()),
        "entry": asdict(question.entry),
    }
    files.write_atomically(scratch / f"{number}.task.json", json.dumps(task))


def _run_child(scratch: Path, numbers: Sequence[int], seconds: float) -> str:
    """Runs a child process on tasks, in order; how it ended, in case that it did not finish them."""
    module = "litesmith.measure.verify.reference"
    words: list[str | Path] = [sys.executable, "-m", module, scratch, *map(str, numbers)]
    limit = seconds + _SECONDS_PER_SAMPLE * len(numbers)
    try:
        return f"crashed (exit code {process.run(words, timeout=limit).code})"
    except TimeOutError:
        return f"did not end within {limit:.0f} s"


def _collect(scratch: Path, number: int, job: _Job) -> str | None:
    """Moves the answer of a task into the cache; its error, empty without one; None if it is unfinished."""
    output, report = scratch / f"{number}.out.npz", scratch / f"{number}.json"
    if output.exists():
        cache.store(output, job.stored)
        return ""
    return str(json.loads(report.read_text())) if report.exists() else None


def save_arrays(path: Path, values: Sequence[Array]) -> None:
    """Writes arrays to a file; strings in the form that programs read, because NumPy would pickle them."""
    named: dict[str, Any] = {}
    for i, value in enumerate(values):
        if value.dtype.kind == "O":
            named[f"{i}_strings"] = np.frombuffer(to_bytes(value), np.uint8)
            named[f"{i}_shape"] = np.array(value.shape, np.int64)
        else:
            named[str(i)] = value
    np.savez(path, **named)


def load_arrays(path: Path) -> tuple[Array, ...]:
    """Reads what :func:`save_arrays` wrote."""
    values: dict[int, Array] = {}
    with np.load(path) as content:
        for name in content.files:
            number, _, kind = name.partition("_")
            if kind == "strings":
                made = from_bytes(
                    content[name].tobytes(), np.dtype(object), content[f"{number}_shape"].tolist()
                )
                assert made is not None, "save_arrays wrote it"  # noqa: S101
                values[int(number)] = made
            elif not kind:
                values[int(number)] = content[name]
    return tuple(values[number] for number in sorted(values))


def _child(folder: Path, numbers: Sequence[str]) -> None:
    # If the parent is killed, a model that never ends must not run forever.
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    for number in numbers:
        task = json.loads((folder / f"{number}.task.json").read_text())
        try:
            inputs = load_arrays(folder / f"{number}.in.npz")
            outputs = _answer(Path(task["model"]), Entry(**task["entry"]), inputs)
        except (RuntimeError, ValueError) as error:
            files.write_atomically(folder / f"{number}.json", json.dumps(" ".join(str(error).split())))
            continue
        aside = folder / f"{number}.part.npz"
        save_arrays(aside, outputs)
        aside.rename(folder / f"{number}.out.npz")


def _answer(model: Path, entry: Entry, inputs: Sequence[Array]) -> list[Array]:
    # A new interpreter for each sample: variables keep their values between inferences.
    return run(interpreter(model), entry, inputs)


def run(reference: Any, entry: Entry, inputs: Sequence[Array]) -> list[Array]:
    """Runs an interpreter on inputs; its outputs.

    Raises:
        RuntimeError: the interpreter rejects the model or the inputs; so does ``ValueError``.
    """
    if entry.signature is not None:
        runner = reference.get_signature_runner(entry.signature)
        named = runner(**dict(zip(entry.inputs, inputs, strict=True)))
        return [plain(named[name]) for name in entry.outputs]
    for detail, value in zip(reference.get_input_details(), inputs, strict=True):
        if tuple(detail["shape"]) != value.shape:
            reference.resize_tensor_input(detail["index"], value.shape)
    reference.allocate_tensors()
    for detail, value in zip(reference.get_input_details(), inputs, strict=True):
        # LiteRT would read a single object as an address.
        scalar_text = value.dtype.kind == "O" and value.ndim == 0
        reference.set_tensor(detail["index"], value.astype("S") if scalar_text else value)
    reference.invoke()
    return [plain(reference.get_tensor(detail["index"])) for detail in reference.get_output_details()]


def plain(value: Any) -> Array:
    """A tensor's value as the interpreter gives it, with strings as an array of ``bytes``."""
    array = np.array(value)
    return array.astype(object) if array.dtype.kind in "SO" else array


if __name__ == "__main__":
    _child(Path(sys.argv[1]), sys.argv[2:])
