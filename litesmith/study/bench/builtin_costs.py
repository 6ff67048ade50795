"""Measures what each op costs on a target, and how good estimates from these costs are.

No model takes part in the measurement: an op is linked with each set of dtypes that its kernel is
known to have.  The models that estimates are held against come afterwards.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.build.builder import Builder, workshop
from litesmith.build.project import Project, ProjectOptions
from litesmith.measure.size import elf
from litesmith.model import contents
from litesmith.model.model_file import open_model
from litesmith.predict.code_size import costs
from litesmith.predict.code_size.costs import Accuracy, Costs, Entry, Program
from litesmith.runtime import op_registry, source_tree
from litesmith.runtime.op_registry import Op, Registry
from litesmith.runtime.selection import SelectedOp, Selection, select
from litesmith.study import op_models
from litesmith.study.bench import xnnpack_costs
from litesmith.study.bench.programs import DEPTHWISE_ROWS, Compared, accuracy, real_models, symbols
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain

# Rarely in models for boards: where one comes, what is nearest among the measured stands in.
_COMMON = frozenset(
    {"float32", "int8", "uint8", "int16", "int32", "int64", "bool", "string", "resource", "variant"}
)
_DEPTHWISE = "DEPTHWISE_CONV_2D"


@dataclass(frozen=True, kw_only=True)
class CostsReport:
    """What was written, and the estimates of real models beside what was measured."""

    path: Path
    made_with: str
    accuracy: Accuracy
    models: tuple[Compared, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "path": str(self.path),
            "made_with": self.made_with,
            "accuracy": dataclasses.asdict(self.accuracy),
            "models": [{**dataclasses.asdict(row), "error": row.error} for row in self.models],
        }


def run(target: str, toolchain_name: str | None, kernels: str | None = None) -> CostsReport:
    """Measures all ops, writes the file, and compares estimates with models that are built.

    With ``kernels``, or a profile, that ask for XNNPACK it is that which is measured.

    Raises:
        LitesmithError: a build failed.
    """
    profile, name = profiles.load(target).choose(toolchain_name)
    if (kernels or profile.kernels) != "builtin":
        path, made_with, found, models = xnnpack_costs.run(profile.with_kernels("xnnpack"), name)
        return CostsReport(path=path, made_with=made_with, accuracy=found, models=models)
    toolchain, tree, registry = load_toolchain(name), source_tree.source_tree(), op_registry.load()
    cases = _cases(registry)
    wanted = _programs(cases)
    with workshop(profile, toolchain, tree) as builder:
        make = functools.partial(_project, profile=profile, toolchain=toolchain, tree=tree, registry=registry)
        base, programs, codes = _measure(builder, registry, make, wanted)
        sparse = dataclasses.replace(_nothing(), sparse=True)
        more = elf.program_size(builder.variants({"": make(sparse)})[""]).code
        linkage = profile.toolchains[name].linkage
        made = Costs(
            key=costs.key_of(profile, toolchain),
            made_with=f"{profile.name}, {name} {toolchain.version(profile)}, {linkage}",
            base=base[1],
            sparse=more - base[1],
            classes=(),
            entries=(),
            accuracy=None,
        )
        made = with_entries(made, base[0], programs, codes)
        names = real_models()
        chosen = {n: select([open_model(n).analysis], registry) for n in names}
        single = {f"op:{n}": s for n, s in cases.items()}
        measured = builder.variants({n: make(s) for n, s in {**chosen, **single}.items()})
        rows = {
            n: Compared(
                model=n,
                estimated=costs.estimate(made, s, registry.runtime).code,
                measured=elf.program_size(measured[n]).code,
            )
            for n, s in {**chosen, **single}.items()
        }
        unseen = [_without_itself(made, s, registry, rows[n].measured) for n, s in single.items()]
    found = accuracy(list(rows.values()), [error for error in unseen if error >= 0])
    path = costs.path_of(profile, toolchain)
    files.write_atomically(path, costs.to_text(dataclasses.replace(made, accuracy=found)))
    return CostsReport(
        path=path,
        made_with=made.made_with,
        accuracy=found,
        models=tuple(dataclasses.replace(rows[n], model=Path(n).stem) for n in names),
    )


def _cases(registry: Registry) -> dict[str, Selection]:
    """Models of single ops, one for each different selection."""
    found: dict[str, Selection] = {}
    seen: set[Any] = set()
    for case in op_models.all_cases():
        chosen = select([contents.analyse_bytes(case.content, case.name)], registry)
        kind = (tuple((op.name, op.dtypes, op.depthwise) for op in chosen.ops), chosen.sparse)
        if kind not in seen:
            seen.add(kind)
            found[case.name] = chosen
    return found


def _programs(cases: Mapping[str, Selection]) -> list[Program]:
    """Ops and sets of dtypes that their kernels have."""
    every = {
        Program(op=op.name, dtypes=op.dtypes, rows=rows)
        for chosen in cases.values()
        for op in chosen.ops
        for rows in (("usual", "all") if op.name == _DEPTHWISE else ("",))
    }
    common = {program for program in every if set(program.dtypes) <= _COMMON}
    known = {program.op for program in common}
    return sorted(common | {program for program in every if program.op not in known})


def _nothing() -> Selection:
    return Selection(models=(), ops=(), sparse=False)


def _alone(op: Op, program: Program) -> Selection:
    """A selection of one op."""
    chosen = SelectedOp.of(op, dtypes=program.dtypes, depthwise=DEPTHWISE_ROWS[program.rows])
    return Selection(models=(), ops=(chosen,), sparse=False)


def _project(chosen: Selection, **known: Any) -> Project:
    return Project.of(
        chosen,
        ProjectOptions(name="program"),
        profile=known["profile"],
        tree=known["tree"],
        runtime=known["registry"].runtime,
    )


def _measure(
    builder: Builder, registry: Registry, make: Any, wanted: Sequence[Program]
) -> tuple[tuple[Mapping[str, int], int], dict[Program, Mapping[str, int]], dict[Program, int]]:
    """Symbols and code of the program without ops, and of that of each op and set of dtypes."""
    known = registry.by_name()
    projects = {"": make(_nothing())}
    programs = {str(program): program for program in wanted}
    projects |= {label: make(_alone(known[program.op], program)) for label, program in programs.items()}
    seen: dict[str, tuple[Mapping[str, int], int]] = builder.examine(
        projects, lambda name, binary: symbols(projects[name], binary)
    )
    return (
        seen[""],
        {program: seen[label][0] for label, program in programs.items()},
        {program: seen[label][1] for label, program in programs.items()},
    )


def with_entries(
    made: Costs,
    base: Mapping[str, int],
    programs: Mapping[Program, Mapping[str, int]],
    codes: Mapping[Program, int],
) -> Costs:
    """The costs with their classes and entries."""
    sizes, members = costs.compress(base, programs)
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


def _without_itself(made: Costs, chosen: Selection, registry: Registry, measured: int) -> float:
    """The error when the costs do not know the op with these dtypes; negative where no others are left."""
    own = {(op.name, op.dtypes) for op in chosen.ops}
    rest = tuple(entry for entry in made.entries if (entry.op, entry.dtypes) not in own)
    if not {op.name for op in chosen.ops} <= {entry.op for entry in rest}:
        return -1.0
    less = dataclasses.replace(made, entries=rest)
    return abs(costs.estimate(less, chosen, registry.runtime).code - measured) / measured
