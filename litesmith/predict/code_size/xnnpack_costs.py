"""Costs of XNNPACK measured once → the size of a program in which it runs nodes, without compiling it.

``ops_registry/xnnpack/costs/`` has one file for each target, toolchain and linkage, beside those of
:mod:`.costs` for TensorFlow Lite's own kernels.  What is measured is an *atom*: one op whose nodes ask for
one set of XNNPACK's operators and micro-kernels.  The delegate and XNNPACK's own runtime are the classes
that all atoms have.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.base import files, paths
from litesmith.base.errors import LitesmithError, UsageError
from litesmith.predict.code_size import costs
from litesmith.predict.code_size.costs import Accuracy, Costs, Estimate, Program
from litesmith.runtime.op_registry import Runtime
from litesmith.runtime.selection import Selection
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.requirements import RequiredMicrokernels, Requirements
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

_FORMAT = 1

# Kernels for other numbers of taps are those for the next of these.
_TAPS = (3, 4, 9, 25)

# Of costs that were not held against models yet.
_UNKNOWN_ERROR = 0.1


@dataclass(frozen=True, order=True, kw_only=True)
class Atom:
    """What is measured: an op of which XNNPACK takes nodes, and what one kind of them asks for.

    ``needs`` are words: operators, kernels (``f32_gemm.igemm``, ``f32_dwconv.dwconv9``) and references
    (``unary.elu.int8``).  Files of nodes go with the op.
    """

    op: str
    needs: tuple[str, ...]

    @classmethod
    def of(cls, op: str, needs: Requirements) -> Atom:
        """The atom of nodes with these needs."""
        references = (".".join(reference) for reference in needs.references)
        words = {*needs.operators, *map(_word, needs.microkernels), *references}
        return cls(op=op, needs=tuple(sorted(words)))


def _word(need: RequiredMicrokernels) -> str:
    if not need.kind:
        return need.config
    taps = next((taps for taps in _TAPS if taps >= need.taps), need.taps) if need.taps else ""
    return f"{need.config}.{need.kind}{taps}"


def atoms_of(delegated_ops: DelegatedOps, chosen: Selection) -> list[Atom]:
    """The atoms of a selection's ops."""
    return sorted(
        {
            Atom.of(op.name, needs)
            for op in chosen.ops
            if not op.custom
            for needs in delegated_ops.requirements.get(op.name, ())
        }
    )


@dataclass(frozen=True, kw_only=True)
class XnnCosts:
    """All measured costs of XNNPACK on one target with one toolchain and linkage.

    ``key`` says what they were measured with.  ``classes`` are bytes; ``atoms`` and ``kernels`` have indices
    into them: ``kernels`` are those that TensorFlow Lite's own kernel of an op and its dtypes brings, too.
    ``rest`` are bytes of a program with XNNPACK beside its classes.
    """

    key: Mapping[str, Any]
    made_with: str
    rest: int
    classes: tuple[int, ...]
    atoms: Mapping[Atom, tuple[int, ...]]
    kernels: Mapping[Program, tuple[int, ...]]
    accuracy: Accuracy | None

    @functools.cached_property
    def by_op(self) -> Mapping[str, tuple[Atom, ...]]:
        """Atoms of each op."""
        found: dict[str, list[Atom]] = {}
        for atom in self.atoms:
            found.setdefault(atom.op, []).append(atom)
        return {op: tuple(atoms) for op, atoms in found.items()}


def key_of(profile: Profile, toolchain: Toolchain) -> dict[str, Any]:
    """What sizes depend on, beside the models."""
    return {**costs.key_of(profile, toolchain), "instruction_sets": profile.instruction_sets}


def path_of(profile: Profile, toolchain: Toolchain) -> Path:
    """Where the costs of a target and a toolchain lie."""
    return paths.data_folder("ops_registry") / "xnnpack" / "costs" / costs.path_of(profile, toolchain).name


def load(profile: Profile, toolchain: Toolchain) -> XnnCosts:
    """The costs that were measured with what a profile asks for.

    Raises:
        LitesmithError: nobody has measured them.
    """
    key = key_of(profile, toolchain)
    content = costs.find(path_of(profile, toolchain), key)
    if content is not None:
        return from_json(content)
    raise UsageError(
        f"no costs of XNNPACK were measured for {profile.name} with these flags and {key['toolchain']}, "
        f"{key['linkage']}, {', '.join(profile.instruction_sets)}",
        f"'./inv build --target {profile.name} --kernels xnnpack' measures the program itself",
    )


def from_json(content: Mapping[str, Any]) -> XnnCosts:
    """A file's content.

    Raises:
        LitesmithError: the file is of another version.
    """
    if content.get("format") != _FORMAT:
        raise LitesmithError("the costs of XNNPACK are of another version", "measure them again")
    accuracy = content["accuracy"]
    return XnnCosts(
        key=content["key"],
        made_with=content["made_with"],
        rest=content["rest"],
        classes=tuple(content["classes"]),
        atoms={
            Atom(op=op, needs=tuple(needs.split())): tuple(classes) for op, needs, classes in content["atoms"]
        },
        kernels={
            Program(op=op, dtypes=tuple(dtypes.split()), rows=rows): tuple(classes)
            for op, rows, several, classes in content["kernels"]
            for dtypes in several
        },
        accuracy=Accuracy(**accuracy) if accuracy else None,
    )


def to_text(known: XnnCosts) -> str:
    """The file: JSON with one line for each atom, and for the kernels of an op that have the same."""
    kernels: dict[tuple[str, str, tuple[int, ...]], list[str]] = {}
    for program, classes in known.kernels.items():
        kernels.setdefault((program.op, program.rows, classes), []).append(" ".join(program.dtypes))
    head = {
        "format": _FORMAT,
        "made_with": known.made_with,
        "key": known.key,
        "accuracy": vars(known.accuracy) if known.accuracy else None,
        "rest": known.rest,
    }
    lists = {
        "atoms": [[atom.op, " ".join(atom.needs), classes] for atom, classes in known.atoms.items()],
        "kernels": [[op, rows, several, classes] for (op, rows, classes), several in kernels.items()],
    }
    opening = files.to_json(head).rstrip()[:-1].rstrip()
    texts = [f'"classes": {_line(known.classes)}']
    texts += [f'"{name}": [\n{_lines(rows)}\n  ]' for name, rows in lists.items()]
    return ",\n  ".join([opening, *texts]) + "\n}\n"


def _lines(rows: Iterable[Any]) -> str:
    return ",\n".join(map(_line, rows))


def _line(row: Any) -> str:
    return json.dumps(row, separators=(",", ":"))


def estimate(
    builtin: Costs, own: XnnCosts, selection: Selection, delegated_ops: DelegatedOps, runtime: Runtime
) -> Estimate:
    """The size of a selection's program in which XNNPACK runs nodes; ``builtin`` are costs of other kernels.

    Raises:
        UsageError: an op was never measured.
    """
    rest = costs.estimate(builtin, _with_kernels(selection, delegated_ops), runtime)
    unknown = {atom.op for atom in atoms_of(delegated_ops, selection) if atom not in own.atoms}
    code = _code(builtin, own, selection, delegated_ops, runtime)
    accuracy = own.accuracy
    error = _UNKNOWN_ERROR if accuracy is None else accuracy.unseen if unknown else accuracy.worst
    return Estimate(
        code=code,
        # What is uncertain about the other kernels, of the whole program.
        error=max(error, rest.error * rest.code / code) if rest.approximate else error,
        base=builtin.base,
        ops={
            op.name: code - _code(builtin, own, selection.without(op.name), delegated_ops, runtime)
            for op in selection.ops
        },
        approximate=tuple(op.name for op in selection.ops if op.name in {*rest.approximate, *unknown}),
        made_with=own.made_with,
        kernels="xnnpack",
    )


def _with_kernels(selection: Selection, delegated_ops: DelegatedOps) -> Selection:
    """What has kernels of its own."""
    kept = tuple(op for op in selection.ops if op.custom or op.name not in delegated_ops.fully_delegated)
    return dataclasses.replace(selection, ops=kept)


def _code(
    builtin: Costs, own: XnnCosts, selection: Selection, delegated_ops: DelegatedOps, runtime: Runtime
) -> int:
    beside = _with_kernels(selection, delegated_ops)
    code = costs.code_of(builtin, beside, runtime)
    atoms = atoms_of(delegated_ops, selection)
    if not atoms:
        return code
    programs = costs.programs_of(builtin, beside, runtime)
    there = {number for program in programs for number in own.kernels.get(program, ())}
    found = {number for atom in atoms for number in own.atoms[_nearest(own, atom)]}
    return code + own.rest + sum(own.classes[number] for number in found - there)


def _nearest(own: XnnCosts, atom: Atom) -> Atom:
    """The atom itself, or the measured one of its op with the most needs in common and the fewest others."""
    if atom in own.atoms:
        return atom
    measured = own.by_op.get(atom.op)
    if measured is None:
        raise UsageError(
            f"nobody has measured what the op {atom.op} costs in XNNPACK",
            "build the program: that measures it",
        )
    wanted = set(atom.needs)
    return max(measured, key=lambda one: (len(wanted & set(one.needs)), -len(set(one.needs) - wanted)))
