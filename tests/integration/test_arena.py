"""The predicted arena compared with what built programs report."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from litesmith.base import process
from litesmith.build.builder import workshop
from litesmith.build.project import Project, ProjectOptions
from litesmith.measure.verify.executor import LocalExecutor
from litesmith.model import contents, model_file
from litesmith.model.entry_points import Choice
from litesmith.model.tensors import to_bytes
from litesmith.predict.arena import prediction
from litesmith.predict.arena.prediction import ArenaPlan
from litesmith.runtime import selection, source_tree
from litesmith.study.op_models import all_cases
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from tests import stablehlo_models
from tests.conftest import EXAMPLES, ROOT
from tests.integration.arena_models import rare
from tests.integration.conftest import Build
from tests.integration.op_cases import REGISTRY, Prepared, build_program, prepare
from tests.integration.random_graphs import random_graph, random_graphs

WORKERS = 2
CONVERTED = ROOT / "tests" / "data" / "converted"


@dataclass(frozen=True)
class Model:
    """A model on disk and its predicted arena."""

    name: str
    path: Path
    plan: ArenaPlan


@pytest.mark.parametrize("target", ["x86_64", "armv7"])
@pytest.mark.parametrize(
    "name", ["zoo:vww", "zoo:kws", "zoo:ic", "zoo:ad", "det", "digits", "words", "gesture"]
)
def test_examples_and_zoo(build: Build, target: str, name: str) -> None:
    model = model_file.open_model(name if name.startswith("zoo:") else str(EXAMPLES / f"{name}.tflite"))
    plan = prediction.predict(model.analysis, model.path.read_bytes(), registry=REGISTRY)
    done = build(target, name if name.startswith("zoo:") else model.path).run("--model", model.path, "--json")
    assert done.returncode == 0, done.stderr
    assert plan.bytes == json.loads(done.stdout)["arena_bytes"]
    assert plan.exact


@pytest.mark.parametrize("name", ["dense_float16", "dense_int16", "dense_int8", "lstm"])
def test_converted_models(build: Build, name: str) -> None:
    path = CONVERTED / f"{name}.tflite"
    plan = prediction.predict(contents.analyse(path), path.read_bytes(), registry=REGISTRY)
    done = build("x86_64", path).run("--model", path, "--json")
    assert done.returncode == 0, done.stderr
    assert plan.bytes == json.loads(done.stdout)["arena_bytes"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> list[Prepared]:
    return prepare(tmp_path_factory.mktemp("ops"))


def _reported(program: Path, executor: LocalExecutor, case: Prepared, folder: Path) -> int:
    (name, *_) = case.inputs_to_try("armv7")
    argv = [*executor.argv, str(program), "--model", str(case.path), "--json", *case.part.arguments()]
    for position, value in enumerate(case.tried[name].inputs):
        path = folder / f"{case.path.stem}.{position}"
        path.write_bytes(to_bytes(value))
        argv += ["--input", str(path)]
    return _arena_of(argv)


def _arena_of(argv: list[str]) -> int:
    done = process.run(argv, timeout=120)
    assert done.code == 0, f"{argv}: {done.stderr}"
    return int(json.loads(done.stdout)["arena_bytes"])


def test_every_op(prepared: list[Prepared], tmp_path: Path) -> None:
    program, executor = build_program("x86_64", prepared, pruned=False)
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        reported = pool.map(lambda case: _reported(program, executor, case, tmp_path), prepared)
    wrong = []
    for case, found in zip(prepared, reported, strict=True):
        plan = prediction.predict(case.analysis, case.path.read_bytes(), registry=REGISTRY)
        if (plan.bytes, plan.exact) != (found, True):
            wrong.append(f"{case.path.stem}: predicted {plan.bytes}, {plan.unknown}, reported {found}")
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    folder = tmp_path_factory.mktemp("made")
    found = []
    named = {**rare(), **stablehlo_models.models()}
    for number, (name, graph) in enumerate([*named.items(), *random_graphs()]):
        content = graph.content()
        path = folder / f"{number}.tflite"
        path.write_bytes(content)
        plan = prediction.predict(contents.analyse(path), content, registry=REGISTRY)
        found.append(Model(name=name, path=path, plan=plan))
    return found


@pytest.fixture(scope="module")
def program(made: list[Model]) -> list[str]:
    """One program for all models."""
    profile, name = profiles.load("x86_64").choose(None)
    toolchain, tree, runtime = load_toolchain(name), source_tree.source_tree(), REGISTRY.runtime
    analyses = [contents.analyse(one.path) for one in made]
    cases = [contents.analyse_bytes(case.content, case.name) for case in all_cases()]
    chosen = selection.select([*analyses, *cases], REGISTRY)
    with workshop(profile, toolchain, tree) as builder:
        project = Project.of(
            chosen, ProjectOptions(name="made", pruned=False), profile=profile, tree=tree, runtime=runtime
        )
        return [str(builder.build(project).program)]


def test_rare_paths_and_random_graphs(made: list[Model], program: list[str]) -> None:
    wrong, doubtful = [], {}
    for one in made:
        found = _arena_of([*program, "--model", str(one.path), "--json"])
        if not one.plan.exact:
            doubtful[one.name] = (one.plan.at_most, one.plan.bytes >= found)
        elif one.plan.bytes != found:
            wrong.append(f"{one.name}: predicted {one.plan.bytes}, reported {found}")
    assert not wrong, "\n".join(wrong)
    assert doubtful == {"growing loop": (False, False), "branch in a loop": (True, True)}


def test_inputs_of_other_sizes(program: list[str], tmp_path: Path) -> None:
    tried = 0
    for seed in range(100, 180):
        content = random_graph(seed, 10).content()
        path = tmp_path / f"{seed}.tflite"
        path.write_bytes(content)
        model = contents.analyse(path)
        tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
        shape = (tensor.shape[0] + 1, *tensor.shape[1:])
        argv = [*program, "--model", str(path), "--json", "--input-shape"]
        done = process.run([*argv, f"{tensor.name}={'x'.join(map(str, shape))}"], timeout=60)
        if done.code != 0:
            continue  # the graph's constants no longer fit
        plan = prediction.predict(model, content, Choice(shapes={tensor.name: shape}), registry=REGISTRY)
        assert plan.exact
        assert plan.bytes == json.loads(done.stdout)["arena_bytes"], seed
        tried += 1
    assert tried > 10
