"""Changes that make upstream's code correct, and give the same answers on every target; for all programs."""

from __future__ import annotations

from litesmith.runtime.edits.patch import Patch

# Newer C++ libraries no longer have a template std::abs<T>.
NO_ABS_TEMPLATE = (
    Patch(
        path="tensorflow/lite/kernels/elementwise.cc",
        find=r"std::abs<int32_t>",
        replace="static_cast<int32_t (*)(int32_t)>(std::abs)",
    ),
)

# The same kernel gives the same answers on every target: compiled by Clang for aarch64, int8 SOFTMAX
# would add up exponentials of 16 bits, where the reference on x86 adds up floats, so that some answers differ
# by one step.
ONE_SOFTMAX = (
    Patch(
        path="tensorflow/lite/kernels/internal/optimized/optimized_ops.h",
        # The first occurrence is for lookups in tables, which are exact.
        find=r"#ifdef TFLITE_SOFTMAX_USE_UINT16_LUT\n(?!\n// Looks up each element)",
        replace="#if 0  // TFLITE_SOFTMAX_USE_UINT16_LUT\n",
    ),
    Patch(
        path="tensorflow/lite/kernels/activations.cc",
        find=r"#ifdef TFLITE_SOFTMAX_USE_UINT16_LUT\n",
        replace="#if 0  // TFLITE_SOFTMAX_USE_UINT16_LUT\n",
    ),
)

# For the same reason, float32 HARD_SWISH multiplies in one order: upstream's loop for the elements outside of
# vectors multiplies by 6 before it divides by it, and gives infinity for the largest numbers.
ONE_HARD_SWISH = (
    Patch(
        path="tensorflow/lite/kernels/internal/optimized/optimized_ops.h",
        find=r"in \* (std::min\(6\.0f, std::max\(0\.0f, in \+ 3\.0f\)\)) \* \(1\.0f / 6\.0f\);",
        replace=r"(in * (1.0f / 6.0f)) * \1;",
    ),
)

# For the same reason, layers with 4-bit weights and float activations have one kernel: upstream takes another
# one on 32-bit Arm, which quantises the activations in another way.
ONE_4_BIT_LAYER = (
    Patch(
        path="tensorflow/lite/kernels/fully_connected.cc",
        find=r"#if defined\(__arm__\)\n(?:  //.*\n)+  const bool is_armv7 = true;\n#else\n(.*\n)#endif\n",
        replace=r"\1",
    ),
)

# A quantised divisor is zero where it equals its zero point.  Upstream refuses values that are stored as 0,
# and divides by the others; its later versions compare with the zero point, too.
ZERO_DIVISOR = (
    Patch(
        path="tensorflow/lite/kernels/div.cc",
        find=r"TF_LITE_ENSURE\(context, data\[i\] != 0\);",
        replace="TF_LITE_ENSURE(context, data[i] != tensor->params.zero_point);",
    ),
)

# Memory for unpacked int4 weights is allocated, and cleared, only for int4 weights.
UNPACK_ONLY_INT4 = (
    Patch(
        path="tensorflow/lite/kernels/depthwise_conv.cc",
        find=(
            r"  auto unpacked_filter_data = std::make_unique<int8_t\[\]>\(bytes_unpacked\);\n"
            r"((?:.*\n){1,3}?)  if \(filter->type == kTfLiteInt4\) \{\n"
        ),
        replace=(
            r"  std::unique_ptr<int8_t[]> unpacked_filter_data;\n\1"
            r"  if (filter->type == kTfLiteInt4) {\n"
            r"    unpacked_filter_data = std::make_unique<int8_t[]>(bytes_unpacked);\n"
        ),
    ),
)

# ruy's kernels scale int32 accumulators to int8, but not in the same way on all architectures.  On x86, and
# so in TensorFlow's interpreter, the reference, they round after the multiplication and again after the
# shift.  On Arm they round once, so that some answers differ by one step and a deep network drifts.  With a
# rounding multiplication, and without moving one bit of the shift into the multiplication, the Arm kernels
# round like the x86 kernels.  templates/runtime/apply_multiplier.cc does the same for the portable kernels.
ONE_ROUNDING = (
    Patch(path="ruy/kernel_arm32.cc", find=r'"vqdmulh\.s32 ', replace='"vqrdmulh.s32 '),
    Patch(path="ruy/kernel_arm32.cc", find=r'"vmvn\.i32 q8, #0', replace='"vmov.i32 q8, #0'),
    Patch(path="ruy/kernel_arm64.cc", find=r'"sqdmulh ', replace='"sqrdmulh '),
    Patch(path="ruy/kernel_arm64.cc", find=r'"mvni v8\.4s, #0', replace='"movi v8.4s, #0'),
)

# Vector instructions round a tie of the shift up, and upstream's portable loop away from zero.  Quantize
# scales the accumulators of eight channels at a time with vectors, where there are any, and the rest with the
# loop: without vectors, the loop rounds like them for the channels that vectors would take.
ONE_SCALING = (
    Patch(
        path="tensorflow/lite/kernels/internal/optimized/optimized_ops.h",
        find=r"acc = MultiplyByQuantizedMultiplier\(acc, multiplier\[c\], shift\[c\]\);",
        replace=(
            "acc = LITESMITH_SCALED_LIKE_VECTORS(c < channel_size / 8 * 8, acc, multiplier[c], shift[c]);"
        ),
    ),
    Patch(
        path="tensorflow/lite/kernels/internal/common.h",
        find=r"(?=template <typename T>\nint CountLeadingZeros\(T integer_input\) \{)",
        replace=(
            "#ifdef USE_NEON\n"
            "#define LITESMITH_SCALED_LIKE_VECTORS(vector, x, multiplier, shift) \\\n"
            "  MultiplyByQuantizedMultiplier(x, multiplier, shift)\n"
            "#else\n"
            "inline int32_t LitesmithScaledRoundingUp(int32_t x, int32_t multiplier, int shift) {\n"
            "  const int right = shift > 0 ? 0 : -shift;\n"
            "  const int32_t high = gemmlowp::SaturatingRoundingDoublingHighMul(\n"
            "      x * (1 << (shift > 0 ? shift : 0)), multiplier);\n"
            "  return static_cast<int32_t>((high + ((int64_t{1} << right) >> 1)) >> right);\n"
            "}\n"
            "#define LITESMITH_SCALED_LIKE_VECTORS(vector, x, multiplier, shift)      \\\n"
            "  ((vector) ? ::tflite::LitesmithScaledRoundingUp(x, multiplier, shift)  \\\n"
            "            : MultiplyByQuantizedMultiplier(x, multiplier, shift))\n"
            "#endif\n\n"
        ),
    ),
)

# A builtin op that no node uses may stay unresolved, like a custom op; ParseNodes reports the others.
UNUSED_CODES = (
    Patch(
        path="tensorflow/lite/core/interpreter_builder.cc",
        find=r"(?<=if \(GetBuiltinCode\(opcode\) != BuiltinOperator_CUSTOM\) \{\n)        return status;\n",
        replace=(
            "        flatbuffer_op_index_to_registration_.push_back(nullptr);\n"
            "        status = kTfLiteOk;\n"
            "        continue;\n"
        ),
    ),
)
