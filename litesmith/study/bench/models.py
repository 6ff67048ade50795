"""The models that are measured, and their names in the tables."""

from __future__ import annotations

from litesmith.base import paths
from litesmith.model.model_file import Model


def default_models() -> tuple[str, ...]:
    """Four models of the zoo and all examples, as ``--model`` takes them."""
    examples = sorted(paths.data_folder("examples").glob("*.tflite"))
    return ("zoo:vww", "zoo:kws", "zoo:ic", "zoo:ad", *(str(path) for path in examples))


def short_name(model: Model) -> str:
    """``zoo:vww``, or the name of the model's file."""
    return model.analysis.path if model.analysis.path.startswith("zoo:") else model.path.name
