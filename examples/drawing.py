"""Draws the synthetic data that the example models are trained and tested on.

It needs NumPy only, so that the demo and the tests can draw the same data without TensorFlow.  All functions
take a ``numpy.random.Generator`` and are deterministic for a given seed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHAPE_NAMES = ("disc", "square", "triangle")
"""Class names of the detector, in the order of its class indices."""

WORD_NAMES = ("rise", "fall", "steady", "trill", "burst", "chord", "silence", "noise")
"""Class names of the keyword spotter, in the order of its outputs."""

GESTURE_NAMES = ("still", "shake", "circle", "swipe", "tap", "tilt")
"""Class names of the gesture classifier, in the order of its outputs."""

# Seven-segment glyphs: which of the segments a to g are lit for the digits 0 to 9.
_SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")
_SEGMENT_LINES = {
    "a": ((0, 0), (0, 1)),
    "b": ((0, 1), (1, 1)),
    "c": ((1, 1), (2, 1)),
    "d": ((2, 0), (2, 1)),
    "e": ((1, 0), (2, 0)),
    "f": ((0, 0), (1, 0)),
    "g": ((1, 0), (1, 1)),
}


class Scene(NamedTuple):
    """A drawn scene.

    ``image`` is (size, size, 3) float32 in [0, 1]; ``boxes`` is (n, 4) float32, each
    ymin, xmin, ymax, xmax as fractions of the image; ``classes`` is (n,) int64.
    """

    image: NDArray[np.float32]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]


def scene(rng: np.random.Generator, size: int = 96, most: int = 3) -> Scene:
    """Draws one to ``most`` shapes, with hardly any overlap, on an uneven and noisy background."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    tint = rng.uniform(0.1, 0.9, 3)
    slope = rng.uniform(-0.25, 0.25, (2, 3))
    image = tint + rows[..., None] * slope[0] + columns[..., None] * slope[1]
    boxes: list[tuple[float, float, float, float]] = []
    classes: list[int] = []
    for _ in range(int(rng.integers(1, most + 1))):
        for _attempt in range(20):
            extent = rng.uniform(0.16, 0.42)
            top, left = rng.uniform(0.02, 0.98 - extent, 2)
            box = (top, left, top + extent, left + extent)
            if all(_overlap(box, other) < 0.02 for other in boxes):
                break
        else:
            continue
        kind = int(rng.integers(len(SHAPE_NAMES)))
        mask = _shape_mask(kind, box, rows, columns)
        colour = rng.uniform(0.0, 1.0, 3)
        while np.abs(colour - tint).max() < 0.35:
            colour = rng.uniform(0.0, 1.0, 3)
        image = np.where(mask[..., None], colour, image)
        boxes.append(box)
        classes.append(kind)
    image = image + rng.normal(0.0, 0.03, image.shape)
    return Scene(
        np.clip(image, 0.0, 1.0).astype(np.float32),
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(classes, np.int64),
    )


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    if height <= 0 or width <= 0:
        return 0.0
    shared = height * width
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _shape_mask(
    kind: int,
    box: tuple[float, float, float, float],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
) -> NDArray[np.bool_]:
    top, left, bottom, right = box
    y = (rows - top) / (bottom - top)
    x = (columns - left) / (right - left)
    inside = (y >= 0) & (y < 1) & (x >= 0) & (x < 1)
    if SHAPE_NAMES[kind] == "disc":
        return inside & ((y - 0.5) ** 2 + (x - 0.5) ** 2 <= 0.25)
    if SHAPE_NAMES[kind] == "square":
        return inside
    return inside & (np.abs(x - 0.5) <= y / 2)


def digit(rng: np.random.Generator, value: int, size: int = 28) -> NDArray[np.float32]:
    """Draws a seven-segment digit, (size, size, 1) in [0, 1]: shifted, sheared, blurred and noisy."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float64)
    height, width = rng.uniform(0.28, 0.36) * size, rng.uniform(0.30, 0.45) * size
    top = rng.uniform(0.08, 0.92) * (size - 2 * height)
    left = rng.uniform(0.2, 0.8) * (size - width)
    shear = rng.uniform(-0.25, 0.25)
    stroke = rng.uniform(0.7, 1.4)
    image = np.zeros((size, size))
    for segment in _SEGMENTS[value]:
        (r0, c0), (r1, c1) = _SEGMENT_LINES[segment]
        start = np.array([top + r0 * height, left + c0 * width - shear * (r0 - 1) * height])
        end = np.array([top + r1 * height, left + c1 * width - shear * (r1 - 1) * height])
        direction = end - start
        along = ((y - start[0]) * direction[0] + (x - start[1]) * direction[1]) / (direction @ direction)
        along = np.clip(along, 0, 1)
        distance = np.hypot(y - start[0] - along * direction[0], x - start[1] - along * direction[1])
        image = np.maximum(image, np.clip(stroke + 0.5 - distance, 0, 1))
    image = image * rng.uniform(0.6, 1.0) + rng.normal(0, 0.08, image.shape)
    return np.clip(image, 0, 1).astype(np.float32)[..., None]


def word(rng: np.random.Generator, kind: int, frames: int = 49, bands: int = 32) -> NDArray[np.float32]:
    """Draws one second of logarithmic band energies, (frames, bands, 1): a tone pattern in noise."""
    time = np.arange(frames)[:, None] / frames
    band = np.arange(bands)[None, :]
    energy = np.zeros((frames, bands))
    start, stop = rng.uniform(0.05, 0.2), rng.uniform(0.75, 0.95)
    active = ((time >= start) & (time <= stop)).astype(np.float64)
    low = rng.uniform(4, 10)
    span = rng.uniform(10, 16)
    progress = np.clip((time - start) / (stop - start), 0, 1)
    name = WORD_NAMES[kind]
    centres: list[NDArray[np.float64]] = []
    if name == "rise":
        centres = [low + span * progress]
    elif name == "fall":
        centres = [low + span * (1 - progress)]
    elif name == "steady":
        centres = [np.full_like(progress, low + span / 2)]
    elif name == "trill":
        centres = [low + span / 2 + 4 * np.sin(2 * np.pi * progress * rng.uniform(5, 7))]
    elif name == "chord":
        centres = [np.full_like(progress, low), np.full_like(progress, low + span)]
    elif name == "burst":
        pulses = (np.sin(2 * np.pi * progress * rng.uniform(3, 5)) > 0.3).astype(np.float64)
        energy += active * pulses * np.exp(-((band - bands / 2) ** 2) / 200)
    elif name == "noise":
        energy += rng.uniform(0.3, 1.0, energy.shape) * active
    for centre in centres:
        energy += active * np.exp(-((band - centre) ** 2) / rng.uniform(2, 5))
    energy = energy * rng.uniform(0.7, 1.3) + np.abs(rng.normal(0, 0.08, energy.shape))
    return np.log(energy + 0.05).astype(np.float32)[..., None]


def gesture(rng: np.random.Generator, kind: int, steps: int = 64) -> NDArray[np.float32]:
    """Draws an accelerometer trace, (steps, 3) in g: gravity, one gesture, noise."""
    time = np.linspace(0, 1, steps)
    trace = np.zeros((steps, 3))
    trace[:, 2] = 1.0
    strength = rng.uniform(0.7, 1.5)
    phase = rng.uniform(0, 2 * np.pi)
    name = GESTURE_NAMES[kind]
    if name == "shake":
        trace[:, 0] += strength * np.sin(2 * np.pi * rng.uniform(6, 9) * time + phase)
    elif name == "circle":
        turns = rng.uniform(1.5, 2.5)
        trace[:, 0] += strength * np.cos(2 * np.pi * turns * time + phase)
        trace[:, 1] += strength * np.sin(2 * np.pi * turns * time + phase)
    elif name == "swipe":
        middle = rng.uniform(0.35, 0.65)
        offset = (time - middle) / 0.1
        trace[:, 0] += 2 * strength * -offset * np.exp(-(offset**2))
    elif name == "tap":
        trace[:, 2] += 3 * strength * np.exp(-(((time - rng.uniform(0.2, 0.8)) / 0.02) ** 2))
    elif name == "tilt":
        angle = rng.uniform(0.8, 1.4) / (1 + np.exp(-(time - rng.uniform(0.35, 0.65)) / 0.06))
        trace[:, 1] += np.sin(angle)
        trace[:, 2] = np.cos(angle)
    return (trace + rng.normal(0, 0.04, trace.shape)).astype(np.float32)
