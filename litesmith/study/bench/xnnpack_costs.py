"""Measures what XNNPACK costs on a target, and how good estimates from these costs are.

Each atom (see :mod:`litesmith.predict.code_size.xnnpack_costs`) is linked alone: those of the single-op
models, of the zoo and the examples, and those that other models may have.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import files
from litesmith.build.builder import Builder, workshop
from litesmith.build.project import Project, ProjectOptions
from litesmith.measure.size import elf
from litesmith.model import contents
from litesmith.model.model_file import Model, open_model
from litesmith.predict.code_size import costs, xnnpack_costs
from litesmith.predict.code_size.costs import Accuracy, Costs, Program
from litesmith.predict.code_size.xnnpack_costs import Atom, XnnCosts
from litesmith.predict.xnnpack import kernel_choice
from litesmith.runtime import op_registry, source_tree
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
from litesmith.runtime.selection import SelectedOp, Selection, select
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import narrow_gemm, source_index
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.requirements import RequiredMicrokernels, Requirements
from litesmith.study import op_models
from litesmith.study.bench.programs import DEPTHWISE_ROWS, Compared, accuracy, real_models
from litesmith.study.bench.programs import symbols as symbols_of
from litesmith.target.profiles import Profile, ToolchainName
from litesmith.toolchain.protocol import Toolchain
from litesmith.toolchain.registry import load as load_toolchain

_CONFIGS = {"f32": "f32", "qs8": "qs8_qc8w", "qs8_qc8w": "qs8_qc8w", "qu8": "qu8"}
"""The beginning of the names of configurations, by the end of an operator's name."""

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_FULLY_CONNECTED = "FULLY_CONNECTED"
_TRANSPOSED = "TRANSPOSE_CONV"
_TAPS = (3, 4, 9, 25)
_CLAMPS = {"f32": "f32_clamp", "qs8": "s8_clamp", "qu8": "u8_clamp"}
_WITH_ACTIVATION = ("ADD", "DIV", "MUL", "SUB")
_CLAMPING = ("RELU", "RELU6", "RELU_N1_TO_1")
_WHILE_LOADING = ("DENSIFY", "DEQUANTIZE")

# Of each arithmetic; half of these programs say what ops share, and estimates are held against the others.
_MIXED = 6
_ARITHMETICS = {"uint8": ("qu8_", "u8_", "uint8"), "int8": ("qs8_", "s8_", "x8", "int8"), "float32": ("",)}

COMPANION = Atom(op="FULLY_CONNECTED", needs=("f32_gemm.gemm", "fully_connected_nc_f32"))
"""What is done while a model is loaded needs a node that takes the result."""

_NOTHING = ""

# Bytes of a class that is told from the rest.
_LEAST = 16

Atoms = Mapping[Atom, Requirements]
Symbols = Mapping[str, int]
Label = str | int | Atom | Program


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """What all programs of one measurement are made with."""

    profile: Profile
    toolchain: Toolchain
    tree: SourceTree
    registry: Registry

    def project(self, chosen: Selection, delegated_ops: DelegatedOps | None) -> Project:
        """The project of a selection."""
        return Project.of(
            chosen,
            ProjectOptions(name="program", delegated_ops=delegated_ops),
            profile=self.profile,
            tree=self.tree,
            runtime=self.registry.runtime,
        )

    def only(self, atoms: Atoms) -> tuple[Selection, DelegatedOps]:
        """A selection of nothing but nodes that XNNPACK runs."""
        known = self.registry.by_name()
        kinds: dict[str, set[Requirements]] = {}
        for atom, needs in atoms.items():
            kinds.setdefault(atom.op, set()).add(needs)
        chosen = tuple(SelectedOp.of(known[name], dtypes=known[name].dtypes[:1]) for name in sorted(kinds))
        return _selection(*chosen), DelegatedOps(
            requirements={name: frozenset(needs) for name, needs in kinds.items()},
            fully_delegated=frozenset(kinds),
        )


def _selection(*chosen: SelectedOp) -> Selection:
    return Selection(models=(), ops=chosen, sparse=False)


def run(profile: Profile, name: ToolchainName) -> tuple[Path, str, Accuracy, tuple[Compared, ...]]:
    """Measures all atoms, writes the file, and compares estimates with programs that are linked.

    Raises:
        LitesmithError: a build failed, or the target's own kernels were not measured yet.
    """
    toolchain = load_toolchain(name)
    builtin = costs.load(profile, toolchain)
    bench = _Bench(
        profile=profile,
        toolchain=toolchain,
        tree=source_tree.source_tree((*COMPONENTS, *XNNPACK_COMPONENTS)),
        registry=op_registry.load(),
    )
    wanted = atoms(profile, bench.registry)
    with workshop(profile, toolchain, bench.tree) as builder:
        made, codes = _measured(bench, builder, builtin, wanted)
        rows = _compared(bench, builder, builtin, made, wanted)
    unseen = list(_without_themselves(bench, builtin, made, wanted, codes))
    found = accuracy(rows, unseen)
    path = xnnpack_costs.path_of(profile, toolchain)
    files.write_atomically(path, xnnpack_costs.to_text(dataclasses.replace(made, accuracy=found)))
    return path, made.made_with, found, tuple(rows)


def atoms(profile: Profile, known: Registry) -> Atoms:
    """All that are measured."""
    found: dict[Atom, Requirements] = {}
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        written = [case.write(Path(scratch)) for case in op_models.all_cases()]
        models = [Model(path=path, analysis=contents.analyse(path)) for path in written]
        for model in [*models, *map(open_model, real_models())]:
            delegated_ops = kernel_choice.choose(profile, [model], known).delegated_ops
            for op, kinds in (delegated_ops.requirements if delegated_ops else {}).items():
                for needs in kinds:
                    atom = Atom.of(op, needs)
                    found[atom] = found.get(atom, Requirements()) | needs
    there = source_index.load().operators
    for op, needs in list(_variants(found)):
        if needs.operators <= set(there):
            found.setdefault(Atom.of(op, needs), needs)
    return dict(sorted(found.items()))


def _variants(found: Atoms) -> Iterator[tuple[str, Requirements]]:
    """What other models ask for: other dtypes, other shapes, an activation."""
    nodes: dict[str, Requirements] = {}
    for atom, needs in found.items():
        nodes[atom.op] = nodes.get(atom.op, Requirements()) | needs
    for op, needs in nodes.items():
        for operators, kernels in _matrices(op):
            yield op, Requirements(files=needs.files, operators=operators, microkernels=frozenset(kernels))
        for operator in needs.operators:
            # Values of other widths that are only moved.
            for width in ("x8", "x32"):
                if operator.endswith(("_x8", "_x32")):
                    moved = f"{operator.rpartition('_')[0]}_{width}"
                    yield op, Requirements(files=needs.files, operators=frozenset({moved}))
    for atom, needs in found.items():
        if atom.op in _WITH_ACTIVATION:
            (dtype,) = {
                need.config.partition("_")[0] for need in needs.microkernels if "clamp" not in need.config
            }
            clamping = dataclasses.replace(nodes["RELU"], microkernels=frozenset())
            yield atom.op, needs | clamping | _kernel(_CLAMPS[dtype])
    for op in _CLAMPING:
        for number, dtype in (("qs8", "int8"), ("qu8", "uint8")):
            same = dataclasses.replace(nodes[op], microkernels=_kernel(_CLAMPS[number]).microkernels)
            yield op, same
            looked_up = Requirements(references=frozenset({("unary", "clamp", dtype)}))
            yield op, same | _kernel("x8_lut") | looked_up
    for op in _WHILE_LOADING:
        yield op, Requirements()


def _kernel(config: str) -> Requirements:
    return Requirements(microkernels=frozenset({RequiredMicrokernels(config=config)}))


def _matrices(op: str) -> Iterator[tuple[frozenset[str], list[RequiredMicrokernels]]]:
    """Operators and kernels of an op that multiplies matrices."""
    for number, start in _CONFIGS.items():
        gemm = {
            kind: RequiredMicrokernels(config=f"{start}_gemm", kind=kind)
            for kind in ("gemm", "gemm1", "igemm", "igemm1")
        }
        if op in _CONVOLUTIONS:
            operators = frozenset({f"convolution2d_nhwc_{number}"})
            narrow = [
                RequiredMicrokernels(config=narrow_gemm.NARROW, kind=kind)
                for kind in gemm
                if start in narrow_gemm.NARROW
            ]
            rows = [
                RequiredMicrokernels(config=f"{start}_dwconv", kind="dwconv", taps=taps) for taps in _TAPS
            ]
            one_tap = [RequiredMicrokernels(config="f32_vmulcaddc")] if number == "f32" else []
            yield from ((operators, [need]) for need in (*gemm.values(), *narrow, *rows, *one_tap))
        if op == _FULLY_CONNECTED:
            operator = f"fully_connected_nc_{number}"
            dynamic = {"dynamic_fully_connected_nc_f32"} if number == "f32" else set[str]()
            for kind in ("gemm", "gemm1"):
                yield frozenset({operator}), [gemm[kind]]
                yield frozenset({operator, *dynamic}), [gemm[kind]]
        if op == _TRANSPOSED:
            yield frozenset({f"deconvolution2d_nhwc_{number}"}), list(gemm.values())


def _measured(
    bench: _Bench, builder: Builder, builtin: Costs, wanted: Atoms
) -> tuple[XnnCosts, dict[Atom, int]]:
    """The costs, and the code of each atom's program."""
    known = bench.registry.by_name()
    projects: dict[Label, Project] = {_NOTHING: bench.project(_selection(), None)}
    for entry in builtin.entries:
        chosen = SelectedOp.of(known[entry.op], dtypes=entry.dtypes, depthwise=DEPTHWISE_ROWS[entry.rows])
        projects[entry.program] = bench.project(_selection(chosen), None)
    for atom, needs in wanted.items():
        beside: Atoms = {} if atom.needs else {COMPANION: wanted[COMPANION]}
        projects[atom] = bench.project(*bench.only({atom: needs, **beside}))
    mixed = _mixed(wanted)[::2]
    for number, some in enumerate(mixed):
        projects[number] = bench.project(*bench.only(some))
    by_label = {str(label): label for label in projects}
    seen = builder.examine(
        {str(label): project for label, project in projects.items()},
        lambda label, binary: symbols_of(projects[by_label[label]], binary),
    )
    found = {label: seen[str(label)] for label in projects}
    made = costs_of(
        found[_NOTHING],
        {atom: found[atom] for atom in wanted},
        {entry.program: found[entry.program][0] for entry in builtin.entries},
        [(frozenset(some), *found[number]) for number, some in enumerate(mixed)],
    )
    linkage = bench.profile.toolchains[bench.toolchain.name].linkage
    version = bench.toolchain.version(bench.profile)
    sets = "+".join(bench.profile.instruction_sets)
    return dataclasses.replace(
        made,
        key=xnnpack_costs.key_of(bench.profile, bench.toolchain),
        made_with=f"{bench.profile.name}, {bench.toolchain.name} {version}, {linkage}, XNNPACK {sets}",
    ), {atom: found[atom][1] for atom in wanted}


def costs_of(
    base: tuple[Symbols, int],
    alone: Mapping[Atom, tuple[Symbols, int]],
    kernels: Mapping[Program, Symbols],
    mixed: Sequence[tuple[frozenset[Atom], Symbols, int]],
) -> XnnCosts:
    """Symbols and code of programs → costs, without what says what they were made with.

    ``alone`` are programs of one atom, ``kernels`` those of TensorFlow Lite's own, ``mixed`` programs of
    several atoms.
    """
    own = {atom: found for atom, (found, _) in alone.items()}
    for atom in own:
        if not atom.needs:
            own[atom] = _on_top(own[atom], own[COMPANION], atom.op)
    programs: dict[Atom | Program, Symbols] = {}
    programs.update(_added_up(own, mixed).items())
    theirs = {symbol for found in programs.values() for symbol in found}
    for program, found in kernels.items():
        # Of the ops' own kernels only what atoms have, too: it must not count twice.
        programs[program] = {symbol: size for symbol, size in found.items() if symbol in theirs}
    sizes, members = _large(*costs.compress(base[0], programs))
    rests = [
        code - base[1] - sum(sizes[number] for number in {n for atom in some for n in members[atom]})
        for some, _, code in mixed
    ]
    return XnnCosts(
        key={},
        made_with="",
        rest=round(statistics.median(rests)),
        classes=sizes,
        atoms={atom: members[atom] for atom in alone},
        kernels={program: members[program] for program in kernels},
        accuracy=None,
    )


def _large(
    sizes: Sequence[int], members: Mapping[Atom | Program, Sequence[int]]
) -> tuple[tuple[int, ...], dict[Atom | Program, tuple[int, ...]]]:
    """Classes without those of a few bytes, which are most of them: padding, jumps of other lengths."""
    order = {
        number: place for place, number in enumerate(n for n, size in enumerate(sizes) if size >= _LEAST)
    }
    return tuple(sizes[number] for number in order), {
        program: tuple(order[number] for number in numbers if number in order)
        for program, numbers in members.items()
    }


def _on_top(symbols: Symbols, beside: Symbols, op: str) -> Symbols:
    """What a program has beyond another one."""
    return {
        symbol if symbol not in beside else _part(symbol, op): size - beside.get(symbol, 0)
        for symbol, size in symbols.items()
        if size > beside.get(symbol, 0)
    }


def _part(symbol: str, op: str) -> str:
    return f"{symbol} for {op}"


def _added_up(
    alone: Mapping[Atom, Symbols], mixed: Sequence[tuple[frozenset[Atom], Symbols, int]]
) -> Mapping[Atom, Symbols]:
    """Programs in which a function with a part for each op is one symbol for each of its parts.

    The largest of a function's sizes is what programs have that need the smaller ones, too: so it is when
    one is the other and more.  Where programs of several ops have the sum instead, what they share is found
    from these.  What is larger in a program of one op alone, where a compiler may inline more, is cut.
    """
    found = {atom: dict(own) for atom, own in alone.items()}
    users: dict[str, dict[Atom, int]] = {}
    for atom, own in alone.items():
        for symbol, size in own.items():
            users.setdefault(symbol, {})[atom] = size
    for symbol, sizes in users.items():
        together = {some: have[symbol] for some, have, _ in mixed if symbol in have and some & set(sizes)}
        if not together or len(set(sizes.values())) == 1:
            continue
        shared = _shared(sizes, together)
        inlines = all(
            size < max(sizes[atom] for atom in some & set(sizes)) for some, size in together.items()
        )
        most = max(together.values()) if inlines else max(sizes.values())
        for atom, size in sizes.items():
            if shared is None:
                found[atom][symbol] = min(size, most)
            else:
                found[atom][symbol] = shared
                found[atom][_part(symbol, atom.op)] = size - shared
    return found


def _shared(sizes: Mapping[Atom, int], together: Mapping[frozenset[Atom], int]) -> int | None:
    """Bytes of a function beside its parts, one for each op; None where it has none.

    ``sizes`` are the function's in programs of one atom, ``together`` in programs of several.
    """
    by_op = {atom.op: size for atom, size in sizes.items()}
    if any(by_op[atom.op] != size for atom, size in sizes.items()):
        return None
    parts = {some: [by_op[op] for op in {atom.op for atom in some} & set(by_op)] for some in together}
    several = {some: found for some, found in parts.items() if len(found) > 1}
    if not several:
        return None
    doubles = [(sum(found) - together[some]) / (len(found) - 1) for some, found in several.items()]
    shared = max(0, min(round(statistics.median(doubles)), *by_op.values()))
    summed = {some: sum(found) - (len(found) - 1) * shared for some, found in several.items()}
    off = sum(abs(size - together[some]) for some, size in summed.items())
    return shared if off < sum(abs(max(found) - together[some]) for some, found in several.items()) else None


def _mixed(wanted: Atoms) -> list[Atoms]:
    """Programs of atoms that have nothing in common but their arithmetic, as those of a model."""
    groups: dict[str, list[Atom]] = {name: [] for name in _ARITHMETICS}
    for atom in wanted:
        words = " ".join(atom.needs)
        name = next(name for name, marks in _ARITHMETICS.items() if any(mark in words for mark in marks))
        groups[name].append(atom)
    chosen = [group[start::_MIXED] for group in groups.values() for start in range(_MIXED)]
    return [{atom: wanted[atom] for atom in some} for some in chosen]


def _compared(
    bench: _Bench, builder: Builder, builtin: Costs, made: XnnCosts, wanted: Atoms
) -> list[Compared]:
    """Estimates of real models, and of mixed programs that the costs do not know, and what was measured."""
    asked: dict[str, tuple[Selection, DelegatedOps]] = {}
    for name in real_models():
        model = open_model(name)
        delegated_ops = kernel_choice.choose(bench.profile, [model], bench.registry).delegated_ops
        if delegated_ops is not None:
            label = name if name.startswith("zoo:") else Path(name).stem
            asked[label] = (select([model.analysis], bench.registry), delegated_ops)
    for number, some in enumerate(_mixed(wanted)[1::2]):
        asked[f"mixed:{number}"] = bench.only(some)
    measured = builder.variants({label: bench.project(*one) for label, one in asked.items()})
    return [
        Compared(
            model=label,
            estimated=xnnpack_costs.estimate(builtin, made, *one, bench.registry.runtime).code,
            measured=elf.program_size(measured[label]).code,
        )
        for label, one in asked.items()
    ]


def _without_themselves(
    bench: _Bench, builtin: Costs, made: XnnCosts, wanted: Atoms, codes: Mapping[Atom, int]
) -> Iterator[float]:
    """Errors when the costs do not know the atom, where others of its op are left."""
    for atom, needs in wanted.items():
        if atom.needs and len(made.by_op[atom.op]) > 1:
            others = {one: classes for one, classes in made.atoms.items() if one != atom}
            less = dataclasses.replace(made, atoms=others)
            chosen, delegated_ops = bench.only({atom: needs})
            found = xnnpack_costs.estimate(builtin, less, chosen, delegated_ops, bench.registry.runtime)
            yield abs(found.code - codes[atom]) / codes[atom]
