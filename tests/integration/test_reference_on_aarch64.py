"""Where outputs on aarch64 differ: upstream's own build for aarch64 gives the same outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from litesmith.base import paths
from litesmith.measure.verify.comparison import error_of
from litesmith.measure.verify.executor import LocalExecutor
from litesmith.model import samples
from litesmith.model.model_file import open_model
from litesmith.model.tensors import Array
from litesmith.study.bench import aarch64_wheel
from litesmith.study.bench.aarch64_wheel import CORTEX_A53, CPUS, Aarch64Wheel
from tests.integration.conftest import require_or_skip
from tests.integration.op_cases import DIFFERENT_ON_AARCH64, Prepared, build_program, compared, prepare


@pytest.fixture(scope="module")
def upstream_aarch64() -> Aarch64Wheel:
    """The reference's build for aarch64, under the emulator; installed once."""
    require_or_skip(aarch64_wheel.missing() or "")
    return aarch64_wheel.install()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    return {one.path.stem: one for one in prepare(tmp_path_factory.mktemp("ops"))}


@pytest.mark.parametrize("name", sorted(DIFFERENT_ON_AARCH64))
def test_upstreams_own_aarch64_build_differs_in_the_same_way(
    prepared: dict[str, Prepared],
    upstream_aarch64: Aarch64Wheel,
    name: str,
) -> None:
    found = prepared[name]
    binary, executor = build_program("aarch64", [found], pruned=True)
    differences = []
    for sample in ("random 0", "random 1", "random 2"):
        inputs = found.tried[sample].inputs
        expected = upstream_aarch64.outputs(found.path, inputs)
        assert errors(binary, executor, found, sample, expected) == {0}
        newest = found.answers[sample].outputs
        differences.append(max(error_of(a, b) for a, b in zip(expected, newest, strict=True)))
    assert max(differences) == 1


def errors(
    program: Path, executor: LocalExecutor, found: Prepared, sample: str, expected: Sequence[Array]
) -> set[float]:
    """The errors of the program's outputs, compared with the expected ones."""
    return {one.error for one in compared(program, executor, found, sample, expected)}


def test_instructions_of_the_wheel_are_counted(upstream_aarch64: Aarch64Wheel) -> None:
    model = open_model(str(paths.data_folder("examples") / "gesture.tflite"))
    _, _, sample = samples.for_measuring(model.analysis, model.path)
    found = {
        cpu.name: [upstream_aarch64.instructions(model.path, sample.inputs, cpu) for _ in range(2)]
        for cpu in (CORTEX_A53, CPUS[1])
    }
    # The emulator executes the same instructions each time; with dot product they are fewer.
    assert all(first == second > 0 for first, second in found.values())
    assert found["neoverse-n1"] < found["cortex-a53"]
