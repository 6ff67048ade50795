"""Tiles that programs have otherwise than upstream: what a micro-kernel computes at once.

Convolutions of int8 with few input channels have other micro-kernels than upstream gives them.  On ARM
without dot products, and without assembly, XNNPACK multiplies eight channels at once, and fills up those that
are not there: of the first layer of most models, which has one or three, most is wasted.  It also has kernels
that take one channel after the other (``mlal_lane``).  They do such a layer in a quarter of the instructions,
and need more of them for eight channels and more; ``docs/xnnpack.md`` has the numbers.

Without NEON upstream does not say how a depthwise micro-kernel for 10 to 25 taps wants its weights packed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from litesmith.target.instruction_sets import Architecture

WIDE = "qs8_qc8w_gemm"
"""Upstream's configuration."""

NARROW = "qs8_qc8w_narrow_gemm"
"""Ours for fewer than :data:`CHANNELS` input channels: upstream's where there is no better one."""

CHANNELS = 8

CONFIGS = "src/configs/gemm-config.c"
CONVOLUTIONS = "src/operators/convolution-nhwc.c"
DEPTHWISE = "src/configs/dwconv-config.c"

_FUNCTION = "litesmith_init_narrow_gemm_config"
_SHUFFLED = re.compile(r"xnn_qs8_qc8w_(i?gemm)_minmax_fp32_ukernel_(\d)x8c2s4__neon(?:v8)?_mlal")


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """What a micro-kernel computes at once, and what upstream calls its instructions."""

    rows: int
    columns: int
    instructions: str

    def kernel(self, kind: str, rows: int) -> str:
        """The micro-kernel of a kind (``gemm`` or ``igemm``) for so many rows."""
        shape = f"{rows}x{self.columns}"
        return f"xnn_qs8_qc8w_{kind}_minmax_fp32_ukernel_{shape}__{self.instructions}_mlal_lane"


_TILES: Mapping[Architecture, _Tile] = {
    "aarch64": _Tile(rows=4, columns=16, instructions="neonv8"),
    "armv7": _Tile(rows=4, columns=8, instructions="neon"),
}


def narrow(symbol: str, architecture: Architecture) -> str:
    """What takes the place of one of :data:`WIDE`'s symbols in :data:`NARROW`: mostly itself."""
    match = _SHUFFLED.fullmatch(symbol)
    if match is None:
        return symbol
    tile = _TILES[architecture]
    return tile.kernel(match[1], 1 if match[2] == "1" else tile.rows)


def choice(architecture: Architecture) -> Iterable[str]:
    """Lines of C before upstream's convolutions, so that they choose between the configurations."""
    if architecture in _TILES:
        yield f"const struct xnn_gemm_config* {_FUNCTION}(void);"
        yield f"#define xnn_init_{WIDE}_config() \\"
        yield f"  (group_input_channels < {CHANNELS} ? {_FUNCTION}() : xnn_init_{WIDE}_config())"


def configuration(architecture: Architecture, pointers: Collection[str]) -> Iterable[str]:
    """Lines of C after upstream's configurations, with ours; ``pointers`` are the program's micro-kernels."""
    tile = _TILES.get(architecture)
    if tile is None:
        return
    yield ""
    yield f"const struct xnn_gemm_config* {_FUNCTION}(void) {{"
    yield f"  const struct xnn_gemm_config* wide = xnn_init_{WIDE}_config();"
    yield "  // With dot products nothing is shuffled, and little is wasted."
    yield "  if (wide == NULL || wide->log2_sr == 0) return wide;"
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


_FORGOTTEN = "xnn_f32_dwconv_minmax_ukernel_25p1c__scalar_acc2"


def forgotten(pointers: Collection[str]) -> Iterable[str]:
    """Lines of C after upstream's depthwise configurations: without them packing would never end."""
    if _FORGOTTEN in pointers:
        yield ""
        yield "#if XNN_ARCH_ARM"
        yield "__attribute__((constructor)) static void litesmith_set_tiles(void) {"
        yield "  f32_dwconv_config[3].channel_subtile = 1;"
        yield "  f32_dwconv_config[3].channel_round = 1;"
        yield "}"
        yield "#endif"
