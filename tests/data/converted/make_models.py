"""Converts models that this runtime must refuse, or can barely run, with the newest TensorFlow.

Run it with the packages of ``requirements/models.txt``; the files it writes are in the repository.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
RNG = np.random.default_rng(1)


def save(name: str, converter: tf.lite.TFLiteConverter) -> None:
    """Converts and writes one model."""
    (HERE / f"{name}.tflite").write_bytes(converter.convert())


def of(function: object, *shapes: tuple[int, ...]) -> tf.lite.TFLiteConverter:
    """A converter for a function of float32 tensors."""
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    concrete = tf.function(function, input_signature=specs).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete])


def dense() -> keras.Model:
    """Two dense layers with weights that do not matter."""
    return keras.Sequential(
        [keras.layers.Input((64,)), keras.layers.Dense(48, "relu"), keras.layers.Dense(3)]
    )


def samples() -> object:
    """Representative inputs."""
    return ([RNG.uniform(-1, 1, (1, 64)).astype(np.float32)] for _ in range(20))


def main() -> None:
    """Writes all models."""
    keras.utils.set_random_seed(1)
    flex = of(lambda x: tf.linalg.inv(x), (3, 3))
    flex.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    save("flex", flex)
    for name, per_tensor in (("dense_dynamic_range", False), ("dense_dynamic_range_per_tensor", True)):
        converter = tf.lite.TFLiteConverter.from_keras_model(dense())
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel_quantization_for_dense_layers = per_tensor
        save(name, converter)
    converter = tf.lite.TFLiteConverter.from_keras_model(dense())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    save("dense_int8", converter)
    converter = tf.lite.TFLiteConverter.from_keras_model(dense())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    save("dense_float16", converter)
    converter = tf.lite.TFLiteConverter.from_keras_model(dense())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    save("dense_int16", converter)
    cell = keras.Sequential([keras.layers.Input((5, 4), batch_size=1), keras.layers.LSTM(3)])
    save("lstm", tf.lite.TFLiteConverter.from_keras_model(cell))


if __name__ == "__main__":
    main()
