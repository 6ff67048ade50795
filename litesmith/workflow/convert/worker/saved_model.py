"""Reads a signature of a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litesmith.workflow.convert.worker.errors import RefusedError, one_line
from litesmith.workflow.convert.worker.input_specs import Spec, dimensions
from litesmith.workflow.convert.worker.source import Source


def read(path: Path, shown: str, key: str | None, wanted: Sequence[str]) -> Source:
    """Reads one signature of a SavedModel, and all of its outputs or those in ``wanted``.

    Raises:
        RefusedError: TensorFlow cannot load it, or it has no such signature or output.
    """
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise RefusedError(f"{shown} cannot be loaded: {one_line(error)}", "save it again") from error
    signatures = dict(loaded.signatures)
    key = _chosen(signatures, key, shown)
    chosen = signatures[key]
    given = chosen.structured_input_signature[1]
    names = sorted(given)
    outputs = tuple(wanted or sorted(chosen.structured_outputs))
    for name in outputs:
        if name not in chosen.structured_outputs:
            raise RefusedError(
                f"{shown} has no output {name!r}", f"it has {', '.join(sorted(chosen.structured_outputs))}"
            )

    def call(values: Sequence[Any]) -> Sequence[Any]:
        found = chosen(**dict(zip(names, values, strict=True)))
        return [found[name] for name in outputs]

    inputs = tuple(
        Spec(name=name, dtype=given[name].dtype.name, shape=dimensions(given[name].shape)) for name in names
    )
    return Source(inputs=inputs, outputs=outputs, call=call, keep=loaded, parameters=None, saved=(path, key))


def _chosen(signatures: Mapping[str, Any], key: str | None, shown: str) -> str:
    """The key of the signature to convert: ``key``, the only one, or ``serving_default``."""
    if not signatures:
        raise RefusedError(
            f"{shown} has no signature", "save it with tf.saved_model.save(…, signatures=…) or model.export"
        )
    if key is None and len(signatures) > 1 and "serving_default" in signatures:
        key = "serving_default"
    if key is None and len(signatures) == 1:
        (key,) = signatures
    if key is None or key not in signatures:
        what = f"has no signature {key!r}" if key else "has several signatures"
        raise RefusedError(f"{shown} {what}", f"name one with --signature: {', '.join(sorted(signatures))}")
    return key
