"""The reference: TensorFlow's interpreter with its built-in kernels and without delegates.

It runs in a process of its own (``python -m litesmith.reference``): a model that crashes the
interpreter must not take us with it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litesmith import files, paths, process

Array = NDArray[Any]

_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Outputs of the reference in the order of the model's outputs, or why there are none."""

    outputs: tuple[Array, ...]
    error: str


def describe() -> str:
    """Which interpreter the reference outputs come from."""
    version = importlib.metadata.version("ai-edge-litert")
    return f"ai-edge-litert {version}, BUILTIN_WITHOUT_DEFAULT_DELEGATES, 1 thread"


def interpreter(model: Path, threads: int = 1, *, delegates: bool = False) -> Any:
    """LiteRT's interpreter for a model; ``delegates`` brings XNNPACK in."""
    # Its start-up messages are not for our users.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(str(model), experimental_op_resolver_type=kind, num_threads=threads)


def answers(model: Path, sha256: str, samples: Mapping[str, Sequence[Array]]) -> dict[str, Answer]:
    """What the reference answers to each sample, by the sample's name.

    Cached by the digests of model and inputs and by the interpreter's version.

    Raises:
        ToolError: the interpreter did not end in time.
    """
    folder = paths.cache_folder() / "reference"
    stored = {
        name: folder / f"{files.digest_of(describe(), sha256, [_digest(v) for v in inputs])}.npz"
        for name, inputs in samples.items()
    }
    missing = {name: inputs for name, inputs in samples.items() if not stored[name].exists()}
    failed = _run_missing(model, missing, stored) if missing else {}
    return {
        name: Answer(outputs=(), error=failed[name])
        if name in failed
        else Answer(outputs=_load(stored[name]), error="")
        for name in samples
    }


def _digest(value: Array) -> list[object]:
    return [str(value.dtype), list(value.shape), files.digest_of(value.tobytes().hex())]


def _load(path: Path) -> tuple[Array, ...]:
    with np.load(path) as content:
        return tuple(content[name] for name in sorted(content.files, key=int))


def _run_missing(
    model: Path, samples: Mapping[str, Sequence[Array]], stored: Mapping[str, Path]
) -> dict[str, str]:
    """Runs the child; moves what it answered into the cache, returns the errors by sample."""
    folder = next(iter(stored.values())).parent
    folder.mkdir(parents=True, exist_ok=True)
    errors: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix=".run-", dir=folder) as scratch:
        for number, inputs in enumerate(samples.values()):
            _save(Path(scratch) / f"{number}.in.npz", inputs)
        done = process.run(
            [sys.executable, "-m", "litesmith.reference", model.absolute(), scratch], timeout=_SECONDS
        )
        for number, name in enumerate(samples):
            output = Path(scratch) / f"{number}.out.npz"
            report = Path(scratch) / f"{number}.json"
            if output.exists():
                output.rename(stored[name])
            elif report.exists():
                errors[name] = json.loads(report.read_text())
            else:
                errors[name] = f"the interpreter crashed (exit code {done.code})"
    return errors


def _save(path: Path, values: Sequence[Array]) -> None:
    named: dict[str, Any] = {str(i): value for i, value in enumerate(values)}
    np.savez(path, **named)


def _child(model: Path, folder: Path) -> None:
    for path in sorted(folder.glob("*.in.npz")):
        number = path.name.partition(".")[0]
        try:
            # A new interpreter each time: variables keep their values between inferences.
            reference = interpreter(model)
            reference.allocate_tensors()
            for detail, value in zip(reference.get_input_details(), _load(path), strict=True):
                reference.set_tensor(detail["index"], value)
            reference.invoke()
            outputs = [np.array(reference.get_tensor(d["index"])) for d in reference.get_output_details()]
        except (RuntimeError, ValueError) as error:
            (folder / f"{number}.json").write_text(json.dumps(" ".join(str(error).split())))
            continue
        aside = folder / f"{number}.part.npz"
        _save(aside, outputs)
        aside.rename(folder / f"{number}.out.npz")


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]))
