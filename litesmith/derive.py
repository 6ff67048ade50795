"""Pinned sources → ``ops_registry/``: the registry is derived, never written by hand.

``tensorflow/lite/core/kernels/register.cc`` says which ops there are and their versions,
``schema.fbs`` their numbers, the kernel files where their registration functions are, and
the ``#include`` lines which further files a kernel needs: a header ``x.h`` that has an
``x.cc`` beside it brings that file.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from litesmith import analysis, files, schema
from litesmith.errors import SourceError
from litesmith.sources import SourceTree

_REGISTER = "tensorflow/tensorflow/lite/core/kernels/register.cc"
_SCHEMA = "tensorflow/tensorflow/lite/schema/schema.fbs"
_CONVERSIONS = "tensorflow/tensorflow/lite/core/api/flatbuffer_conversions.cc"
_KERNELS = "tensorflow/tensorflow/lite/kernels"

_CORE_ROOTS = (
    "tensorflow/tensorflow/lite/core/interpreter_builder.cc",
    "tensorflow/tensorflow/lite/core/model_builder.cc",
    "tensorflow/tensorflow/lite/mutable_op_resolver.cc",
    "tensorflow/tensorflow/lite/stderr_reporter.cc",
)

# Files that implement a header of another name, or that no header stands for.
_COMPANIONS: Mapping[str, tuple[str, ...]] = {
    "tensorflow/tensorflow/lite/minimal_logging.h": (
        "tensorflow/tensorflow/lite/minimal_logging_default.cc",
    ),
    "tensorflow/tensorflow/lite/allocation.h": ("tensorflow/tensorflow/lite/mmap_allocation.cc",),
    "tensorflow/tensorflow/lite/experimental/resource/lookup_interfaces.h": (
        "tensorflow/tensorflow/lite/experimental/resource/static_hashtable.cc",
    ),
    "tensorflow/third_party/fft2d/fft2d.h": ("fft2d/fftsg2d.c", "fft2d/fftsg.c"),
    "tensorflow/third_party/fft2d/fft.h": ("fft2d/fftsg.c",),
    "farmhash/src/farmhash.h": ("farmhash/src/farmhash.cc",),
}

# Android's tracing; and of ruy the CPU detection and the portable rounding, which
# templates/runtime/ has in another form.
_NEVER = frozenset({"tensorflow/tensorflow/lite/profiling/atrace_profiler.cc"})
_RUY_NEVER = re.compile(r"(test|benchmark|example|gtest|tune_tool|pmu|cpuinfo|apply_multiplier)")

_DEFINES = (
    "NDEBUG",
    "EIGEN_MPL2_ONLY",
    "TFLITE_WITH_RUY",
    "TFL_STATIC_LIBRARY_BUILD",
    # musl has no strtoll_l.
    "FLATBUFFERS_LOCALE_INDEPENDENT=0",
)

_SMALL = {"float16": "kTfLiteFloat16", "int4": "kTfLiteInt4"}

_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^">]+)[">]', re.MULTILINE)
_ADD_BUILTIN = re.compile(
    r"AddBuiltin\(\s*BuiltinOperator_(\w+)\s*,\s*([\w:]+)\(\)\s*(?:,\s*(\d+)\s*,\s*(\d+)\s*)?\)"
)
_ADD_CUSTOM = re.compile(r'AddCustom\(\s*"(\w+)"\s*,\s*([\w:]+)\(\)\s*\)')
_ROW_KERNEL = re.compile(r"USE_DEPTHWISECONV_KERNEL\((true|false), (\d+), (\d+)\)")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


class Deriver:
    """Reads the pinned sources and says what they hold."""

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree
        self._folders = [(name, source.component.include) for name, source in tree.sources.items()]
        self._includes = functools.cache(self._read_includes)
        self._resolve = functools.cache(self._find_header)

    def _path(self, name: str) -> Path:
        return self._tree.root / self._tree.locate(name)

    def _text(self, name: str) -> str:
        try:
            return self._path(name).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise SourceError(f"the pinned sources have no {name}", str(error.strerror)) from None

    def _find_header(self, header: str) -> str | None:
        for component, include in self._folders:
            name = "/".join(part for part in (component, include, header) if part)
            if self._path(name).is_file():
                return name
        return None

    def _read_includes(self, name: str) -> tuple[str, ...]:
        found = (self._resolve(header) for header in _INCLUDE.findall(self._text(name)))
        return tuple(header for header in found if header is not None)

    def has(self, name: str) -> bool:
        """Whether the sources hold a file of that name."""
        return self._path(name).is_file()

    def closure(self, roots: Iterable[str]) -> frozenset[str]:
        """All source files that the ``roots`` need, themselves included."""
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
                if name.startswith("tensorflow/") and self._path(beside).is_file():
                    waiting.append(beside)
                waiting += _COMPANIONS.get(name, ())
        return frozenset(name for name in seen if name.endswith((".cc", ".c")))

    def builtin_codes(self) -> dict[str, int]:
        """``BuiltinOperator`` of the schema: name → number."""
        body = re.search(r"enum BuiltinOperator\s*:\s*int32\s*\{(.*?)\n\}", self._text(_SCHEMA), re.DOTALL)
        if body is None:
            raise SourceError(f"no enum BuiltinOperator in {_SCHEMA}")
        return {name: int(code) for name, code in re.findall(r"(\w+)\s*=\s*(\d+)", _COMMENT.sub("", body[1]))}

    def _registrations(self) -> dict[str, str]:
        """Registration function, with ``builtin::`` or ``custom::`` → the kernel file that defines it."""
        definition = re.compile(
            r"namespace (?:tflite::ops::)?(builtin|custom)\s*\{"
            r"|TfLiteRegistration\s*\*\s*(Register_\w+)\s*\(\s*(?:void)?\s*\)\s*\{"
        )
        found: dict[str, str] = {}
        for path in sorted(self._path(_KERNELS).glob("*.cc")):
            namespace = ""
            for opened, name in definition.findall(path.read_text(encoding="utf-8", errors="replace")):
                namespace = opened or namespace
                if name:
                    found.setdefault(f"{namespace}::{name}", f"{_KERNELS}/{path.name}")
        return found

    def _lacks(self, kernel: str, tried: Iterable[str]) -> list[str]:
        """Small dtypes that a kernel does not have: it tells dtypes apart, and never names them."""
        text = self._text(kernel)
        tells_apart = "kTfLiteFloat32" in text or "kTfLiteInt8" in text
        named = {dtype for dtype, word in _SMALL.items() if word in text}
        return [dtype for dtype in _SMALL if tells_apart and dtype not in named and dtype not in tried]

    def _dispatches(self, source: str) -> bool:
        """Whether a kernel file tells dtypes apart, by no other tensors than those of its own nodes.

        Control flow, variables and tables see tensors of other subgraphs and nodes.  What ops
        share is the same in every program.
        """
        if not re.fullmatch(rf"{_KERNELS}/\w+\.cc", source):
            return False
        text = self._text(source)
        sees_others = "core/subgraph.h" in text or "control_flow_common.h" in text
        is_kernel = "TfLiteRegistration* Register_" in text
        return is_kernel and not sees_others and re.search(r"(->|\.)type\b", text) is not None

    def _row_kernels(self) -> list[list[bool | int]]:
        """Kernels for rows of depthwise convolutions: any stride, input depth, depth multiplier."""
        texts = (
            path.read_text(encoding="utf-8", errors="replace")
            for path in self._path(f"{_KERNELS}/internal/optimized").rglob("depthwise*conv*.h")
        )
        found = {kernel for text in texts for kernel in _ROW_KERNEL.findall(text)}
        return sorted([strided == "true", int(depth), int(many)] for strided, depth, many in found)

    def registry(self) -> dict[str, Any]:
        """File name below ``ops_registry/`` → content."""
        register = _COMMENT.sub("", self._text(_REGISTER))
        codes = self.builtin_codes()
        where = self._registrations()
        core = self.closure(_CORE_ROOTS)
        tables = schema.options_tables(self._text(_SCHEMA))
        readers = schema.readers_of_ops(self._text(_CONVERSIONS))
        tried = _tried_dtypes({code: name for name, code in codes.items()})
        result: dict[str, Any] = {}

        def add(name: str, code: int, custom: bool, function: str, versions: tuple[int, int]) -> None:
            # Some functions stand in both namespaces, in different files.
            key = f"{'custom' if custom else 'builtin'}::{function.rsplit('::', 1)[-1]}"
            if key not in where:
                raise SourceError(f"no kernel file defines {key}")
            result[f"ops/{name.lower()}.json"] = {
                "name": name,
                "code": code,
                "custom": custom,
                "registration": f"tflite::ops::{key}",
                "versions": list(versions),
                "dtypes": tried.get(name, []),
                **_options(readers.get(name), tables),
                "lacks": self._lacks(where[key], tried.get(name, [])),
                "sources": sorted(self.closure([where[key]]) - core),
            }

        for name, function, lowest, highest in _ADD_BUILTIN.findall(register):
            add(name, codes[name], False, function, (int(lowest or 1), int(highest or 1)))
        for name, function in _ADD_CUSTOM.findall(register):
            add(name, codes["CUSTOM"], True, function, (1, 1))
        result["runtime.json"] = {
            "core": sorted(core),
            "ruy": sorted(
                f"ruy/ruy/{path.name}"
                for path in self._path("ruy/ruy").glob("*.cc")
                if not _RUY_NEVER.search(path.name)
            ),
            "dispatching": sorted(
                {source for op in result.values() for source in op["sources"] if self._dispatches(source)}
            ),
            "row_kernels": self._row_kernels(),
            "defines": list(_DEFINES),
        }
        result["builtin_names.json"] = {"names": {**_newer_names(), **codes}}
        return result


def _options(
    reader: schema.OptionsReader | None, tables: Mapping[str, schema.OptionsTable]
) -> dict[str, Any]:
    """What an entry says of an op's options: nothing where it has none."""
    if reader is None or not reader.tables:
        return {}
    return {"options": {**asdict(tables[reader.tables[0]]), "reader": reader.function}}


def _tried_dtypes(names: Mapping[int, str]) -> dict[str, list[str]]:
    """Dtypes of the tensors that models of each op have; the tests run all of these models."""
    from litesmith import op_models

    found: dict[str, set[str]] = {}
    for case in op_models.all_cases():
        for use in analysis.analyse_bytes(case.content, case.name).ops():
            found.setdefault(use.name or names[use.code], set()).update(use.dtypes)
    return {name: sorted(dtypes) for name, dtypes in found.items()}


def _newer_names() -> dict[str, int]:
    """Names from the newest schema that is installed: LiteRT's."""
    from ai_edge_litert import schema_py_generated

    enum = vars(schema_py_generated.BuiltinOperator)
    return {name: code for name, code in enum.items() if isinstance(code, int)}


def write(folder: Path, registry: Mapping[str, Any]) -> tuple[int, int]:
    """Writes the registry files that changed and removes those that are gone.

    Returns how many were written and how many were removed.
    """
    written = removed = 0
    wanted = {folder / name: files.to_json(content) for name, content in registry.items()}
    for path, text in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            files.write_atomically(path, text)
            written += 1
    for path in (folder / "ops").glob("*.json"):
        if path not in wanted:
            path.unlink()
            removed += 1
    return written, removed
