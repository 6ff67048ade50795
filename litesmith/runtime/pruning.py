"""Selection → the defines that leave unused dtypes, ops and kernel variants out of upstream's files.

The patches of ``litesmith.runtime.edits`` and the headers of ``templates/pruning/`` use these defines.
Each of them belongs to one file, so that all programs of a target share the objects of the other files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from litesmith.model.options_schema import SWITCH
from litesmith.runtime.op_registry import Runtime
from litesmith.runtime.selection import Selection

PRUNED = "LITESMITH_PRUNED"
"""The define of every file, which leaves out code that no pruned program runs."""

_CONVERSIONS = "tensorflow/tensorflow/lite/core/api/flatbuffer_conversions.cc"
_DEPTHWISE = "tensorflow/tensorflow/lite/kernels/depthwise_conv.cc"
_BUILDER = "tensorflow/tensorflow/lite/core/interpreter_builder.cc"
_FULLY_CONNECTED = "tensorflow/tensorflow/lite/kernels/fully_connected.cc"
_NO_OP = -1
_RENAMED_SWITCH = "ParseOpData=ParseOpDataBySwitch"

_DENSE = "LITESMITH_DENSE"
ONE_ORDER = "LITESMITH_ONE_ORDER"
"""The define of all files that only those with ruy's templates for packing read.

All kernels of a program share these templates, and so the storage order that they accept.
"""

OTHER_ORDER = frozenset({"BATCH_MATMUL", "CONV_3D"})
"""Ops whose kernels multiply matrices in another storage order than all others (``Order::kColMajor`` on the
left in ``batch_matmul.h`` and ``optimized_ops.h``)."""

_OWN_SOURCES = "custom/"

# TfLiteType of tensorflow/lite/core/c/c_api_types.h, which has another order than the schema.
_TFLITE_TYPES: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        (
            *("none", "float32", "int32", "uint8", "int64", "string", "bool", "int16", "complex64"),
            *("int8", "float16", "float64", "complex128", "uint64", "resource", "variant", "uint32"),
            *("uint16", "int4", "bfloat16", "int2", "uint4"),
        )
    )
}


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """The defines that leave code out of a program's files.

    ``everywhere`` are the defines of all files, ``by_source`` those of single upstream files,
    ``own`` those of the project's own files.
    ``dtypes`` lists the remaining dtypes of each kernel file that chooses its code by dtype.
    """

    everywhere: tuple[str, ...]
    by_source: Mapping[str, tuple[str, ...]]
    dtypes: Mapping[str, tuple[str, ...]]
    own: tuple[str, ...] = ()


NOTHING = Pruning(everywhere=(), by_source={}, dtypes={})
"""The stock selective program: all dtypes of the selected ops, upstream's whole core."""


def prune(selection: Selection, runtime: Runtime) -> Pruning:
    """Leaves out everything that the models of a selection do not need."""
    dtypes = kept_dtypes(selection, runtime.dispatching)
    by_source: dict[str, tuple[str, ...]] = {
        source: (_dtypes_define(kept),) for source, kept in dtypes.items()
    }
    # templates/runtime/op_options.cc defines ParseOpData; upstream's function gets another name, and keeps
    # only the options that no other function reads.
    codes = [op.code for op in selection.ops if op.options and op.options.reader == SWITCH] or [_NO_OP]
    by_source[_CONVERSIONS] = (_RENAMED_SWITCH, f"LITESMITH_OPS={','.join(map(str, codes))}")
    rows = sorted({row for op in selection.ops for row in op.depthwise})
    if rows and all(row.known for row in rows):
        numbers = (n for row in rows for n in (row.stride_width, row.input_depth, row.multiplier))
        define = f"LITESMITH_DEPTHWISE_ROWS={','.join(map(str, numbers))}"
        by_source[_DEPTHWISE] = (*by_source.get(_DEPTHWISE, ()), define)
    if not selection.sparse:
        for source in (_BUILDER, _FULLY_CONNECTED):
            by_source[source] = (*by_source.get(source, ()), _DENSE)
    # Custom ops may multiply matrices of any storage order.
    sources = (source for op in selection.ops for source in op.sources)
    known = all(op.name not in OTHER_ORDER for op in selection.ops) and not any(
        source.startswith(_OWN_SOURCES) for source in sources
    )
    everywhere = (PRUNED, ONE_ORDER) if known else (PRUNED,)
    return Pruning(everywhere=everywhere, by_source=by_source, dtypes=dtypes)


def kept_dtypes(selection: Selection, files: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The dtypes that each dispatching file of a selection must handle: those of all ops that use it."""
    dispatching = frozenset(files)
    found: dict[str, set[str]] = {}
    for op in selection.ops:
        for source in dispatching.intersection(op.sources):
            found.setdefault(source, set()).update(op.dtypes)
    return {source: tuple(sorted(dtypes)) for source, dtypes in sorted(found.items())}


def _dtypes_define(dtypes: tuple[str, ...]) -> str:
    # An op in the operator-code table that no node uses has no tensors, and so no dtypes.
    mask = sum(1 << _TFLITE_TYPES[dtype] for dtype in dtypes) or 1 << _TFLITE_TYPES["none"]
    return f"LITESMITH_DTYPES={mask:#x}"


_CORE = tuple(
    f"tensorflow/tensorflow/lite/{name}"
    for name in ("core/interpreter_builder.cc", "core/interpreter.cc", "core/subgraph.cc", "arena_planner.cc")
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of pruning, and how to measure what it saves.

    ``take_back`` returns the same pruning without this step.
    """

    left_out: str
    take_back: Callable[[Pruning], Pruning]


def _without(define: str) -> Callable[[Pruning], Pruning]:
    """Reverts the effect of a define of single files."""

    def take_back(pruning: Pruning) -> Pruning:
        kept = {
            source: tuple(d for d in defines if d.partition("=")[0] != define)
            for source, defines in pruning.by_source.items()
        }
        return replace(pruning, by_source={source: defines for source, defines in kept.items() if defines})

    return take_back


def _keeping_in_core(define: str) -> Callable[[Pruning], Pruning]:
    """Reverts one kind of patches of the core runtime."""

    def take_back(pruning: Pruning) -> Pruning:
        core = {source: (*pruning.by_source.get(source, ()), define) for source in _CORE}
        return replace(pruning, by_source={**pruning.by_source, **core})

    return take_back


def _keep_matrix_kernels(pruning: Pruning) -> Pruning:
    everywhere = tuple(define for define in pruning.everywhere if define != ONE_ORDER)
    return replace(pruning, everywhere=(*everywhere, "LITESMITH_KEEP_RUY"))


def _keep_switch(pruning: Pruning) -> Pruning:
    kept = {source: defines for source, defines in pruning.by_source.items() if source != _CONVERSIONS}
    return replace(pruning, by_source=kept, own=(*pruning.own, "LITESMITH_KEEP_SWITCH"))


def _keep_verifier(pruning: Pruning) -> Pruning:
    return replace(pruning, own=(*pruning.own, "LITESMITH_KEEP_VERIFIER"))


def watched(pruning: Pruning) -> Pruning:
    """The same pruning for a program with profiling, whose runtime reports when each node runs."""
    own = replace(pruning, own=(*pruning.own, "LITESMITH_PROFILE"))
    return own if pruning is NOTHING else _keep_observers(own)


_keep_observers = _keeping_in_core("LITESMITH_KEEP_OBSERVERS")

STEPS: Mapping[str, Step] = {
    "dtypes of kernels": Step(
        left_out="in each kernel file, dtypes that the ops using it do not have",
        take_back=_without("LITESMITH_DTYPES"),
    ),
    "row kernels": Step(
        left_out="those of depthwise convolutions for strides and depths that the models do not have",
        take_back=_without("LITESMITH_DEPTHWISE_ROWS"),
    ),
    "readers of options": Step(left_out="those of ops that are not selected", take_back=_keep_switch),
    "verifier": Step(
        left_out="upstream's generated code, for a check that reads a description of the tables in use",
        take_back=_keep_verifier,
    ),
    "delegates": Step(
        left_out="partitioning, buffer handles and lazy providers, as no delegate is applied",
        take_back=_keeping_in_core("LITESMITH_KEEP_DELEGATES"),
    ),
    "observers": Step(
        left_out="profilers, telemetry and the model's metadata",
        take_back=_keep_observers,
    ),
    "settings": Step(
        left_out="options of the interpreter that the program never sets",
        take_back=_keeping_in_core("LITESMITH_KEEP_SETTINGS"),
    ),
    "matrix kernels": Step(
        left_out="in ruy: portable kernels where NEON exists, the cache, the other storage order",
        take_back=_keep_matrix_kernels,
    ),
    "sparse weights": Step(left_out="loading them, and their kernels", take_back=_without(_DENSE)),
}
"""The steps of pruning, by name."""
