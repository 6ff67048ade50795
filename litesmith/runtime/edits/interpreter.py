"""Changes that leave parts of the interpreter out of pruned programs."""

from __future__ import annotations

import re

from litesmith.runtime.edits.patch import Patch, guard, never, pruned

_BUILDER = "tensorflow/lite/core/interpreter_builder.cc"
_INTERPRETER = "tensorflow/lite/core/interpreter.cc"
_SUBGRAPH = "tensorflow/lite/core/subgraph.cc"
_SUBGRAPH_H = "tensorflow/lite/core/subgraph.h"
_RESOLVER_H = "tensorflow/lite/mutable_op_resolver.h"

# Delegates: the program applies none.
_NO_DELEGATES = (
    pruned(
        "DELEGATES",
        _BUILDER,
        "  if (TfLiteStatus status = ApplyDelegates(tmp_interpreter.get());",
        "  if (TfLiteStatus status = kTfLiteOk;",
    ),
    never(
        "DELEGATES",
        _BUILDER,
        "inline bool ShouldCreateLazyDelegateProviders(int num_fp32_tensors) {",
        "false",
    ),
    pruned(
        "DELEGATES",
        _INTERPRETER,
        "  if (ApplyLazyDelegateProviders() == kTfLiteError) return kTfLiteError;",
        "",
    ),
    never("DELEGATES", _SUBGRAPH, "TfLiteStatus Subgraph::UndoAllDelegates() {", "kTfLiteOk"),
    never("DELEGATES", _SUBGRAPH, "TfLiteStatus Subgraph::RedoAllDelegates() {", "kTfLiteOk"),
    never("DELEGATES", _SUBGRAPH, "void Subgraph::FreeDelegatePartitioningData() {", ""),
    pruned("DELEGATES", _SUBGRAPH, "  if (!pre_delegation_execution_plan_.empty()) {", "  if (false) {"),
    pruned(
        "DELEGATES",
        _SUBGRAPH,
        "    if (tensor->buffer_handle != kTfLiteNullBufferHandle) {",
        "    if (false) {",
    ),
    never(
        "DELEGATES",
        _SUBGRAPH,
        "TfLiteStatus Subgraph::EnsureTensorDataIsReadable(int tensor_index) {",
        "kTfLiteOk",
    ),
    pruned(
        "DELEGATES",
        _SUBGRAPH,
        "registration_externals_(new internal::OperatorsCache),",
        "registration_externals_(nullptr),",
    ),
    # Ops of the stable interface for delegates, beside the usual registration.
    Patch(
        path=_SUBGRAPH,
        find=r"  if \(op_reg\.registration_external( && buffer)?\) \{\n",
        replace=rf"{guard('DELEGATES')}\n  if (false) {{\n#else\n\g<0>#endif\n",
    ),
    # Numbers by which a delegate knows weights again.
    pruned(
        "DELEGATES",
        _SUBGRAPH,
        "  if (buffer_identifier != kTfLiteNoBufferIdentifier) {",
        "  if (false) {",
    ),
    Patch(
        path=_SUBGRAPH,
        find=(
            r"  if \(external_buffer_id != kTfLiteNoBufferIdentifier &&\n      external_buffer_id != 0\) \{\n"
        ),
        replace=rf"{guard('DELEGATES')}\n  if (false) {{\n#else\n\g<0>#endif\n",
    ),
    pruned(
        "DELEGATES",
        _RESOLVER_H,
        "    return delegate_creators_;",
        "    return {};",
    ),
    pruned(
        "DELEGATES",
        _RESOLVER_H,
        "    return opaque_delegate_creators_;",
        "    return {};",
    ),
)

# Profilers, telemetry and metadata: nothing reads what they record.
_NO_OBSERVERS = (
    pruned(
        "OBSERVERS",
        _BUILDER,
        "  tmp_interpreter->SetProfilerImpl(\n      tflite::profiling::MaybeCreatePlatformProfiler());",
        "",
    ),
    pruned(
        "OBSERVERS",
        _BUILDER,
        "  bool telemetry_registered = telemetry_profiler_ != nullptr;",
        "  constexpr bool telemetry_registered = false;",
    ),
    pruned("OBSERVERS", _BUILDER, "      metadata_(model.ReadAllMetadata()),", ""),
    pruned(
        "OBSERVERS",
        _BUILDER,
        "  if (tmp_interpreter->SetMetadata(metadata_) != kTfLiteOk) {\n    return kTfLiteError;\n  }",
        "",
    ),
    pruned(
        "OBSERVERS",
        _INTERPRETER,
        "  ScopedRuntimeInstrumentationProfile scoped_runtime_event(root_profiler_.get(),\n"
        '                                                           "invoke");',
        '  ScopedRuntimeInstrumentationProfile scoped_runtime_event(nullptr, "invoke");',
    ),
    pruned(
        "OBSERVERS",
        _SUBGRAPH,
        "  context_.GetModelMetadata = GetModelMetadata;",
        "  context_.GetModelMetadata = [](const TfLiteContext*, const char*, const char**, size_t*) {\n"
        "    return kTfLiteError;\n"
        "  };",
    ),
    pruned(
        "OBSERVERS",
        _SUBGRAPH,
        "  auto status = InvokeImpl();\n"
        '  telemetry::TelemetryReportEvent(&context_, "Invoke", status);\n'
        "  return status;",
        "  return InvokeImpl();",
    ),
    pruned(
        "OBSERVERS",
        "tensorflow/lite/core/api/profiler.h",
        "#define TFLITE_SCOPED_TAGGED_DEFAULT_PROFILE(profiler, tag)          \\\n"
        "  tflite::ScopedProfile TFLITE_VARNAME_UNIQ(_profile_, __COUNTER__)( \\\n"
        "      (profiler), (tag))",
        "#define TFLITE_SCOPED_TAGGED_DEFAULT_PROFILE(profiler, tag)",
    ),
    pruned(
        "OBSERVERS",
        "tensorflow/lite/core/api/profiler.h",
        "#define TFLITE_SCOPED_TAGGED_OPERATOR_PROFILE(profiler, tag, node_index)     \\\n"
        "  tflite::ScopedOperatorProfile TFLITE_VARNAME_UNIQ(_profile_, __COUNTER__)( \\\n"
        "      (profiler), (tag), (node_index))",
        "#define TFLITE_SCOPED_TAGGED_OPERATOR_PROFILE(profiler, tag, node_index)",
    ),
    pruned("OBSERVERS", _SUBGRAPH, "    if (profiler_) op_name = GetTFLiteOpName(registration);", ""),
)

# Settings of the interpreter: the program never changes them.
_NO_SETTINGS = (
    pruned(
        "SETTINGS",
        _BUILDER,
        "  // Set Interpreter options\n  tmp_interpreter->ApplyOptionsImpl(&options_);",
        "",
    ),
    pruned(
        "SETTINGS",
        _BUILDER,
        "  if (options_.GetDynamicAllocationForLargeTensors()) {\n"
        "    tmp_interpreter->ApplyOptionsImpl(&options_);\n"
        "  }",
        "",
    ),
    never("SETTINGS", _SUBGRAPH_H, "  bool ShouldPreserveAllTensors() const {", "false"),
    never("SETTINGS", _SUBGRAPH_H, "  bool ShouldReleaseDynamicTensors() const {", "false"),
    never("SETTINGS", _SUBGRAPH_H, "  bool ShouldOptimizeMemoryForLargeTensors() {", "false"),
    never("SETTINGS", _SUBGRAPH, "void Subgraph::InitializeTensorReleaseMap() {", ""),
    pruned(
        "SETTINGS",
        _SUBGRAPH,
        "  if (options_ && options_->GetShloCompositeInlining() &&",
        "  if (false &&",
    ),
    pruned(
        "SETTINGS",
        _BUILDER,
        "  if (options_.GetUseSignatureTensorNames()) {",
        "  if (false) {",
    ),
    pruned(
        "SETTINGS",
        _BUILDER,
        "  if (options_.GetCompressQuantizationZeroPoints() && num_zero_points > 0) {",
        "  if (false) {",
    ),
    never(
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

# Programs check the ops of a model before they load it (templates/runtime/model_check.cc), so that no op is
# missing here.
_KNOWN_OPS = (
    Patch(
        path="tensorflow/lite/core/api/op_resolver.cc",
        find=r"(?=namespace tflite \{\n\nTfLiteStatus GetRegistrationFromOpCode\()",
        replace=(
            rf"{guard('CHECKED')}\n#undef TF_LITE_REPORT_ERROR\n#define TF_LITE_REPORT_ERROR(...)\n#endif\n\n"
        ),
    ),
)

# The project's own table of the names of ops is smaller (op_names.cc).
_OP_NAMES = (
    Patch(
        path="tensorflow/compiler/mlir/lite/schema/schema_generated.h",
        find=r"inline const char \*EnumNameBuiltinOperator\(BuiltinOperator e\) \{\n",
        replace=(
            rf"{guard('NAMES')}\nconst char* BuiltinOpName(int32_t code);\n#endif\n\n\g<0>"
            rf"{guard('NAMES')}\n  return BuiltinOpName(e);\n#endif\n"
        ),
    ),
    pruned(
        "NAMES",
        _SUBGRAPH,
        "  return tflite::EnumNamesBuiltinOperator()[op_reg.builtin_code];",
        "  return EnumNameBuiltinOperator(static_cast<BuiltinOperator>(op_reg.builtin_code));",
    ),
)

INTERPRETER_PRUNING = (
    *_NO_DELEGATES,
    *_NO_OBSERVERS,
    *_NO_SETTINGS,
    *_ONLY_SELECTED_OPTIONS,
    *_KNOWN_OPS,
    *_OP_NAMES,
)
"""For pruned programs."""
