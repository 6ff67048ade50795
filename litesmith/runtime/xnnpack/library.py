"""Requirements + instruction sets → the part of the XNNPACK library that is built into a program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from litesmith.runtime.xnnpack import narrow_gemm, source_index
from litesmith.runtime.xnnpack.required import RequiredMicrokernels, Requirements
from litesmith.runtime.xnnpack.source_index import SourceIndex
from litesmith.target import instruction_sets
from litesmith.target.instruction_sets import Architecture

_CORE = (
    *("allocator", "cache", "datatype", "indirection", "init", "memory", "memory-planner"),
    *("microkernel-utils", "microparams-init", "mutex", "normalization", "operator-delete"),
    *("operator-utils", "params", "runtime", "subgraph"),
    *("enums/allocation-type", "enums/datatype-strings", "enums/microkernel-type"),
    *("enums/node-type", "enums/operator-type"),
    *("subgraph/reshape-helpers", "subgraph/validation"),
    *("tables/exp2-k-over-64", "tables/exp2-k-over-2048", "tables/exp2minus-k-over-4"),
    *("tables/exp2minus-k-over-8", "tables/exp2minus-k-over-16", "tables/exp2minus-k-over-32"),
    *("tables/exp2minus-k-over-64", "tables/exp2minus-k-over-2048", "tables/vlog"),
)
_THREADS = ("portable-api.c", "memory.c", "pthreads.c", "fastpath.c")
_PACKING = "src/reference/packing.cc"
RUN = "src/operator-run.c"
"""The file that runs operators: it has a loop of the thread pool for each way to divide their work."""

_ALWAYS_WRAPPED = (RUN, "src/subgraph/unary.c", "src/tensor.c")

REFERENCES = {"unary": "src/reference/unary-elementwise.cc", "binary": "src/reference/binary-elementwise.cc"}
"""Files of the portable functions that take the place of micro-kernels, by kind."""

_DISPATCHING = frozenset(
    {"unary_elementwise_nc", "binary_elementwise_nd", "reduce_nd", "resize_bilinear2d_nhwc"}
)
"""Operators that may ask for many configurations, of which a node needs one: requirements name it."""

MATRIX_CONFIGS: Mapping[str, tuple[str, ...]] = {
    "convolution2d_nhwc_f32": ("f32_igemm", "f32_dwconv", "f32_vmulcaddc"),
    "convolution2d_nhwc_qs8": ("qs8_qc8w_gemm", "qs8_qc8w_dwconv"),
    "convolution2d_nhwc_qs8_qc8w": ("qs8_qc8w_gemm", "qs8_qc8w_dwconv"),
    "convolution2d_nhwc_qu8": ("qu8_gemm", "qu8_dwconv"),
    "convolution2d_nhwc_qd8_f32_qc8w": ("qd8_f32_qc8w_gemm",),
    "deconvolution2d_nhwc_f32": ("f32_igemm",),
    "deconvolution2d_nhwc_qs8": ("qs8_qc8w_gemm",),
    "deconvolution2d_nhwc_qs8_qc8w": ("qs8_qc8w_gemm",),
    "deconvolution2d_nhwc_qu8": ("qu8_gemm",),
    "deconvolution2d_nhwc_qd8_f32_qc8w": ("qd8_f32_qc8w_gemm",),
    "fully_connected_nc_f32": ("f32_gemm",),
    "fully_connected_nc_qs8": ("qs8_qc8w_gemm",),
    "fully_connected_nc_qs8_qc4w": ("qs8_qc4w_gemm",),
    "fully_connected_nc_qs8_qc8w": ("qs8_qc8w_gemm",),
    "fully_connected_nc_qu8": ("qu8_gemm",),
    "fully_connected_nc_qd8_f32_qb4w": ("qd8_f32_qb4w_gemm",),
    "fully_connected_nc_qd8_f32_qb4w_f16_scales": ("qd8_f32_qb4w_gemm",),
    "fully_connected_nc_qd8_f32_qc4w": ("qd8_f32_qc4w_gemm",),
    "fully_connected_nc_qd8_f32_qc8w": ("qd8_f32_qc8w_gemm",),
    "dynamic_fully_connected_nc_f32": ("f32_gemm",),
    "batch_matrix_multiply_nc_f32": ("f32_gemm",),
    "batch_matrix_multiply_nc_f32_const_weights": ("f32_gemm",),
    "batch_matrix_multiply_nc_qs8": ("qs8_qc8w_gemm",),
    "batch_matrix_multiply_nc_qs8_const_weights": ("qs8_qc8w_gemm",),
    "batch_matrix_multiply_nc_qd8_f32_qc8w": ("qd8_f32_qc8w_gemm",),
    "batch_matrix_multiply_nc_qd8_f32_qc8w_const_weights": ("qd8_f32_qc8w_gemm",),
}
"""The configurations of operators that are made by shared functions, which could ask for all of them.

The first has the micro-kernels for matrix products.
"""

_BY_SHAPE = re.compile(r".*_(i?gemm|gemm_nr2|dwconv|vmulcaddc)")
"""Configurations with micro-kernels for different shapes, of which not all are needed."""

_GEMM = re.compile(r"_(i?gemm)_minmax\w*?_ukernel_(\d+)x(\d+)")
_TAPS = re.compile(r"_ukernel_(\d+)p\d")


@dataclass(frozen=True, kw_only=True)
class Microkernel:
    """A micro-kernel of a program: its symbol, its file, and a configuration that names it."""

    symbol: str
    source: str
    config: str


@dataclass(frozen=True, kw_only=True)
class XnnpackLibrary:
    """The part of the XNNPACK library that is built into a program.

    ``sets`` are the instruction sets among which the program chooses when it starts.  ``sources`` are the
    files that are compiled as they are, as ``component/path``; ``wrapped`` are the paths of those that are
    compiled through a wrapper (:mod:`.wrappers`).  ``operators``, ``configs`` and ``references`` are what
    the wrappers keep, and ``pointers`` the functions that configurations may point to.
    ``constant_hardware`` are the members of ``struct xnn_hardware_config`` that are set at compile time;
    None where the program detects its CPU.
    """

    architecture: Architecture
    sets: tuple[str, ...]
    microkernels: tuple[Microkernel, ...]
    sources: tuple[str, ...]
    operators: frozenset[str]
    configs: frozenset[str]
    pointers: frozenset[str]
    references: frozenset[tuple[str, str, str]]
    wrapped: tuple[str, ...]
    constant_hardware: tuple[str, ...] | None


def select(required: Requirements, architecture: Architecture, sets: Sequence[str]) -> XnnpackLibrary:
    """The part of XNNPACK that meets the requirements on an architecture.

    Raises:
        ValueError: the architecture has no such instruction set.
    """
    known = source_index.load()
    levels = tuple(one.name for one in instruction_sets.closed(architecture, sets))
    chosen = tuple(name for name in levels if name in sets)
    operators = required.operators | {"unary_elementwise_nc"}
    configs = _configs(known, operators, required.microkernels)
    kept: dict[str, str] = {}
    for config in sorted(configs):
        wanted = [one for one in required.microkernels if one.config == config]
        for level in chosen:
            symbols = known.hardware[architecture].get(config, {}).get(level, ())
            for symbol in _kept(config, symbols, wanted, operators):
                kept.setdefault(generic(symbol), config)
    microkernels = tuple(
        Microkernel(symbol=symbol, source=known.microkernels[symbol], config=config)
        for symbol, config in sorted(kept.items())
        if symbol in known.microkernels
    )
    files = {*required.files, *_ALWAYS_WRAPPED} - {f"src/{name}.c" for name in _CORE}
    files |= {known.operators[name].source for name in operators}
    files |= {known.configs[name] for name in configs if name in known.configs}
    kinds = {kind for kind, _, _ in required.references}
    files |= {REFERENCES[kind] for kind in kinds}
    return XnnpackLibrary(
        architecture=architecture,
        sets=chosen,
        microkernels=microkernels,
        sources=(
            *sorted({f"xnnpack/{kernel.source}" for kernel in microkernels}),
            *(f"xnnpack/src/{name}.c" for name in _CORE),
            f"xnnpack/{_PACKING}",
            *(f"pthreadpool-sources/src/{name}" for name in _THREADS),
        ),
        operators=frozenset(operators),
        configs=frozenset(configs),
        pointers=frozenset(kept),
        references=required.references,
        wrapped=tuple(sorted(files)),
        constant_hardware=instruction_sets.hardware(architecture, chosen) if len(chosen) == 1 else None,
    )


def _configs(
    known: SourceIndex, operators: Iterable[str], microkernels: Iterable[RequiredMicrokernels]
) -> set[str]:
    found = {one.config for one in microkernels}
    for name in operators:
        if name not in _DISPATCHING:
            found |= set(MATRIX_CONFIGS.get(name) or known.operators[name].configs)
    return found


def _kept(
    config: str,
    symbols: Sequence[str],
    wanted: Sequence[RequiredMicrokernels],
    operators: Iterable[str],
) -> Iterable[str]:
    """The symbols of a configuration that are wanted, and what packs weights for them."""
    if not _BY_SHAPE.fullmatch(config):
        return symbols
    rows = [int(match[2]) for symbol in symbols if (match := _GEMM.search(symbol))]
    kinds = {one.kind for one in wanted}
    taps = sorted(int(match[1]) for symbol in symbols if (match := _TAPS.search(symbol)))
    sizes = {next((n for n in taps if n >= one.taps), 0) for one in wanted if one.kind == "dwconv"}
    if "_qb4w_" in config:
        # A micro-kernel that packs weights in blocks is only faster.
        symbols = [symbol for symbol in symbols if "gemm_goi" not in symbol]
    # Other ways of packing are optional in XNNPACK, unless a configuration has no other.
    optional = any("gemm_goi" in symbol for symbol in symbols)
    return [
        symbol
        for symbol in symbols
        if (not optional and "weights_and_biases" in symbol)
        or _is_kept(symbol, kinds, max(rows, default=1), sizes, _users(config, operators))
    ]


def _users(config: str, operators: Iterable[str]) -> set[str]:
    """The operators that multiply matrices with a configuration."""
    asked = narrow_gemm.WIDE if config == narrow_gemm.NARROW else config
    return {name for name in operators if asked in MATRIX_CONFIGS.get(name, ())}


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
        return any(name.startswith(("dynamic_fully_connected", "batch_matrix")) for name in operators)
    if "gemm_goi" in symbol:
        return bool(kinds & {"gemm", "gemm1"})
    if "_conv_goki" in symbol or "_conv_kgo" in symbol:
        return bool(kinds & {"igemm", "igemm1"})
    if "weights_and_biases" in symbol or "_gemm_" in symbol or "_igemm_" in symbol:
        # Also kernels that do not clamp their outputs.
        return False
    return "_ukernel" not in symbol or "" in kinds


_SCALAR_PACKING = re.compile(r"xnn_(qs8|qs8_to_qu8)_packw_gemm_goi_ukernel_\w+__scalar")


def generic(symbol: str) -> str:
    """A function's name, or that of the generic one where it packs weights with unrolled scalar loops.

    Unrolled loops are ten times as large, and weights are packed only once.  Vectorised packing functions
    are kept: they are worth their size.
    """
    match = _SCALAR_PACKING.fullmatch(symbol)
    return f"xnn_pack_{match[1]}_gemm_goi_w" if match else symbol
