"""Wrappers: generated C files through which some of XNNPACK's files are compiled, without what is not needed.

XNNPACK's file stays unmodified.  Its wrapper includes XNNPACK's headers, defines names that are not needed
as macros, and then includes the file.  Creating an operator that was left out fails as it does on unsupported
hardware.  Micro-kernels that were left out are null pointers, which XNNPACK never chooses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from litesmith.runtime.xnnpack import narrow_gemm
from litesmith.runtime.xnnpack.library import REFERENCES, RUN, XnnpackLibrary, generic
from litesmith.target import instruction_sets

PREFIX = "xnnpack_"
"""The beginning of a wrapper's file name."""

_OPERATOR_CALL = re.compile(r"\bxnn_(?:create|reshape|setup)_(\w+)\s*\(")
_CONFIG_CALL = re.compile(r"\bxnn_init_(?!hardware_|(?:un|bin)ary_reference_)(\w+)_config\s*\((?!uint32_t)")
_IN_HEADERS = ("qp8_f32_qc4w_gemm", "qp8_f32_qb4w_gemm")
_REFERENCE_CALL = re.compile(r"\bxnn_init_(unary|binary)_reference_config\s*\(")
_POINTER = re.compile(r"\bxnn_(?!init_)(?:\w+_ukernel_\w+|pack_\w+|packed_stride_\w+)(?<!_fn)(?<!_fn2)\b")
_LOOP = re.compile(r"\bxnn_parallelization_type_(\w+)")
_INCLUDE = re.compile(r'^\s*#\s*include\s+"(?:include|src)/[^"]*"', re.MULTILINE)

_FULLY_CONNECTED = "src/subgraph/fully-connected.c"
_STATIC_REDUCE = "src/subgraph/static-reduce.c"
_BATCH_MATRIX_MULTIPLY = "src/operators/batch-matrix-multiply-nc.c"

_DATATYPES = {"int8": "xnn_datatype_qint8", "uint8": "xnn_datatype_quint8"}
_C_TYPES = {"int8": "int8_t", "uint8": "uint8_t"}
_TEMPLATES = {
    "abs": "AbsOp",
    "bankers_rounding": "RoundToNearestOp",
    "ceiling": "RoundUpOp",
    "clamp": "ClampOp",
    "elu": "ELUOp",
    "floor": "RoundDownOp",
    "hardswish": "HardSwishOp",
    "leaky_relu": "LeakyReLUOp",
    "negate": "NegateOp",
    "sigmoid": "SigmoidOp",
    "square": "SquareOp",
    "square_root": "SquareRootOp",
    "tanh": "TanHOp",
}


def files(library: XnnpackLibrary, root: Path) -> dict[str, str]:
    """All wrappers: file name → content; ``root`` is XNNPACK's folder."""
    texts = {path: (root / path).read_text(encoding="utf-8") for path in library.wrapped}
    loops = {
        loop
        for path, text in texts.items()
        if path.startswith("src/operators/")
        for loop in _LOOP.findall(text)
        # These run where inputs are packed by the thread that needs them, which programs do not do.
        if not loop.endswith("_with_thread")
    }
    return {
        file_name(path): _wrapper(library, path, text, _unused_loops(text, loops) if path == RUN else ())
        for path, text in texts.items()
    }


def _unused_loops(text: str, used: Collection[str]) -> Iterable[str]:
    for loop in sorted({*_LOOP.findall(text)}.difference(used)):
        yield f"#define pthreadpool_parallelize_{loop}(...) __builtin_trap()"


def file_name(path: str) -> str:
    """The file name of the wrapper for a path of XNNPACK."""
    return PREFIX + Path(path).name


def _wrapper(library: XnnpackLibrary, path: str, text: str, also: Iterable[str] = ()) -> str:
    lines = [f"// {path} of XNNPACK, less what no model of this program needs.", ""]
    headers = dict.fromkeys(['#include "include/xnnpack.h"', '#include "src/xnnpack/config.h"'])
    # packq.h calls configuration functions itself: it must be included after their macros.
    late = "\0" if path.startswith("src/configs/") else "packq.h"
    found = (line.strip() for line in _INCLUDE.findall(text) if late not in line)
    lines += {**headers, **dict.fromkeys(found)}
    lines += ["", *cuts(library, path, text), *also, f'#include "{path}"']
    if path in REFERENCES.values():
        lines += _reference(library, path)
    if path == narrow_gemm.CONFIGS and narrow_gemm.NARROW in library.configs:
        lines += narrow_gemm.config_definition(library.architecture, library.pointers)
    return "\n".join(lines) + "\n"


def cuts(library: XnnpackLibrary, path: str, text: str) -> Iterable[str]:
    """Lines that replace names in XNNPACK's file by macros."""
    if path.startswith("src/subgraph/"):
        if path != _STATIC_REDUCE:
            # Only sparse weights have this layout.  The file left out compares it with values' flags, which
            # are 0 where a result is read twice.
            yield "#undef XNN_VALUE_FLAG_LAYOUT_NCHW"
            yield "#define XNN_VALUE_FLAG_LAYOUT_NCHW 0"
        if path != _FULLY_CONNECTED and _FULLY_CONNECTED not in library.wrapped:
            # What convolutions of single pixels turn into.
            yield "#define xnn_define_fully_connected(...) xnn_status_unsupported_hardware"
        for name in sorted(set(_OPERATOR_CALL.findall(text))):
            if name not in library.operators:
                for call in ("create", "reshape", "setup"):
                    yield f"#define xnn_{call}_{name}(...) xnn_status_unsupported_hardware"
    # Inline functions in headers ask for configurations, too.
    for name in sorted({*_CONFIG_CALL.findall(text), *_IN_HEADERS}):
        if not path.startswith("src/configs/") and name not in library.configs:
            yield f"#define xnn_init_{name}_config(...) NULL"
    if path.startswith("src/operators/"):
        # Programs give XNNPACK neither a cache of packed weights nor these flags.
        yield "#define use_weights_cache(op) false"
        flags = ["INLINE_LHS_PACKING", "TRANSIENT_INDIRECTION_BUFFER"]
        if path != _BATCH_MATRIX_MULTIPLY:
            flags.append("TRANSPOSE_WEIGHTS")
        for flag in flags:
            yield f"#undef XNN_FLAG_{flag}"
            yield f"#define XNN_FLAG_{flag} 0"
        kept = {kind for kind, _, _ in library.references}
        for kind in sorted(set(_REFERENCE_CALL.findall(text)) - kept):
            yield f"#define xnn_init_{kind}_reference_config(...) NULL"
    if path.startswith("src/configs/"):
        for name in sorted(set(_POINTER.findall(text)) - library.pointers):
            yield f"#define {name} {generic(name) if generic(name) in library.pointers else 'NULL'}"
        if library.constant_hardware is not None:
            core = instruction_sets.core(library.architecture, library.sets[0])
            yield from constant_hardware(library.constant_hardware, core)
            yield "#define xnn_init_hardware_config() (&litesmith_hardware)"
    if path == narrow_gemm.CONVOLUTIONS and narrow_gemm.NARROW in library.configs:
        yield from narrow_gemm.config_choice(library.architecture)
    if path in REFERENCES.values():
        kind = "unary" if "unary" in path else "binary"
        yield f"#define xnn_init_{kind}_reference_config litesmith_every_{kind}_reference"


def constant_hardware(flags: Iterable[str], core: str) -> Iterable[str]:
    """Lines that make a configuration's questions about the CPU constants."""
    yield "static const struct xnn_hardware_config litesmith_hardware = {"
    yield f"  .uarch = {{{core}}},"
    yield f"  .arch_flags = {' | '.join(flags) or 0},"
    yield "};"


def _reference(library: XnnpackLibrary, path: str) -> Iterable[str]:
    kind = "unary" if "unary" in path else "binary"
    dtypes = "xnn_datatype input, xnn_datatype output" if kind == "unary" else "xnn_datatype input"
    yield ""
    yield f"#undef xnn_init_{kind}_reference_config"
    yield f'extern "C" const xnn_{kind}_elementwise_config* xnn_init_{kind}_reference_config('
    yield f"    xnn_{kind}_operator operation, {dtypes}) {{"
    for known, name, dtype in sorted(library.references):
        if known == kind:
            value = f"xnnpack::quantized<{_C_TYPES[dtype]}>()"
            source, same, call = _DATATYPES[dtype], "", f"get_config<{_TEMPLATES.get(name)}<float>>({value})"
            if name == "convert":
                # Sums of quantised numbers.
                source = "xnn_datatype_int32"
                call = f"get_convert_config(int32_t(), {value})"
            if kind == "unary":
                same = f" && output == {_DATATYPES[dtype]}"
            yield f"  if (operation == xnn_{kind}_{name} && input == {source}{same}) {{"
            yield f"    return {call};"
            yield "  }"
    yield "  return nullptr;"
    yield "}"
