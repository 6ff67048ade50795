"""Every op that XNNPACK supports: the delegated nodes, their outputs and their predicted memory.

On x86_64 and armv7; in the tier ``exhaustive`` on all targets.
"""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from litesmith.measure.verify import reference
from litesmith.measure.verify.comparison import error_of
from litesmith.measure.verify.executor import LocalExecutor, find_executor
from litesmith.measure.verify.tolerance import tolerance_of
from litesmith.model.tensors import Array, from_bytes
from litesmith.predict.arena import prediction
from litesmith.predict.xnnpack import delegation
from litesmith.predict.xnnpack.delegation import Delegation
from litesmith.predict.xnnpack.packed_weights import packed_weights
from litesmith.predict.xnnpack.workspace import workspace_bytes
from litesmith.target import profiles
from tests.integration.op_cases import REGISTRY, Prepared, build_binary, prepare

DELEGATED = 251
ONE_STEP = {"int8", "uint8"}
TARGETS = (
    *("x86_64", "armv7"),
    *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("aarch64", "riscv64", "armv6")),
)


@dataclass(frozen=True)
class RunResult:
    """The report and the outputs of a program."""

    report: Any
    outputs: tuple[bytes, ...]


@pytest.fixture(scope="module")
def delegated(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Prepared, Delegation]]:
    cases = prepare(tmp_path_factory.mktemp("ops"))
    found = [(c, delegation.prepare(c.analysis, c.path.read_bytes(), REGISTRY)) for c in cases]
    return [(case, one) for case, one in found if any(part.nodes for part in one.subgraphs)]


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def results(target: str, delegated: list[tuple[Prepared, Delegation]]) -> dict[str, dict[str, RunResult]]:
    """The reports and outputs, by case and sample."""
    program = build_binary(target, [case for case, _ in delegated], pruned=True, kernels="xnnpack").program
    executor = find_executor(profiles.load(target))

    def run_all(case: Prepared) -> dict[str, RunResult]:
        return {name: _run(executor, program, case, name) for name in case.inputs_to_try(target)}

    with ThreadPoolExecutor(max_workers=2) as pool:
        answers = pool.map(run_all, (case for case, _ in delegated))
        return {case.path.stem: answer for (case, _), answer in zip(delegated, answers, strict=True)}


def _run(executor: LocalExecutor, program: Path, case: Prepared, name: str) -> RunResult:
    sample = case.tried[name]
    arguments = ["--model", str(case.path), *case.part.of_size(sample.inputs).arguments(), "--json"]
    with tempfile.TemporaryDirectory() as scratch:
        done = executor.run(str(program), arguments, sample.inputs, Path(scratch))
        assert done.code == 0, f"{case.path.stem}, {name}: {done.stderr}"
        paths = sorted(Path(scratch).glob("out*.bin"), key=lambda path: int(path.stem[3:]))
        return RunResult(report=json.loads(done.stdout), outputs=tuple(path.read_bytes() for path in paths))


def _error_of_wheel(case: Prepared, name: str, position: int, actual: Array) -> float:
    """The distance from the wheel with XNNPACK, which also quantises floats where weights are integers."""
    wheel = reference.interpreter(case.path, delegates=True)
    outputs = reference.run(wheel, case.part.entry, case.tried[name].inputs)
    return error_of(outputs[position], actual)


def test_the_cases_have_every_op(delegated: list[tuple[Prepared, Delegation]]) -> None:
    assert len(delegated) == DELEGATED


def test_delegated_nodes_match_the_prediction(
    delegated: list[tuple[Prepared, Delegation]], results: dict[str, dict[str, RunResult]]
) -> None:
    for case, found in delegated:
        expected = [list(part.nodes) for part in found.subgraphs]
        for name, answer in results[case.path.stem].items():
            assert answer.report["delegated_nodes"] == expected, (case.path.stem, name)


def test_answers_are_right(
    delegated: list[tuple[Prepared, Delegation]], results: dict[str, dict[str, RunResult]]
) -> None:
    wrong = []
    for case, _ in delegated:
        for name, answer in results[case.path.stem].items():
            for position, expected in enumerate(case.answers[name].outputs):
                actual = from_bytes(answer.outputs[position], expected.dtype, expected.shape)
                assert actual is not None, (case.path.stem, name)
                error = error_of(expected, actual)
                # XNNPACK rounds once, in float32, where the built-in kernels round twice.
                accepted = 1 if expected.dtype.name in ONE_STEP else tolerance_of(expected).value
                if error > accepted and _error_of_wheel(case, name, position, actual) > accepted:
                    wrong.append((case.path.stem, name, error))
    assert wrong == []


def test_memory_matches_the_prediction(
    target: str, delegated: list[tuple[Prepared, Delegation]], results: dict[str, dict[str, RunResult]]
) -> None:
    profile = profiles.load(target)
    for case, found in delegated:
        answers = {name: one for name, one in results[case.path.stem].items() if name != "real"}
        for name, answer in answers.items():
            if case.part.of_size(case.tried[name].inputs).shapes:
                continue
            content = case.path.read_bytes()
            placed = prediction.predict(case.analysis, content, registry=REGISTRY, delegated=found.plans)
            assert answer.report["arena_bytes"] == placed.bytes, case.path.stem
            nodes = [
                graph.nodes[index]
                for graph, part in zip(found.graphs, found.subgraphs, strict=True)
                for index in part.nodes
                if index not in part.unpacked
            ]
            predicted = {
                packed_weights(nodes, profile.architecture, level) for level in profile.instruction_sets
            }
            assert answer.report["packed_weights_bytes"] in predicted, case.path.stem
            between = {
                workspace_bytes(found, profile.architecture, [level]) for level in profile.instruction_sets
            }
            assert answer.report["workspace_bytes"] in between, case.path.stem
