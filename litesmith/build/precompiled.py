"""Headers that are compiled ahead, for measurements that compile the same kernels many times.

Nearly all of the time that a compiler needs for one of upstream's kernels is spent in headers, which most
kernels share.  The defines that leave dtypes out of a kernel (:mod:`litesmith.runtime.pruning`) are different
for each object, so that a file gets them after these headers (``templates/pruning/dtypes_later.h``).  The
code is the same with and without precompiled headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from litesmith.base import files
from litesmith.runtime.include_closure import IncludeClosure

LATER = "LITESMITH_DTYPES_LATER"
"""The define of files that get their dtypes after the precompiled header."""

_PACKING = "ruy/ruy/pack.h"
_KERNELS = "tensorflow/lite/kernels"
_CONVERSIONS = "tensorflow/tensorflow/lite/core/api/flatbuffer_conversions.cc"
_SCHEMA = "tensorflow/compiler/mlir/lite/schema/schema_generated.h"
_ALWAYS = (
    "tensorflow/lite/core/c/builtin_op_data.h",
    "tensorflow/lite/core/c/common.h",
    f"{_KERNELS}/internal/tensor.h",
    f"{_KERNELS}/internal/tensor_ctypes.h",
    f"{_KERNELS}/kernel_util.h",
)
# A kernel gets the first of these that it includes: the optimised kernels include the reference kernels.
_ONE_OF = (
    f"{_KERNELS}/internal/optimized/optimized_ops.h",
    f"{_KERNELS}/internal/reference/reference_ops.h",
    f"{_KERNELS}/kernel_util.h",
)
# Defines that these headers do not read, or that dtypes_later.h reads again.
_LEFT_TO_FILES = frozenset({"LITESMITH_DTYPES", "LITESMITH_DENSE", "LITESMITH_DEPTHWISE_ROWS"})
# The header that reads the last of these defines must not be compiled ahead.
_ROWS_HEADER = "tensorflow/litesmith/depthwise_rows.h"


@dataclass(frozen=True, kw_only=True)
class PrecompiledHeader:
    """A header that is compiled ahead: its text, and the flags that it shares with the files that use it."""

    text: str
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        """A file name that is different for each header."""
        return f"{files.digest_of(self.text, self.flags)[:16]}.h"


class HeaderChoice:
    """Which of the headers that are compiled ahead a file can use."""

    def __init__(self, closure: IncludeClosure) -> None:
        self._closure = closure

    def text_for(self, source: str, defines: Sequence[str]) -> str | None:
        """The header for a source, a ``component/path``, with these defines of its own; None without one."""
        if source == _CONVERSIONS:
            return _include(_SCHEMA)
        if not source.startswith(f"tensorflow/{_KERNELS}/") or not source.endswith(".cc"):
            return None
        included = self._closure.headers_of(source)
        header = next((one for one in _ONE_OF if f"tensorflow/{one}" in included), None)
        names = {define.partition("=")[0] for define in defines}
        if header is None or names - _LEFT_TO_FILES:
            return None
        if _ROWS_HEADER in self._closure.headers_of(f"tensorflow/{header}"):
            return None
        return _include(*_ALWAYS, header)

    def packs(self, source: str) -> bool:
        """Whether a source can see the templates that :data:`litesmith.runtime.pruning.ONE_ORDER` changes."""
        return source == _PACKING or _PACKING in self._closure.headers_of(source)


def _include(*names: str) -> str:
    return "".join(f'#include "{name}"\n' for name in dict.fromkeys(names))


def own_text(defines: Sequence[str]) -> str:
    """The header that a file includes after the precompiled one, with its own defines."""
    lines = (f"#define {name} {value or 1}\n" for name, _, value in (one.partition("=") for one in defines))
    return "".join((*lines, '#include "litesmith/dtypes_later.h"\n'))
