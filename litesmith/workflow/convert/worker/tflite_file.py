"""A converted ``.tflite`` file: run in TensorFlow's interpreter, inspected and edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from litesmith.workflow.convert.worker.input_specs import Spec, safe_names
from litesmith.workflow.convert.worker.samples import Array


class Model:
    """A ``.tflite`` file in TensorFlow's interpreter: built-in kernels, no delegates, one thread.

    ``inputs`` and ``outputs`` are the positions in the file of the source's inputs and outputs.
    """

    def __init__(self, content: bytes, specs: Sequence[Spec], outputs: Sequence[str]) -> None:
        """Raises ValueError or RuntimeError if the interpreter cannot load the file."""
        import tensorflow as tf

        kinds = tf.lite.experimental.OpResolverType
        self._interpreter = tf.lite.Interpreter(
            model_content=content,
            experimental_op_resolver_type=kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            num_threads=1,
        )
        self._details = (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        names = ([spec.safe for spec in specs], safe_names(outputs))
        signatures = list(self._interpreter._get_full_signature_list().values())
        self.inputs, self.outputs = (
            _positions(details, chosen, [signature[end] for signature in signatures])
            for details, chosen, end in zip(self._details, names, ("inputs", "outputs"), strict=True)
        )

    def allocate(self) -> None:
        """Raises RuntimeError if the file has an op that TensorFlow's interpreter lacks."""
        self._interpreter.allocate_tensors()

    def stored(self, values: Sequence[Array]) -> list[Array]:
        """A sample as the file's inputs: in the file's order, quantised if the inputs are."""
        order = dict(zip(self.inputs, values, strict=True))
        return [_quantised(order[i], detail) for i, detail in enumerate(self._details[0])]

    def run(self, values: Sequence[Array]) -> list[Array]:
        """The outputs in the source's order, dequantised."""
        for detail, value in zip(self._details[0], self.stored(values), strict=True):
            self._interpreter.set_tensor(detail["index"], value)
        self._interpreter.invoke()
        details = [self._details[1][position] for position in self.outputs]
        return [_dequantised(self._interpreter.get_tensor(detail["index"]), detail) for detail in details]


def _positions(
    details: Sequence[Mapping[str, Any]], names: Sequence[str], signatures: Sequence[Mapping[str, int]]
) -> list[int]:
    """Positions in the file of tensors by name: from the file's signature, else in the same order."""
    if not signatures:
        return list(range(len(names)))
    indices = [detail["index"] for detail in details]
    return [indices.index(signatures[0][name]) for name in names]


def _quantised(value: Array, detail: Mapping[str, Any]) -> Array:
    scale, zero = detail["quantization"]
    if not scale or value.dtype.kind != "f" or np.dtype(detail["dtype"]).kind not in "iu":
        return value
    limits = np.iinfo(detail["dtype"])
    steps: Array = np.clip(np.round(value / scale + zero), limits.min, limits.max)
    return steps.astype(detail["dtype"])


def _dequantised(value: Array, detail: Mapping[str, Any]) -> Array:
    scale, zero = detail["quantization"]
    if not scale or value.dtype.kind not in "iu":
        return value
    made: Array = (value.astype(np.float32) - zero) * np.float32(scale)
    return made


def in_order(content: bytes, model: Model) -> bytes:
    """The file with inputs and outputs in the source's order; a SavedModel sorts them by name."""
    from tensorflow.lite.tools import flatbuffer_utils

    if list(model.inputs) == sorted(model.inputs) and list(model.outputs) == sorted(model.outputs):
        return content
    unpacked = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    main = unpacked.subgraphs[0]
    main.inputs = [main.inputs[position] for position in model.inputs]
    main.outputs = [main.outputs[position] for position in model.outputs]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked))


def has_custom_ops(content: bytes) -> bool:
    """Whether a file has custom ops."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    return any(code.customCode for code in model.operatorCodes)
