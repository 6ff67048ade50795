"""Every op with every combination of dtypes, in one program for each target, beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from litesmith import (
    analysis,
    build,
    generate,
    ops,
    profiles,
    reference,
    samples,
    selection,
    sources,
    toolchains,
    verify,
)
from litesmith.analysis import ModelAnalysis
from litesmith.op_models import WITHOUT_A_MODEL, all_cases
from litesmith.reference import Answer, Question
from litesmith.samples import Part, Sample
from litesmith.verify import Runner

REGISTRY = ops.load()
EVERY_OP = sorted(op.name for op in (*REGISTRY.builtins.values(), *REGISTRY.customs.values()))
DIFFERENT = {
    "BATCH_MATMUL_int8_adjoint": "newer kernels scale the accumulator otherwise: one step",
    "FULLY_CONNECTED_int16": "newer kernels scale the accumulator otherwise: one step",
    "FULLY_CONNECTED_int16_relu": "newer kernels scale the accumulator otherwise: one step",
    "TRANSPOSE_CONV_int16": "newer kernels scale the accumulator otherwise: one step",
    "SUM_int16_over_1": "2.14 sums int16 without rescaling",
    "SUM_int16_over_02": "2.14 sums int16 without rescaling",
    "SUM_int16_over_012": "2.14 sums int16 without rescaling",
}
"""Cases in which the newest interpreter, our reference, answers otherwise than 2.14.

``test_upstream_versions`` holds them to the interpreter of 2.14.0.
"""

DIFFERENT_ON_AARCH64 = {
    "DEPTHWISE_CONV_2D_uint8": "the 3x3 kernel in assembly, which aarch64 alone has: one step now and then",
}
"""Cases that aarch64 answers otherwise than x86, in upstream's own build as in ours."""

TARGETS = ("x86_64", "armv7", "aarch64")
WORKERS = 2


@dataclass(frozen=True)
class Prepared:
    """A case on disk, with its inputs and what the reference answers."""

    path: Path
    analysis: ModelAnalysis
    part: Part
    tried: Mapping[str, Sample]
    answers: Mapping[str, Answer]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Prepared]]:
    """All cases by op."""
    folder = tmp_path_factory.mktemp("ops")
    made = []
    for case in all_cases():
        path = case.write(folder)
        model = analysis.analyse(path)
        (part,) = samples.parts(model)
        made.append((case, path, model, part, samples.samples(model, path, part)))
    questions = [
        Question(
            model=path,
            sha256=model.sha256,
            entry=part.entry,
            samples={name: sample.inputs for name, sample in tried.items()},
        )
        for _, path, model, part, tried in made
    ]
    found: dict[str, list[Prepared]] = {}
    for (case, path, model, part, tried), answers in zip(made, reference.answers(questions), strict=True):
        one = Prepared(path=path, analysis=model, part=part, tried=tried, answers=answers)
        found.setdefault(case.op, []).append(one)
    return found


Program = Callable[[str], tuple[Path, Runner]]


@pytest.fixture(scope="module")
def program(prepared: dict[str, list[Prepared]]) -> Program:
    """The program of a target with all ops."""
    built: dict[str, tuple[Path, Runner]] = {}

    def make(target: str) -> tuple[Path, Runner]:
        if target not in built:
            profile, name = profiles.load(target).choose(None)
            toolchain, tree, runtime = toolchains.load(name), sources.source_tree(), REGISTRY.runtime
            models = [one.analysis for cases in prepared.values() for one in cases]
            chosen = selection.select(models, REGISTRY)
            with build.workshop(profile, toolchain, tree, runtime.defines) as builder:
                project = generate.generate("every_op", chosen, profile, toolchain, tree, runtime)
                binary = builder.build(project)
            runner = verify.find_runner(profile)
            assert isinstance(runner, Runner), runner
            built[target] = binary.program, runner
        return built[target]

    return make


def test_every_op_has_a_model_or_a_reason() -> None:
    cases = {case.op for case in all_cases()}
    assert cases | set(WITHOUT_A_MODEL) == set(EVERY_OP)
    assert not cases & set(WITHOUT_A_MODEL)
    assert len(WITHOUT_A_MODEL) <= 7


def check(program: Path, runner: Runner, case: Prepared, target: str) -> str:
    """What is wrong with the answers of one case; nothing when all is right."""
    names = [name for name in case.tried if not case.answers[name].error]
    if not names:
        return f"{case.path.stem}: the reference runs none of its inputs"
    # Inputs made for the op, where zeros and random numbers make no sense to it.
    chosen = [name for name in names if name.startswith("real")] or names
    # Under an emulator each start takes its time: one set of inputs.
    for name in chosen if target == "x86_64" else chosen[-1:]:
        sample = case.tried[name]
        worst = verify.verify_sample(
            program, runner, case.path, case.part, name, sample.inputs, case.answers[name].outputs
        )
        if worst is not None and worst.error > worst.tolerance:
            return f"{case.path.stem}, {name}: output {worst.output} off by {worst.error}"
    return ""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("op", EVERY_OP)
def test_answers(prepared: dict[str, list[Prepared]], program: Program, target: str, op: str) -> None:
    binary, runner = program(target)
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        results = pool.map(
            lambda case: check(binary, runner, case, target),
            [
                case
                for case in prepared[op]
                if case.path.stem not in DIFFERENT
                and not (target == "aarch64" and case.path.stem in DIFFERENT_ON_AARCH64)
            ],
        )
    wrong = [result for result in results if result]
    assert not wrong, "\n".join(wrong)


def test_all_dtypes_of_kernels_are_tried(prepared: dict[str, list[Prepared]]) -> None:
    """Not every op has every dtype, but the common ones have the common ones."""
    selected = selection.select([one.analysis for cases in prepared.values() for one in cases], REGISTRY)
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


def test_each_op_links_alone(prepared: dict[str, list[Prepared]]) -> None:
    """One program for each op: its sources in the registry are complete."""
    profile, name = profiles.load("x86_64").choose(None)
    toolchain, tree, runtime = toolchains.load(name), sources.source_tree(), REGISTRY.runtime
    chosen = selection.select([one.analysis for cases in prepared.values() for one in cases], REGISTRY)
    with build.workshop(profile, toolchain, tree, runtime.defines) as builder:
        project = generate.generate("every_op", chosen, profile, toolchain, tree, runtime)
        alone = builder.variants(project, {op: chosen.only(op) for op in EVERY_OP})
    sizes = {op: path.stat().st_size for op, path in alone.items()}
    assert set(sizes) == set(EVERY_OP)
    assert min(sizes.values()) > 100_000
    # Nothing but the op and what it needs: no program is near that with all ops.
    assert max(sizes.values()) < 1_000_000
