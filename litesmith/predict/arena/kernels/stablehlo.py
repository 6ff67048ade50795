"""Ops of StableHLO, and those made for them: DILATE and REDUCE_WINDOW."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.predict.arena.kernels.kernel import Kernel, Temporaries, in_arena, like_input
from litesmith.runtime.graph import Dims, Memory, RuntimeNode


def _dilated(dims: Dims, factors: Dims) -> Dims:
    """The shape with ``factor - 1`` elements between each two of a dimension."""
    return tuple((size - 1) * factor + 1 for size, factor in zip(dims, factors, strict=True))


def _dilate(node: RuntimeNode) -> None:
    factors = node.ints(1)
    dims = None if factors is None else _dilated(node.dims(0), factors)
    # Unlike other kernels, it does not use factors that another kernel has computed.
    if node.of(1).memory is Memory.CONSTANT:
        node.resize(0, dims)
    else:
        node.heap(0, dims)


def _pad(node: RuntimeNode) -> None:
    """An output with a dimension that is not positive has no elements at all."""
    low, high, between = (
        node.options.integers(name) for name in ("edge_padding_low", "edge_padding_high", "interior_padding")
    )
    inner = _dilated(node.dims(0), tuple(size + 1 for size in between))
    dims = tuple(sum(sizes) for sizes in zip(inner, low, high, strict=True))
    node.resize(0, dims if all(size > 0 for size in dims) else (0,) * len(dims))


def _windows(dims: Dims, window: Dims, strides: Dims, dilations: Dims) -> Dims:
    """``ReduceWindowData::ComputeOutputShape``: how many windows there are in each dimension."""
    wide = _dilated(window, dilations)
    return tuple(
        0 if size < width else (size - width) // stride + 1
        for size, width, stride in zip(dims, wide, strides, strict=True)
    )


def _reduce_window(node: RuntimeNode) -> None:
    window, strides, dilations = (node.ints(position) for position in (2, 3, 4))
    if window is None or strides is None or dilations is None:
        node.resize(0, None)
    else:
        node.resize(0, _windows(node.dims(0), window, strides, dilations))


def _option(node: RuntimeNode, name: str, missing: int) -> Dims:
    rank = len(node.dims(0))
    return node.options.integers(name) or (missing,) * (2 * rank if name == "padding" else rank)


def _prepared_for_windows(node: RuntimeNode) -> tuple[Dims, Dims]:
    """The shapes of the input after dilation, and after padding or cropping."""
    dilated = _dilated(node.dims(0), _option(node, "base_dilations", 1))
    padding = _option(node, "padding", 0)
    return dilated, tuple(
        size + low + high for size, low, high in zip(dilated, padding[::2], padding[1::2], strict=True)
    )


def _stablehlo_reduce_window(node: RuntimeNode) -> None:
    _, padded = _prepared_for_windows(node)
    window = node.options.integers("window_dimensions")
    strides, dilations = (_option(node, f"window_{name}", 1) for name in ("strides", "dilations"))
    node.resize(0, _windows(padded, window, strides, dilations))


def _stablehlo_reduce_window_temporaries(node: RuntimeNode) -> Temporaries:
    dilated, padded = _prepared_for_windows(node)
    dtype = node.of(0).dtype
    return [in_arena("dilated input", dtype, dilated), in_arena("padded input", dtype, padded)]


def _gather(node: RuntimeNode) -> None:
    """``GetResultShape`` of ``stablehlo_gather.cc``."""
    output, options = node.output(), node.options
    if output is None:
        return
    collapsed, vector = options.integers("collapsed_slice_dims"), options.integer("index_vector_dim")
    slices = [size for axis, size in enumerate(options.integers("slice_sizes")) if axis not in collapsed]
    batches = [size for axis, size in enumerate(node.dims(1)) if axis != vector]
    of_slices = options.integers("offset_dims")
    node.resize(0, tuple((slices if i in of_slices else batches).pop(0) for i in range(len(output.dims))))


def _shapes_in_file(node: RuntimeNode) -> None:
    """The outputs keep the shapes that the file gives them."""


_SAME_SHAPES = Kernel(prepare=like_input)

KERNELS: Mapping[str, Kernel] = {
    **dict.fromkeys(
        (f"STABLEHLO_{name}" for name in ("ADD", "AND", "MAXIMUM", "MINIMUM", "MULTIPLY", "SCATTER")),
        _SAME_SHAPES,
    ),
    "DILATE": Kernel(prepare=_dilate),
    "REDUCE_WINDOW": Kernel(prepare=_reduce_window),
    "STABLEHLO_GATHER": Kernel(prepare=_gather),
    "STABLEHLO_PAD": Kernel(prepare=_pad),
    "STABLEHLO_REDUCE_WINDOW": Kernel(
        prepare=_stablehlo_reduce_window, temporaries=_stablehlo_reduce_window_temporaries, reserved=2
    ),
    "STABLEHLO_RNG_BIT_GENERATOR": Kernel(prepare=_shapes_in_file),
    "STABLEHLO_SHIFT_LEFT": Kernel(prepare=like_input, dtype_from=0),
    "aeq.hadamard_rotation": Kernel(prepare=_shapes_in_file),
}
