"""Dependencies between files of the pinned sources, from their ``#include`` lines."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from litesmith.base.errors import SourceError
from litesmith.runtime.source_tree import SourceTree

# Source files whose header has another name, or that have no header.
_COMPANIONS: Mapping[str, tuple[str, ...]] = {
    "tensorflow/tensorflow/lite/minimal_logging.h": (
        "tensorflow/tensorflow/lite/minimal_logging_default.cc",
    ),
    "tensorflow/tensorflow/compiler/mlir/lite/allocation.h": (
        "tensorflow/tensorflow/compiler/mlir/lite/mmap_allocation.cc",
    ),
    "tensorflow/tensorflow/lite/experimental/resource/lookup_interfaces.h": (
        "tensorflow/tensorflow/lite/experimental/resource/static_hashtable.cc",
    ),
    "tensorflow/third_party/fft2d/fft2d.h": ("fft2d/fftsg2d.c", "fft2d/fftsg.c"),
    "tensorflow/third_party/fft2d/fft.h": ("fft2d/fftsg.c",),
    "farmhash/src/farmhash.h": ("farmhash/src/farmhash.cc",),
}

# Android's tracing; and reading a model by its file's name, which needs absl's strings and no program does.
_NEVER = frozenset(
    {
        "tensorflow/tensorflow/lite/profiling/atrace_profiler.cc",
        "tensorflow/tensorflow/compiler/mlir/lite/core/model_builder_base.cc",
    }
)

_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^">]+)[">]', re.MULTILINE)


class IncludeClosure:
    """Follows ``#include`` lines; a header ``x.h`` also needs the ``x.cc`` next to it, if there is one.

    ``headers_of(name)`` are all files of the sources that a file includes, directly or through others.
    """

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree
        self._folders = [(name, source.component.include) for name, source in tree.sources.items()]
        self._includes = functools.cache(self._read_includes)
        self._resolve = functools.cache(self._find_header)
        self.headers_of = functools.cache(self._read_all_includes)

    def path(self, name: str) -> Path:
        """The path of a file, by its ``component/path`` name."""
        return self._tree.root / self._tree.locate(name)

    def text(self, name: str) -> str:
        """The content of a file.

        Raises:
            SourceError: the file does not exist.
        """
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise SourceError(f"the pinned sources have no {name}", str(error.strerror)) from None

    def has(self, name: str) -> bool:
        """Whether the sources contain a file with that name."""
        return self.path(name).is_file()

    def sources_of(self, roots: Iterable[str]) -> frozenset[str]:
        """All C and C++ files that the ``roots`` need, including themselves."""
        waiting, seen = list(roots), set()
        while waiting:
            name = waiting.pop()
            if name in seen or name in _NEVER:
                continue
            seen.add(name)
            waiting += self._includes(name)
            if name.endswith(".h"):
                beside = name[:-2] + ".cc"
                # Header-only projects have no sources; ruy is listed as a whole.
                if name.startswith("tensorflow/") and self.has(beside):
                    waiting.append(beside)
                waiting += _COMPANIONS.get(name, ())
        return frozenset(name for name in seen if name.endswith((".cc", ".c")))

    def _read_all_includes(self, name: str) -> frozenset[str]:
        waiting, seen = list(self._includes(name)), set[str]()
        while waiting:
            header = waiting.pop()
            if header not in seen:
                seen.add(header)
                waiting += self._includes(header)
        return frozenset(seen)

    def _find_header(self, header: str) -> str | None:
        for component, include in self._folders:
            name = "/".join(part for part in (component, include, header) if part)
            if self.has(name):
                return name
        return None

    def _read_includes(self, name: str) -> tuple[str, ...]:
        found = (self._resolve(header) for header in _INCLUDE.findall(self.text(name)))
        return tuple(header for header in found if header is not None)
