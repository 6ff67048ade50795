"""Measures the costs of XNNPACK: what each atom adds to a program (see :mod:`.atoms`).

Each atom is linked alone.  Of the mixtures of atoms, half show how much code the atoms share, and the others
are compared with their estimates, like models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from litesmith.base import files
from litesmith.build.builder import Builder, workshop
from litesmith.build.project import Project
from litesmith.measure.size import elf
from litesmith.model.model_file import open_model
from litesmith.predict.code_size import builtin_costs, xnnpack_costs
from litesmith.predict.code_size.builtin_costs import BuiltinCosts, OpVariant
from litesmith.predict.code_size.xnnpack_costs import Atom, XnnpackCosts
from litesmith.predict.xnnpack import kernel_choice
from litesmith.runtime import op_registry, source_tree
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
from litesmith.runtime.selection import SelectedOp, Selection, select
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.required import Requirements
from litesmith.study.code_costs.atoms import COMPANION, Atoms, all_atoms, mixtures
from litesmith.study.code_costs.programs import (
    DEPTHWISE_ROWS,
    Measurement,
    Symbols,
    real_models,
    selection_of,
    symbols,
)
from litesmith.study.code_costs.report import Comparison, CostsReport, accuracy
from litesmith.study.code_costs.shared_code import costs_of
from litesmith.target.profiles import Profile, ToolchainName
from litesmith.toolchain.registry import load as load_toolchain

_NO_OPS = ""

_Label = str | int | Atom | OpVariant
"""A program's label: :data:`_NO_OPS`, the number of a mixture, an atom, or an op with its own kernel."""


def measure(profile: Profile, name: ToolchainName) -> CostsReport:
    """Measures all atoms, writes the file, and compares estimates with programs that are linked.

    Raises:
        LitesmithError: a build failed, or the target's built-in kernels have not been measured yet.
    """
    toolchain = load_toolchain(name)
    builtin = builtin_costs.load(profile, toolchain)
    measurement = Measurement(
        profile=profile,
        toolchain=toolchain,
        tree=source_tree.source_tree((*COMPONENTS, *XNNPACK_COMPONENTS)),
        registry=op_registry.load(),
    )
    wanted = all_atoms(profile, measurement.registry)
    with workshop(profile, toolchain, measurement.tree, precompile=True) as builder:
        seen = _examined(measurement, builder, builtin, wanted)
        made = _costs(measurement, builtin, wanted, seen)
        rows = _compared(measurement, builder, builtin, made, wanted)
    codes = {atom: seen[atom][1] for atom in wanted}
    found = accuracy(rows, list(_unseen_errors(measurement, builtin, made, wanted, codes)))
    path = xnnpack_costs.path_of(profile, toolchain)
    files.write_atomically(path, xnnpack_costs.to_text(dataclasses.replace(made, accuracy=found)))
    return CostsReport(path=path, made_with=made.made_with, accuracy=found, models=tuple(rows))


def _only(atoms: Atoms, registry: Registry) -> tuple[Selection, DelegatedOps]:
    """A selection of ops of which XNNPACK runs all nodes."""
    known = registry.by_name()
    by_op: dict[str, set[Requirements]] = {}
    for atom, required in atoms.items():
        by_op.setdefault(atom.op, set()).add(required)
    chosen = (SelectedOp.of(known[name], dtypes=known[name].dtypes[:1]) for name in sorted(by_op))
    return selection_of(*chosen), DelegatedOps(
        requirements={name: frozenset(several) for name, several in by_op.items()},
        fully_delegated=frozenset(by_op),
    )


def _examined(
    measurement: Measurement, builder: Builder, builtin: BuiltinCosts, wanted: Atoms
) -> dict[_Label, tuple[Symbols, int]]:
    """Symbols and code of all programs that the costs come from."""
    known = measurement.registry.by_name()
    projects: dict[_Label, Project] = {_NO_OPS: measurement.project(selection_of())}
    for entry in builtin.entries:
        op = SelectedOp.of(known[entry.op], dtypes=entry.dtypes, depthwise=DEPTHWISE_ROWS[entry.rows])
        projects[entry.variant] = measurement.project(selection_of(op))
    for atom, required in wanted.items():
        beside: Atoms = {} if atom.needs else {COMPANION: wanted[COMPANION]}
        projects[atom] = measurement.project(*_only({atom: required, **beside}, measurement.registry))
    for number, some in enumerate(_known_mixtures(wanted)):
        projects[number] = measurement.project(*_only(some, measurement.registry))
    by_text = {str(label): label for label in projects}
    seen = builder.examine(
        {str(label): project for label, project in projects.items()},
        lambda text, binary: symbols(projects[by_text[text]], binary),
    )
    return {label: seen[str(label)] for label in projects}


def _known_mixtures(wanted: Atoms) -> list[Atoms]:
    return mixtures(wanted)[::2]


def _costs(
    measurement: Measurement,
    builtin: BuiltinCosts,
    wanted: Atoms,
    seen: Mapping[_Label, tuple[Symbols, int]],
) -> XnnpackCosts:
    """The costs, and what they were measured with."""
    made = costs_of(
        seen[_NO_OPS],
        {atom: seen[atom] for atom in wanted},
        {entry.variant: seen[entry.variant][0] for entry in builtin.entries},
        [(frozenset(some), *seen[number]) for number, some in enumerate(_known_mixtures(wanted))],
    )
    sets = "+".join(measurement.profile.instruction_sets)
    return dataclasses.replace(
        made,
        key=xnnpack_costs.key_of(measurement.profile, measurement.toolchain),
        made_with=f"{measurement.made_with}, XNNPACK {sets}",
    )


def _compared(
    measurement: Measurement, builder: Builder, builtin: BuiltinCosts, made: XnnpackCosts, wanted: Atoms
) -> list[Comparison]:
    """Real models, and the mixtures that the costs do not come from: their estimates and measured sizes."""
    registry = measurement.registry
    chosen: dict[str, tuple[Selection, DelegatedOps]] = {}
    for name in real_models():
        model = open_model(name)
        delegated_ops = kernel_choice.choose(measurement.profile, [model], registry).delegated_ops
        if delegated_ops is not None:
            label = name if name.startswith("zoo:") else Path(name).stem
            chosen[label] = (select([model.analysis], registry), delegated_ops)
    for number, some in enumerate(mixtures(wanted)[1::2]):
        chosen[f"mixed:{number}"] = _only(some, registry)
    measured = builder.variants({label: measurement.project(*one) for label, one in chosen.items()})
    return [
        Comparison(
            model=label,
            estimated=xnnpack_costs.estimate(builtin, made, *one, registry.runtime).code,
            measured=elf.program_size(measured[label]).code,
        )
        for label, one in chosen.items()
    ]


def _unseen_errors(
    measurement: Measurement,
    builtin: BuiltinCosts,
    made: XnnpackCosts,
    wanted: Atoms,
    codes: Mapping[Atom, int],
) -> Iterator[float]:
    """The errors of estimates without an atom's own costs, where other atoms of its op are left."""
    registry = measurement.registry
    for atom, required in wanted.items():
        if atom.needs and len(made.by_op[atom.op]) > 1:
            others = {one: classes for one, classes in made.atoms.items() if one != atom}
            less = dataclasses.replace(made, atoms=others)
            found = xnnpack_costs.estimate(
                builtin, less, *_only({atom: required}, registry), registry.runtime
            )
            yield abs(found.code - codes[atom]) / codes[atom]
