"""Costs of ops measured once → the size of any program, without compiling it.

``ops_registry/costs/`` has one file for each target, toolchain and linkage.  For each op and set of
dtypes a program of that op alone was linked, and taken apart into its symbols.  Symbols that occur
in the same programs are one *class*; a model needs the union of the classes of its ops, so that
what ops share counts once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from litesmith.base import files, paths
from litesmith.base.errors import LitesmithError, UsageError
from litesmith.model.analysis import DepthwiseRow
from litesmith.runtime.op_registry import Runtime
from litesmith.runtime.pruning import kept_dtypes
from litesmith.runtime.selection import Selection
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

_FORMAT = 1

Rows = Literal["", "usual", "all"]
Measured = TypeVar("Measured", bound=Hashable)

# For rows of any depth and stride, with as many output as input channels.
_USUAL_KERNEL = (True, 0, 1)

# Of costs that were not held against models yet.
_UNKNOWN_ERROR = 0.1


@dataclass(frozen=True, order=True, kw_only=True)
class Program:
    """What is measured: an op with a set of dtypes and kernels of rows."""

    op: str
    dtypes: tuple[str, ...]
    rows: Rows = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What an op with a set of dtypes adds to the runtime.

    ``classes`` are indices into :attr:`Costs.classes`; ``rest`` are bytes beside them.
    ``rows`` is there for depthwise convolutions only: with the usual kernel of rows, or with all.
    """

    op: str
    dtypes: tuple[str, ...]
    rows: Rows
    classes: tuple[int, ...]
    rest: int

    @property
    def program(self) -> Program:
        """What was measured."""
        return Program(op=self.op, dtypes=self.dtypes, rows=self.rows)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How far estimates were off for models that the measurement does not know, as shares.

    ``median`` and ``worst`` are over all ``models``.  ``unseen`` is for ops with dtypes that were
    not measured: 95 of 100 single-op models are nearer when their own op and dtypes are left out.
    """

    models: int
    median: float
    worst: float
    worst_model: str
    unseen_median: float
    unseen: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """All measured costs of one target, toolchain and linkage.

    ``key`` says what they were measured with, ``base`` is the code of the program without ops,
    ``sparse`` what reading sparse weights adds, ``classes`` are bytes.
    """

    key: Mapping[str, Any]
    made_with: str
    base: int
    sparse: int
    classes: tuple[int, ...]
    entries: tuple[Entry, ...]
    accuracy: Accuracy | None

    @functools.cached_property
    def by_op(self) -> Mapping[str, tuple[Entry, ...]]:
        """Entries of each op."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.op, []).append(entry)
        return {op: tuple(entries) for op, entries in found.items()}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Bytes of code that a program will have.

    ``error`` is the share by which estimates of this kind were off at most; ``ops`` is what the
    program would shrink by without each op; ``approximate`` are ops whose dtypes were not measured.
    ``kernels`` says who runs the nodes: ``builtin`` or ``xnnpack``.
    """

    code: int
    error: float
    base: int
    ops: Mapping[str, int]
    approximate: tuple[str, ...]
    made_with: str
    kernels: str = "builtin"

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "code": self.code,
            "error": self.error,
            "low": round(self.code * (1 - self.error)),
            "high": round(self.code * (1 + self.error)),
            "without_ops": self.base,
            "ops": dict(self.ops),
            "approximate": self.approximate,
            "made_with": self.made_with,
            "kernels": self.kernels,
        }


def key_of(profile: Profile, toolchain: Toolchain) -> dict[str, Any]:
    """What sizes depend on, beside the model: everything that the compiler is told."""
    flags = toolchain.compile_flags(profile)
    return {
        "toolchain": toolchain.family,
        "linkage": profile.toolchains[toolchain.name].linkage,
        "target": flags.target,
        "common": flags.common,
        "by_source": dict(flags.by_source),
        "model_check": profile.model_check,
    }


def path_of(profile: Profile, toolchain: Toolchain) -> Path:
    """Where the costs of a target and a toolchain lie."""
    key = key_of(profile, toolchain)
    name = f"{profile.name}.{key['toolchain']}.{key['linkage']}.json"
    return paths.data_folder("ops_registry") / "costs" / name


def find(own: Path, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The content of the file that was measured with ``key``: ``own``, or another one beside it."""
    plain = json.loads(json.dumps(key))
    for path in (own, *sorted(own.parent.glob("*.json"))):
        if path.is_file():
            content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if content["key"] == plain:
                return content
    return None


def load(profile: Profile, toolchain: Toolchain) -> Costs:
    """The costs that were measured with what a profile asks for.

    Raises:
        LitesmithError: nobody has measured them.
    """
    key = key_of(profile, toolchain)
    content = find(path_of(profile, toolchain), key)
    if content is not None:
        return from_json(content)
    raise UsageError(
        f"no costs were measured for {profile.name} with these flags and {key['toolchain']}, "
        f"{key['linkage']}",
        f"'./inv build --target {profile.name}' measures the program itself; "
        "'./inv estimate.measure' makes such a file in a checkout",
    )


def from_json(content: Mapping[str, Any]) -> Costs:
    """A file's content.

    Raises:
        LitesmithError: the file is of another version.
    """
    if content.get("format") != _FORMAT:
        raise LitesmithError("the costs of ops are of another version", "measure them again")
    accuracy = content["accuracy"]
    return Costs(
        key=content["key"],
        made_with=content["made_with"],
        base=content["base"],
        sparse=content["sparse"],
        classes=tuple(content["classes"]),
        entries=tuple(
            Entry(op=op, dtypes=tuple(dtypes.split()), rows=rows, classes=tuple(classes), rest=rest)
            for op, dtypes, rows, rest, classes in content["entries"]
        ),
        accuracy=Accuracy(**accuracy) if accuracy else None,
    )


def to_text(costs: Costs) -> str:
    """The file: JSON with one line for each op and set of dtypes."""
    head = {
        "format": _FORMAT,
        "made_with": costs.made_with,
        "key": costs.key,
        "accuracy": vars(costs.accuracy) if costs.accuracy else None,
        "base": costs.base,
        "sparse": costs.sparse,
    }
    rows = ",\n".join(
        json.dumps([e.op, " ".join(e.dtypes), e.rows, e.rest, list(e.classes)], separators=(",", ":"))
        for e in costs.entries
    )
    classes = json.dumps(list(costs.classes), separators=(",", ":"))
    opening = files.to_json(head).rstrip()[:-1].rstrip()
    return f'{opening},\n  "classes": {classes},\n  "entries": [\n{rows}\n]}}\n'


def compress(
    base: Mapping[str, int], programs: Mapping[Measured, Mapping[str, int]]
) -> tuple[tuple[int, ...], dict[Measured, tuple[int, ...]]]:
    """Symbols of programs → bytes of classes, and the classes of each program.

    ``base`` and ``programs`` map symbols to bytes.  A symbol that is larger in one program than in
    another is cut: what all have, and what the larger one has on top.
    """
    users: dict[str, dict[int, list[Measured]]] = {}
    for program, symbols in programs.items():
        for symbol, size in symbols.items():
            if size > base.get(symbol, 0):
                users.setdefault(symbol, {}).setdefault(size, []).append(program)
    order = {program: number for number, program in enumerate(programs)}
    groups: dict[tuple[int, ...], int] = {}
    for symbol, by_size in users.items():
        before = base.get(symbol, 0)
        having = [program for found in by_size.values() for program in found]
        for size in sorted(by_size):
            group = tuple(sorted(order[program] for program in having))
            groups[group] = groups.get(group, 0) + size - before
            before = size
            having = [program for program in having if program not in set(by_size[size])]
    members: dict[int, list[int]] = {number: [] for number in order.values()}
    for number, group in enumerate(sorted(groups)):
        for member in group:
            members[member].append(number)
    sizes = tuple(groups[group] for group in sorted(groups))
    return sizes, {program: tuple(members[number]) for program, number in order.items()}


def estimate(costs: Costs, selection: Selection, runtime: Runtime) -> Estimate:
    """The size of a selection's program.

    Raises:
        UsageError: an op was never measured (one of the user's own, for example).
    """
    approximate = [
        name
        for name, dtypes in _effective(selection, runtime).items()
        if _dtypes_of(_matching(costs, name, dtypes, "usual")) != set(dtypes)
    ]
    code = code_of(costs, selection, runtime)
    accuracy = costs.accuracy
    error = _UNKNOWN_ERROR if accuracy is None else accuracy.unseen if approximate else accuracy.worst
    return Estimate(
        code=code,
        error=error,
        base=costs.base,
        ops={op.name: code - code_of(costs, selection.without(op.name), runtime) for op in selection.ops},
        approximate=tuple(approximate),
        made_with=costs.made_with,
    )


def programs_of(costs: Costs, selection: Selection, runtime: Runtime) -> list[Program]:
    """What was measured of which an estimate is made.

    Raises:
        UsageError: an op was never measured.
    """
    effective = _effective(selection, runtime)
    return [
        entry.program
        for op in selection.ops
        for entry in _matching(
            costs,
            op.name,
            effective[op.name],
            "all" if _share_of_rows(op.depthwise, runtime) == 1 else "usual",
        )
    ]


def _dtypes_of(entries: Sequence[Entry]) -> set[str]:
    return {dtype for entry in entries for dtype in entry.dtypes}


def code_of(costs: Costs, selection: Selection, runtime: Runtime) -> int:
    """Bytes of code of a selection's program.

    Raises:
        UsageError: an op was never measured.
    """
    classes: set[int] = set()
    code = costs.base + (costs.sparse if selection.sparse else 0)
    effective = _effective(selection, runtime)
    for op in selection.ops:
        share = _share_of_rows(op.depthwise, runtime)
        found = _matching(costs, op.name, effective[op.name], "all" if share == 1 else "usual")
        classes.update(number for entry in found for number in entry.classes)
        code += max(entry.rest for entry in found)
        if 0 < share < 1:
            every = _matching(costs, op.name, effective[op.name], "all")
            more = {number for entry in every for number in entry.classes} - classes
            code += round(share * sum(costs.classes[number] for number in more))
    return code + sum(costs.classes[number] for number in classes)


def _share_of_rows(rows: Sequence[DepthwiseRow], runtime: Runtime) -> float:
    """How many of the special kernels of rows a depthwise convolution needs."""
    if not rows:
        return 0.0
    if not all(row.known for row in rows):
        return 1.0
    special = [kernel for kernel in runtime.row_kernels if kernel != _USUAL_KERNEL]
    needed = [
        (strided, depth, multiplier)
        for strided, depth, multiplier in special
        if any(
            (row.stride_width == 1 or strided)
            and depth in {0, row.input_depth}
            and multiplier == row.multiplier
            for row in rows
        )
    ]
    return len(needed) / len(special) if special else 0.0


def _effective(selection: Selection, runtime: Runtime) -> dict[str, tuple[str, ...]]:
    """The dtypes that the files of each op are compiled for: an op that shares one has the others', too."""
    kept = kept_dtypes(selection, runtime.dispatching)
    return {
        op.name: tuple(
            sorted({*op.dtypes, *(dtype for source in op.sources for dtype in kept.get(source, ()))})
        )
        for op in selection.ops
    }


def _matching(costs: Costs, name: str, dtypes: tuple[str, ...], rows: Rows) -> Sequence[Entry]:
    """Entries that together come nearest to an op with these dtypes."""
    entries = [entry for entry in costs.by_op.get(name, ()) if entry.rows in {"", rows}]
    if not entries:
        raise UsageError(
            f"nobody has measured what the op {name} costs", "build the program: that measures it"
        )
    wanted = set(dtypes)
    exact = [entry for entry in entries if set(entry.dtypes) == wanted]
    if exact:
        return exact
    within = [entry for entry in entries if set(entry.dtypes) <= wanted]
    if within and _dtypes_of(within) >= wanted & _dtypes_of(entries):
        return within
    beyond = [entry for entry in entries if set(entry.dtypes) >= wanted]
    if beyond:
        return [min(beyond, key=lambda entry: len(entry.dtypes))]
    # The most dtypes in common, and the fewest others.
    nearest = max(entries, key=lambda e: (len(wanted & set(e.dtypes)), -len(set(e.dtypes) - wanted)))
    return [*within, nearest]
