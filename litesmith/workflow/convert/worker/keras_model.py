"""Reads a Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litesmith.workflow.convert.worker.errors import RefusedError, one_line
from litesmith.workflow.convert.worker.input_specs import Spec, dimensions
from litesmith.workflow.convert.worker.source import Source


def read(path: Path, shown: str) -> Source:
    """Reads a ``.keras`` archive or an HDF5 file that holds a whole model.

    Raises:
        RefusedError: Keras cannot load it, or its inputs are unknown.
    """
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # layers may raise anything
        raise RefusedError(
            f"{shown} cannot be loaded by Keras {keras.__version__}: {one_line(error)}",
            "save the whole model again (model.save), or export it as a SavedModel (model.export)",
        ) from error
    tensors = getattr(model, "inputs", None)
    if not tensors or not model.outputs:
        raise RefusedError(
            f"{shown} does not declare its inputs", "export it as a SavedModel (model.export) instead"
        )

    def call(values: Sequence[Any]) -> Sequence[Any]:
        import tensorflow as tf

        found = model(list(values) if len(values) > 1 else values[0], training=False)
        return list(tf.nest.flatten(found))

    inputs = tuple(
        Spec(name=tensor.name, dtype=str(tensor.dtype), shape=dimensions(tensor.shape)) for tensor in tensors
    )
    return Source(
        inputs=inputs,
        outputs=_unique(list(model.output_names)),
        call=call,
        keep=model,
        parameters=model.count_params(),
    )


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, numbered if some of them are the same."""
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{name}_{number}" for number, name in enumerate(names))
