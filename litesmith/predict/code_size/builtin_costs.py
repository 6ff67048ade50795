"""The measured costs of TensorFlow Lite's own kernels → the size of a program, without compiling it.

``ops_registry/costs/`` has one file for each target, toolchain and linkage.  For each op and set of dtypes, a
program with that op alone was linked and divided into its symbols.  Symbols that occur in the same programs
form one *class*.  A model needs the union of the classes of its ops, so that code shared by ops counts once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from litesmith.base import files, paths
from litesmith.base.errors import LitesmithError, UsageError
from litesmith.model.analysis import DepthwiseRow
from litesmith.predict.code_size.estimate import Accuracy, Estimate, error_of
from litesmith.runtime.components import Component
from litesmith.runtime.op_registry import Runtime
from litesmith.runtime.pins import COMPONENTS
from litesmith.runtime.pruning import kept_dtypes
from litesmith.runtime.selection import Selection
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

_FORMAT = 1

Rows = Literal["", "usual", "all"]

# Any input depth and stride, as many output channels as input channels.
_USUAL_KERNEL = (True, 0, 1)


@dataclass(frozen=True, order=True, kw_only=True)
class OpVariant:
    """What one program is linked for: an op with a set of dtypes and of row kernels."""

    op: str
    dtypes: tuple[str, ...]
    rows: Rows = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What an op with a set of dtypes adds to the runtime.

    ``classes`` are indices into :attr:`BuiltinCosts.classes`; ``rest`` are further bytes.  ``rows`` is empty
    except for depthwise convolutions: with the usual row kernel, or with all.
    """

    op: str
    dtypes: tuple[str, ...]
    rows: Rows
    classes: tuple[int, ...]
    rest: int

    @property
    def variant(self) -> OpVariant:
        """What was measured."""
        return OpVariant(op=self.op, dtypes=self.dtypes, rows=self.rows)


@dataclass(frozen=True, kw_only=True)
class BuiltinCosts:
    """All measured costs of one target, toolchain and linkage.

    ``key`` says what they were measured with.  ``base`` is the code of the program without ops, ``sparse``
    what reading sparse weights adds; both are bytes, and so are ``classes``.
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


def key_of(
    profile: Profile, toolchain: Toolchain, components: Sequence[Component] = COMPONENTS
) -> dict[str, Any]:
    """What sizes depend on besides the model: everything that the compiler is given."""
    flags = toolchain.compile_flags(profile)
    return {
        "sources": {component.name: component.revision for component in components},
        "toolchain": toolchain.family,
        "linkage": profile.toolchains[toolchain.name].linkage,
        "target": flags.target,
        "common": flags.common,
        "by_source": dict(flags.by_source),
        "model_check": profile.model_check,
    }


def path_of(profile: Profile, toolchain: Toolchain) -> Path:
    """The file with the costs of a target and a toolchain."""
    key = key_of(profile, toolchain)
    name = f"{profile.name}.{key['toolchain']}.{key['linkage']}.json"
    return paths.data_folder("ops_registry") / "costs" / name


def find(own: Path, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The content of the file that was measured with ``key``: ``own``, or another one in its folder."""
    plain = json.loads(json.dumps(key))
    for path in (own, *sorted(own.parent.glob("*.json"))):
        if path.is_file():
            content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if content["key"] == plain:
                return content
    return None


def load(profile: Profile, toolchain: Toolchain) -> BuiltinCosts:
    """The costs that were measured with what a profile asks for.

    Raises:
        UsageError: no costs have been measured for that.
    """
    key = key_of(profile, toolchain)
    content = find(path_of(profile, toolchain), key)
    if content is not None:
        return from_json(content)
    raise UsageError(
        f"no costs have been measured for {profile.name} with these flags and {key['toolchain']}, "
        f"{key['linkage']}",
        f"'./inv build --target {profile.name}' measures the program itself; "
        "'./inv estimate.measure' makes such a file in a checkout",
    )


def from_json(content: Mapping[str, Any]) -> BuiltinCosts:
    """A file's content.

    Raises:
        LitesmithError: the file has another format.
    """
    if content.get("format") != _FORMAT:
        raise LitesmithError(
            "the costs of ops have another format", "measure them again: ./inv estimate.measure"
        )
    accuracy = content["accuracy"]
    return BuiltinCosts(
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


def to_text(costs: BuiltinCosts) -> str:
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


def estimate(costs: BuiltinCosts, selection: Selection, runtime: Runtime) -> Estimate:
    """The size of a selection's program.

    Raises:
        UsageError: the costs of an op have not been measured (a custom op of the user, for example).
    """
    approximate = [
        name
        for name, dtypes in _effective(selection, runtime).items()
        if _dtypes_of(_matching(costs, name, dtypes, "usual")) != set(dtypes)
    ]
    code = code_of(costs, selection, runtime)
    error = error_of(costs.accuracy, approximate=bool(approximate))
    return Estimate(
        code=code,
        error=error,
        base=costs.base,
        ops={op.name: code - code_of(costs, selection.without(op.name), runtime) for op in selection.ops},
        approximate=tuple(approximate),
        made_with=costs.made_with,
    )


def variants_of(costs: BuiltinCosts, selection: Selection, runtime: Runtime) -> list[OpVariant]:
    """The measured variants that an estimate is made from.

    Raises:
        UsageError: the costs of an op have not been measured.
    """
    effective = _effective(selection, runtime)
    return [
        entry.variant
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


def code_of(costs: BuiltinCosts, selection: Selection, runtime: Runtime) -> int:
    """Bytes of code of a selection's program.

    Raises:
        UsageError: the costs of an op have not been measured.
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
    """The share of the special row kernels that depthwise convolutions need."""
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
    """The dtypes that the files of each op are compiled for.

    Ops that share a file get the dtypes of all of them.
    """
    kept = kept_dtypes(selection, runtime.dispatching)
    return {
        op.name: tuple(
            sorted({*op.dtypes, *(dtype for source in op.sources for dtype in kept.get(source, ()))})
        )
        for op in selection.ops
    }


def _matching(costs: BuiltinCosts, name: str, dtypes: tuple[str, ...], rows: Rows) -> Sequence[Entry]:
    """The entries that together are nearest to an op with these dtypes."""
    entries = [entry for entry in costs.by_op.get(name, ()) if entry.rows in {"", rows}]
    if not entries:
        raise UsageError(
            f"no costs have been measured for the op {name}", "build the program: that measures its size"
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
