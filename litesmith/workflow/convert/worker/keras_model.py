"""Reads a Keras model."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litesmith.workflow.convert.worker.errors import UNSUPPORTED, RefusedError, one_line, some
from litesmith.workflow.convert.worker.input_specs import Spec, dimensions
from litesmith.workflow.convert.worker.source import Source

_EXPORT = "export it as a SavedModel where that code is (model.export), and convert that"

_KERAS_2 = frozenset({"TFOpLambda", "SlicingOpLambda"})
"""Layers of Keras 2 for operations outside layers, which Keras 3 lacks."""


def read(path: Path, shown: str) -> Source:
    """Reads a ``.keras`` archive or an HDF5 file that holds a whole model.

    Inputs are in the order of Keras, which is that of ``model.inputs``.  Outputs that the model returns in a
    dictionary have its keys as names, all others the names of the layers that compute them.

    Raises:
        RefusedError: Keras cannot load it, or its inputs are unknown.
    """
    import keras
    import tensorflow as tf

    try:
        model = keras.models.load_model(path, custom_objects=_old_layers(keras), compile=False)
    except Exception as error:  # layers may raise anything
        raise unloadable(error, path, shown, keras.__version__) from error
    tree = getattr(keras, "tree", tf.nest)  # Keras 2 has TensorFlow's
    # A Sequential of Keras 3 has no names and structures itself, but a Functional model of its layers.
    model = getattr(model, "_functional", None) or model
    try:
        tensors, structure, outputs = model.inputs, model.input, model.output
    except (AttributeError, ValueError):  # a Sequential that has not been built
        tensors = None
    if not tensors or not tree.flatten(outputs):
        what = "was saved before it had an input shape" if model.layers else "has no layers"
        raise RefusedError(
            f"{shown} {what}",
            "call the model, or begin it with keras.Input; train it, and save it again",
        )
    if quantised := _quantised(model):
        raise RefusedError(
            f"{shown}: Keras has quantised {some(quantised)}, and TensorFlow Lite has no ops for that",
            "save the model before model.quantize, and convert it with --quantize",
            UNSUPPORTED,
        )

    def call(values: Sequence[Any]) -> Sequence[Any]:
        found = model(tree.pack_sequence_as(structure, list(values)), training=False)
        return list(tree.flatten(found))

    inputs = tuple(
        Spec(name=tensor.name, dtype=str(tensor.dtype), shape=dimensions(tensor.shape)) for tensor in tensors
    )
    return Source(
        inputs=inputs,
        outputs=_unique(_output_names(model, outputs, tree)),
        call=call,
        keep=model,
        parameters=model.count_params(),
    )


def _output_names(model: Any, outputs: Any, tree: Any) -> list[str]:
    """A name for each output, in the order of ``tree.flatten(outputs)``."""
    layers = [str(name) for name in model.output_names]
    if not hasattr(tree, "flatten_with_path"):
        return layers
    paths = [path for path, _ in tree.flatten_with_path(outputs)]
    return [
        "_".join(map(str, path)) if any(isinstance(part, str) for part in path) else layer
        for path, layer in zip(paths, layers, strict=True)
    ]


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, numbered if some of them are the same."""
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{name}_{number}" for number, name in enumerate(names))


def _old_layers(keras: Any) -> dict[str, Any]:
    """Layers of Keras 3 that accept the options which only Keras 2 has, if they have no effect."""
    if keras.__version__.startswith("2."):
        return {}
    recurrent = ("LSTM", "GRU", "SimpleRNN")
    only_value = {"DepthwiseConv2D": ("groups", 1), **dict.fromkeys(recurrent, ("time_major", False))}
    return {
        name: _accepting(getattr(keras.layers, name), option, value)
        for name, (option, value) in only_value.items()
    }


def _accepting(layer: Any, option: str, value: Any) -> type:
    """A layer's class that also accepts one value of an option."""

    def initialise(self: Any, *arguments: Any, **options: Any) -> None:
        if options.get(option) == value:
            del options[option]
        layer.__init__(self, *arguments, **options)

    return type(layer.__name__, (layer,), {"__init__": initialise})


def _quantised(model: Any) -> list[str]:
    """Names of the layers whose weights Keras has quantised."""
    nested = [layer for layer in model.layers if hasattr(layer, "layers")]
    own = [layer.name for layer in model.layers if getattr(layer, "quantization_mode", None)]
    return own + [name for layer in nested for name in _quantised(layer)]


def unloadable(error: Exception, path: Path, shown: str, version: str) -> RefusedError:
    """Why Keras of a version does not load a file, from the error that it has raised."""
    text = str(error)
    # Keras says "Could not locate class 'Mine'" of archives, "Unknown layer: 'Mine'" of HDF5 files.
    own = re.search(r"(?:Could not locate|Unknown) (class|function|layer|[a-z ]*function):? '([^']+)'", text)
    if own and own[2] not in _KERAS_2:
        return RefusedError(f"{shown} needs the {own[1]} {own[2]}, whose code is not in the file", _EXPORT)
    if "Lambda" in text and "arbitrary code" in text:
        return RefusedError(f"{shown} has a Lambda layer, and code in a model file is not run", _EXPORT)
    # Keras quotes the configuration of the layer, or of the whole model.
    reason = re.split(r"[.:]? *(?:Full object config:|config=\{)", one_line(error))[0]
    message = f"{shown} cannot be loaded by Keras {version}: {reason}"
    if (writer := _writer(path)).startswith(("1.", "2.")) and not version.startswith("2."):
        as_hdf5 = "save it as an .h5 file, or " if zipfile.is_zipfile(path) else ""
        return RefusedError(
            f"{message}; Keras {writer} wrote it",
            f"with that Keras, {as_hdf5}export it as a SavedModel (model.export)",
        )
    return RefusedError(
        message, "save the whole model again as a .keras file, or export it as a SavedModel (model.export)"
    )


def _writer(path: Path) -> str:
    """The version of Keras that wrote a file; empty if the file does not say."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json"))["keras_version"])
        import h5py

        with h5py.File(path) as file:
            return str(file.attrs["keras_version"])
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return ""
