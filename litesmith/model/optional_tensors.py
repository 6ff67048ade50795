"""Which inputs and outputs of a node may be left out (-1), by op.

Read in the kernels (``tensorflow/lite/kernels``, the revision of ``litesmith.runtime.pins``): an input may be
left out if ``GetOptionalInputTensor`` reads it, or if the kernel compares what ``GetInput`` returns with
null.  Other kernels follow the null pointer.
"""

from __future__ import annotations

from collections.abc import Mapping

_LSTM = (1, 5, 9, 10, 11, 12, 16, 17, 20, 21, 22, 23)
_BIDIRECTIONAL_LSTM = (
    *(1, 5, 9, 10, 11, 12, 16, 17),
    *(18, 22, 26, 27, 28, 29, 33, 34),
    *range(39, 48),
)

OPTIONAL_INPUTS: Mapping[str, tuple[int, ...]] = {
    "BIDIRECTIONAL_SEQUENCE_LSTM": _BIDIRECTIONAL_LSTM,
    "BIDIRECTIONAL_SEQUENCE_RNN": (9, 10, 11),
    # These two refuse it themselves, in words that fit (``litesmith/runtime/kernel_limits/convolutions.py``).
    "CONV_2D": (2,),
    "DEPTHWISE_CONV_2D": (2,),
    "CONV_3D": (2,),
    "CONV_3D_TRANSPOSE": (3,),
    "FULLY_CONNECTED": (2,),
    "LSTM": _LSTM,
    "PAD": (2,),
    "PADV2": (2,),
    "SVDF": (3,),
    "TRANSPOSE_CONV": (3,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,
}
"""Positions of inputs that may be left out, by op; of the others, none."""

OPTIONAL_OUTPUTS = frozenset({"IF", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE", "WHILE"})
"""The ops whose outputs may be left out: each stands for one of a subgraph."""

OPTIONS_ARE_A_MAP = frozenset({"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"})
"""Upstream's custom ops that read a map of numbers in FlexBuffers, without checking it."""
