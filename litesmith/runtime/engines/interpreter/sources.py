"""The source files of a program with TensorFlow Lite's interpreter."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.runtime.op_registry import Runtime
from litesmith.runtime.selection import Selection
from litesmith.runtime.xnnpack import patched_sources
from litesmith.runtime.xnnpack.project_files import XnnpackFiles

REGISTRATION = "registration.cc"
REGISTRATION_SYMBOL = "_Z19RegisterSelectedOpsPN6tflite17MutableOpResolverE"
"""The file that defines ``RegisterSelectedOps``, and that function's symbol (Itanium C++ ABI)."""

OP_NAMES = "op_names.cc"
"""The file with the names of builtin ops."""

SELECTED_OPS = "selected_ops.cc"
"""The file with the table of the ops that the program was built for."""

MODEL_FILE = "model.tflite"
"""Name of an embedded model in the project's folder."""

_MODEL_CHECKS = ("model_check.cc", "graph_check.cc", "options_check.cc", "flatbuffer_check.cc")

_OWN_SOURCES = (
    REGISTRATION,
    SELECTED_OPS,
    "main.cc",
    *_MODEL_CHECKS,
    "op_options.cc",
    OP_NAMES,
    "cpuinfo.cc",
    "apply_multiplier.cc",
    "libc_replacements.cc",
)

OWN_SOURCE_FLAGS: Mapping[str, tuple[str, ...]] = {
    # Without this flag, the compiler replaces the loop in memcpy by a call of memcpy.
    "libc_replacements.cc": ("-fno-builtin",),
}
"""Flags that single files of the project need, with every toolchain."""


def own_sources(*, model_check: bool) -> tuple[str, ...]:
    """The project's own C++ files, in the order in which they are compiled and linked."""
    return tuple(name for name in _OWN_SOURCES if model_check or name not in _MODEL_CHECKS)


def upstream_sources(
    selection: Selection, runtime: Runtime, xnnpack: XnnpackFiles | None = None
) -> tuple[str, ...]:
    """All upstream files of the program, in link order: those of the ops, the core, ruy, and XNNPACK."""
    ops = {source for op in selection.ops for source in op.sources}
    listed = (*sorted(ops), *runtime.core, *runtime.ruy)
    if xnnpack is None:
        return listed
    replaced = set(patched_sources.ORIGINALS.values())
    return tuple(dict.fromkeys(s for s in (*listed, *xnnpack.sources) if s not in replaced))
