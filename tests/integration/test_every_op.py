"""Every op with every combination of dtypes, in one program, compared with the reference.

The tier ``exhaustive`` does this on four targets, the tier ``full`` on x86_64.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from litesmith.build.builder import workshop
from litesmith.build.project import Project, ProjectOptions
from litesmith.measure.verify.executor import LocalExecutor
from litesmith.runtime import selection, source_tree
from litesmith.study.op_models import WITHOUT_A_MODEL, all_cases
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from tests.integration.op_cases import REGISTRY, Prepared, build_program, check, is_different, prepare

EVERY_OP = sorted(op.name for op in (*REGISTRY.builtins.values(), *REGISTRY.customs.values()))
TARGETS = (
    "x86_64",
    *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ("armv7", "aarch64", "riscv64")),
)
WORKERS = 2


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> list[Prepared]:
    return prepare(tmp_path_factory.mktemp("ops"))


@pytest.fixture(scope="module")
def program(prepared: list[Prepared]) -> Callable[[str], tuple[Path, LocalExecutor]]:
    """The stock program with all ops, by target."""
    return functools.cache(lambda target: build_program(target, prepared, pruned=False))


def test_every_op_has_a_model_or_a_reason() -> None:
    cases = {case.op for case in all_cases()}
    assert cases | set(WITHOUT_A_MODEL) == set(EVERY_OP)
    assert not cases & set(WITHOUT_A_MODEL)
    assert len(WITHOUT_A_MODEL) <= 7


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("op", EVERY_OP)
def test_answers(
    prepared: list[Prepared], program: Callable[[str], tuple[Path, LocalExecutor]], op: str, target: str
) -> None:
    cases = [case for case in prepared if case.op == op and not is_different(case, target)]
    built = program(target)
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        results = pool.map(lambda case: check(*built, case, target), cases)
    wrong = [result for result in results if result]
    assert not wrong, "\n".join(wrong)


def test_all_dtypes_of_kernels_are_tried(prepared: list[Prepared]) -> None:
    """Not every op supports every dtype, but common ops support common dtypes."""
    selected = selection.select([one.analysis for one in prepared], REGISTRY)
    dtypes = {op.name: set(op.dtypes) for op in selected.ops}
    common = {"float32", "int8", "uint8", "int16"}
    for name in (
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "ADD",
        "MUL",
        "SOFTMAX",
        "CONCATENATION",
        "MEAN",
    ):
        assert common <= dtypes[name], name
    assert {"int64", "int32", "bool", "string"} <= dtypes["GATHER"]


def test_each_op_links_alone(prepared: list[Prepared]) -> None:
    """One program per op proves that its sources in the registry are complete."""
    profile, name = profiles.load("x86_64").choose(None)
    toolchain, tree, runtime = load_toolchain(name), source_tree.source_tree(), REGISTRY.runtime
    chosen = selection.select([one.analysis for one in prepared], REGISTRY)
    with workshop(profile, toolchain, tree) as builder:
        project = Project.of(
            chosen, ProjectOptions(name="ops", pruned=False), profile=profile, tree=tree, runtime=runtime
        )
        alone = builder.variants({op: project.reduced(chosen.only(op)) for op in EVERY_OP})
    sizes = {op: path.stat().st_size for op, path in alone.items()}
    assert set(sizes) == set(EVERY_OP)
    assert min(sizes.values()) > 100_000
    # Only the op and its dependencies: no program is close to the size with all ops.
    assert max(sizes.values()) < 1_000_000
