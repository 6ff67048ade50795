"""Trains and converts the example models: ``python examples/make_models.py [NAME …]``.

Needs the packages of ``requirements/models.txt`` (TensorFlow).  Each model is trained on data from
``drawing.py``, converted, tested for accuracy with TensorFlow's interpreter, and written together with
``NAME.inputs.npz``: drawn inputs that ``litesmith verify`` uses in addition to random ones.  Its arrays are
named ``<sample>_<input index>`` and have the dtype and shape of the model's inputs.

| model         | task                              | form          | ends in                       |
|---------------|-----------------------------------|---------------|-------------------------------|
| det           | find discs, squares and triangles | int8          | TFLite_Detection_PostProcess  |
| digits        | read a seven-segment digit        | float32       | SOFTMAX                       |
| words         | tell eight sound patterns apart   | int8          | SOFTMAX                       |
| gesture       | tell six gestures apart           | dynamic range | SOFTMAX                       |
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drawing
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

HERE = Path(__file__).parent
SIZE = 96
GRIDS = ((12, (0.22, 0.32)), (6, (0.32, 0.42)))
"""Feature grids of the detector and the anchor sizes (fractions of the image) on each."""
MOST_DETECTIONS = 8
SAMPLES = 4


def anchors() -> NDArray[np.float32]:
    """Anchor boxes (n, 4): centre y, centre x, height, width as fractions of the image."""
    rows = []
    for cells, sizes in GRIDS:
        for y in range(cells):
            for x in range(cells):
                rows += [((y + 0.5) / cells, (x + 0.5) / cells, size, size) for size in sizes]
    return np.asarray(rows, np.float32)


def encode(boxes: NDArray[np.float32], classes: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Matches drawn boxes to anchors; returns targets (n, 4) and one-hot-ready classes (n,).

    Class 0 is the background.  The encoding is that of TFLite_Detection_PostProcess with
    scales 10, 10, 5, 5 (centre offsets by anchor size, logarithms of the size ratios).
    """
    prior = anchors()
    target = np.zeros((len(prior), 4), np.float32)
    label = np.zeros(len(prior), np.int64)
    corners = np.concatenate([prior[:, :2] - prior[:, 2:] / 2, prior[:, :2] + prior[:, 2:] / 2], 1)
    best = np.zeros(len(prior))
    for box, kind in zip(boxes, classes, strict=True):
        top_left = np.maximum(corners[:, :2], box[:2])
        bottom_right = np.minimum(corners[:, 2:], box[2:])
        shared = np.prod(np.clip(bottom_right - top_left, 0, None), 1)
        union = np.prod(prior[:, 2:], 1) + np.prod(box[2:] - box[:2]) - shared
        quality = shared / union
        chosen = (quality > 0.45) | (quality == quality.max())
        chosen &= quality > best
        best = np.where(chosen, quality, best)
        size = box[2:] - box[:2]
        centre = (box[2:] + box[:2]) / 2
        target[chosen, :2] = 10 * (centre - prior[chosen, :2]) / prior[chosen, 2:]
        target[chosen, 2:] = 5 * np.log(size / prior[chosen, 2:])
        label[chosen] = kind + 1
    return target, label


def _separable(x: Any, filters: int, strides: int = 1) -> Any:
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Conv2D(filters, 1, use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def _representative(data: NDArray[np.float32]) -> Callable[[], Iterator[list[NDArray[np.float32]]]]:
    def samples() -> Iterator[list[NDArray[np.float32]]]:
        for row in data[:200]:
            yield [row[None]]

    return samples


def _interpret(model: bytes, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
    interpreter = tf.lite.Interpreter(
        model_content=model,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def _write(name: str, model: bytes, samples: list[NDArray[Any]]) -> None:
    (HERE / f"{name}.tflite").write_bytes(model)
    np.savez_compressed(HERE / f"{name}.inputs.npz", **{f"{i}_0": s for i, s in enumerate(samples)})
    print(f"{name}.tflite: {len(model)} bytes")


def detector() -> None:
    """SSD-style detector, int8: 96x96x3 in; boxes, classes, scores and their count out."""
    rng = np.random.default_rng(1)
    scenes = [drawing.scene(rng, SIZE) for _ in range(6000)]
    images = np.stack([s.image for s in scenes]) * 2 - 1
    targets, labels = zip(*(encode(s.boxes, s.classes) for s in scenes), strict=True)
    kinds = len(drawing.SHAPE_NAMES) + 1
    truth = np.concatenate([np.stack(targets), keras.utils.to_categorical(np.stack(labels), kinds)], -1)

    image = keras.Input((SIZE, SIZE, 3), batch_size=1)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = _separable(x, 24, 2)
    x = _separable(x, 32)
    x = _separable(x, 48, 2)
    fine = _separable(x, 64)
    coarse = _separable(_separable(fine, 96, 2), 96)
    heads = []
    for feature, (cells, sizes) in zip((fine, coarse), GRIDS, strict=True):
        head = layers.Conv2D(len(sizes) * (4 + kinds), 3, padding="same")(feature)
        heads.append(layers.Reshape((cells * cells * len(sizes), 4 + kinds))(head))
    network = keras.Model(image, layers.Concatenate(axis=1)(heads))
    trainable = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.models.clone_model(network)])

    def loss(true: Any, predicted: Any) -> Any:
        box_error = keras.ops.abs(true[..., :4] - predicted[..., :4])
        box_loss = keras.ops.where(box_error < 1, 0.5 * box_error**2, box_error - 0.5)
        positive = 1.0 - true[..., 4]
        number = keras.ops.sum(positive, axis=-1) + 1.0
        probability = keras.ops.sigmoid(predicted[..., 5:])
        wanted = true[..., 5:]
        matched = wanted * probability + (1 - wanted) * (1 - probability)
        weight = wanted * 0.75 + (1 - wanted) * 0.25
        focal = -weight * (1 - matched) ** 2 * keras.ops.log(matched + 1e-6)
        class_loss = keras.ops.sum(focal, axis=(-1, -2))
        box_loss = keras.ops.sum(box_loss * positive[..., None], axis=(-1, -2))
        return (class_loss * 2 + box_loss) / number

    steps = 14 * len(images) // 32
    trainable.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(4e-3, steps)), loss)
    trainable.fit(images, truth, batch_size=32, epochs=14, verbose=2)
    network.set_weights(trainable.layers[-1].get_weights())

    implements = (
        'name: "TFLite_Detection_PostProcess" '
        f'attr {{ key: "max_detections" value {{ i: {MOST_DETECTIONS} }} }} '
        'attr { key: "max_classes_per_detection" value { i: 1 } } '
        'attr { key: "detections_per_class" value { i: 8 } } '
        'attr { key: "use_regular_nms" value { b: false } } '
        'attr { key: "nms_score_threshold" value { f: 0.4 } } '
        'attr { key: "nms_iou_threshold" value { f: 0.4 } } '
        f'attr {{ key: "num_classes" value {{ i: {len(drawing.SHAPE_NAMES)} }} }} '
        'attr { key: "y_scale" value { f: 10.0 } } attr { key: "x_scale" value { f: 10.0 } } '
        'attr { key: "h_scale" value { f: 5.0 } } attr { key: "w_scale" value { f: 5.0 } }'
    )

    @tf.function(experimental_implements=implements)
    def postprocess(boxes: Any, scores: Any, prior: Any) -> Any:
        return (
            tf.zeros((1, MOST_DETECTIONS, 4)) + 0 * tf.reduce_sum(boxes),
            tf.zeros((1, MOST_DETECTIONS)) + 0 * tf.reduce_sum(scores),
            tf.zeros((1, MOST_DETECTIONS)) + 0 * tf.reduce_sum(prior),
            tf.zeros((1,)),
        )

    # Weights become constants: otherwise the converter would keep them as resource variables.
    forward = tf.function(lambda image: network(image, training=False)).get_concrete_function(
        tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, "image")
    )
    frozen = convert_variables_to_constants_v2(forward)

    class Detector(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, "image")])
        def detect(self, image: Any) -> Any:
            (raw,) = frozen(image)
            boxes, classes, scores, number = postprocess(
                raw[..., :4], tf.sigmoid(raw[..., 4:]), tf.constant(anchors())
            )
            return {"boxes": boxes, "classes": classes, "scores": scores, "number": number}

    with tempfile.TemporaryDirectory() as folder:
        module = Detector()
        tf.saved_model.save(module, folder, signatures=module.detect)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.allow_custom_ops = True
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _representative(images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        model = _outputs_in_op_order(converter.convert())

    quantised = [
        np.round(drawing.scene(rng, SIZE).image * 255 - 128).astype(np.int8)[None] for _ in range(SAMPLES)
    ]
    found = wanted = 0
    for _ in range(100):
        s = drawing.scene(rng, SIZE)
        pixels = np.round(s.image * 255 - 128).astype(np.int8)[None]
        boxes, classes, scores, _number = _interpret(model, pixels)
        wanted += len(s.classes)
        for box, kind in zip(s.boxes, s.classes, strict=True):
            found += any(
                score > 0.5 and int(k) == kind and drawing._overlap(tuple(b), tuple(box)) > 0.5
                for b, k, score in zip(boxes[0], classes[0], scores[0], strict=True)
            )
    print(f"det: {found} of {wanted} shapes found")
    _write("det", model, quantised)


def _outputs_in_op_order(model: bytes) -> bytes:
    """The model with outputs in the order of its last op's: a SavedModel does not keep their order."""
    unpacked = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    main = unpacked.subgraphs[0]
    main.outputs = main.operators[-1].outputs
    return bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked))


def _classify(
    name: str,
    network: keras.Model,
    draw: Callable[[np.random.Generator, int], NDArray[np.float32]],
    classes: int,
    form: str,
    epochs: int,
) -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, classes, 4000)
    data = np.stack([draw(rng, int(label)) for label in labels])
    network.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    network.fit(data, labels, batch_size=32, epochs=epochs, verbose=2)
    fixed = keras.Input(data.shape[1:], batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(fixed, network(fixed)))
    # Per-channel FULLY_CONNECTED has version 12, which is newer than the pinned runtime.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if form != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "int8":
        converter.representative_dataset = _representative(data)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    model = converter.convert()
    interpreter = tf.lite.Interpreter(model_content=model)
    detail = interpreter.get_input_details()[0]
    scale, zero = detail["quantization"]

    def prepare(sample: NDArray[np.float32]) -> NDArray[Any]:
        if form == "int8":
            return np.clip(np.round(sample / scale + zero), -128, 127).astype(np.int8)[None]
        return sample[None]

    trials = [(int(k), prepare(draw(rng, int(k)))) for k in rng.integers(0, classes, 300)]
    right = sum(int(_interpret(model, sample)[0].argmax()) == k for k, sample in trials)
    print(f"{name}: {right} of {len(trials)} right")
    _write(name, model, [sample for _, sample in trials[:SAMPLES]])


def digits() -> None:
    """Convolutional classifier, float32, 28x28x1 in, 10 probabilities out."""
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(12, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(24, 3, strides=2, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    _classify("digits", network, drawing.digit, 10, "float32", 8)


def words() -> None:
    """Depthwise-separable keyword spotter, int8, 49x32x1 in, 8 probabilities out."""
    image = keras.Input((49, 32, 1))
    x = layers.Conv2D(32, (10, 4), strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for _ in range(3):
        x = _separable(x, 32)
    x = layers.GlobalAveragePooling2D()(x)
    output = layers.Dense(len(drawing.WORD_NAMES), activation="softmax")(x)
    _classify("words", keras.Model(image, output), drawing.word, len(drawing.WORD_NAMES), "int8", 4)


def gesture() -> None:
    """Dense classifier with dynamic-range (hybrid) weights, 64x3 in, 6 probabilities out."""
    network = keras.Sequential(
        [
            keras.Input((64, 3)),
            layers.Flatten(),
            layers.Dense(96, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.Dense(len(drawing.GESTURE_NAMES), activation="softmax"),
        ]
    )
    _classify("gesture", network, drawing.gesture, len(drawing.GESTURE_NAMES), "dynamic", 12)


MODELS: dict[str, Callable[[], None]] = {
    "det": detector,
    "digits": digits,
    "words": words,
    "gesture": gesture,
}


def main() -> None:
    """Makes the named models, or all of them if none is named."""
    parser = argparse.ArgumentParser(prog="./inv examples", description="Train and convert example models.")
    parser.add_argument("--name", action="append", choices=list(MODELS), help="may be repeated")
    for name in parser.parse_args().name or MODELS:
        keras.utils.set_random_seed(7)
        MODELS[name]()


if __name__ == "__main__":
    main()
