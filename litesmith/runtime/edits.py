"""Textual changes of upstream's files, made when an archive is unpacked.

Some make upstream's code correct on every target.  The others are guarded by ``LITESMITH_PRUNED`` or
``LITESMITH_DTYPES``, which only pruned builds define: without these defines, the code is upstream's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A textual change of one unpacked file: every match of ``find`` becomes ``replace``.

    ``find`` is a regular expression that must match at least once, ``replace`` the replacement template.
    """

    path: str
    find: str
    replace: str


def _plain(text: str) -> str:
    """A replacement template that yields exactly ``text``."""
    return text.replace("\\", r"\\")


def _guard(step: str) -> str:
    """The condition of one pruning step; a define for the step reverts it, to measure its effect."""
    return f"#if defined(LITESMITH_PRUNED) && !defined(LITESMITH_KEEP_{step})"


def _pruned(step: str, path: str, original: str, replacement: str) -> Patch:
    """Replaces ``original`` in pruned builds; stock builds keep it."""
    return Patch(
        path=path,
        find=re.escape(original),
        replace=_plain(f"{_guard(step)}\n{replacement}\n#else\n{original}\n#endif"),
    )


def _never(step: str, path: str, signature: str, answer: str) -> Patch:
    """Makes a function that has no effect in pruned programs return ``answer`` immediately.

    The compiler drops the rest of the function, and the linker drops what only the rest refers to.
    """
    return Patch(
        path=path,
        find=re.escape(signature),
        replace=_plain(f"{signature}\n{_guard(step)}\n  return {answer};\n#endif"),
    )


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
        find=r"#if __aarch64__ && __clang__\n#define TFLITE_SOFTMAX_USE_UINT16_LUT\n#endif\n",
        replace="",
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

_BUILDER = "tensorflow/lite/core/interpreter_builder.cc"
_INTERPRETER = "tensorflow/lite/core/interpreter.cc"
_SUBGRAPH = "tensorflow/lite/core/subgraph.cc"
_SUBGRAPH_H = "tensorflow/lite/core/subgraph.h"
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

# Delegates: the program applies none.
_NO_DELEGATES = (
    _pruned(
        "DELEGATES",
        _BUILDER,
        "  if (TfLiteStatus status = ApplyDelegates(tmp_interpreter.get());",
        "  if (TfLiteStatus status = kTfLiteOk;",
    ),
    _never(
        "DELEGATES",
        _BUILDER,
        "inline bool ShouldCreateLazyDelegateProviders(int num_fp32_tensors) {",
        "false",
    ),
    _pruned(
        "DELEGATES",
        _INTERPRETER,
        "  if (ApplyLazyDelegateProviders() == kTfLiteError) return kTfLiteError;",
        "",
    ),
    _never("DELEGATES", _SUBGRAPH, "TfLiteStatus Subgraph::UndoAllDelegates() {", "kTfLiteOk"),
    _never("DELEGATES", _SUBGRAPH, "TfLiteStatus Subgraph::RedoAllDelegates() {", "kTfLiteOk"),
    _never("DELEGATES", _SUBGRAPH, "void Subgraph::FreeDelegatePartitioningData() {", ""),
    _pruned("DELEGATES", _SUBGRAPH, "  if (!pre_delegation_execution_plan_.empty()) {", "  if (false) {"),
    _pruned(
        "DELEGATES",
        _SUBGRAPH,
        "    if (tensor->buffer_handle != kTfLiteNullBufferHandle) {",
        "    if (false) {",
    ),
    _never(
        "DELEGATES",
        _SUBGRAPH,
        "TfLiteStatus Subgraph::EnsureTensorDataIsReadable(int tensor_index) {",
        "kTfLiteOk",
    ),
    _pruned(
        "DELEGATES",
        _SUBGRAPH,
        "registration_externals_(new internal::OperatorsCache),",
        "registration_externals_(nullptr),",
    ),
)

# Profilers, telemetry and metadata: nothing reads what they record.
_NO_OBSERVERS = (
    _pruned(
        "OBSERVERS",
        _BUILDER,
        "  tmp_interpreter->SetProfilerImpl(\n      tflite::profiling::MaybeCreatePlatformProfiler());",
        "",
    ),
    _pruned(
        "OBSERVERS",
        _BUILDER,
        "  bool telemetry_registered = telemetry_profiler_ != nullptr;",
        "  constexpr bool telemetry_registered = false;",
    ),
    _pruned("OBSERVERS", _BUILDER, "      metadata_(model.ReadAllMetadata()),", ""),
    _pruned(
        "OBSERVERS",
        _BUILDER,
        "  if (tmp_interpreter->SetMetadata(metadata_) != kTfLiteOk) {\n    return kTfLiteError;\n  }",
        "",
    ),
    _pruned(
        "OBSERVERS",
        _INTERPRETER,
        "  ScopedRuntimeInstrumentationProfile scoped_runtime_event(root_profiler_.get(),\n"
        '                                                           "invoke");',
        '  ScopedRuntimeInstrumentationProfile scoped_runtime_event(nullptr, "invoke");',
    ),
    _pruned(
        "OBSERVERS",
        _SUBGRAPH,
        "  context_.GetModelMetadata = GetModelMetadata;",
        "  context_.GetModelMetadata = [](const TfLiteContext*, const char*, const char**, size_t*) {\n"
        "    return kTfLiteError;\n"
        "  };",
    ),
    _pruned(
        "OBSERVERS",
        _SUBGRAPH,
        "  auto status = InvokeImpl();\n"
        '  telemetry::TelemetryReportEvent(&context_, "Invoke", status);\n'
        "  return status;",
        "  return InvokeImpl();",
    ),
    _pruned(
        "OBSERVERS",
        "tensorflow/lite/core/api/profiler.h",
        "#define TFLITE_SCOPED_TAGGED_DEFAULT_PROFILE(profiler, tag)          \\\n"
        "  tflite::ScopedProfile TFLITE_VARNAME_UNIQ(_profile_, __COUNTER__)( \\\n"
        "      (profiler), (tag))",
        "#define TFLITE_SCOPED_TAGGED_DEFAULT_PROFILE(profiler, tag)",
    ),
    _pruned(
        "OBSERVERS",
        "tensorflow/lite/core/api/profiler.h",
        "#define TFLITE_SCOPED_TAGGED_OPERATOR_PROFILE(profiler, tag, node_index)     \\\n"
        "  tflite::ScopedOperatorProfile TFLITE_VARNAME_UNIQ(_profile_, __COUNTER__)( \\\n"
        "      (profiler), (tag), (node_index))",
        "#define TFLITE_SCOPED_TAGGED_OPERATOR_PROFILE(profiler, tag, node_index)",
    ),
    _pruned("OBSERVERS", _SUBGRAPH, "    if (profiler_) op_name = GetTFLiteOpName(registration);", ""),
)

# Settings of the interpreter: the program never changes them.
_NO_SETTINGS = (
    _pruned(
        "SETTINGS",
        _BUILDER,
        "  // Set Interpreter options\n  tmp_interpreter->ApplyOptionsImpl(&options_);",
        "",
    ),
    _pruned(
        "SETTINGS",
        _BUILDER,
        "  if (options_.GetDynamicAllocationForLargeTensors()) {\n"
        "    tmp_interpreter->ApplyOptionsImpl(&options_);\n"
        "  }",
        "",
    ),
    _never("SETTINGS", _SUBGRAPH_H, "  bool ShouldPreserveAllTensors() const {", "false"),
    _never("SETTINGS", _SUBGRAPH_H, "  bool ShouldReleaseDynamicTensors() const {", "false"),
    _never("SETTINGS", _SUBGRAPH_H, "  bool ShouldOptimizeMemoryForLargeTensors() {", "false"),
    _never("SETTINGS", _SUBGRAPH, "void Subgraph::InitializeTensorReleaseMap() {", ""),
    _never(
        "SETTINGS",
        "tensorflow/lite/arena_planner.cc",
        ("void ArenaPlanner::DumpDebugInfo(const std::vector<int>& execution_plan) const {"),
        "",
    ),
)

_CONVERSIONS = "tensorflow/lite/core/api/flatbuffer_conversions.cc"

# The options of each op are read by a function or case of its own: only those of the selected ops are kept.
_ONLY_SELECTED_OPTIONS = (
    Patch(
        path=_CONVERSIONS,
        find=r"(?<!:\n)(    case BuiltinOperator_(\w+): )\{\n",
        replace=r"\1if (LITESMITH_UNSELECTED(\2)) break; {\n",
    ),
    Patch(
        path=_CONVERSIONS,
        find=r"(    case BuiltinOperator_(\w+):\n    case BuiltinOperator_(\w+): )\{\n",
        replace=r"\1if (LITESMITH_UNSELECTED(\2) && LITESMITH_UNSELECTED(\3)) break; {\n",
    ),
    Patch(
        path=_CONVERSIONS,
        find=re.escape('#include "tensorflow/lite/schema/schema_generated.h"\n'),
        replace='#include "tensorflow/lite/schema/schema_generated.h"\n#include "litesmith/ops.h"\n',
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

TENSORFLOW_PRUNING = (
    *DTYPES,
    *_NO_DELEGATES,
    *_NO_OBSERVERS,
    *_NO_SETTINGS,
    *_ONLY_SELECTED_OPTIONS,
    *_ONLY_USED_ROWS,
    *_DENSE,
)

# The portable kernels are never chosen if NEON is part of the instruction set.  Packed matrices are never
# kept for later, because caching is never enabled.  Only BATCH_MATMUL multiplies in the other storage order.
RUY_PRUNING = (
    Patch(
        path="ruy/path.h",
        find=re.escape("constexpr Path kDefaultPaths = Path::kStandardCpp | kDefaultArchPaths;"),
        replace=(
            f"{_guard('RUY')} && RUY_PLATFORM_NEON\n"
            "constexpr Path kDefaultPaths = kDefaultArchPaths;\n"
            "#else\n"
            "constexpr Path kDefaultPaths = Path::kStandardCpp | kDefaultArchPaths;\n"
            "#endif"
        ),
    ),
    _never(
        "RUY",
        "ruy/prepare_packed_matrices.cc",
        "bool ShouldCache(const TrMulParams& params, Side side) {",
        "false",
    ),
    Patch(
        path="ruy/pack.h",
        find=r"  if \(src\.layout\.order == Order::kColMajor\) \{",
        replace="#ifdef LITESMITH_ONE_ORDER\n  constexpr bool kColMajor = true;\n#else\n"
        "  const bool kColMajor = src.layout.order == Order::kColMajor;\n#endif\n  if (kColMajor) {",
    ),
)

# Half precision gives different answers, so that no graph is rewritten for it.  The memory that XNNPACK
# allocates for weights and for tensors between its nodes is counted, for --json
# (templates/xnnpack/hardware.c).
XNNPACK_PRUNING = (
    Patch(
        path="src/subgraph.c",
        find=re.escape(
            "(flags & XNN_FLAG_HINT_FP16_INFERENCE) && xnn_is_f16_supported_natively(hardware_config);"
        ),
        replace="false;",
    ),
    Patch(
        path="src/subgraph.c",
        find=re.escape("const bool force_fp16 = (flags & XNN_FLAG_FORCE_FP16_INFERENCE);"),
        replace="const bool force_fp16 = false;",
    ),
    # A node whose result is not used must not end the program.
    Patch(path="src/subgraph.c", find=r'xnn_log_fatal\("Node %u has no consumers[^;]*;', replace=""),
    # Removed nodes have no functions, but a split whose first output is not used has them.
    Patch(
        path="src/runtime.c",
        find=r"if \(opdata->operator_objects\[0\] == NULL\) \{(?=\s+// Operator was removed)",
        replace="if (opdata->reshape == NULL) {",
    ),
    # The arguments of a log message are evaluated although logging is off, and the operator may be missing.
    Patch(path="src/runtime.c", find=r'xnn_log_debug\("reshaping operator[^;]*;', replace=""),
    Patch(path="src/runtime.c", find=r'xnn_log_error\("Operator #%u: %s failed reshape[^;]*;', replace=""),
    Patch(
        path="src/operator-utils.c",
        find=r"(?=  memset\(weights_ptr, padding_byte, aligned_weights_size\);)",
        replace="  extern size_t litesmith_packed_weights;\n"
        "  litesmith_packed_weights += aligned_weights_size;\n",
    ),
    Patch(
        path="src/runtime.c",
        find=r"(?=    runtime->workspace->size = mem_arena_size;)",
        replace="    extern size_t litesmith_workspace;\n"
        "    litesmith_workspace += mem_arena_size - runtime->workspace->size;\n",
    ),
)
