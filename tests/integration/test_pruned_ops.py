"""Pruned programs of single ops: right outputs, and no kernel sees a dtype that was pruned.

The default runs the first rounds, which have nearly every op.  The tier ``exhaustive`` runs all of them on
four targets, and compares their outputs byte by byte with the stock program of the same target.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from litesmith.build import cache
from litesmith.measure.verify.executor import LocalExecutor
from litesmith.runtime import selection
from tests.integration.op_cases import (
    REGISTRY,
    Prepared,
    Round,
    build_binary,
    build_program,
    check,
    is_different,
    output_bytes,
    prepare,
    rounds,
    weak_functions,
)

ROUNDS = 69
TRAPS = ("LITESMITH_TRAP_UNLISTED",)
WORKERS = 2

FIRST = 2
"""The rounds of the tier ``full``."""


def _rounds(*first: tuple[str, int]) -> list[Any]:
    """All rounds on four targets, of which the tier ``full`` runs those given."""
    every = [(target, n) for target in ("x86_64", "armv7", "aarch64", "riscv64") for n in range(ROUNDS)]
    return [pytest.param(*one, marks=() if one in first else pytest.mark.exhaustive) for one in every]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> list[Prepared]:
    return prepare(tmp_path_factory.mktemp("ops"))


@pytest.fixture(scope="module")
def every_round(prepared: list[Prepared]) -> list[Round]:
    return rounds(prepared)


@pytest.fixture(scope="module")
def stock(prepared: list[Prepared]) -> Callable[[str], tuple[Path, LocalExecutor]]:
    """The stock program with all ops, by target."""
    return functools.cache(lambda target: build_program(target, prepared, pruned=False))


def test_every_case_is_in_a_round(prepared: list[Prepared], every_round: list[Round]) -> None:
    assert sum(len(one.cases) for one in every_round) == len(prepared)
    assert len(every_round) == ROUNDS


@pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=() if n < FIRST else pytest.mark.exhaustive) for n in range(ROUNDS)],
)
def test_no_kernel_sees_a_pruned_dtype(every_round: list[Round], number: int) -> None:
    """This includes temporaries and tensors of other nodes; the program would end in a trap."""
    cases = every_round[number].cases
    program = build_program("x86_64", cases, pruned=True, defines=TRAPS)
    wrong = _each(lambda case: check(*program, case, "x86_64"), cases, "x86_64")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("rounds", [FIRST, pytest.param(ROUNDS, marks=pytest.mark.exhaustive)])
def test_inline_functions_do_not_depend_on_dtypes(every_round: list[Round], rounds: int) -> None:
    """The linker keeps one copy of an inline function, so that it must be the same in every file."""
    copies: dict[str, dict[str, set[str]]] = {}
    for one in every_round[:rounds]:
        objects = build_binary("x86_64", one.cases, pruned=True, defines=TRAPS).objects
        # The core is compiled with another optimisation level, so its copies differ anyway.
        kernels = {path: source for path, source in objects.items() if "/lite/kernels/" in source}
        for path, source in kernels.items():
            for function, code in weak_functions(cache.located(path)).items():
                copies.setdefault(function, {}).setdefault(code, set()).add(source)
    different = {
        function: sorted(set().union(*sources.values()))
        for function, sources in copies.items()
        if len(sources) > 1 and len(set().union(*sources.values())) > 1
    }
    assert not different
    assert len(copies) > 1000


@pytest.mark.parametrize(("target", "number"), _rounds(("armv7", 0), ("aarch64", 1)))
def test_answers(every_round: list[Round], target: str, number: int) -> None:
    cases = every_round[number].cases
    program = build_program(target, cases, pruned=True)
    wrong = _each(lambda case: check(*program, case, target), cases, target)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("target", "number"), _rounds(("x86_64", 0), ("x86_64", 1)))
def test_outputs_match_the_stock_program(
    every_round: list[Round], stock: Callable[[str], tuple[Path, LocalExecutor]], target: str, number: int
) -> None:
    cases = every_round[number].cases
    # The programs with traps have already been built.
    defines = TRAPS if target == "x86_64" and number < FIRST else ()
    program = build_program(target, cases, pruned=True, defines=defines)
    reference = stock(target)

    def compare(case: Prepared) -> str:
        different = [
            name
            for name in case.inputs_to_try(target)
            if output_bytes(*program, case, name) != output_bytes(*reference, case, name)
        ]
        return f"{case.path.stem}: {', '.join(different)}" if different else ""

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        wrong = [result for result in pool.map(compare, cases) if result]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("source", REGISTRY.runtime.dispatching)
def test_a_model_of_another_dtype_is_refused_by_name(
    every_round: list[Round], tmp_path: Path, source: str
) -> None:
    """For each kernel file, a model of one of its ops with a dtype that was pruned from the program."""
    first = next(one for one in every_round if source in one.dtypes)
    program, executor = build_program("x86_64", first.cases, pruned=True, defines=TRAPS)
    selected = {op.name: op for op in selection.select([c.analysis for c in first.cases], REGISTRY).ops}

    def missing(case: Prepared) -> tuple[str, set[str]]:
        """An op of that file in the case, and the dtypes that were pruned from it."""
        for op in selection.select([case.analysis], REGISTRY).ops:
            known = selected.get(op.name)
            if known is not None and source in op.sources and not set(op.dtypes) <= set(known.dtypes):
                return op.name, set(op.dtypes) - set(known.dtypes)
        return "", set()

    others = [(case, *missing(case)) for one in every_round for case in one.cases]
    found = next(((case, op, dtypes) for case, op, dtypes in others if op), None)
    if found is None:
        kept = {one.dtypes[source] for one in every_round if source in one.dtypes}
        assert all(set(dtypes) <= set(first.dtypes[source]) for dtypes in kept)
        return
    case, op, dtypes = found
    done = executor.run(str(program), ["--model", str(case.path)], [], tmp_path)
    assert done.code == 3, done.stderr
    assert "error: this program was built without" in done.stderr
    named = [f"the dtype {dtype} for {op};" in done.stderr for dtype in dtypes]
    assert any(named) or " version " in done.stderr or "builtin op" in done.stderr, done.stderr


def _each(examine: Callable[[Prepared], str], cases: list[Prepared], target: str) -> list[str]:
    chosen = [case for case in cases if not is_different(case, target)]
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        return [result for result in pool.map(examine, chosen) if result]
