"""What kernels cannot do is refused before anything is built, and nothing else.

The models have one op each, with one property changed.  ``reference`` says what the reference wheel does
with a model that is refused: it raises an error (which the test checks), it aborts, its numbers are wrong
because its kernel reads one dtype as another, or its kernels are newer: they broadcast any rank.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from litesmith.base.errors import UnsupportedModelError
from litesmith.model import contents
from litesmith.model.analysis import ModelAnalysis
from litesmith.runtime import op_registry, selection
from litesmith.runtime.kernel_limits import LIMITS
from litesmith.runtime.op_registry import Problem, Registry
from litesmith.study.op_models import all_cases
from litesmith.study.op_models.writer import Graph
from tests.conftest import Cli
from tests.kernel_models import FIVE, RUNS, dense, pair, per_channel
from tests.refused_models import RAISES, REFUSED, Refused


def problems_of(g: Graph, registry: Registry) -> tuple[Problem, ...]:
    return registry.problems(analysis_of(g))


def analysis_of(g: Graph) -> ModelAnalysis:
    return contents.analyse_bytes(g.content(), "m.tflite")


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused(case: Refused, registry: Registry) -> None:
    graph = case.make()
    (problem,) = problems_of(graph, registry)
    assert problem.kind == "kernel"
    assert problem.message.startswith("node 0 of subgraph 0, ")
    assert case.says in problem.message
    assert problem.next_step
    if case.reference == RAISES:
        with pytest.raises(RuntimeError):
            run_in_the_reference(graph.content())


def run_in_the_reference(content: bytes) -> None:
    kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kind, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.ones(detail["shape"], detail["dtype"]))
    interpreter.invoke()


@pytest.mark.parametrize("make", [make for _, make in RUNS], ids=[name for name, _ in RUNS])
def test_not_refused(make: Callable[[], Graph], registry: Registry) -> None:
    graph = make()
    assert problems_of(graph, registry) == ()
    run_in_the_reference(graph.content())


def test_no_op_model_is_refused(registry: Registry) -> None:
    # The kernels have code for all of them: the tests of programs run them and compare the answers.
    refused = [
        (case.name, problem.message)
        for case in all_cases()
        for problem in registry.problems(contents.analyse_bytes(case.content, case.name))
    ]
    assert refused == []


def test_shapes_that_a_run_decides_are_not_judged(registry: Registry) -> None:
    g = Graph()
    inputs = [g.input([1, 1, 1, 1, 1], signature=[-1, 1, -1, 1, -1]) for _ in range(2)]
    g.op("EQUAL", inputs, [g.output("bool")], "Equal")
    assert problems_of(g, registry) == ()


def test_the_message_names_node_and_subgraph(registry: Registry) -> None:
    g = Graph()
    condition, x = g.input([1], "bool"), g.input([2, 3])
    g.op("IF", [condition, x], [g.output()], "If", thenSubgraphIndex=1, elseSubgraphIndex=2)
    for name in ("then", "else"):
        g.subgraph(name)
        y = g.input([2, 3])
        z = g.tensor([2, 3], "float32")
        g.op("ABS", [y], [z])
        g.op(
            "CEIL" if name == "then" else "ATAN2",
            [z, g.const([1.0])][: 1 if name == "then" else 2],
            [g.output()],
        )
    (problem,) = problems_of(g, registry)
    assert problem.message == (
        "node 1 of subgraph 2, ATAN2: input 0, 't1', and the others have the shapes [2, 3] and [1]; "
        "the kernel does not broadcast"
    )


def test_every_limit_names_a_file_of_its_op(registry: Registry) -> None:
    ops = registry.by_name()
    assert set(LIMITS) <= set(ops)
    for op, limits in LIMITS.items():
        folders = {source.rpartition("/kernels/")[2] for source in ops[op].sources}
        for limit in limits:
            for file in (part.partition(":")[0].strip() for part in limit.where.split(", ") if "." in part):
                core = file.endswith(".h") or file == "kernel_util.cc" or file.startswith("internal/")
                assert core or file in folders, f"{op}: {limit.where}"


@pytest.mark.parametrize(
    "command",
    [
        ("analyse",),
        ("plan", "--target", "armv7"),
        ("estimate", "--target", "armv7"),
        ("build", "--target", "armv7"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_refuses(cli: Cli, tmp_path: Path, command: Sequence[str]) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(pair("EQUAL", FIVE, output="bool").content())
    done = cli(*command, "--model", path)
    assert done.returncode == 3
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "node 0 of subgraph 0" in line]
    assert len(lines) == 1
    assert "EQUAL: input 0, 't0', has 5 dimensions" in lines[0]


def _with_unused(code: int, *, custom: bytes | None = None, version: int = 1) -> ModelAnalysis:
    """A model with an operator code that no node uses."""
    g = pair("ADD", ([2], [2]), table="Add")
    more = schema.OperatorCodeT()
    more.builtinCode, more.deprecatedBuiltinCode, more.version, more.customCode = (
        code,
        min(code, 127),
        version,
        custom,
    )
    g.model.operatorCodes.append(more)
    return analysis_of(g)


@pytest.mark.parametrize(
    ("code", "custom", "version"),
    [(32, b"DISPATCH_OP", 1), (32, b"FlexErf", 1), (250, None, 1), (25, None, 99)],
    ids=["custom op", "Flex op", "newer builtin op", "newer version"],
)
def test_a_code_that_no_node_uses_is_not_refused(
    code: int, custom: bytes | None, version: int, registry: Registry
) -> None:
    model = _with_unused(code, custom=custom, version=version)
    op_registry.require_supported(registry, model)
    assert [op.name for op in selection.select([model], registry).ops] == ["ADD"]


def test_a_newer_version_that_no_node_uses(registry: Registry) -> None:
    model = _with_unused(0, version=99)
    (add,) = selection.select([model], registry).ops
    assert add.versions == (5, 5)


def test_a_composite_runs_its_decomposition(registry: Registry) -> None:
    def composite(dtype: str) -> ModelAnalysis:
        g = Graph()
        x = g.input([2, 3], dtype)
        node = g.op("STABLEHLO_COMPOSITE", [x], [g.output(dtype)])
        options = schema.StableHLOCompositeOptionsT()
        options.name, options.decompositionSubgraphIndex = b"odml.rms_norm", 1
        node.builtinOptions2 = options
        node.builtinOptions2Type = schema.BuiltinOptions2.StableHLOCompositeOptions
        g.subgraph("decomposition")
        g.op("CEIL", [g.input([2, 3], dtype)], [g.output(dtype)])
        return analysis_of(g)

    assert registry.problems(composite("float32")) == ()
    (problem,) = registry.problems(composite("int32"))
    assert problem.message.startswith("node 0 of subgraph 1, CEIL: input 0, 't0', is int32")
    with pytest.raises(UnsupportedModelError, match="CEIL"):
        op_registry.require_supported(registry, composite("int32"))


def test_a_users_kernel_is_not_judged(registry: Registry) -> None:
    # A kernel of --custom-ops may have the name of one of upstream's.
    own = registry.customs["Mfcc"].model_copy(update={"registration": "mine::Register"})
    mine = dataclasses.replace(registry, customs={**registry.customs, "Mfcc": own})
    g = Graph()
    g.custom_op("Mfcc", [g.input([2, 3], "int8"), g.input([1], "int8")], [g.output("int8")])
    assert problems_of(g, mine) == ()
    assert problems_of(g, registry) != ()


def test_problems_may_be_asked_for_often(registry: Registry) -> None:
    # Every read of a file's tables is counted, so that damaged files end; the limits read none.
    analysis = analysis_of(dense(quant=per_channel(4)))
    assert {registry.problems(analysis) for _ in range(1000)} == {()}
