"""MACs and memory of a menu's converted models: ``python menus/measure.py MENU FOLDER``.

``FOLDER`` has ``VARIANT.ARITHMETIC.tflite`` files.  Prints the counted numbers next to those in the menu, and
the ``bytes`` and ``arena`` of each variant for its YAML file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from litesmith.model.contents import analyse
from litesmith.predict import work
from litesmith.predict.arena import prediction
from litesmith.predict.plan import menu
from litesmith.runtime import op_registry

MILLION = 1_000_000


def main(name: str, folder: Path) -> None:
    registry = op_registry.load()
    for variant, said in menu.load(name).variants.items():
        sizes, arenas = {}, {}
        for path in sorted(folder.glob(f"{variant}.*.tflite")):
            analysis = analyse(path)
            counted = work.count(analysis, registry)
            arithmetic = path.suffixes[-2].removeprefix(".")
            sizes[arithmetic] = analysis.size
            arenas[arithmetic] = prediction.predict(analysis, path.read_bytes()).bytes
        if not sizes:
            continue
        print(
            f"{variant}: million MACs {_beside(counted.macs / MILLION, said.million_macs)}, "
            f"million parameters {_beside(counted.parameters / MILLION, said.million_parameters)}"
        )
        print(f"    bytes: {{{_pairs(sizes)}}}, arena: {{{_pairs(arenas)}}}")


def _beside(counted: float, said: float) -> str:
    return f"{counted:.3f}, {100 * (counted / said - 1):+.1f} % of {said:g}"


def _pairs(values: dict[str, int]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in values.items())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
