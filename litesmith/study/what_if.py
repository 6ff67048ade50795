"""The code size of a program with other ops, other models or other dtypes, linked and measured.

Only the cache of objects and programs is written to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litesmith.base.errors import UsageError
from litesmith.build.session import Session
from litesmith.measure.size import elf
from litesmith.model.model_file import open_model
from litesmith.predict.xnnpack.kernel_choice import choose
from litesmith.runtime import selection
from litesmith.runtime.selection import Selection
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.study.selection_edits import (
    Edit,
    adding_model,
    adding_op,
    converting_to_int8,
    dropping_op,
)

_BEFORE, _AFTER = "", "all changes"


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The changes to a program, in the order in which they are made.

    ``add_models`` are models as ``--model`` takes them, ``add_ops`` are names of ops, optionally
    with dtypes: ``RESIZE_BILINEAR:int8+int32``.
    """

    add_models: tuple[str, ...] = ()
    add_ops: tuple[str, ...] = ()
    drop_ops: tuple[str, ...] = ()
    int8_only: bool = False

    def any(self) -> bool:
        """Whether there are any changes."""
        return bool(self.add_models or self.add_ops or self.drop_ops or self.int8_only)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Bytes of code before and after all changes.

    ``steps`` are the bytes that each change adds when it is made alone.  ``ops`` maps the ops of
    the changed program to their dtypes.  ``notes`` say what was assumed.
    """

    before: int
    after: int
    steps: Mapping[str, int]
    ops: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as ``size.what-if --json`` prints it."""
        return {
            "before": self.before,
            "after": self.after,
            "delta": self.after - self.before,
            "steps": dict(self.steps),
            "ops": dict(self.ops),
            "notes": self.notes,
        }


def ask(session: Session, changes: Changes) -> Answer:
    """Links the program of a session as it is, with each change alone, and with all changes.

    Raises:
        UsageError: there are no changes, an op does not exist, or the program does not have it.
        UnsupportedModelError: the runtime cannot run a model that is added.
    """
    if not changes.any():
        raise UsageError(
            "no changes were given", "name some with --add-op, --add-model, --drop-op or --int8-only"
        )
    variants = _edit(session, changes)
    notes = list(variants.notes)
    if changes.add_ops and session.kernels.delegated_ops is not None:
        notes.append("added ops have built-in kernels: which nodes XNNPACK takes depends on their shapes")
    # A change that is the only one gives the program of all changes.
    alone = {name: one for name, one in variants.alone.items() if one != variants.all_changes}
    selections = {_BEFORE: session.selection, **alone, _AFTER: variants.all_changes}
    programs = session.builder.variants(
        {
            name: session.project(one, delegated_ops=_delegated_ops(session, one))
            for name, one in selections.items()
        }
    )
    codes = {name: elf.program_size(program).code for name, program in programs.items()}
    before, after = codes[_BEFORE], codes[_AFTER]
    return Answer(
        before=before,
        after=after,
        steps={name: codes.get(name, after) - before for name in variants.alone},
        ops={op.name: op.dtypes for op in variants.all_changes.ops},
        notes=tuple(dict.fromkeys(notes)),
    )


class _Variants:
    """The selection with all changes so far, and the original one with each change alone."""

    def __init__(self, original: Selection) -> None:
        self.original = original
        self.all_changes = original
        self.alone: dict[str, Selection] = {}
        self.notes: list[str] = []

    def make(self, label: str, edit: Edit) -> None:
        """Makes a change in both."""
        edited = edit(self.all_changes)
        self.all_changes = edited.selection
        self.notes += edited.notes
        try:
            alone = edit(self.original)
        except UsageError:
            # The change drops an op that another change has added.
            return
        self.alone[label] = alone.selection
        self.notes += alone.notes


def _edit(session: Session, changes: Changes) -> _Variants:
    variants = _Variants(session.selection)
    registry = session.registry
    for name in dict.fromkeys(changes.add_models):
        variants.make(f"add {name}", adding_model(open_model(name), registry))
    for text in dict.fromkeys(changes.add_ops):
        variants.make(f"add {text}", adding_op(text, registry, like=variants.all_changes))
    for name in dict.fromkeys(changes.drop_ops):
        variants.make(f"drop {name}", dropping_op(name))
    if changes.int8_only:
        variants.make("int8 only", converting_to_int8(registry))
    return variants


def _delegated_ops(session: Session, chosen: Selection) -> DelegatedOps | None:
    """What XNNPACK runs in a changed program.

    It runs nodes of the models that are added too, but no op that is added alone: such an op keeps
    its built-in kernel.
    """
    if session.kernels.delegated_ops is None:
        return None
    added = [open_model(model.path) for model in chosen.models if model not in session.selection.models]
    models = (*session.models, *added)
    found = choose(session.profile, models, session.registry, session.request.choice).delegated_ops
    if found is None:
        return None
    used = {
        op.name: set(op.dtypes)
        for op in selection.select([model.analysis for model in models], session.registry).ops
    }
    in_models = {op.name for op in chosen.ops if set(op.dtypes) <= used.get(op.name, set())}
    return dataclasses.replace(found, fully_delegated=found.fully_delegated & in_models)


def parse_names(words: Sequence[str]) -> tuple[str, ...]:
    """The names in options that may be repeated, or hold several names separated by commas."""
    return tuple(name.strip() for word in words for name in word.split(",") if name.strip())
