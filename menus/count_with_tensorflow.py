"""MACs as TensorFlow's own profiler counts them: ``python menus/count_with_tensorflow.py FOLDER``.

Needs the packages of ``requirements/models.txt``.  Writes ``FOLDER/NAME.tflite`` for each of five networks
and prints half of the floating-point operations that TensorFlow attributes to their convolutions and matrix
products, from the graph before conversion: a count that is independent of ``litesmith plan``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.profiler.model_analyzer import profile
from tensorflow.python.profiler.option_builder import ProfileOptionBuilder


def networks() -> Iterator[tuple[str, keras.Model]]:
    """Names and untrained networks: only shapes are counted."""
    known = keras.applications
    yield "mobilenet", known.MobileNet((128, 128, 3), alpha=0.25, weights=None)
    yield "mobilenet_v2", known.MobileNetV2((96, 96, 3), alpha=0.35, weights=None)
    yield "resnet50", known.ResNet50(weights=None, input_shape=(64, 64, 3))
    yield "densenet121", known.DenseNet121(weights=None, input_shape=(64, 64, 3))
    vector = keras.Input((200,))
    x = layers.Dense(64, activation="relu")(vector)
    yield "dense", keras.Model(vector, layers.Dense(10)(x))


def counted(network: keras.Model) -> int:
    """Half of the floating-point operations of convolutions and matrix products."""
    spec = tf.TensorSpec((1, *network.input_shape[1:]), tf.float32)
    function = tf.function(lambda x: network(x, training=False)).get_concrete_function(spec)
    graph = convert_variables_to_constants_v2(function).graph
    options = ProfileOptionBuilder(ProfileOptionBuilder.float_operation()).with_empty_output().build()
    # The view by op is a chain: each op has the next one as its only child.
    op = profile(graph, cmd="op", options=options)
    operations = 0
    while op.children:
        (op,) = op.children
        if "Conv" in op.name or "MatMul" in op.name:
            operations += op.float_ops
    return operations // 2


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in networks():
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        (folder / f"{name}.tflite").write_bytes(converter.convert())
        print(f"counted {name}: {counted(network):,}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
