"""Wrappers: generated C files through which some of XNNPACK's files are compiled, without what is not needed.

XNNPACK's file stays unmodified.  Its wrapper includes XNNPACK's headers, defines names that are not needed
as macros, and then includes the file.  Creating an operator that was left out fails as it does on unsupported
hardware.  Micro-kernels that were left out are null pointers, which XNNPACK never chooses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from litesmith.runtime.xnnpack import narrow_gemm
from litesmith.runtime.xnnpack.library import REFERENCES, XnnpackLibrary, generic

PREFIX = "xnnpack_"
"""The beginning of a wrapper's file name."""

_OPERATOR_CALL = re.compile(r"\bxnn_(?:create|reshape|setup)_(\w+)\s*\(")
_CONFIG_CALL = re.compile(r"\bxnn_init_(\w+)_config\s*\(\)")
_IN_HEADERS = ("qp8_f32_qc4w_gemm", "qp8_f32_qb4w_gemm")
_REFERENCE_CALL = re.compile(r"\bxnn_init_(unary|binary)_reference_config\s*\(")
_POINTER = re.compile(r"\bxnn_(?!init_)(?:\w+_ukernel_\w+|pack_\w+|packed_stride_\w+)(?<!_fn)\b")
_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]xnnpack[^">]*[">]', re.MULTILINE)


_DEPTHWISE_CONFIGS = "src/configs/dwconv-config.c"
_UNSET_TILE = "xnn_f32_dwconv_minmax_ukernel_25p1c__scalar_acc2"
_TILE_FIX = (
    "",
    "#if XNN_ARCH_ARM",
    "__attribute__((constructor)) static void litesmith_set_tiles(void) {",
    "  f32_dwconv_config[3].channel_subtile = 1;",
    "  f32_dwconv_config[3].channel_round = 1;",
    "}",
    "#endif",
)
"""Two fields that XNNPACK does not set on ARM without NEON: with 0 in them, packing weights never ends."""

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
    return {
        file_name(path): _wrapper(library, path, (root / path).read_text(encoding="utf-8"))
        for path in library.wrapped
    }


def file_name(path: str) -> str:
    """The file name of the wrapper for a path of XNNPACK."""
    return PREFIX + Path(path).name


def _wrapper(library: XnnpackLibrary, path: str, text: str) -> str:
    lines = [f"// {path} of XNNPACK, less what no model of this program needs.", ""]
    headers = dict.fromkeys(['#include "xnnpack.h"', '#include "xnnpack/config.h"'])
    # packq.h calls configuration functions itself: it must be included after their macros.
    late = "\0" if path.startswith("src/configs/") else "packq.h"
    found = (line.strip() for line in _INCLUDE.findall(text) if late not in line)
    lines += {**headers, **dict.fromkeys(found)}
    lines += ["", *cuts(library, path, text), f'#include "{path.removeprefix("src/")}"']
    if path in REFERENCES.values():
        lines += _reference(library, path)
    if path == _DEPTHWISE_CONFIGS and _UNSET_TILE in library.pointers:
        lines += _TILE_FIX
    if path == narrow_gemm.CONFIGS and narrow_gemm.NARROW in library.configs:
        lines += narrow_gemm.config_definition(library.architecture, library.pointers)
    return "\n".join(lines) + "\n"


def cuts(library: XnnpackLibrary, path: str, text: str) -> Iterable[str]:
    """Lines that replace names in XNNPACK's file by macros."""
    if path.startswith("src/subgraph/"):
        for name in sorted(set(_OPERATOR_CALL.findall(text))):
            if name not in library.operators:
                for call in ("create", "reshape", "setup"):
                    yield f"#define xnn_{call}_{name}(...) xnn_status_unsupported_hardware"
    # Inline functions in headers ask for configurations, too.
    for name in sorted({*_CONFIG_CALL.findall(text), *_IN_HEADERS}):
        if not path.startswith("src/configs/") and name not in library.configs:
            yield f"#define xnn_init_{name}_config() NULL"
    if path.startswith("src/operators/"):
        kept = {kind for kind, _, _ in library.references}
        for kind in sorted(set(_REFERENCE_CALL.findall(text)) - kept):
            yield f"#define xnn_init_{kind}_reference_config(...) NULL"
    if path.startswith("src/configs/"):
        yield from unknown_core(text).splitlines()
        for name in sorted(set(_POINTER.findall(text)) - library.pointers):
            yield f"#define {name} {generic(name) if generic(name) in library.pointers else 'NULL'}"
        if library.constant_hardware is not None:
            yield "static const struct xnn_hardware_config litesmith_hardware = {"
            yield from (f"  .{member} = true," for member in library.constant_hardware)
            yield "};"
            yield "#define xnn_init_hardware_config() (&litesmith_hardware)"
    if path == narrow_gemm.CONVOLUTIONS and narrow_gemm.NARROW in library.configs:
        yield from narrow_gemm.config_choice(library.architecture)
    if path in REFERENCES.values():
        kind = "unary" if "unary" in path else "binary"
        yield f"#define xnn_init_{kind}_reference_config litesmith_every_{kind}_reference"


def _reference(library: XnnpackLibrary, path: str) -> Iterable[str]:
    kind = "unary" if "unary" in path else "binary"
    dtypes = "xnn_datatype input, xnn_datatype output" if kind == "unary" else "xnn_datatype input"
    yield ""
    yield f"#undef xnn_init_{kind}_reference_config"
    yield f'extern "C" const xnn_{kind}_elementwise_config* xnn_init_{kind}_reference_config('
    yield f"    xnn_{kind}_operator operation, {dtypes}) {{"
    for known, name, dtype in sorted(library.references):
        if known == kind:
            same = " && output == input" if kind == "unary" else ""
            yield f"  if (operation == xnn_{kind}_{name} && input == {_DATATYPES[dtype]}{same}) {{"
            template = f"{_C_TYPES[dtype]}, {_TEMPLATES[name]}<float>"
            yield f"    return get_config<{template}>(std::true_type());"
            yield "  }"
    yield "  return nullptr;"
    yield "}"


_UARCH = re.compile(r"\bcpuinfo_uarch_\w+")


def unknown_core(text: str) -> str:
    """C that answers a configuration's questions to the cpuinfo library: the CPU's core is an unknown one.

    Kernels for one kind of core are left out; those for any core with the instruction set remain.
    """
    names = ["cpuinfo_uarch_unknown", *sorted({*_UARCH.findall(text)} - {"cpuinfo_uarch_unknown"})]
    names = [name for name in names if name != "cpuinfo_uarch_info"]
    if len(names) == 1 and "cpuinfo_" not in text:
        return ""
    return (
        f"enum {{ {', '.join(names)} }};\n"
        "struct litesmith_core { int uarch; };\n"
        "static const struct litesmith_core litesmith_core = {cpuinfo_uarch_unknown};\n"
        "#define cpuinfo_get_core(index) (&litesmith_core)\n"
        "#define cpuinfo_get_uarch(index) (&litesmith_core)\n"
    )
