"""Makes Keras models of every kind, in every form: ``python keras_forms.py FOLDER``.

It runs under the interpreter that has TensorFlow, once for all tests of a session.  Beside each model in
:data:`KINDS` there is ``NAME.npz``: inputs by name, and as ``out_0``, ``out_1`` … what Keras itself answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

KINDS: dict[str, tuple[str, ...]] = {
    "sequential": ("scores",),
    "sequential_without_input": ("scores",),
    "sequential_of_models": ("scores",),
    "sequential_ends_in_two": ("pair_0", "pair_1"),
    "sequential_ends_in_dictionary": ("narrow", "wide"),
    "inputs_in_dictionary": ("scores",),
    "outputs_in_dictionary": ("boxes", "scores"),
    "outputs_in_structure": ("all_boxes", "all_scores", "parts_0", "parts_1"),
    "similar_names": ("a/b", "a_b"),
    "subclass": ("output_0",),
    "subclass_with_dictionaries": ("boxes", "scores"),
    "keras_2_groups": ("scores",),
    "keras_2_time_major": ("scores",),
}
"""Names of the outputs of each kind of model, in order.

Keras sorts a dictionary's values by their keys, and numbers the outputs of exported models.
"""


def models(keras: Any) -> dict[str, Any]:
    """The models in :data:`KINDS` whose code is that of Keras."""
    layers = keras.layers
    dense = layers.Dense
    first, second = keras.Input((4,), name="zfirst"), keras.Input((5,), name="asecond")
    both = layers.Concatenate()([first, second])
    unnamed = keras.Sequential([dense(4), dense(3, name="scores")])
    unnamed(np.zeros((1, 8), np.float32))
    hidden = keras.Sequential([keras.Input((2, 2, 5)), layers.ReLU(), layers.Flatten()])
    image = keras.Input((2, 2, 5))
    narrow, wide = layers.GlobalAveragePooling2D()(image), layers.Flatten()(image)
    scores = dense(3, name="scores_layer")(both)
    boxes = dense(2, name="boxes_layer")(both)
    return {
        "sequential": keras.Sequential([keras.Input((8,)), dense(4), dense(3, name="scores")]),
        "sequential_without_input": unnamed,
        "sequential_of_models": keras.Sequential(
            [keras.Input((4, 4, 3)), layers.Conv2D(5, 3), hidden, dense(3, name="scores")]
        ),
        "sequential_ends_in_two": keras.Sequential(
            [
                *(keras.Input((4, 4, 3)), layers.Conv2D(5, 3)),
                keras.Model(image, [narrow, wide], name="pair"),
            ]
        ),
        "sequential_ends_in_dictionary": keras.Sequential(
            [
                *(keras.Input((4, 4, 3)), layers.Conv2D(5, 3)),
                keras.Model(image, {"wide": wide, "narrow": narrow}),
            ]
        ),
        "inputs_in_dictionary": keras.Model(
            {"zfirst": first, "asecond": second}, dense(3, name="scores")(both)
        ),
        "outputs_in_dictionary": keras.Model([first, second], {"scores": scores, "boxes": boxes}),
        "outputs_in_structure": keras.Model(
            [first, second],
            {"parts": [dense(4)(both), dense(6)(both)], "all": {"scores": scores, "boxes": boxes}},
        ),
        "similar_names": keras.Model(first, {"a/b": dense(2)(first), "a_b": dense(3)(first)}),
    }


def subclasses(keras: Any) -> dict[str, Any]:
    """Models with code of their own, called once."""
    dense = keras.layers.Dense

    class Plain(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = dense(3)

        def call(self, values: Any) -> Any:
            return self.dense(values)

    class Dictionaries(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = dense(3), dense(2)

        def call(self, values: Any) -> Any:
            return {"scores": self.first(values["zfirst"]), "boxes": self.second(values["asecond"])}

    plain, dictionaries = Plain(), Dictionaries()
    plain(np.zeros((1, 8), np.float32))
    dictionaries({"zfirst": np.zeros((1, 4), np.float32), "asecond": np.zeros((1, 5), np.float32)})
    return {"subclass": plain, "subclass_with_dictionaries": dictionaries}


def refused(keras: Any) -> dict[str, Any]:
    """Models that cannot be converted, or not from this form."""
    layers = keras.layers

    class Own(layers.Layer):  # type: ignore[misc]
        def call(self, values: Any) -> Any:
            return values * 2

    class Mine(keras.Sequential):  # type: ignore[misc]
        pass

    quantised = keras.Sequential(
        [keras.Input((8,)), layers.Dense(16, name="first"), layers.Dense(3, name="second")]
    )
    quantised.quantize("int8")
    values, word = keras.Input((4,)), keras.Input((1,), dtype="string")
    sequence, state = keras.Input((6, 4)), keras.Input(batch_shape=(1, 6, 4))
    picture = keras.Input((8, 8, 3))
    return {
        "not_built": keras.Sequential([layers.Dense(4), layers.Dense(3)]),
        "no_layers": keras.Sequential([keras.Input((8,))]),
        "own_class": Mine([keras.Input((4,)), layers.Dense(2)]),
        "own_layer": keras.Model(values, Own()(values)),
        "code": keras.Model(values, layers.Lambda(lambda x: x * 2)(values)),
        "quantised": quantised,
        "half": keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype="mixed_float16")]),
        "double": keras.Sequential(
            [keras.Input((4,), dtype="float64"), layers.Dense(3, dtype="float64")],
        ),
        "words": keras.Model(word, layers.StringLookup(vocabulary=["a", "b"])(word)),
        "state": keras.Model(state, layers.LSTM(3, stateful=True, unroll=True)(state)),
        "loop": keras.Model(sequence, layers.Bidirectional(layers.GRU(3))(sequence)),
        "augmented": keras.Model(picture, layers.RandomFlip()(picture)),
    }


def answer(keras: Any, model: Any, path: Path) -> None:
    """Writes inputs by name, and what the model answers, with a batch of one."""
    rng = np.random.default_rng(1)
    inputs = getattr(model, "inputs", None) or []
    made = {one.name: rng.normal(size=(1, *one.shape[1:])).astype(np.float32) for one in inputs}
    if made:
        structure = getattr(model, "_functional", model).input
        found = model(keras.tree.pack_sequence_as(structure, list(made.values())))
    elif path.stem == "subclass":
        made = {"values": rng.normal(size=(1, 8)).astype(np.float32)}
        found = model(made["values"])
    else:
        # Exported, the arguments have other names: inputs are told apart by their widths.
        made = {
            "asecond": rng.normal(size=(1, 5)).astype(np.float32),
            "zfirst": rng.normal(size=(1, 4)).astype(np.float32),
        }
        found = model(dict(made))
    outputs = {f"out_{number}": np.array(one) for number, one in enumerate(keras.tree.flatten(found))}
    np.savez(path, **made, **outputs)


def keras_2(path: Path, layer: str, option: str, value: Any) -> None:
    """Makes an HDF5 file one that Keras 2.15 could have written: with an option that Keras 3 lacks."""
    import h5py

    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        (changed,) = [one for one in config["config"]["layers"] if one["class_name"] == layer]
        changed["config"][option] = value
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"


def main(folder: Path) -> None:
    """Writes all models, and the answers of those in :data:`KINDS`."""
    import keras

    keras.utils.set_random_seed(1)
    own = subclasses(keras)
    for name, model in {**models(keras), **own}.items():
        answer(keras, model, folder / f"{name}.npz")
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}.h5")
        if name == "sequential" or name in own:
            model.export(folder / f"{name}_saved", verbose=False)
    layers = keras.layers
    for name, first, option, value in (
        ("keras_2_groups", layers.DepthwiseConv2D(3), "groups", 1),
        ("keras_2_time_major", layers.LSTM(4, unroll=True), "time_major", False),
    ):
        shape = (4, 4, 3) if option == "groups" else (4, 3)
        between = [layers.Flatten()] if option == "groups" else []
        model = keras.Sequential([keras.Input(shape), first, *between, layers.Dense(3, name="scores")])
        answer(keras, model, folder / f"{name}.npz")
        model.save(folder / f"{name}.h5")
        keras_2(folder / f"{name}.h5", type(first).__name__, option, value)
    for name, model in refused(keras).items():
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}.h5")
        if name in {"words", "state", "loop", "augmented"}:
            model.export(folder / f"{name}_saved", verbose=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
