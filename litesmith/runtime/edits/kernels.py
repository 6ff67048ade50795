"""Changes that leave unused dtypes and variants out of kernels."""

from __future__ import annotations

from litesmith.runtime.edits.patch import Patch

_BUILDER = "tensorflow/lite/core/interpreter_builder.cc"
_COMMON = "tensorflow/lite/core/c/common.h"
_KERNELS = "tensorflow/lite/kernels"

# Restricts TfLiteTensor::type to the dtypes that the kernels of a file are compiled for.
DTYPES = (
    Patch(
        path=_COMMON,
        find=r"(?<=c_api_types\.h\"  // IWYU pragma: export\n)",
        replace='#include "litesmith/dtypes.h"\n',
    ),
    Patch(
        path=_COMMON,
        find=(
            r"  TfLiteType type;\n(?=  /// A union of data pointers\. The appropriate type should be used "
            r"for a typed\n  /// tensor based on `type`\.\n  TfLitePtrUnion data;\n  /// A pointer to a "
            r"structure representing the dimensionality interpretation\n)"
        ),
        replace="  LITESMITH_TENSOR_TYPE type;\n",
    ),
    # Without static, files with different dtypes would share one copy of the function.
    Patch(
        path=f"{_KERNELS}/kernel_util.h",
        find=r"inline bool IsHybridOp\(",
        replace="static inline bool IsHybridOp(",
    ),
    Patch(
        path=f"{_KERNELS}/dequantize.h",
        find=r"(?=inline TfLiteStatus PerChannelDequantizeImpl\(|TfLiteStatus DequantizeImpl\()",
        replace="static ",
    ),
)

_OPTIMIZED = f"{_KERNELS}/internal/optimized"
_DEPTHWISE_HEADERS = (
    f"{_OPTIMIZED}/depthwiseconv_float.h",
    f"{_OPTIMIZED}/depthwiseconv_uint8.h",
    f"{_OPTIMIZED}/integer_ops/depthwise_conv.h",
    f"{_OPTIMIZED}/integer_ops/depthwise_conv_hybrid.h",
)

# Depthwise convolutions have two dozen kernels for rows of particular depths and multipliers.  Only those
# that a node of the models may run are kept.  The general kernel, which adds in the same order, remains.
_ONLY_USED_ROWS = tuple(
    patch
    for path in _DEPTHWISE_HEADERS
    for patch in (
        Patch(
            path=path,
            find=r"  if \(!row_accum_func && \(stride_width == 1 \|\| ALLOW_STRIDED\) &&",
            replace=(
                "  if (LITESMITH_DEPTHWISE_ROW(ALLOW_STRIDED, FIXED_INPUT_DEPTH, "
                "FIXED_DEPTH_MULTIPLIER) && \\\\\n"
                "      !row_accum_func && (stride_width == 1 || ALLOW_STRIDED) &&"
            ),
        ),
        Patch(
            path=path,
            find=r'(?=#include "tensorflow/lite/kernels/internal/types\.h")',
            replace='#include "litesmith/depthwise_rows.h"\n',
        ),
    )
)

# Sparse weights: a separate tensor format, which the loader and one kernel read.
_DENSE = (
    Patch(
        path=_BUILDER,
        find=r"(?<=const SparsityParameters\* src_sparsity, TfLiteSparsity\*\* sparsity_ptr\) \{\n)",
        replace="#ifdef LITESMITH_DENSE\n  return kTfLiteOk;\n#endif\n",
    ),
    Patch(
        path=f"{_KERNELS}/fully_connected.cc",
        find=r"filter->sparsity\b",
        replace="LITESMITH_SPARSITY(filter)",
    ),
)

KERNEL_PRUNING = (*DTYPES, *_ONLY_USED_ROWS, *_DENSE)
"""For pruned programs."""
