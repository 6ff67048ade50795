"""Pinned sources → ``ops_registry/``, which is generated and never edited by hand.

Ops and their versions come from ``tensorflow/lite/core/kernels/register.cc``, their numbers from
``schema.fbs``, their registration functions from the kernel files.  The further files that a kernel needs
follow from its ``#include`` lines: a header ``x.h`` needs the ``x.cc`` beside it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.base.errors import SourceError
from litesmith.model import contents, options_schema, schema_fbs
from litesmith.runtime.include_closure import IncludeClosure
from litesmith.runtime.source_tree import SourceTree
from litesmith.study import op_names

_REGISTER = "tensorflow/tensorflow/lite/core/kernels/register.cc"
_SCHEMA = "tensorflow/tensorflow/compiler/mlir/lite/schema/schema.fbs"
_CONVERSIONS = "tensorflow/tensorflow/lite/core/api/flatbuffer_conversions.cc"
_KERNELS = "tensorflow/tensorflow/lite/kernels"

_CORE_ROOTS = (
    "tensorflow/tensorflow/lite/core/interpreter_builder.cc",
    "tensorflow/tensorflow/lite/core/model_builder.h",
    "tensorflow/tensorflow/lite/mutable_op_resolver.cc",
    "tensorflow/tensorflow/lite/stderr_reporter.cc",
)

# Beside tests and benchmarks: CPU detection and portable rounding, which templates/runtime/ replaces.
_NOT_OF_RUY = re.compile(r"(test|benchmark|example|gtest|tune_tool|pmu|cpuinfo|apply_multiplier)")

_DEFINES = (
    "NDEBUG",
    "EIGEN_MPL2_ONLY",
    "TFLITE_WITH_RUY",
    "TFL_STATIC_LIBRARY_BUILD",
    # musl has no strtoll_l.
    "FLATBUFFERS_LOCALE_INDEPENDENT=0",
)

_ADD_BUILTIN = re.compile(
    r"AddBuiltin\(\s*BuiltinOperator_(\w+)\s*,\s*([\w:]+)\(\)\s*(?:,\s*(\d+)\s*,\s*(\d+)\s*)?\)"
)
_ADD_CUSTOM = re.compile(r'AddCustom\(\s*"([\w.]+)"\s*,\s*([\w:]+)\(\)\s*\)')
_ROW_KERNEL = re.compile(r"USE_DEPTHWISECONV_KERNEL\((true|false), (\d+), (\d+)\)")
_READS_TYPE = re.compile(r"(->|\.)type\b")
_HEADER_OF_KERNELS = re.compile(r'#include "tensorflow/lite/kernels/(\w+\.h)"')
# Tensors of another subgraph, or what an earlier node stored.
_READS_OTHERS = re.compile(
    r"ubgraph(->|\.)(tensor|inputs|AllocateTensors|resources|resource_ids)\(|control_flow_common\.h"
)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class _RegisteredOp:
    """An op as ``register.cc`` registers it.

    ``function`` is the registration function with its namespace, ``builtin::`` or ``custom::``: some names
    are in both, in different files.  ``versions`` are the lowest and the highest.
    """

    name: str
    code: int
    custom: bool
    function: str
    versions: tuple[int, int]


class Deriver:
    """Derives the registry from the pinned sources."""

    def __init__(self, tree: SourceTree) -> None:
        self._files = IncludeClosure(tree)

    @functools.cached_property
    def _core(self) -> frozenset[str]:
        """Files of the interpreter, which are part of every program."""
        return self._files.sources_of(_CORE_ROOTS)

    def builtin_codes(self) -> dict[str, int]:
        """``BuiltinOperator`` of the schema: name → number.

        Raises:
            SourceError: the schema has no such enum.
        """
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

    def _dispatches(self, source: str) -> bool:
        """Whether a file is a kernel that chooses its code by the dtypes of its own nodes' tensors alone.

        Control flow, variables and hash tables also read tensors of other subgraphs and nodes.  Files that
        several ops share are the same in every program.
        """
        if not re.fullmatch(rf"{_KERNELS}/\w+\.cc", source):
            return False
        text = self._files.text(source)
        is_kernel = "TfLiteRegistration* Register_" in text
        if not is_kernel or _READS_OTHERS.search(text):
            return False
        # Some kernels have all of their code in a header, which other kernels may share.
        headers = (name for name in _HEADER_OF_KERNELS.findall(text) if name != "kernel_util.h")
        parts = (text, *(self._files.text(f"{_KERNELS}/{name}") for name in headers))
        return any(_READS_TYPE.search(part) for part in parts)

    def _row_kernels(self) -> list[list[bool | int]]:
        """Kernels for rows of depthwise convolutions: whether any stride, input depth, depth multiplier.

        A depth of 0 stands for any.
        """
        texts = (
            path.read_text(encoding="utf-8", errors="replace")
            for path in self._files.path(f"{_KERNELS}/internal/optimized").rglob("depthwise*conv*.h")
        )
        found = {kernel for text in texts for kernel in _ROW_KERNEL.findall(text)}
        return sorted([strided == "true", int(depth), int(many)] for strided, depth, many in found)

    def _entry(
        self, op: _RegisteredOp, kernel: str, dtypes: Sequence[str], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The file of one op, whose registration function the file ``kernel`` defines."""
        return {
            "name": op.name,
            "code": op.code,
            "custom": op.custom,
            "registration": f"tflite::ops::{op.function}",
            "versions": list(op.versions),
            "dtypes": list(dtypes),
            **options,
            "sources": sorted(self._files.sources_of([kernel]) - self._core),
        }

    def _ruy(self) -> list[str]:
        names = [path.name for path in self._files.path("ruy/ruy").glob("*.cc")]
        return sorted(f"ruy/ruy/{name}" for name in names if not _NOT_OF_RUY.search(name))

    def registry(self) -> dict[str, Any]:
        """File name below ``ops_registry/`` → content.

        Raises:
            SourceError: the pinned sources are not laid out as expected.
        """
        codes = self.builtin_codes()
        kernels = self._registrations()
        schema = schema_fbs.parse(self._files.text(_SCHEMA))
        tables = options_schema.options_tables(schema)
        readers = options_schema.readers_of_ops(self._files.text(_CONVERSIONS))
        dtypes = _tried_dtypes({code: name for name, code in codes.items()})
        entries: dict[str, dict[str, Any]] = {}
        for op in _registered_ops(_COMMENT.sub("", self._files.text(_REGISTER)), codes):
            if op.function not in kernels:
                raise SourceError(f"no kernel file defines {op.function}")
            options = _options(readers.get(op.name), tables)
            kernel, tried = kernels[op.function], dtypes.get(op.name, [])
            entries[f"ops/{op.name.lower()}.json"] = self._entry(op, kernel, tried, options)
        sources = {source for entry in entries.values() for source in entry["sources"]}
        names = {**_newer_names(), **codes}
        runtime = {
            "core": sorted(self._core),
            "ruy": self._ruy(),
            "dispatching": sorted(source for source in sources if self._dispatches(source)),
            "row_kernels": self._row_kernels(),
            "defines": list(_DEFINES),
            "op_names": op_names.pack({code: name for name, code in names.items()}).model_dump(mode="json"),
        }
        return {
            **entries,
            "runtime.json": runtime,
            "schema.json": schema.to_json(),
            "builtin_names.json": {"names": names},
        }


def _registered_ops(register: str, codes: Mapping[str, int]) -> Iterator[_RegisteredOp]:
    """The ops that ``register.cc`` registers."""
    for name, function, lowest, highest in _ADD_BUILTIN.findall(register):
        yield _RegisteredOp(
            name=name,
            code=codes[name],
            custom=False,
            function=f"builtin::{function.rsplit('::', 1)[-1]}",
            versions=(int(lowest or 1), int(highest or 1)),
        )
    for name, function in _ADD_CUSTOM.findall(register):
        yield _RegisteredOp(
            name=name,
            code=codes["CUSTOM"],
            custom=True,
            function=f"custom::{function.rsplit('::', 1)[-1]}",
            versions=(1, 1),
        )


def _options(
    reader: options_schema.OptionsReader | None, tables: Mapping[str, options_schema.OptionsTable]
) -> dict[str, Any]:
    """The part of an entry about an op's options; empty for an op without."""
    if reader is None or not reader.tables:
        return {}
    return {"options": {**asdict(tables[reader.tables[0]]), "reader": reader.function}}


def _tried_dtypes(names: Mapping[int, str]) -> dict[str, list[str]]:
    """Dtypes of the tensors that the models of each op have; the tests run all of these models."""
    from litesmith.study import op_models

    found: dict[str, set[str]] = {}
    for case in op_models.all_cases():
        for use in contents.analyse_bytes(case.content, case.name).ops():
            found.setdefault(use.name or names[use.code], set()).update(use.dtypes)
    return {name: sorted(dtypes) for name, dtypes in found.items()}


def _newer_names() -> dict[str, int]:
    """Names and numbers of the newest schema that is installed: LiteRT's."""
    from ai_edge_litert import schema_py_generated

    enum = vars(schema_py_generated.BuiltinOperator)
    return {name: code for name, code in enum.items() if isinstance(code, int)}


def write(folder: Path, registry: Mapping[str, Any]) -> tuple[int, int]:
    """Writes the registry files that changed, and removes files of ops that are no longer registered.

    Returns the number of files written and the number of files removed.
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
