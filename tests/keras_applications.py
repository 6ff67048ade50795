"""Makes one architecture of ``keras.applications``: ``python keras_applications.py FOLDER NAME``.

It runs under the interpreter that has TensorFlow.  Weights are random, as published ones would have to be
downloaded; batch normalisation has the statistics of random pictures, without which the outputs of a deep
network of random weights are all the same.  ``NAME.npz`` has pictures to calibrate with.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CALIBRATION = 16


@dataclass(frozen=True)
class Architecture:
    """An architecture in a size that an emulator runs in seconds.

    ``side`` is that of the square pictures, in pixels, and no smaller than the architecture allows;
    ``scaled`` says that the model itself scales pixels of 0 to 255.
    """

    side: int
    options: dict[str, Any] = field(default_factory=dict)
    scaled: bool = False


ARCHITECTURES = {
    "MobileNet": Architecture(96, {"alpha": 0.25}),
    "MobileNetV2": Architecture(96, {"alpha": 0.35}),
    "MobileNetV3Small": Architecture(96, scaled=True),
    "EfficientNetB0": Architecture(64, scaled=True),
    "ConvNeXtTiny": Architecture(32, scaled=True),
    "InceptionV3": Architecture(75),
    "Xception": Architecture(71),
    "ResNet50V2": Architecture(32),
    "DenseNet121": Architecture(32),
    "NASNetMobile": Architecture(32),
}
"""In ``keras.applications``, with their smallest widths where they have a choice of widths."""


def pictures(architecture: Architecture, count: int, seed: int) -> Any:
    """Smooth random pictures: noise of an eighth of the resolution, enlarged."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 1, (count, architecture.side // 8 + 1, architecture.side // 8 + 1, 3))
    fine = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, : architecture.side, : architecture.side]
    values = np.clip(fine + rng.normal(0, 0.1, fine.shape), -1, 1)
    return ((values + 1) * 127.5 if architecture.scaled else values).astype(np.float32)


def network(name: str) -> Any:
    """The network with ten classes."""
    import keras

    architecture = ARCHITECTURES[name]
    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(
        input_shape=(architecture.side, architecture.side, 3),
        weights=None,
        classes=10,
        **architecture.options,
    )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # one batch sets the statistics
        elif type(layer).__name__ == "LayerScale":
            # Training begins with 1e-6, where the layers before have no effect.
            layer.gamma.assign(np.full(layer.gamma.shape, 0.5))
    model(pictures(architecture, 32, seed=2), training=True)
    return model


def main(folder: Path, name: str) -> None:
    """Writes the model and its pictures."""
    network(name).save(folder / f"{name}.keras")
    np.savez(folder / f"{name}.npz", pictures=pictures(ARCHITECTURES[name], CALIBRATION, seed=3))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
