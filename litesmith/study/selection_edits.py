"""Hypothetical changes to a selection: more models, more or fewer ops, int8 instead of float."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from litesmith.base.errors import UsageError, nearest
from litesmith.model import contents
from litesmith.model.analysis import UNKNOWN_ROW, dtype_numbers
from litesmith.model.model_file import Model
from litesmith.runtime import selection
from litesmith.runtime.op_registry import Op, Registry, require_supported
from litesmith.runtime.selection import SelectedOp, Selection

_FLOATS = frozenset({"float32", "float16"})
# Shapes, indices and biases have these dtypes in any model.
_IN_ANY_MODEL = frozenset({"int32", "int64", "bool"})
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
# The bias of these ops is float32 with float weights, and int32 with int8 weights.
_WITH_BIAS = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D", "CONV_3D_TRANSPOSE"}
)


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A selection after an edit; ``notes`` tell the user what the edit assumed."""

    selection: Selection
    notes: tuple[str, ...] = ()


Edit = Callable[[Selection], Edited]
"""A change to a selection.  It raises a UsageError if the selection does not have the op to change."""


def adding_model(model: Model, registry: Registry) -> Edit:
    """Adds the ops of a model.

    Raises:
        UnsupportedModelError: the runtime cannot run the model.
    """
    require_supported(registry, model.analysis)
    more = selection.select([model.analysis], registry)
    return lambda before: Edited(selection=before.joined(more))


def adding_op(text: str, registry: Registry, like: Selection) -> Edit:
    """Adds an op: ``RESIZE_BILINEAR``, or with dtypes ``RESIZE_BILINEAR:int8+int32``.

    Without dtypes, the op gets those that are most similar to the dtypes of the program ``like``.

    Raises:
        UsageError: the op does not exist, or has no kernel for a dtype.
    """
    known = registry.by_name()
    word, _, dtype_words = text.partition(":")
    name, notes = _resolve(word, list(known))
    if name is None:
        raise UsageError(f"there is no op {word}", nearest(word, list(known)) or "./inv ops lists them all")
    op = known[name]
    dtypes = tuple(sorted(word for word in dtype_words.split("+") if word))
    _require_dtypes(op, dtypes)
    dtypes = dtypes or _similar_dtypes(op, like, registry)
    rows = (UNKNOWN_ROW,) if name == "DEPTHWISE_CONV_2D" else ()
    added = Selection(models=(), ops=(SelectedOp.of(op, dtypes=dtypes, depthwise=rows),), sparse=False)

    def edit(before: Selection) -> Edited:
        present = next((one for one in before.ops if one.name == name), None)
        if present is not None and set(dtypes) <= set(present.dtypes):
            note = f"the program already has {name}, with the dtypes {', '.join(present.dtypes)}"
        else:
            note = f"{name} was added with the dtypes {', '.join(dtypes)}"
        return Edited(selection=before.joined(added), notes=(*notes, note))

    return edit


def dropping_op(word: str) -> Edit:
    """Drops an op, which the selection must have."""

    def edit(before: Selection) -> Edited:
        names = [op.name for op in before.ops]
        name, notes = _resolve(word, names)
        if name is None:
            hint = nearest(word, names) or f"it has {', '.join(names) or 'none'}"
            raise UsageError(f"the program has no op {word}", hint)
        return Edited(selection=before.without(name), notes=notes)

    return edit


def converting_to_int8(registry: Registry) -> Edit:
    """Changes the ops as if the models were converted to int8, with int8 inputs and outputs."""
    known = registry.by_name()

    def edit(before: Selection) -> Edited:
        ops: list[SelectedOp] = []
        notes: list[str] = []
        for op in before.ops:
            if not _FLOATS.intersection(op.dtypes):
                ops.append(op)
            elif op.name in _CONVERSIONS:
                notes.append(f"{op.name} is dropped: no tensor is float any more")
            elif "int8" not in known[op.name].dtypes:
                notes.append(f"{op.name} stays as it is: it has no kernel for int8")
                ops.append(op)
            else:
                bias = {"int32"} if op.name in _WITH_BIAS else set()
                dtypes = {*op.dtypes, "int8", *bias} - _FLOATS
                ops.append(dataclasses.replace(op, dtypes=tuple(sorted(dtypes))))
        return Edited(selection=dataclasses.replace(before, ops=tuple(ops)), notes=tuple(notes))

    return edit


def _resolve(word: str, names: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The op that a word stands for, and a note if that was a guess.

    The word is a name in upper or lower case, or a part of one name only: FFT stands for RFFT2D.
    """
    if word in names:
        return word, ()
    found = [name for name in names if word.upper() == name.upper()]
    found = found or [name for name in names if word and word.upper() in name.upper()]
    if len(found) != 1:
        return None, ()
    return found[0], (f"{word} was taken for {found[0]}",)


def _require_dtypes(op: Op, dtypes: Sequence[str]) -> None:
    missing = next((dtype for dtype in dtypes if dtype not in op.dtypes), None)
    if missing is not None:
        reason = "" if missing in dtype_numbers() else ", which does not exist"
        raise UsageError(
            f"{op.name} has no kernel for the dtype {missing}{reason}", f"it has {', '.join(op.dtypes)}"
        )


def _similar_dtypes(op: Op, program: Selection, registry: Registry) -> tuple[str, ...]:
    """Dtypes that an op can have together, as similar as possible to those of the program."""
    uses = Counter(dtype for one in program.ops for dtype in one.dtypes)
    for dtype in _IN_ANY_MODEL:
        uses.pop(dtype, None)

    def similarity(dtypes: tuple[str, ...]) -> tuple[int, int, int]:
        unused = sum(1 for dtype in dtypes if dtype not in uses and dtype not in _IN_ANY_MODEL)
        return (-unused, max((uses[dtype] for dtype in dtypes), default=0), -len(dtypes))

    return max(_tested_dtypes(op.name, registry), key=similarity, default=op.dtypes)


def _tested_dtypes(name: str, registry: Registry) -> list[tuple[str, ...]]:
    """The sets of dtypes that an op has in the models of the tests, one model for each case of an op."""
    from litesmith.study import op_models

    cases = (case for case in op_models.all_cases() if case.op == name)
    models = (contents.analyse_bytes(case.content, case.name) for case in cases)
    found = {
        op.dtypes for model in models for op in selection.select([model], registry).ops if op.name == name
    }
    return sorted(found)
