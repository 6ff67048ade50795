"""A model as it was read: inputs, outputs, and a function that computes them with TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.workflow.convert.worker.input_specs import Spec


@dataclass(frozen=True)
class Source:
    """A model in memory, in the same form for every file format.

    ``call`` takes tensors in the order of ``inputs`` and returns those of ``outputs``; ``keep`` owns the
    variables.  ``parameters`` is None if they must be counted in the graph; ``saved`` is the folder and the
    signature key of a SavedModel.
    """

    inputs: tuple[Spec, ...]
    outputs: tuple[str, ...]
    call: Callable[[Sequence[Any]], Sequence[Any]]
    keep: Any
    parameters: int | None
    saved: tuple[Path, str] | None = None
