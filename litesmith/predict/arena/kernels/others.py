"""Signal processing, random numbers, hash tables and variables."""

from __future__ import annotations

import math
from collections.abc import Mapping

from litesmith.predict.arena.kernels.kernel import Kernel, Temporaries, given_shape, in_arena, on_heap, sized
from litesmith.runtime.graph import Dims, Memory, RuntimeNode


def _audio_spectrogram(node: RuntimeNode) -> None:
    window, stride = int(node.custom["window_size"]), int(node.custom["stride"])
    samples, channels = node.dims(0)
    frames = 0 if samples < window else 1 + (samples - window) // stride
    node.resize(0, (channels, frames, 1 + (1 << (window - 1).bit_length()) // 2))


def _mfcc(node: RuntimeNode) -> None:
    node.resize(0, (*node.dims(0)[:2], int(node.custom["dct_coefficient_count"])))


def _rfft_2d_shape(node: RuntimeNode) -> Dims | None:
    length = node.ints(1)
    return None if length is None else (*node.dims(0)[:-2], length[0], length[1] // 2 + 1)


def _multinomial_shape(node: RuntimeNode) -> Dims | None:
    samples = node.ints(1)
    return None if samples is None else (node.dims(0)[0], samples[0])


def _hashtable(node: RuntimeNode) -> None:
    output = node.output()
    if output is not None:
        output.dims = (1,)


def _hashtable_find(node: RuntimeNode) -> None:
    node.resize(0, node.dims(1))


def _hashtable_size(node: RuntimeNode) -> None:
    node.resize(0, (1,))


def _hashtable_lookup(node: RuntimeNode) -> None:
    count, output = node.dims(0)[0], node.output()
    if output is not None and output.dtype != "string":
        node.resize(0, (count, *node.dims(2)[1:]))
    node.resize(1, (count,))


def _lsh_projection(node: RuntimeNode) -> None:
    functions, bits = node.dims(0)
    dense = node.options.enum("type") == "DENSE"
    node.resize(0, (functions * bits if dense else functions,))


def _read_variable(node: RuntimeNode) -> None:
    """The output has the shape in the file; but a scalar there may stand for a tensor of unknown shape."""
    output = node.output()
    if output is not None and not output.dims:
        node.heap(0, None)


def _var_handle(node: RuntimeNode) -> None:
    output = node.output()
    if output is not None:
        output.memory = Memory.PERSISTENT
        output.bytes = 4
        output.handle = f"{node.options.text('container')}/{node.options.text('shared_name')}"


def _nothing(node: RuntimeNode) -> None:
    """The kernel sizes nothing: it has no outputs, or strings, which are sized when they are written."""


def _rfft_2d_temporaries(node: RuntimeNode) -> Temporaries:
    length = node.ints(1)
    if length is None or not node.fixed(1):
        return [on_heap("integers", "int32", ()), on_heap("doubles", "int64", ())]
    height, width = length
    longest = max(height, width // 2)
    return [
        in_arena("integers", "int32", (2 + math.isqrt(longest),)),
        in_arena("doubles", "int64", (longest // 2 + width // 4,)),
    ]


KERNELS: Mapping[str, Kernel] = {
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"), Kernel(prepare=given_shape(0))),
    **dict.fromkeys(
        ("ASSIGN_VARIABLE", "CALL_ONCE", "HASHTABLE_IMPORT", "SKIP_GRAM"), Kernel(prepare=_nothing)
    ),
    "AudioSpectrogram": Kernel(prepare=_audio_spectrogram),
    "HASHTABLE": Kernel(prepare=_hashtable),
    "HASHTABLE_FIND": Kernel(prepare=_hashtable_find),
    "HASHTABLE_LOOKUP": Kernel(prepare=_hashtable_lookup),
    "HASHTABLE_SIZE": Kernel(prepare=_hashtable_size),
    "LSH_PROJECTION": Kernel(prepare=_lsh_projection),
    "MULTINOMIAL": Kernel(prepare=sized((0, 1), _multinomial_shape)),
    "Mfcc": Kernel(prepare=_mfcc),
    "READ_VARIABLE": Kernel(prepare=_read_variable),
    "RFFT2D": Kernel(prepare=sized((1,), _rfft_2d_shape), temporaries=_rfft_2d_temporaries),
    "VAR_HANDLE": Kernel(prepare=_var_handle),
}
