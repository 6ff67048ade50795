"""Makes models in every form that ``convert`` reads: ``python convert_models.py FOLDER``.

It runs under the interpreter that has TensorFlow, once for all tests of a session.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

RNG = np.random.default_rng(1)


def classifier() -> keras.Model:
    """Nearly all of its weights are in dense layers; it is trained, so that its outputs differ."""
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(image)
    x = layers.DepthwiseConv2D(3, use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(x))


def images(labels: Any) -> Any:
    """Noise with a bright square, whose place depends on the class."""
    made = RNG.uniform(0, 0.3, (len(labels), 12, 12, 3)).astype(np.float32)
    for picture, label in zip(made, labels, strict=True):
        row, column = divmod(int(label), 4)
        picture[3 * row : 3 * row + 4, 3 * column : 3 * column + 3] += 0.6
    return made


def two_ends() -> keras.Model:
    """Two inputs and two outputs, not in the order of their names."""
    image, aside = keras.Input((8, 8, 3), name="zimage"), keras.Input((4,), name="aside")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="swish")(image))
    x = layers.Concatenate()([x, aside])
    scores = layers.Dense(5, activation="softmax", name="zscores")(x)
    return keras.Model([image, aside], [scores, layers.Dense(3, name="boxes")(x)])


def signed(function: Any, *shapes: tuple[int | None, ...]) -> tf.Module:
    """A module with one function of float32 tensors."""
    module = tf.Module()
    specs = [tf.TensorSpec(shape, tf.float32, name=f"x{i}") for i, shape in enumerate(shapes)]
    module.run = tf.function(function, input_signature=specs)
    return module


def save(module: tf.Module, folder: Path) -> None:
    """As a SavedModel with one signature."""
    tf.saved_model.save(module, str(folder), signatures=module.run)


def with_custom_op() -> tf.Module:
    """A function that stands for a custom op, next to a variable."""
    implements = 'name: "MyOp" attr { key: "tfl_fusable_op" value { b: true } }'

    @tf.function(experimental_implements=implements)
    def mine(x: Any) -> Any:
        return tf.reduce_sum(x, -1, keepdims=True)

    weights = tf.Variable(RNG.normal(size=(4, 8)).astype(np.float32))
    module = signed(lambda x: {"y": mine(tf.matmul(x, weights))}, (1, 4))
    module.weights = weights
    return module


def with_state() -> tf.Module:
    """A sum over all calls."""
    state = tf.Variable(tf.zeros((1, 4)))

    def run(x: Any) -> Any:
        state.assign_add(x)
        return {"total": state * 2.0}

    module = signed(run, (1, 4))
    module.state = state
    return module


def old_graph(frozen: bool) -> bytes:
    """A graph as written by TensorFlow 1, with an input of which only the depth is known."""
    values = RNG.normal(size=(4, 6)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        picture = tf.compat.v1.placeholder(tf.float32, [None, 4], name="picture")
        weights = tf.constant(values) if frozen else tf.compat.v1.get_variable("weights", initializer=values)
        hidden = tf.nn.relu(tf.matmul(picture, weights), name="hidden")
        tf.nn.softmax(hidden, name="scores")
        tf.split(hidden, 2, axis=1, name="halves")
        return graph.as_graph_def().SerializeToString()


def old_names() -> bytes:
    """A graph whose inputs, and whose outputs, have names that differ in one character."""
    with tf.Graph().as_default() as graph:
        first = tf.compat.v1.placeholder(tf.float32, [1, 4], name="s/x")
        second = tf.compat.v1.placeholder(tf.float32, [1, 4], name="s_x")
        halves = tf.split(first + 2 * second, 2, axis=1, name="halves")
        tf.multiply(halves[0], 16.0, name="halves_1")
        return graph.as_graph_def().SerializeToString()


def main(folder: Path) -> None:
    """Writes all models, and data for the classifier."""
    keras.utils.set_random_seed(1)
    labels = RNG.integers(0, 10, 1500)
    network = classifier()
    network.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    network.fit(images(labels), labels, batch_size=32, epochs=3, verbose=0)
    network.save(folder / "small.keras")
    network.save(folder / "small.h5")
    network.export(folder / "small_saved", verbose=False)
    forward = tf.function(lambda image: network(image, training=False)).get_concrete_function(
        tf.TensorSpec((None, 12, 12, 3), tf.float32, name="image")
    )
    frozen = convert_variables_to_constants_v2(forward)
    (folder / "small.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    (folder / "old.pb").write_bytes(old_graph(frozen=True))
    (folder / "old_names.pb").write_bytes(old_names())
    (folder / "not_frozen.pb").write_bytes(old_graph(frozen=False))
    data = images(RNG.integers(0, 10, 60))
    np.savez(folder / "named.npz", image=data)
    np.savez(folder / "indexed.npz", **{f"{i}_0": row[None] for i, row in enumerate(data)})
    np.savez(folder / "other.npz", image=data[:, :6])

    two_ends().save(folder / "two_ends.keras")
    any_size = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(any_size))
    keras.Model(any_size, pooled).save(folder / "any_size.keras")
    sequence = keras.Input((6, 4))
    keras.Model(sequence, layers.LSTM(4)(sequence)).save(folder / "lstm.keras")
    network.save_weights(folder / "only.weights.h5")

    save(signed(lambda x: {"y": tf.linalg.inv(x)}, (3, 3)), folder / "inverse")
    root = signed(lambda x: {"y": tf.sqrt(tf.abs(x)) + tf.exp(x)}, (4, 8))
    save(root, folder / "root")
    save(with_custom_op(), folder / "custom")
    save(with_state(), folder / "state")
    module = signed(lambda x: {"b": x + 1.0, "a": x * 2.0}, (None, 4))
    tf.saved_model.save(tf.Module(), str(folder / "no_signature"))
    again = module.run.get_concrete_function()
    tf.saved_model.save(module, str(folder / "several"), signatures={"one": again, "two": again})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
