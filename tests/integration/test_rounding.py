"""The same rounding on all targets: the project's portable arithmetic matches ruy's x86 kernels."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from litesmith.base import paths
from litesmith.runtime import source_tree
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain

pytestmark = pytest.mark.build

PROGRAM = """
#include <cstdio>
#include "ruy/apply_multiplier.h"
int main() {
  int x, multiplier, shift;
  while (scanf("%d %d %d", &x, &multiplier, &shift) == 3)
    printf("%d\\n", ruy::detail::MultiplyByQuantizedMultiplier(x, multiplier, shift));
}
"""


def x86(x: int, multiplier: int, shift: int) -> int:
    """kernel_avx512.cc: rounds half up after the multiplication and again after the shift."""
    left, right = max(shift, 0), max(-shift, 0)
    high = ((x << left) * multiplier + (1 << 30)) >> 31
    return (high + ((1 << right) >> 1)) >> right


def once(x: int, multiplier: int, shift: int) -> int:
    """apply_multiplier.cc of upstream: a single rounding."""
    total = 31 - shift
    return (x * multiplier + (1 << (total - 1))) >> total


def test_portable_rounding_matches_the_x86_kernels(tmp_path: Path) -> None:
    profile, tree = profiles.load("x86_64"), source_tree.source_tree()
    toolchain = load_toolchain("zig")
    toolchain.prepare(profile)
    flags = toolchain.compile_flags(profile)
    include = [f"-I{folder}" for folder in tree.include_folders()]
    (tmp_path / "main.cc").write_text(PROGRAM)
    own = paths.data_folder("templates") / "runtime" / "apply_multiplier.cc"
    objects = []
    for source in (tmp_path / "main.cc", own):
        objects.append(tmp_path / f"{source.name}.o")
        toolchain.compile(
            profile, str(source), [*flags.for_language("x.cc"), *include], objects[-1], tree.root
        )
    toolchain.link(profile, objects, tmp_path / "program", strip=True)

    rng = random.Random(1)
    cases = [(5101, 1158477720, -7)]
    for _ in range(20000):
        shift = rng.randint(-20, 5)
        x = rng.randint(-(2**24), 2**24)
        cases.append((x, rng.randint(2**30, 2**31 - 1), shift))
    given = "\n".join(" ".join(map(str, case)) for case in cases)
    done = subprocess.run(
        [str(tmp_path / "program")], input=given, capture_output=True, text=True, check=True
    )
    assert [int(line) for line in done.stdout.split()] == [x86(*case) for case in cases]
    # An accumulator of examples/words.tflite that upstream's Arm kernels round differently.
    assert (x86(*cases[0]), once(*cases[0])) == (22, 21)
