"""The example detector: builds it, runs it under the emulator on a drawn scene, and draws the boxes."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from litesmith.base import packages, paths
from litesmith.base.errors import ToolError, VerificationError
from litesmith.build.request import STRICT, Request
from litesmith.measure.verify.executor import find_executor
from litesmith.workflow import build_and_verify

_SCALE = 5
_THRESHOLD = 0.5
_COLOURS = ("#00b3ff", "#ff9d00", "#35d07f")


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The detected objects, and the picture."""

    picture: Path
    found: tuple[tuple[str, float], ...]
    ran_with: str

    def line(self) -> str:
        """The result in one line."""
        names = ", ".join(f"{name} {score:.2f}" for name, score in self.found)
        return f"{self.picture}: {names or 'nothing found'} (ran with {self.ran_with})"


def drawing() -> ModuleType:
    """The module ``examples/drawing.py``, which drew the training data of the example models."""
    path = paths.data_folder("examples") / "drawing.py"
    spec = importlib.util.spec_from_file_location("litesmith_drawing", path)
    if spec is None or spec.loader is None:
        raise ToolError(f"{path} cannot be loaded", "install litesmith again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(target: str, out: str, seed: int, verify: str = STRICT) -> Demo:
    """Builds ``examples/det.tflite`` for ``target``, runs it on a drawn scene, and writes a PNG file.

    ``verify`` is that of a build's request.

    Raises:
        NoExecutorError: the emulator is not installed.
        VerificationError: the program failed.
    """
    packages.require("demo")
    from PIL import Image, ImageDraw

    model = paths.data_folder("examples") / "det.tflite"
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        built = build_and_verify.build(
            Request(target=target, models=(str(model),), out=str(Path(scratch) / "build"), verify=verify)
        )
        executor = find_executor(built.profile, sysroot=built.sysroot)
        shapes = drawing()
        scene = shapes.scene(np.random.default_rng(seed))
        pixels = np.round(scene.image * 255 - 128).astype(np.int8)[None]
        folder = Path(scratch) / "run"
        folder.mkdir()
        done = executor.run(str(built.program), ["--model", str(model)], [pixels], folder)
        if done.code != 0:
            raise VerificationError(f"the program failed: {done.stderr.strip()}")
        boxes, classes, scores = (np.fromfile(folder / f"out{i}.bin", np.float32) for i in range(3))
    size = scene.image.shape[0] * _SCALE
    image = Image.fromarray(np.round(scene.image * 255).astype(np.uint8)).resize(
        (size, size), Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(image)
    found = []
    for (top, left, bottom, right), kind, score in zip(boxes.reshape(-1, 4), classes, scores, strict=True):
        if score < _THRESHOLD:
            continue
        name, colour = shapes.SHAPE_NAMES[int(kind)], _COLOURS[int(kind)]
        draw.rectangle([left * size, top * size, right * size, bottom * size], outline=colour, width=4)
        label = f"{name} {score:.2f}"
        corner = (left * size, max(top * size - 16, 0))
        draw.rectangle(draw.textbbox(corner, label), fill="black")
        draw.text(corner, label, fill=colour)
        found.append((name, float(score)))
    picture = Path(out)
    picture.parent.mkdir(parents=True, exist_ok=True)
    aside = picture.with_name(f".{picture.name}.part")
    image.save(aside, format="PNG")
    aside.rename(picture)
    return Demo(picture=picture, found=tuple(found), ran_with=executor.description)
