"""TensorFlow's converter, set up for the ops of the pinned runtime and for each quantisation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litesmith.workflow.convert.worker.errors import UNSUPPORTED, RefusedError, one_line, some
from litesmith.workflow.convert.worker.freezing import Function
from litesmith.workflow.convert.worker.input_specs import Spec
from litesmith.workflow.convert.worker.samples import Array, Samples

_UNUSUAL = {"f64": "float64", "f16": "float16", "bf16": "bfloat16"}
"""Dtypes in which TensorFlow Lite has few ops, by their names in MLIR."""


@dataclass(frozen=True)
class Quantisation:
    """The arithmetic of a converted model.

    ``form`` is ``none``, ``dynamic``, ``float16`` or ``int8``; ``io`` is the dtype of inputs and outputs,
    ``float`` or ``int8``.  ``in_float`` are names of ops that stay in float32 in an int8 model.
    """

    form: str
    io: str
    in_float: tuple[str, ...] = ()


Report = Callable[..., None]
"""Reports an event: its name, then its fields as keywords."""


def convert(
    function: Function,
    specs: Sequence[Spec],
    quantisation: Quantisation,
    samples: Samples,
    report: Report,
    *,
    shown: str,
    allow_custom_ops: bool,
) -> bytes:
    """The ``.tflite`` file of a function; ``samples`` calibrate an int8 model.

    Raises:
        RefusedError: the converter cannot convert it.
    """

    def representative() -> Iterator[dict[str, Array]]:
        for number, values in enumerate(samples):
            report("progress", what="calibrating", done=number + 1, total=len(samples))
            yield {spec.safe: value for spec, value in zip(specs, values, strict=True)}

    converter = _converter(function)
    converter.allow_custom_ops = allow_custom_ops
    _configure(converter, quantisation, representative)
    try:
        if not quantisation.in_float:
            return bytes(converter.convert())
        # The converter has a public option for this, but only for debugging.
        converter._experimental_calibrate_only = True
        return _quantised(bytes(converter.convert()), quantisation)
    except Exception as error:  # of the converter, and of anything that it calls
        raise refusal(error, shown, quantisation.form) from error


def _converter(function: Function) -> Any:
    """TensorFlow's converter, limited to what the pinned runtime can run."""
    import tensorflow as tf

    made = tf.lite.TFLiteConverter.from_saved_model(str(function.folder), signature_keys=[function.key])
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    # With a scale for each row, FULLY_CONNECTED has version 12, which is newer than the runtime.
    made._experimental_disable_per_channel_quantization_for_dense_layers = True
    return made


def _configure(
    converter: Any, quantisation: Quantisation, representative: Callable[[], Iterator[dict[str, Array]]]
) -> None:
    import tensorflow as tf

    if quantisation.form != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantisation.form == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantisation.form == "int8":
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if quantisation.io == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.int8


def _quantised(calibrated: bytes, quantisation: Quantisation) -> bytes:
    """A calibrated model in int8, but for the ops that stay in float32."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    ends = tf.int8 if quantisation.io == "int8" else tf.float32
    return bytes(
        mlir_quantize(
            calibrated,
            denylisted_ops=set(quantisation.in_float),
            disable_per_channel_for_dense_layers=True,
            input_data_type=ends,
            output_data_type=ends,
        )
    )


def too_new(content: bytes, versions: Mapping[str, tuple[str, int]]) -> list[str]:
    """Names of the ops in a file that the runtime has only in older versions.

    ``versions`` maps codes of builtin ops to their names and the newest versions in the runtime.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    codes = flatbuffer_utils.convert_bytearray_to_object(bytearray(content)).operatorCodes
    known = [(versions.get(str(code.builtinCode)), code.version) for code in codes]
    return sorted({op[0] for op, version in known if op is not None and version > op[1]})


def refusal(error: Exception, shown: str, quantize: str) -> RefusedError:
    """An error of the converter in one line; the ops that TensorFlow Lite lacks, if it names any."""
    text = str(error)
    missing = _listed(text, "TF Select ops") + _listed(text, "Custom ops")
    if missing:
        dtypes = sorted({_UNUSUAL[name] for name in _UNUSUAL if re.search(rf"\ttf\.[^\n]*[x<]{name}>", text)})
        what = some(missing) + (f" in {' or '.join(dtypes)}" if dtypes else "")
        return RefusedError(
            f"{shown}: TensorFlow Lite has no op for {what}", _substitute(missing, dtypes), UNSUPPORTED
        )
    if "TensorListReserve" in text:
        return RefusedError(
            f"{shown}: TensorFlow Lite needs loops of fixed shapes, and the batch of this one is unknown",
            "convert its .keras or .h5 file, or export it with unrolled layers (unroll=True)",
            UNSUPPORTED,
        )
    how = f"with --quantize {quantize}" if quantize != "none" else "to TensorFlow Lite"
    return RefusedError(
        f"{shown} cannot be converted {how}: {one_line(error)}",
        "run it again with --debug to see TensorFlow's own messages",
        UNSUPPORTED,
    )


def _substitute(missing: Sequence[str], dtypes: Sequence[str]) -> str:
    """The next step for a model with ops that TensorFlow Lite lacks."""
    if dtypes:
        return "let all layers compute in float32 (layer.dtype_policy = 'float32'), and save it again"
    if any("Random" in op for op in missing):
        return "save it without random layers that are for training, or call them with training=False"
    return "replace it with operations that have one, or write it as a custom op (--custom-ops)"


def _listed(text: str, head: str) -> list[str]:
    found = re.search(rf"^{head}: (.+)$", text, re.MULTILINE)
    return [name.strip() for name in found[1].split(",")] if found else []
