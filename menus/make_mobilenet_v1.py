"""Builds MobileNet v1 in its 16 variants: ``python menus/make_mobilenet_v1.py FOLDER [VARIANT …]``.

Needs the packages of ``requirements/models.txt`` (TensorFlow).  Weights are Keras's initial ones:
``measure.py`` measures sizes and shapes, which training does not change.  Each variant is written as float32
and as int8.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

WIDTHS = ("1.0", "0.75", "0.50", "0.25")
RESOLUTIONS = (224, 192, 160, 128)
CLASSES = 1001


def converted(width: str, resolution: int, *, narrow: bool) -> bytes:
    """The .tflite file of a variant; ``narrow`` is int8 throughout."""
    shape = (resolution, resolution, 3)
    model = keras.applications.MobileNet(shape, alpha=float(width), weights=None, classes=CLASSES)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if narrow:

        def samples() -> Iterator[list[Any]]:
            rng = np.random.default_rng(1)
            yield [rng.uniform(-1, 1, (1, *shape)).astype(np.float32)]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    return content


def main(folder: Path, wanted: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for resolution in RESOLUTIONS:
            variant = f"{width}_{resolution}"
            if wanted and variant not in wanted:
                continue
            for kind, narrow in (("float32", False), ("int8", True)):
                path = folder / f"{variant}.{kind}.tflite"
                path.write_bytes(converted(width, resolution, narrow=narrow))
                print(f"{path}: {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
