"""What the integers in options mean where a kernel relies on them: divisors, and numbers of subgraphs.

Commands check them in :mod:`.soundness`, programs in ``templates/runtime/options_check.cc``.
"""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.model import schema

_STRIDES = ("stride_w", "stride_h")
_DILATED = (*_STRIDES, "dilation_w_factor", "dilation_h_factor")

DIVISORS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": ("Conv2DOptions", _DILATED),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _DILATED),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _STRIDES),
    **dict.fromkeys(
        ("CONV_3D", "CONV_3D_TRANSPOSE"), ("Conv3DOptions", (*_DILATED, "stride_d", "dilation_d_factor"))
    ),
    **dict.fromkeys(
        ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"),
        ("Pool2DOptions", (*_STRIDES, "filter_width", "filter_height")),
    ),
}
"""The options by which kernels divide, by op: the kind of the table, and its fields."""

CALLS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "IF": ("IfOptions", ("then_subgraph_index", "else_subgraph_index")),
    "WHILE": ("WhileOptions", ("cond_subgraph_index", "body_subgraph_index")),
    "CALL_ONCE": ("CallOnceOptions", ("init_subgraph_index",)),
    "STABLEHLO_CASE": ("StablehloCaseOptions", ("branch_subgraph_indices",)),
    "STABLEHLO_REDUCE_WINDOW": ("StablehloReduceWindowOptions", ("body_subgraph_index",)),
    "STABLEHLO_SCATTER": ("StablehloScatterOptions", ("update_computation_subgraph_index",)),
    "STABLEHLO_WHILE": ("StablehloWhileOptions", ("cond_subgraph_index", "body_subgraph_index")),
    "STABLEHLO_COMPOSITE": ("StableHLOCompositeOptions", ("decomposition_subgraph_index",)),
}
"""The options with subgraphs that a node calls, by op: the kind of the table, and its fields."""


def checks(op: str) -> str:
    """A sign for each field of a builtin op's options, in the schema's order, up to the last checked one.

    ``p`` is for a positive number, ``q`` for one that is 1 if the file leaves it out, ``i`` for the index of
    a subgraph, ``v`` for a vector of such indices, and a space for a field that is not checked.
    """
    signs: dict[int, str] = {}
    for meaning, known in (("p", DIVISORS), ("i", CALLS)):
        table, names = known.get(op, ("", ()))
        for name in names:
            field = schema.fields(table)[name]
            signs[field.slot] = "v" if field.vector else "q" if meaning == "p" and field.default else meaning
    return "".join(signs.get(slot, " ") for slot in range(max(signs, default=-1) + 1))
