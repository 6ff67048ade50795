"""Needs + instruction sets → the files of XNNPACK that a program is made of, and what is cut out of them.

Upstream's files stay as they are.  A file that would bring what no model needs is compiled through a small
one of ours: it includes upstream's headers, then says that some names stand for nothing, and then includes
upstream's file.  Operators that are not there are refused as unsupported hardware would be, micro-kernels
are null pointers, which XNNPACK never chooses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.xnnpack import instruction_sets, registry
from litesmith.xnnpack.instruction_sets import Architecture
from litesmith.xnnpack.needs import KernelNeed, Needs
from litesmith.xnnpack.registry import Sources

PREFIX = "xnnpack_"
"""How our files are called that include one of upstream's."""

_CORE = (
    *("allocator", "cache", "datatype", "indirection", "init", "memory", "memory-planner"),
    *("microkernel-utils", "microparams-init", "mutex", "normalization", "operator-delete"),
    *("operator-run", "operator-utils", "params", "runtime", "subgraph"),
    *("enums/allocation-type", "enums/datatype-strings", "enums/microkernel-type"),
    *("enums/node-type", "enums/operator-type"),
    *("subgraph/deprecated", "subgraph/reshape-helpers", "subgraph/validation"),
    *("tables/exp2-k-over-64", "tables/exp2-k-over-2048", "tables/exp2minus-k-over-4"),
    *("tables/exp2minus-k-over-8", "tables/exp2minus-k-over-16", "tables/exp2minus-k-over-32"),
    *("tables/exp2minus-k-over-64", "tables/exp2minus-k-over-2048", "tables/vlog"),
)
_THREADS = ("portable-api.c", "memory.c", "pthreads.c", "fastpath.c")
_PACKING = "src/reference/packing.cc"
_ALWAYS = ("src/subgraph/unary.c", "src/tensor.c")

# These ask for one configuration of many, by operator and dtype.
_DISPATCHING = frozenset({"unary_elementwise_nc", "binary_elementwise_nd", "reduce_nd"})
_BY_NEED = re.compile(r".*_(gemm|gemm_nr2|dwconv|vmulcaddc)")

_OPERATOR_CALL = re.compile(r"\bxnn_(?:create|reshape|setup)_(\w+)\s*\(")
_CONFIG_CALL = re.compile(r"\bxnn_init_(\w+)_config\s*\(\)")
_IN_HEADERS = ("qp8_f32_qc4w_gemm", "qp8_f32_qb4w_gemm")
_REFERENCE_CALL = re.compile(r"\bxnn_init_(unary|binary)_reference_config\s*\(")
_POINTER = re.compile(r"\bxnn_(?!init_)(?:\w+_ukernel_\w+|pack_\w+|packed_stride_\w+)(?<!_fn)\b")
_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]xnnpack[^">]*[">]', re.MULTILINE)

_GEMM = re.compile(r"_(i?gemm)_minmax\w*?_ukernel_(\d+)x(\d+)")
_TAPS = re.compile(r"_ukernel_(\d+)p\d")


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A micro-kernel of a program: upstream's symbol, its file, the configuration it serves."""

    symbol: str
    source: str
    config: str


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a program has of XNNPACK.

    ``sources`` are ``component/path`` names, ``wrapped`` paths of upstream's files that are compiled through
    one of ours with what they keep, ``sets`` the instruction sets among which the program chooses.
    """

    sets: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    sources: tuple[str, ...]
    operators: frozenset[str]
    configs: frozenset[str]
    pointers: frozenset[str]
    references: frozenset[tuple[str, str, str]]
    wrapped: tuple[str, ...]
    constant_hardware: tuple[str, ...] | None

    def files(self, root: Path) -> dict[str, str]:
        """Our files that include upstream's, by name; ``root`` is XNNPACK's folder."""
        return {self.name_of(path): self._wrapper(root, path) for path in self.wrapped}

    @staticmethod
    def name_of(path: str) -> str:
        """The name of our file for one of upstream's."""
        return PREFIX + Path(path).name

    def _wrapper(self, root: Path, path: str) -> str:
        text = (root / path).read_text(encoding="utf-8")
        lines = [f"// {path} of XNNPACK, less what no model of this program needs.", ""]
        headers = dict.fromkeys(['#include "xnnpack.h"', '#include "xnnpack/config.h"'])
        # This one asks for configurations itself: it must see what is cut.
        late = "\0" if path.startswith("src/configs/") else "packq.h"
        found = (line.strip() for line in _INCLUDE.findall(text) if late not in line)
        lines += {**headers, **dict.fromkeys(found)}
        lines += ["", *self._cuts(path, text), f'#include "{path.removeprefix("src/")}"']
        if path in _REFERENCES.values():
            lines += self._reference(path)
        return "\n".join(lines) + "\n"

    def _cuts(self, path: str, text: str) -> Iterable[str]:
        if path.startswith("src/subgraph/"):
            for name in sorted(set(_OPERATOR_CALL.findall(text))):
                if name not in self.operators:
                    for call in ("create", "reshape", "setup"):
                        yield f"#define xnn_{call}_{name}(...) xnn_status_unsupported_hardware"
        # Headers have inline functions that ask for configurations, too.
        for name in sorted({*_CONFIG_CALL.findall(text), *_IN_HEADERS}):
            if not path.startswith("src/configs/") and name not in self.configs:
                yield f"#define xnn_init_{name}_config() NULL"
        if path.startswith("src/operators/"):
            kept = {kind for kind, _, _ in self.references}
            for kind in sorted(set(_REFERENCE_CALL.findall(text)) - kept):
                yield f"#define xnn_init_{kind}_reference_config(...) NULL"
        if path.startswith("src/configs/"):
            yield from registry.microarchitectures(text).splitlines()
            for name in sorted(set(_POINTER.findall(text)) - self.pointers):
                yield f"#define {name} {_plain(name) if _plain(name) in self.pointers else 'NULL'}"
            if self.constant_hardware is not None:
                yield "static const struct xnn_hardware_config litesmith_hardware = {"
                yield from (f"  .{member} = true," for member in self.constant_hardware)
                yield "};"
                yield "#define xnn_init_hardware_config() (&litesmith_hardware)"
        if path in _REFERENCES.values():
            kind = "unary" if "unary" in path else "binary"
            yield f"#define xnn_init_{kind}_reference_config litesmith_every_{kind}_reference"

    def _reference(self, path: str) -> Iterable[str]:
        kind = "unary" if "unary" in path else "binary"
        dtypes = "xnn_datatype input, xnn_datatype output" if kind == "unary" else "xnn_datatype input"
        yield ""
        yield f"#undef xnn_init_{kind}_reference_config"
        yield f'extern "C" const xnn_{kind}_elementwise_config* xnn_init_{kind}_reference_config('
        yield f"    xnn_{kind}_operator operation, {dtypes}) {{"
        for known, name, dtype in sorted(self.references):
            if known == kind:
                same = " && output == input" if kind == "unary" else ""
                yield f"  if (operation == xnn_{kind}_{name} && input == {_DATATYPES[dtype]}{same}) {{"
                template = f"{_C_TYPES[dtype]}, {_TEMPLATES[name]}<float>"
                yield f"    return get_config<{template}>(std::true_type());"
                yield "  }"
        yield "  return nullptr;"
        yield "}"


_REFERENCES = {"unary": "src/reference/unary-elementwise.cc", "binary": "src/reference/binary-elementwise.cc"}
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


def select(needs: Needs, architecture: Architecture, sets: Sequence[str]) -> Parts:
    """The parts of XNNPACK for these needs on an architecture.

    Raises:
        ValueError: the architecture has no such instruction set.
    """
    known = registry.load()
    levels = tuple(one.name for one in instruction_sets.closed(architecture, sets))
    chosen = tuple(name for name in levels if name in sets)
    operators = needs.operators | {"unary_elementwise_nc"}
    configs = _configs(known, operators, needs.kernels)
    kept: dict[str, str] = {}
    for config in sorted(configs):
        wanted = [need for need in needs.kernels if need.config == config]
        for level in chosen:
            symbols = known.hardware[architecture].get(config, {}).get(level, ())
            for symbol in _kept(config, symbols, wanted, operators):
                kept.setdefault(_plain(symbol), config)
    kernels = tuple(
        Kernel(symbol=symbol, source=known.microkernels[symbol], config=config)
        for symbol, config in sorted(kept.items())
        if symbol in known.microkernels
    )
    files = {*needs.files, *_ALWAYS} - {f"src/{name}.c" for name in _CORE}
    files |= {known.operators[name].source for name in operators}
    files |= {known.configs[name] for name in configs if name in known.configs}
    kinds = {kind for kind, _, _ in needs.references}
    files |= {_REFERENCES[kind] for kind in kinds}
    return Parts(
        sets=chosen,
        kernels=kernels,
        sources=(
            *sorted({f"xnnpack/{kernel.source}" for kernel in kernels}),
            *(f"xnnpack/src/{name}.c" for name in _CORE),
            f"xnnpack/{_PACKING}",
            *(f"pthreadpool-sources/src/{name}" for name in _THREADS),
        ),
        operators=frozenset(operators),
        configs=frozenset(configs),
        pointers=frozenset(kept),
        references=needs.references,
        wrapped=tuple(sorted(files)),
        constant_hardware=instruction_sets.hardware(architecture, chosen) if len(chosen) == 1 else None,
    )


def _configs(known: Sources, operators: Iterable[str], kernels: Iterable[KernelNeed]) -> set[str]:
    found = {need.config for need in kernels}
    for name in operators:
        if name not in _DISPATCHING:
            found |= set(known.operators[name].configs)
    return found


def _kept(
    config: str,
    symbols: Sequence[str],
    wanted: Sequence[KernelNeed],
    operators: Iterable[str],
) -> Iterable[str]:
    """The symbols of a configuration that its needs ask for."""
    if not _BY_NEED.fullmatch(config):
        return symbols
    rows = [int(match[2]) for symbol in symbols if (match := _GEMM.search(symbol))]
    kinds = {need.kind for need in wanted}
    taps = sorted(int(match[1]) for symbol in symbols if (match := _TAPS.search(symbol)))
    sizes = {next((n for n in taps if n >= need.size), 0) for need in wanted if need.kind == "dwconv"}
    return [
        symbol for symbol in symbols if _is_kept(symbol, kinds, max(rows, default=1), sizes, set(operators))
    ]


def _is_kept(symbol: str, kinds: set[str], most: int, taps: set[int], operators: set[str]) -> bool:
    if match := _GEMM.search(symbol):
        single = f"{match[1]}1" in kinds and int(match[2]) == 1
        return single or (match[1] in kinds and int(match[2]) == most)
    if "_dwconv_" in symbol:
        match = _TAPS.search(symbol)
        return match is not None and int(match[1]) in taps
    if "_deconv_" in symbol:
        return any(name.startswith("deconvolution2d") for name in operators)
    if "gemm_gio" in symbol:
        return any(name.startswith("dynamic_fully_connected") for name in operators)
    if "gemm_goi" in symbol:
        return bool(kinds & {"gemm", "gemm1"})
    if "_conv_goki" in symbol or "_conv_kgo" in symbol:
        return bool(kinds & {"igemm", "igemm1"})
    if "weights_and_biases" in symbol or "_gemm_" in symbol or "_igemm_" in symbol:
        # Packing by way of them is optional, and so are kernels for linear outputs.
        return False
    return "_ukernel" not in symbol or "" in kinds


_SCALAR_PACKING = re.compile(r"xnn_(qs8|qs8_to_qu8)_packw_gemm_goi_ukernel_\w+__scalar")


def _plain(symbol: str) -> str:
    """The function that packs weights for any kernel, in place of one that is ten times as large.

    Weights are packed once; vectors are worth their bytes there, unrolled loops are not.
    """
    match = _SCALAR_PACKING.fullmatch(symbol)
    return f"xnn_pack_{match[1]}_gemm_goi_w" if match else symbol


_X86 = ("-mavx", "-mf16c", "-mfma", "-mavx2")
_AVX512 = (*_X86, "-mavx512f", "-mavx512cd", "-mavx512bw", "-mavx512dq", "-mavx512vl")
_BY_SUFFIX: Mapping[str, tuple[str, ...]] = {
    "avx": ("-mavx",),
    "f16c": ("-mavx", "-mf16c"),
    "fma3": ("-mavx", "-mf16c", "-mfma"),
    "avx2": _X86,
    "avxvnni": (*_X86, "-mavxvnni"),
    "avx512f": (*_X86, "-mavx512f"),
    "avx512skx": _AVX512,
    "avx512vnni": (*_AVX512, "-mavx512vnni"),
}


def instruction_set_of(source: str) -> str:
    """What upstream calls the instruction set of a micro-kernel's file: ``avx2``, ``neondot``, ``scalar``."""
    words = Path(source).stem.split("-")
    known = {*_BY_SUFFIX, "sse", "sse2", "ssse3", "sse41", "scalar", "armsimd32", "aarch64"}
    known |= {"neon", "neonfp16", "neonfma", "neonv8", "neondot"}
    return next((word for word in reversed(words) if word in known), "scalar")


def flags_of(source: str, toolchain: str, cpu: str) -> tuple[str, ...]:
    """Compiler flags that a micro-kernel's file needs beyond those of the target."""
    name = instruction_set_of(source)
    if name == "neondot":
        return (f"-mcpu={cpu}+dotprod",) if toolchain == "zig" else ("-march=armv8.2-a+dotprod",)
    if name == "armsimd32" and toolchain == "zig":
        # Every CPU of version 6 has these instructions; Clang counts them to a later version's.
        return (f"-mcpu={cpu}+dsp",)
    return _BY_SUFFIX.get(name, ())
