"""GEMM micro-kernels for int8 convolutions with few input channels, other than XNNPACK's choice.

On aarch64 without dot products, XNNPACK's int8 GEMM micro-kernels for most cores multiply eight input
channels at once, and pad the missing ones.  The first layer of most models has one or three, so
that most of the work is wasted.  XNNPACK also has micro-kernels that take one channel after the other
(``mlal_lane``).  They need a quarter of the instructions for such a layer, and more from eight channels on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from litesmith.target.instruction_sets import Architecture

WIDE = "qs8_qc8w_gemm"
"""XNNPACK's configuration."""

NARROW = "qs8_qc8w_narrow_gemm"
"""The added configuration, for fewer than :data:`CHANNELS` input channels: the same where none is better."""

CHANNELS = 8

CONFIGS = "src/configs/gemm-config.c"
CONVOLUTIONS = "src/operators/convolution-nhwc.c"

_FUNCTION = "litesmith_init_narrow_gemm_config"
_EIGHT = re.compile(r"xnn_qs8_qc8w_(i?gemm)_minmax_fp32_ukernel_(\d)x8c8__asm_aarch64_neon_mlal(?:_prfm)?")


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """What a micro-kernel computes at once (``mr`` × ``nr``), and XNNPACK's name for its instructions.

    ``single`` is the name where it computes one row, ``several`` where it computes more.
    """

    rows: int
    columns: int
    single: str
    several: str

    def kernel(self, kind: str, rows: int) -> str:
        """The symbol of the micro-kernel of a kind (``gemm`` or ``igemm``) for a number of rows."""
        instructions = self.single if rows == 1 else self.several
        return f"xnn_qs8_qc8w_{kind}_minmax_fp32_ukernel_{rows}x{self.columns}__{instructions}"


_TILES: Mapping[Architecture, _Tile] = {
    # Those that XNNPACK takes on a Cortex-A53: most programs have them anyway.
    "aarch64": _Tile(
        rows=4,
        columns=16,
        single="neonv8_mlal_lane",
        several="asm_aarch64_neon_mlal_lane_cortex_a53_prfm",
    ),
}


def narrow_symbol(symbol: str, architecture: Architecture) -> str:
    """The symbol of :data:`NARROW` in the place of one of :data:`WIDE`: the same where none is better."""
    match = _EIGHT.fullmatch(symbol)
    if match is None:
        return symbol
    tile = _TILES[architecture]
    return tile.kernel(match[1], 1 if match[2] == "1" else tile.rows)


def config_choice(architecture: Architecture) -> Iterable[str]:
    """Lines of C before XNNPACK's convolutions, which make them choose between the configurations."""
    if architecture in _TILES:
        yield f"const struct xnn_gemm_config* {_FUNCTION}(void);"
        yield f"#define xnn_init_{WIDE}_config() \\"
        yield f"  (context->group_input_channels < {CHANNELS} ? {_FUNCTION}() : xnn_init_{WIDE}_config())"


def config_definition(architecture: Architecture, pointers: Collection[str]) -> Iterable[str]:
    """Lines of C that define :data:`NARROW` after XNNPACK's configurations.

    ``pointers`` are the micro-kernels in the program.
    """
    tile = _TILES.get(architecture)
    if tile is None:
        return
    yield ""
    yield f"const struct xnn_gemm_config* {_FUNCTION}(void) {{"
    yield f"  const struct xnn_gemm_config* wide = xnn_init_{WIDE}_config();"
    yield "  // With dot products, and in the assembly for some cores, little is wasted."
    yield "  if (wide == NULL || wide->nr != 8 || wide->log2_kr != 3) return wide;"
    yield "  static struct xnn_gemm_config narrow;"
    yield "  narrow = *wide;"
    yield "  narrow.minmax = (struct gemm_fused_ukernels){0};"
    for kind in ("gemm", "igemm"):
        for rows in (1, tile.rows):
            name = tile.kernel(kind, rows)
            if name in pointers:
                pointer = f"xnn_init_hmp_{kind}_ukernel((xnn_{kind}_ukernel_fn) {name})"
                yield f"  narrow.minmax.{kind}[XNN_MR_TO_INDEX({rows})] = {pointer};"
    yield f"  narrow.mr = {tile.rows};"
    yield f"  narrow.nr = {tile.columns};"
    yield "  narrow.log2_kr = 0;"
    yield "  narrow.log2_sr = 0;"
    yield "  return &narrow;"
    yield "}"
