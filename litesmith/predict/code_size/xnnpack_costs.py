"""The measured costs of XNNPACK → the size of a program that runs nodes with it, without compiling it.

``ops_registry/xnnpack/costs/`` has one file for each target, toolchain and linkage, in addition to those of
:mod:`.builtin_costs` for TensorFlow Lite's own kernels.  What is measured is an *atom*: one op whose nodes
need one set of XNNPACK's operators and micro-kernels.  The delegate and XNNPACK's own runtime are the classes
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
from litesmith.predict.code_size import builtin_costs
from litesmith.predict.code_size.builtin_costs import BuiltinCosts, OpVariant
from litesmith.predict.code_size.estimate import Accuracy, Estimate, error_of
from litesmith.runtime.op_registry import Runtime
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
from litesmith.runtime.selection import Selection
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.required import RequiredMicrokernels, Requirements
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

_FORMAT = 1

# A kernel for another number of taps counts as the one for the next larger of these.
_TAPS = (3, 4, 9, 25)


@dataclass(frozen=True, order=True, kw_only=True)
class Atom:
    """What is measured: an op of which XNNPACK takes nodes, and what one kind of them needs.

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
class XnnpackCosts:
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
    kernels: Mapping[OpVariant, tuple[int, ...]]
    accuracy: Accuracy | None

    @functools.cached_property
    def by_op(self) -> Mapping[str, tuple[Atom, ...]]:
        """Atoms of each op."""
        found: dict[str, list[Atom]] = {}
        for atom in self.atoms:
            found.setdefault(atom.op, []).append(atom)
        return {op: tuple(atoms) for op, atoms in found.items()}


def key_of(profile: Profile, toolchain: Toolchain) -> dict[str, Any]:
    """What sizes depend on besides the models."""
    key = builtin_costs.key_of(profile, toolchain, (*COMPONENTS, *XNNPACK_COMPONENTS))
    return {**key, "instruction_sets": profile.instruction_sets}


def path_of(profile: Profile, toolchain: Toolchain) -> Path:
    """The file with the costs of a target and a toolchain."""
    return (
        paths.data_folder("ops_registry")
        / "xnnpack"
        / "costs"
        / builtin_costs.path_of(profile, toolchain).name
    )


def load(profile: Profile, toolchain: Toolchain) -> XnnpackCosts:
    """The costs that were measured with what a profile asks for.

    Raises:
        UsageError: no costs have been measured for that.
    """
    key = key_of(profile, toolchain)
    content = builtin_costs.find(path_of(profile, toolchain), key)
    if content is not None:
        return from_json(content)
    raise UsageError(
        f"no costs of XNNPACK have been measured for {profile.name} with these flags and {key['toolchain']}, "
        f"{key['linkage']}, {', '.join(profile.instruction_sets)}",
        f"'./inv build --target {profile.name} --kernels xnnpack' measures the program itself",
    )


def from_json(content: Mapping[str, Any]) -> XnnpackCosts:
    """A file's content.

    Raises:
        LitesmithError: the file has another format.
    """
    if content.get("format") != _FORMAT:
        raise LitesmithError(
            "the costs of XNNPACK have another format",
            "measure them again: ./inv estimate.measure --kernels xnnpack",
        )
    accuracy = content["accuracy"]
    return XnnpackCosts(
        key=content["key"],
        made_with=content["made_with"],
        rest=content["rest"],
        classes=tuple(content["classes"]),
        atoms={
            Atom(op=op, needs=tuple(needs.split())): tuple(classes) for op, needs, classes in content["atoms"]
        },
        kernels={
            OpVariant(op=op, dtypes=tuple(dtypes.split()), rows=rows): tuple(classes)
            for op, rows, several, classes in content["kernels"]
            for dtypes in several
        },
        accuracy=Accuracy(**accuracy) if accuracy else None,
    )


def to_text(known: XnnpackCosts) -> str:
    """The file: JSON with one line for each atom, and for the kernels of an op that have the same."""
    kernels: dict[tuple[str, str, tuple[int, ...]], list[str]] = {}
    for variant, classes in known.kernels.items():
        kernels.setdefault((variant.op, variant.rows, classes), []).append(" ".join(variant.dtypes))
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
    builtin: BuiltinCosts,
    own: XnnpackCosts,
    selection: Selection,
    delegated_ops: DelegatedOps,
    runtime: Runtime,
) -> Estimate:
    """The size of a selection's program in which XNNPACK runs nodes; ``builtin`` are costs of other kernels.

    Raises:
        UsageError: the costs of an op have not been measured.
    """
    rest = builtin_costs.estimate(builtin, _with_kernels(selection, delegated_ops), runtime)
    unknown = {atom.op for atom in atoms_of(delegated_ops, selection) if atom not in own.atoms}
    code = _code(builtin, own, selection, delegated_ops, runtime)
    error = error_of(own.accuracy, approximate=bool(unknown))
    return Estimate(
        code=code,
        # The error of the other kernels, as a share of the whole program.
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
    """The ops that keep their own kernels: XNNPACK does not take all of their nodes."""
    kept = tuple(op for op in selection.ops if op.custom or op.name not in delegated_ops.fully_delegated)
    return dataclasses.replace(selection, ops=kept)


def _code(
    builtin: BuiltinCosts,
    own: XnnpackCosts,
    selection: Selection,
    delegated_ops: DelegatedOps,
    runtime: Runtime,
) -> int:
    beside = _with_kernels(selection, delegated_ops)
    code = builtin_costs.code_of(builtin, beside, runtime)
    atoms = atoms_of(delegated_ops, selection)
    if not atoms:
        return code
    variants = builtin_costs.variants_of(builtin, beside, runtime)
    present = {number for variant in variants for number in own.kernels.get(variant, ())}
    found = {number for atom in atoms for number in own.atoms[_nearest(own, atom)]}
    return code + own.rest + sum(own.classes[number] for number in found - present)


def _nearest(own: XnnpackCosts, atom: Atom) -> Atom:
    """The atom itself, or the measured one of its op with the most needs in common and the fewest others."""
    if atom in own.atoms:
        return atom
    measured = own.by_op.get(atom.op)
    if measured is None:
        raise UsageError(
            f"no costs of XNNPACK have been measured for the op {atom.op}",
            "build the program: that measures its size",
        )
    wanted = set(atom.needs)
    return max(measured, key=lambda one: (len(wanted & set(one.needs)), -len(set(one.needs) - wanted)))
