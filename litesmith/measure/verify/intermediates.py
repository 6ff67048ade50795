"""All tensors of the reference after one inference, computed in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from litesmith.base import files, process
from litesmith.base.errors import TimeOutError, VerificationError
from litesmith.measure.verify import reference, tensor_values
from litesmith.measure.verify.cases import Case
from litesmith.measure.verify.tensor_values import TensorValues
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.entry_points import Entry
from litesmith.model.model_file import Model
from litesmith.model.tensors import Array

_SECONDS = 300

MOST_BYTES = 2**31 - 1
"""The largest file of values; a program of 32 bits reads no larger ones."""

NOT_IN_NUMPY = frozenset({"resource", "variant", "bfloat16", "int4", "uint4", "int2"})
"""Dtypes whose values the interpreter does not give."""


def subgraph_of(analysis: ModelAnalysis, signature: str | None) -> int:
    """The index of the subgraph that runs."""
    return next((one.subgraph for one in analysis.signatures if one.key == signature), 0) if signature else 0


def intermediates(model: Model, case: Case, folder: Path) -> TensorValues:
    """The values of all tensors of the subgraph that a case runs, with constants, in a file in ``folder``.

    Values of variables are those after the inference.

    Raises:
        VerificationError: the interpreter fails, or there are more than ``MOST_BYTES`` of values.
    """
    path = folder / "tensors.bin"
    reference.save_arrays(folder / "inputs.npz", case.inputs)
    task = {
        "model": str(model.path.absolute()),
        "entry": asdict(case.part.entry),
        "subgraph": subgraph_of(model.analysis, case.part.signature),
        "known": [tensor.dtype not in NOT_IN_NUMPY for tensor in case.part.subgraph.tensors],
    }
    files.write_atomically(folder / "task.json", json.dumps(task))
    words: list[str | Path] = [sys.executable, "-m", "litesmith.measure.verify.intermediates", folder]
    try:
        done = process.run(words, timeout=_SECONDS)
    except TimeOutError:
        raise VerificationError(f"the reference interpreter did not end within {_SECONDS} s", "") from None
    if not path.with_suffix(".json").is_file():
        lines = done.stderr.strip().splitlines() or [f"it ended with exit code {done.code}"]
        raise VerificationError(f"the reference interpreter gives no intermediate values: {lines[-1]}", "")
    return TensorValues(path)


def _child(folder: Path) -> None:
    task = json.loads((folder / "task.json").read_text())
    inputs = reference.load_arrays(folder / "inputs.npz")
    interpreter = reference.interpreter(Path(task["model"]), keep_all=True)
    reference.run(interpreter, Entry(**task["entry"]), inputs)
    known: list[bool] = task["known"]
    values = _values(interpreter, task["subgraph"], known)
    if not tensor_values.write(folder / "tensors.bin", len(known), values, MOST_BYTES):
        sys.exit(f"there are more than {MOST_BYTES} bytes of them")


def _values(interpreter: Any, subgraph: int, known: list[bool]) -> Iterator[tuple[int, Array]]:
    for index, is_known in enumerate(known):
        if not is_known:
            continue
        try:
            yield index, reference.plain(interpreter.get_tensor(index, subgraph))
        except (ValueError, RuntimeError):
            # No node computed it.
            continue


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
