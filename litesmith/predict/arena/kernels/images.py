"""Images resized or rearranged, and boxes detected in them."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.predict.arena.kernels.kernel import Kernel, Temporaries, in_arena, sized
from litesmith.runtime.graph import Dims, RuntimeNode


def _batch_to_space_shape(node: RuntimeNode) -> Dims | None:
    block, crops = node.ints(1), node.ints(2)
    if block is None or crops is None:
        return None
    dims = list(node.dims(0))
    for axis, size in enumerate(block):
        dims[0] //= size
        dims[axis + 1] = dims[axis + 1] * size - crops[2 * axis] - crops[2 * axis + 1]
    return tuple(dims)


def _space_to_batch_shape(node: RuntimeNode) -> Dims | None:
    block, pads = node.ints(1), node.ints(2)
    if block is None or pads is None:
        return None
    dims = list(node.dims(0))
    for axis, size in enumerate(block):
        dims[0] *= size
        dims[axis + 1] = (dims[axis + 1] + pads[2 * axis] + pads[2 * axis + 1]) // size
    return tuple(dims)


def _depth_to_space(node: RuntimeNode) -> None:
    batch, height, width, channels = node.dims(0)
    block = node.options.integer("block_size")
    node.resize(0, (batch, height * block, width * block, channels // block // block))


def _space_to_depth(node: RuntimeNode) -> None:
    batch, height, width, channels = node.dims(0)
    block = node.options.integer("block_size")
    node.resize(0, (batch, height // block, width // block, channels * block * block))


def _resized_shape(node: RuntimeNode) -> Dims | None:
    size = node.ints(1)
    if size is None:
        return None
    batch, _, _, channels = node.dims(0)
    return (batch, *size, channels)


def _detection_postprocess(node: RuntimeNode) -> None:
    boxes = int(node.custom["max_detections"]) * int(node.custom["max_classes_per_detection"])
    for position, dims in enumerate(((1, boxes, 4), (1, boxes), (1, boxes), (1,))):
        node.resize(position, dims)


def _non_max_suppression(node: RuntimeNode) -> None:
    """The last output is a count; the others have an element for each box that may be selected."""
    most = node.ints(2)
    last = len(node.outputs) - 1
    for position in range(last):
        if node.fixed(2):
            node.resize(position, most, known=node.of(2).known)
        else:
            node.heap(position, most, known=node.of(2).known)
    node.resize(last, (), known=True)


def _detection_postprocess_temporaries(node: RuntimeNode) -> Temporaries:
    return [
        in_arena("decoded boxes", "float32", (node.dims(0)[1], 4)),
        in_arena("scores", "float32", node.dims(1)[1:]),
    ]


KERNELS: Mapping[str, Kernel] = {
    "BATCH_TO_SPACE_ND": Kernel(prepare=sized((1, 2), _batch_to_space_shape)),
    "DEPTH_TO_SPACE": Kernel(prepare=_depth_to_space),
    "NON_MAX_SUPPRESSION_V4": Kernel(prepare=_non_max_suppression),
    "NON_MAX_SUPPRESSION_V5": Kernel(prepare=_non_max_suppression),
    "RESIZE_BILINEAR": Kernel(prepare=sized((1,), _resized_shape), dtype_from=0),
    "RESIZE_NEAREST_NEIGHBOR": Kernel(prepare=sized((1,), _resized_shape), dtype_from=0),
    "SPACE_TO_BATCH_ND": Kernel(prepare=sized((1, 2), _space_to_batch_shape)),
    "SPACE_TO_DEPTH": Kernel(prepare=_space_to_depth),
    "TFLite_Detection_PostProcess": Kernel(
        prepare=_detection_postprocess, temporaries=_detection_postprocess_temporaries, reserved=2
    ),
}
