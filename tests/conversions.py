"""Input files for the tests of ``convert``."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np


def keras_archive(folder: Path) -> Path:
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    return path


def npz(folder: Path, name: str = "d.npz", **arrays: Any) -> Path:
    np.savez(folder / name, **arrays)
    return folder / name
