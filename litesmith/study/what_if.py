"""What a program would weigh with other ops, other models or other dtypes: linked and measured.

Nothing is written but the cache of objects.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litesmith.base.errors import UsageError
from litesmith.base.yaml_files import nearest
from litesmith.build.session import Session
from litesmith.measure.size import elf
from litesmith.model import contents
from litesmith.model.contents import DTYPES, UNKNOWN_ROW
from litesmith.model.model_file import open_model
from litesmith.predict.xnnpack.kernel_choice import choose
from litesmith.runtime import selection
from litesmith.runtime.op_registry import Op, Registry, require_supported
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps

_FLOATS = frozenset({"float32", "float16"})
_EVERYWHERE = frozenset({"int32", "int64", "bool"})
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
# Their bias is float32 beside float weights, and int32 beside int8.
_WITH_BIAS = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D", "CONV_3D_TRANSPOSE"}
)
_AFTER, _BEFORE = "all changes", ""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is supposed, in the order in which it happens.

    ``add_ops`` are names, with dtypes if need be: ``RESIZE_BILINEAR:int8+int32``.
    """

    add_models: tuple[str, ...] = ()
    add_ops: tuple[str, ...] = ()
    drop_ops: tuple[str, ...] = ()
    int8_only: bool = False

    def any(self) -> bool:
        """Whether anything is supposed at all."""
        return bool(self.add_models or self.add_ops or self.drop_ops or self.int8_only)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Bytes of code before and after all changes; ``steps`` are those of each change by itself.

    ``ops`` maps the ops of the supposed program to their dtypes, ``notes`` say what was taken how.
    """

    before: int
    after: int
    steps: Mapping[str, int]
    ops: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "before": self.before,
            "after": self.after,
            "delta": self.after - self.before,
            "steps": dict(self.steps),
            "ops": dict(self.ops),
            "notes": self.notes,
        }


def ask(session: Session, changes: Changes) -> Answer:
    """Links the program with the changes, each alone and all of them.

    Raises:
        UsageError: an op that does not exist, or that the program does not have.
        UnsupportedModelError: the runtime cannot run a model that is added.
    """
    if not changes.any():
        raise UsageError(
            "nothing is supposed", "say what with --add-op, --add-model, --drop-op or --int8-only"
        )
    notes: list[str] = []
    edits = _edits(session, changes, notes)
    start = session.selection
    variants = {_BEFORE: start}
    chosen = start
    for label, edit in edits.items():
        chosen = edit(chosen)
        if len(edits) > 1:
            # An op that another change adds cannot be dropped from what is there now.
            alone = _alone(edit, start)
            if alone is not None:
                variants[label] = alone
    variants[_AFTER] = chosen
    if changes.add_ops and session.kernels.delegated_ops is not None:
        notes.append("added ops have built-in kernels: which nodes XNNPACK takes depends on their shapes")
    programs = session.builder.variants(
        {
            name: session.project(one, delegated_ops=_delegated_ops(session, one))
            for name, one in variants.items()
        }
    )
    codes = {name: elf.program_size(program).code for name, program in programs.items()}
    before = codes[_BEFORE]
    steps = {name: code - before for name, code in codes.items() if name not in {_BEFORE, _AFTER}}
    return Answer(
        before=before,
        after=codes[_AFTER],
        steps=steps or {next(iter(edits)): codes[_AFTER] - before},
        ops={op.name: op.dtypes for op in chosen.ops},
        notes=tuple(dict.fromkeys(notes)),
    )


def _delegated_ops(session: Session, chosen: Selection) -> DelegatedOps | None:
    """What XNNPACK runs when the program has more models; ops that are added alone bring their kernels."""
    if session.kernels.delegated_ops is None:
        return None
    more = [open_model(model.path) for model in chosen.models if model not in session.selection.models]
    models = (*session.models, *more)
    kernels = choose(session.profile, models, session.registry, session.request.choice)
    if kernels.delegated_ops is None:
        return None
    used = {
        op.name: set(op.dtypes)
        for op in selection.select([model.analysis for model in models], session.registry).ops
    }
    known = {op.name for op in chosen.ops if set(op.dtypes) <= used.get(op.name, set())}
    found = kernels.delegated_ops
    return dataclasses.replace(found, fully_delegated=found.fully_delegated & known)


Edit = Callable[[Selection], Selection]


def _alone(edit: Edit, start: Selection) -> Selection | None:
    try:
        return edit(start)
    except UsageError:
        return None


def _edits(session: Session, changes: Changes, notes: list[str]) -> dict[str, Edit]:
    """Each change by the words that people gave it."""
    registry = session.registry
    known = registry.by_name()
    found: dict[str, Edit] = {}
    for name in changes.add_models:
        found[f"add {name}"] = _adding_model(session, name)
    for text in changes.add_ops:
        found[f"add {text}"] = _adding_op(text, known, registry, notes)
    for name in changes.drop_ops:
        found[f"drop {name}"] = _dropping(name, notes)
    if changes.int8_only:
        found["int8 only"] = lambda chosen: _int8_only(chosen, known, notes)
    return found


def _adding_model(session: Session, name: str) -> Edit:
    model = open_model(name)
    require_supported(session.registry, model.analysis)
    more = selection.select([model.analysis], session.registry)

    def add(chosen: Selection) -> Selection:
        return chosen.joined(more)

    return add


def _adding_op(text: str, known: Mapping[str, Op], registry: Registry, notes: list[str]) -> Edit:
    word, _, words = text.partition(":")
    name = _meant(word, list(known), notes)
    if name is None:
        raise UsageError(f"there is no op {word}", nearest(word, list(known)) or "./inv ops lists them all")
    op = known[name]
    wanted = tuple(sorted(word for word in words.split("+") if word))
    unknown = [dtype for dtype in wanted if dtype not in op.dtypes]
    if unknown:
        raise UsageError(
            f"{name} has no kernel for the dtype {unknown[0]}"
            + ("" if unknown[0] in DTYPES.values() else ", which does not exist"),
            f"it has {', '.join(op.dtypes)}",
        )

    # The same by itself and together with other changes: chosen when it is first made.
    decided: list[tuple[str, ...]] = [wanted] if wanted else []

    def add(chosen: Selection) -> Selection:
        if not decided:
            decided.append(_dtypes_like(op, chosen, registry))
        dtypes = decided[0]
        there = next((one for one in chosen.ops if one.name == name), None)
        if there is not None and set(dtypes) <= set(there.dtypes):
            notes.append(f"{name} is there already, with the dtypes {', '.join(there.dtypes)}")
        else:
            notes.append(f"{name} was added with the dtypes {', '.join(dtypes)}")
        rows = (UNKNOWN_ROW,) if op.name == "DEPTHWISE_CONV_2D" else ()
        added = SelectedOp.of(op, dtypes=dtypes, depthwise=rows)
        return chosen.joined(Selection(models=(), ops=(added,), sparse=False))

    return add


def _dtypes_like(op: Op, chosen: Selection, registry: Registry) -> tuple[str, ...]:
    """Dtypes that an op can have together, as near as can be to those that the program has."""
    weights = Counter(dtype for one in chosen.ops for dtype in one.dtypes)
    # Shapes, indices and biases are of these dtypes in any model.
    for dtype in _EVERYWHERE:
        weights.pop(dtype, None)

    def likeness(dtypes: tuple[str, ...]) -> tuple[int, int, int]:
        unused = sum(1 for dtype in dtypes if dtype not in weights and dtype not in _EVERYWHERE)
        return (-unused, max((weights[dtype] for dtype in dtypes), default=0), -len(dtypes))

    return max(_known_dtypes(op.name, registry), key=likeness, default=op.dtypes)


def _known_dtypes(name: str, registry: Registry) -> list[tuple[str, ...]]:
    """Sets of dtypes that an op is known to have: those of the models that the tests run."""
    from litesmith.study import op_models

    cases = (case for case in op_models.all_cases() if case.op == name)
    models = (contents.analyse_bytes(case.content, case.name) for case in cases)
    found = {
        op.dtypes for model in models for op in selection.select([model], registry).ops if op.name == name
    }
    return sorted(found)


def _dropping(word: str, notes: list[str]) -> Edit:
    def drop(chosen: Selection) -> Selection:
        names = [op.name for op in chosen.ops]
        name = _meant(word, names, notes)
        if name is None:
            hint = nearest(word, names) or f"it has {', '.join(names) or 'none'}"
            raise UsageError(f"the program has no op {word}", hint)
        return chosen.without(name)

    return drop


def _meant(word: str, names: Sequence[str], notes: list[str]) -> str | None:
    """The op that a word means: its name, or a part of the name of one op only (FFT for RFFT2D)."""
    if word in names:
        return word
    found = [name for name in names if word.upper() == name.upper()]
    found = found or [name for name in names if word and word.upper() in name.upper()]
    if len(found) != 1:
        return None
    notes.append(f"{word} was taken for {found[0]}")
    return found[0]


def _int8_only(chosen: Selection, known: Mapping[str, Op], notes: list[str]) -> Selection:
    """As if the models were converted to int8, with int8 inputs and outputs."""
    ops = []
    for op in chosen.ops:
        floats = _FLOATS.intersection(op.dtypes)
        if not floats:
            ops.append(op)
        elif op.name in _CONVERSIONS:
            notes.append(f"{op.name} is gone: nothing is float any more")
        elif "int8" not in known[op.name].dtypes:
            notes.append(f"{op.name} stays as it is: it has no kernel for int8")
            ops.append(op)
        else:
            bias = {"int32"} if op.name in _WITH_BIAS else set()
            dtypes = {*op.dtypes, "int8", *bias} - _FLOATS
            ops.append(dataclasses.replace(op, dtypes=tuple(sorted(dtypes))))
    return dataclasses.replace(chosen, ops=tuple(ops))


def parse_names(words: Sequence[str]) -> tuple[str, ...]:
    """Names from options that may be given several times or hold several, separated by commas."""
    return tuple(name.strip() for word in words for name in word.split(",") if name.strip())
