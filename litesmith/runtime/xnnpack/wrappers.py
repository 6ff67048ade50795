"""The files through which some of XNNPACK's are compiled: upstream's, less what no model of a program needs.

Upstream's file stays as it is.  Ours includes upstream's headers, says that some names stand for nothing, and
then includes upstream's file.  Operators that are not there are refused as unsupported hardware would be,
micro-kernels are null pointers, which XNNPACK never chooses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from litesmith.runtime.xnnpack import narrow_gemm, source_index
from litesmith.runtime.xnnpack.library import REFERENCES, XnnpackLibrary, plain

PREFIX = "xnnpack_"
"""How our files are called that include one of upstream's."""

_OPERATOR_CALL = re.compile(r"\bxnn_(?:create|reshape|setup)_(\w+)\s*\(")
_CONFIG_CALL = re.compile(r"\bxnn_init_(\w+)_config\s*\(\)")
_IN_HEADERS = ("qp8_f32_qc4w_gemm", "qp8_f32_qb4w_gemm")
_REFERENCE_CALL = re.compile(r"\bxnn_init_(unary|binary)_reference_config\s*\(")
_POINTER = re.compile(r"\bxnn_(?!init_)(?:\w+_ukernel_\w+|pack_\w+|packed_stride_\w+)(?<!_fn)\b")
_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]xnnpack[^">]*[">]', re.MULTILINE)


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
    """Our files that include upstream's, by name; ``root`` is XNNPACK's folder."""
    return {
        name_of(path): _wrapper(library, path, (root / path).read_text(encoding="utf-8"))
        for path in library.wrapped
    }


def name_of(path: str) -> str:
    """The name of our file for one of upstream's."""
    return PREFIX + Path(path).name


def _wrapper(library: XnnpackLibrary, path: str, text: str) -> str:
    lines = [f"// {path} of XNNPACK, less what no model of this program needs.", ""]
    headers = dict.fromkeys(['#include "xnnpack.h"', '#include "xnnpack/config.h"'])
    # This one asks for configurations itself: it must see what is cut.
    late = "\0" if path.startswith("src/configs/") else "packq.h"
    found = (line.strip() for line in _INCLUDE.findall(text) if late not in line)
    lines += {**headers, **dict.fromkeys(found)}
    lines += ["", *cuts(library, path, text), f'#include "{path.removeprefix("src/")}"']
    if path in REFERENCES.values():
        lines += _reference(library, path)
    if path == narrow_gemm.DEPTHWISE:
        lines += narrow_gemm.forgotten(library.pointers)
    if path == narrow_gemm.CONFIGS and narrow_gemm.NARROW in library.configs:
        lines += narrow_gemm.configuration(library.architecture, library.pointers)
    return "\n".join(lines) + "\n"


def cuts(library: XnnpackLibrary, path: str, text: str) -> Iterable[str]:
    """Lines that make names of upstream's file stand for nothing."""
    if path.startswith("src/subgraph/"):
        for name in sorted(set(_OPERATOR_CALL.findall(text))):
            if name not in library.operators:
                for call in ("create", "reshape", "setup"):
                    yield f"#define xnn_{call}_{name}(...) xnn_status_unsupported_hardware"
    # Headers have inline functions that ask for configurations, too.
    for name in sorted({*_CONFIG_CALL.findall(text), *_IN_HEADERS}):
        if not path.startswith("src/configs/") and name not in library.configs:
            yield f"#define xnn_init_{name}_config() NULL"
    if path.startswith("src/operators/"):
        kept = {kind for kind, _, _ in library.references}
        for kind in sorted(set(_REFERENCE_CALL.findall(text)) - kept):
            yield f"#define xnn_init_{kind}_reference_config(...) NULL"
    if path.startswith("src/configs/"):
        yield from source_index.microarchitectures(text).splitlines()
        for name in sorted(set(_POINTER.findall(text)) - library.pointers):
            yield f"#define {name} {plain(name) if plain(name) in library.pointers else 'NULL'}"
        if library.constant_hardware is not None:
            yield "static const struct xnn_hardware_config litesmith_hardware = {"
            yield from (f"  .{member} = true," for member in library.constant_hardware)
            yield "};"
            yield "#define xnn_init_hardware_config() (&litesmith_hardware)"
    if path == narrow_gemm.CONVOLUTIONS and narrow_gemm.NARROW in library.configs:
        yield from narrow_gemm.choice(library.architecture)
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
