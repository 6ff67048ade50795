"""Measures the costs of TensorFlow Lite's own kernels: what each op adds to a program.

The measurement uses no models: each op is linked with each set of dtypes that its kernel is known to have.
Programs of several ops, and those of models, are compared with their estimates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.build.builder import workshop
from litesmith.model import contents
from litesmith.model.model_file import open_model
from litesmith.predict.code_size import builtin_costs
from litesmith.predict.code_size.builtin_costs import BuiltinCosts, Entry, OpVariant
from litesmith.runtime import op_registry, source_tree
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.pruning import OTHER_ORDER
from litesmith.runtime.selection import SelectedOp, Selection, select
from litesmith.study import op_models
from litesmith.study.code_costs.programs import (
    DEPTHWISE_ROWS,
    Measurement,
    Symbols,
    real_models,
    selection_of,
    symbols,
)
from litesmith.study.code_costs.report import Comparison, CostsReport, accuracy
from litesmith.study.code_costs.symbol_classes import compress
from litesmith.target.profiles import Profile, ToolchainName
from litesmith.toolchain.registry import load as load_toolchain

# Other dtypes are rare in models for boards: their estimates use the nearest measured ones.
_COMMON = frozenset(
    {"float32", "int8", "uint8", "int16", "int32", "int64", "bool", "string", "resource", "variant"}
)
_DEPTHWISE = "DEPTHWISE_CONV_2D"

_MIXED = 16
"""The least number of ops in a program of several."""

# Labels of programs that no op or model has.
_NO_OPS = ""
_SPARSE = "sparse weights"


def measure(profile: Profile, name: ToolchainName) -> CostsReport:
    """Measures all ops, writes the file, and compares estimates with models that are built.

    Raises:
        LitesmithError: a build failed.
    """
    measurement = Measurement(
        profile=profile,
        toolchain=load_toolchain(name),
        tree=source_tree.source_tree(),
        registry=op_registry.load(),
    )
    registry = measurement.registry
    cases = _cases(registry)
    wanted = _programs(cases)
    cases = _without_others(cases, wanted)
    chosen = {name: select([open_model(name).analysis], registry) for name in real_models()}
    chosen |= {f"op:{case}": selection for case, selection in cases.items()}
    chosen |= {
        name: selection_of(*(_selected(registry, program) for program in several))
        for name, several in mixtures(wanted).items()
    }
    made, codes = _measured(measurement, wanted, chosen)
    rows = {
        name: Comparison(
            model=name,
            estimated=builtin_costs.estimate(made, one, registry.runtime).code,
            measured=codes[name],
        )
        for name, one in chosen.items()
    }
    unseen = (_unseen_error(made, cases[case], registry, rows[f"op:{case}"]) for case in cases)
    found = accuracy(list(rows.values()), [error for error in unseen if error is not None])
    path = builtin_costs.path_of(profile, measurement.toolchain)
    files.write_atomically(path, builtin_costs.to_text(dataclasses.replace(made, accuracy=found)))
    return CostsReport(
        path=path,
        made_with=made.made_with,
        accuracy=found,
        models=tuple(dataclasses.replace(rows[name], model=Path(name).stem) for name in real_models()),
    )


def _cases(registry: Registry) -> dict[str, Selection]:
    """The selections of all single-op models, without duplicates, by the model's name."""
    found: dict[str, Selection] = {}
    seen: set[Any] = set()
    for case in op_models.all_cases():
        chosen = select([contents.analyse_bytes(case.content, case.name)], registry)
        kind = (tuple((op.name, op.dtypes, op.depthwise) for op in chosen.ops), chosen.sparse)
        if kind not in seen:
            seen.add(kind)
            found[case.name] = chosen
    return found


def _programs(cases: Mapping[str, Selection]) -> list[OpVariant]:
    """The programs that are measured: each op with each set of dtypes that its kernel has."""
    every = {
        OpVariant(op=op.name, dtypes=op.dtypes, rows=rows)
        for chosen in cases.values()
        for op in chosen.ops
        for rows in (("usual", "all") if op.name == _DEPTHWISE else ("",))
    }
    common = {program for program in every if set(program.dtypes) <= _COMMON}
    known = {program.op for program in common}
    return sorted(common | {program for program in every if program.op not in known})


def _without_others(cases: Mapping[str, Selection], wanted: Sequence[OpVariant]) -> dict[str, Selection]:
    """The models whose ops are measured with just their dtypes."""
    known = {(program.op, program.dtypes) for program in wanted}
    return {
        name: chosen
        for name, chosen in cases.items()
        if all((op.name, op.dtypes) in known for op in chosen.ops)
    }


def mixtures(wanted: Sequence[OpVariant]) -> dict[str, list[OpVariant]]:
    """Sets of ops with the same dtypes, by name; each op is in at most one of them for each set of dtypes.

    Their programs are linked from the objects of single ops, as ops that share a file have the same dtypes.
    """
    by_dtypes: dict[tuple[str, ...], list[OpVariant]] = {}
    for program in wanted:
        if program.rows != "all" and program.op not in OTHER_ORDER:
            by_dtypes.setdefault(program.dtypes, []).append(program)
    return {
        f"mixed:{'+'.join(dtypes)}:{start}": several[start :: len(several) // _MIXED]
        for dtypes, several in by_dtypes.items()
        for start in range(len(several) // _MIXED)
    }


def _selected(registry: Registry, program: OpVariant) -> SelectedOp:
    return SelectedOp.of(
        registry.by_name()[program.op], dtypes=program.dtypes, depthwise=DEPTHWISE_ROWS[program.rows]
    )


def _measured(
    measurement: Measurement, wanted: Sequence[OpVariant], models: Mapping[str, Selection]
) -> tuple[BuiltinCosts, Mapping[str, int]]:
    """The costs, and the bytes of code of the programs of ``models``.

    The costs come from the program without ops and from those of each op and set of dtypes.
    """
    programs = {str(program): program for program in wanted}
    selections = {_NO_OPS: selection_of(), _SPARSE: selection_of(sparse=True), **models}
    for label, program in programs.items():
        selections[label] = selection_of(_selected(measurement.registry, program))
    projects = {label: measurement.project(chosen) for label, chosen in selections.items()}
    with workshop(measurement.profile, measurement.toolchain, measurement.tree, precompile=True) as builder:
        seen: dict[str, tuple[Symbols, int]] = builder.examine(
            projects, lambda label, binary: symbols(projects[label], binary)
        )
    base_symbols, base = seen[_NO_OPS]
    made = BuiltinCosts(
        key=builtin_costs.key_of(measurement.profile, measurement.toolchain),
        made_with=measurement.made_with,
        base=base,
        sparse=seen[_SPARSE][1] - base,
        classes=(),
        entries=(),
        accuracy=None,
    )
    with_all = with_entries(
        made,
        base_symbols,
        {program: seen[label][0] for label, program in programs.items()},
        {program: seen[label][1] for label, program in programs.items()},
    )
    return with_all, {name: seen[name][1] for name in models}


def with_entries(
    made: BuiltinCosts,
    base: Symbols,
    programs: Mapping[OpVariant, Symbols],
    codes: Mapping[OpVariant, int],
) -> BuiltinCosts:
    """The costs with their classes and entries, from the symbols and the bytes of code of programs."""
    sizes, members = compress(base, programs)
    entries = tuple(
        Entry(
            op=program.op,
            dtypes=program.dtypes,
            rows=program.rows,
            classes=members[program],
            rest=codes[program] - made.base - sum(sizes[number] for number in members[program]),
        )
        for program in programs
    )
    return dataclasses.replace(made, classes=sizes, entries=entries)


def _unseen_error(made: BuiltinCosts, chosen: Selection, registry: Registry, row: Comparison) -> float | None:
    """The error of an estimate without the op's costs for these dtypes; None where it has no others."""
    own = {(op.name, op.dtypes) for op in chosen.ops}
    rest = tuple(entry for entry in made.entries if (entry.op, entry.dtypes) not in own)
    if not {op.name for op in chosen.ops} <= {entry.op for entry in rest}:
        return None
    less = dataclasses.replace(made, entries=rest)
    return abs(builtin_costs.estimate(less, chosen, registry.runtime).code - row.measured) / row.measured
