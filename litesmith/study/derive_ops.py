"""Pinned sources → ``ops_registry/``: the registry is derived, never written by hand.

``tensorflow/lite/core/kernels/register.cc`` says which ops there are and their versions,
``schema.fbs`` their numbers, the kernel files where their registration functions are, and
the ``#include`` lines which further files a kernel needs: a header ``x.h`` that has an
``x.cc`` beside it brings that file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.base.errors import SourceError
from litesmith.model import contents, options_schema, schema_fbs
from litesmith.runtime.include_closure import IncludeClosure
from litesmith.runtime.source_tree import SourceTree

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

# ruy's CPU detection and portable rounding, which templates/runtime/ has in another form.
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

_ADD_BUILTIN = re.compile(
    r"AddBuiltin\(\s*BuiltinOperator_(\w+)\s*,\s*([\w:]+)\(\)\s*(?:,\s*(\d+)\s*,\s*(\d+)\s*)?\)"
)
_ADD_CUSTOM = re.compile(r'AddCustom\(\s*"(\w+)"\s*,\s*([\w:]+)\(\)\s*\)')
_ROW_KERNEL = re.compile(r"USE_DEPTHWISECONV_KERNEL\((true|false), (\d+), (\d+)\)")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


class Deriver:
    """Reads the pinned sources and says what they hold."""

    def __init__(self, tree: SourceTree) -> None:
        self._files = IncludeClosure(tree)

    def builtin_codes(self) -> dict[str, int]:
        """``BuiltinOperator`` of the schema: name → number."""
        text = self._files.text(_SCHEMA)
        body = re.search(r"enum BuiltinOperator\s*:\s*int32\s*\{(.*?)\n\}", text, re.DOTALL)
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
        for path in sorted(self._files.path(_KERNELS).glob("*.cc")):
            namespace = ""
            for opened, name in definition.findall(path.read_text(encoding="utf-8", errors="replace")):
                namespace = opened or namespace
                if name:
                    found.setdefault(f"{namespace}::{name}", f"{_KERNELS}/{path.name}")
        return found

    def _lacks(self, kernel: str, tried: Iterable[str]) -> list[str]:
        """Small dtypes that a kernel does not have: it tells dtypes apart, and never names them."""
        text = self._files.text(kernel)
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
        text = self._files.text(source)
        sees_others = "core/subgraph.h" in text or "control_flow_common.h" in text
        is_kernel = "TfLiteRegistration* Register_" in text
        return is_kernel and not sees_others and re.search(r"(->|\.)type\b", text) is not None

    def _row_kernels(self) -> list[list[bool | int]]:
        """Kernels for rows of depthwise convolutions: any stride, input depth, depth multiplier."""
        texts = (
            path.read_text(encoding="utf-8", errors="replace")
            for path in self._files.path(f"{_KERNELS}/internal/optimized").rglob("depthwise*conv*.h")
        )
        found = {kernel for text in texts for kernel in _ROW_KERNEL.findall(text)}
        return sorted([strided == "true", int(depth), int(many)] for strided, depth, many in found)

    def registry(self) -> dict[str, Any]:
        """File name below ``ops_registry/`` → content."""
        register = _COMMENT.sub("", self._files.text(_REGISTER))
        codes = self.builtin_codes()
        where = self._registrations()
        core = self._files.sources_of(_CORE_ROOTS)
        schema = schema_fbs.parse(self._files.text(_SCHEMA))
        tables = options_schema.options_tables(schema)
        readers = options_schema.readers_of_ops(self._files.text(_CONVERSIONS))
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
                "sources": sorted(self._files.sources_of([where[key]]) - core),
            }

        for name, function, lowest, highest in _ADD_BUILTIN.findall(register):
            add(name, codes[name], False, function, (int(lowest or 1), int(highest or 1)))
        for name, function in _ADD_CUSTOM.findall(register):
            add(name, codes["CUSTOM"], True, function, (1, 1))
        result["runtime.json"] = {
            "core": sorted(core),
            "ruy": sorted(
                f"ruy/ruy/{path.name}"
                for path in self._files.path("ruy/ruy").glob("*.cc")
                if not _RUY_NEVER.search(path.name)
            ),
            "dispatching": sorted(
                {source for op in result.values() for source in op["sources"] if self._dispatches(source)}
            ),
            "row_kernels": self._row_kernels(),
            "defines": list(_DEFINES),
        }
        result["schema.json"] = schema.to_json()
        result["builtin_names.json"] = {"names": {**_newer_names(), **codes}}
        return result


def _options(
    reader: options_schema.OptionsReader | None, tables: Mapping[str, options_schema.OptionsTable]
) -> dict[str, Any]:
    """What an entry says of an op's options: nothing where it has none."""
    if reader is None or not reader.tables:
        return {}
    return {"options": {**asdict(tables[reader.tables[0]]), "reader": reader.function}}


def _tried_dtypes(names: Mapping[int, str]) -> dict[str, list[str]]:
    """Dtypes of the tensors that models of each op have; the tests run all of these models."""
    from litesmith.study import op_models

    found: dict[str, set[str]] = {}
    for case in op_models.all_cases():
        for use in contents.analyse_bytes(case.content, case.name).ops():
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
