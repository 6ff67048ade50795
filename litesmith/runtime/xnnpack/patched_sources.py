"""TensorFlow Lite's files that are patched in a program with XNNPACK: the delegate, and the graph around it.

The patched copies are files of the project, so that all other files stay those of programs without XNNPACK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from litesmith.base.errors import SourceError
from litesmith.runtime.source_tree import SourceTree

DELEGATE = "xnnpack_delegate.cc"
GRAPH = "subgraph_with_delegates.cc"
_DELEGATE_FOLDER = "xnnpack-delegate/tensorflow/lite/delegates/xnnpack"
ORIGINALS: Mapping[str, str] = {
    DELEGATE: f"{_DELEGATE_FOLDER}/xnnpack_delegate.cc",
    GRAPH: "tensorflow/tensorflow/lite/core/subgraph.cc",
}
"""The path of the original file, by the name of its patched copy."""

_LITE = "tensorflow/tensorflow/lite"
BESIDE = (
    f"{_DELEGATE_FOLDER}/quantization_util.cc",
    *(
        f"{_LITE}/kernels/internal/{name}.cc"
        for name in ("common", "quantization_util", "runtime_shape", "tensor_ctypes")
    ),
    f"{_LITE}/kernels/internal/utils/sparsity_format_converter.cc",
    f"{_LITE}/kernels/kernel_util.cc",
    f"{_LITE}/string_util.cc",
)
"""Other files that the delegate needs; kernels of the model's ops need most of them, too."""

# Delegate only the nodes before the first one whose output gets its shape when it runs: a dynamic one, or
# that of a RESHAPE whose shape is computed.  Later shapes are not known yet.
_UP_TO_DYNAMIC = """
    bool litesmith_is_dynamic = false;
    if (registration->builtin_code == kTfLiteBuiltinReshape && node->inputs->size == 2) {
      const TfLiteTensor& shape = context->tensors[node->inputs->data[1]];
      litesmith_is_dynamic =
          shape.allocation_type != kTfLiteMmapRo && shape.allocation_type != kTfLitePersistentRo;
    }
    for (int o = 0; o < node->outputs->size; ++o) {
      const int t = node->outputs->data[o];
      if (t >= 0 && context->tensors[t].allocation_type == kTfLiteDynamic) litesmith_is_dynamic = true;
    }
    if (litesmith_is_dynamic) break;

    // Prepare to unpack FP16/INT8 tensors."""


def _only_if_delegated(op: str) -> tuple[str, str]:
    """Unpacks constants of an op only in programs whose models need that."""
    case = f"      case kTfLiteBuiltin{op}: {{\n"
    guard = f"        if (!LITESMITH_DELEGATED(kTfLiteBuiltin{op})) break;\n"
    following = "        // Such a condition"
    return f"{case}{following}", f"{case}{guard}{following}"


def _only_looked_for_if_delegated(op: str) -> tuple[str, str]:
    test = f"registration->builtin_code == kTfLiteBuiltin{op} &&\n"
    return f"    if ({test}", f"    if (LITESMITH_DELEGATED(kTfLiteBuiltin{op}) && {test}"


# Nothing else compares the shapes that XNNPACK infers with those in the model's file, and there may be no
# kernel left that would correct them while it is prepared.
_CHECK_OUTPUTS = """    std::unique_ptr<xnn_runtime, decltype(&xnn_delete_runtime)> litesmith_runtime(
        runtime_ptr, &xnn_delete_runtime);
    if (xnn_reshape_runtime(runtime_ptr) != xnn_status_success) {
      TF_LITE_KERNEL_LOG(context, "XNNPACK cannot work with the shapes of these nodes");
      return nullptr;
    }
    for (const int t : outputs) {
      size_t rank = 0, dims[XNN_MAX_TENSOR_DIMS], elements = 1;
      if (xnn_get_external_value_shape(runtime_ptr, t, &rank, dims) != xnn_status_success) return nullptr;
      for (size_t d = 0; d < rank; ++d) elements *= dims[d];
      if (elements != static_cast<size_t>(NumElements(&context->tensors[t]))) {
        TF_LITE_KERNEL_LOG(context, "tensor %d has another shape in the model than XNNPACK gives it", t);
        return nullptr;
      }
    }
    litesmith_runtime.release();

    return new Subgraph(delegate, runtime_ptr, externals);"""

_MEAN_OR_SUM = "reducer_params->keep_dims ? XNN_FLAG_KEEP_DIMS : 0"
_BAD_DEPTH = """
    if (SizeOfDimension(&input_tensor, 3) * dwconv_params->depth_multiplier != output_channels) {
      return kTfLiteError;
    }
"""
_TRANSPOSED = """    TF_LITE_ENSURE_STATUS(CheckTensorFloat32OrQUInt8Type(
        delegate, logging_context, input_tensor, node->inputs->data[0], node_index));
    TF_LITE_ENSURE_STATUS(CheckTensorFloat32OrQUInt8Type(
        delegate, logging_context, output_tensor, node->outputs->data[0], node_index));
    if (NumDimensions(&input_tensor) > XNN_MAX_TENSOR_DIMS) return kTfLiteError;
"""
_REFUSED_FILTER = """    if (filter_tensor.sparsity != nullptr) return kTfLiteError;
    if (filter_tensor.type == kTfLiteInt8 && filter_tensor.params.zero_point != 0) {
      return kTfLiteError;
    }
"""
_DIMENSIONS = "    const int dims_count = NumDimensions(&input_tensor);\n"
_OUTPUT_OF_MATRIX = "    const TfLiteTensor& output_tensor = tensors[node->outputs->data[0]];\n"
_OUTPUT_CHANNELS = "    const int output_channels = SizeOfDimension(&filter_tensor, 3);\n"
_WITHIN: Mapping[str, tuple[tuple[str, str], ...]] = {
    # XNNPACK infers the output's shape, and must know that the reduced dimensions are kept.
    "VisitMeanNode": (("/*flags=*/0);", f"/*flags=*/{_MEAN_OR_SUM});"),),
    "VisitSumNode": (("uint32_t flags = 0;", f"uint32_t flags = {_MEAN_OR_SUM};"),),
    # TensorFlow Lite's kernels ignore the depth multiplier; with a wrong one XNNPACK reads past the input.
    "VisitDepthwiseConv2DNode": ((_OUTPUT_CHANNELS, f"{_OUTPUT_CHANNELS}{_BAD_DEPTH}"),),
    # The number of paddings is the size of their first dimension, not their rank.
    "VisitPadNode": (("i < NumDimensions(&paddings_tensor)", "i < SizeOfDimension(&paddings_tensor, 0)"),),
    # XNNPACK transposes no other dtypes, and a node that it refuses costs the whole subgraph its delegate.
    "VisitTransposeNode": ((_DIMENSIONS, f"{_TRANSPOSED}{_DIMENSIONS}"),),
    # XNNPACK ignores the zero point of int8 weights, and reads sparse weights as if they were dense.
    "VisitFullyConnectedNode": ((_OUTPUT_OF_MATRIX, f"{_REFUSED_FILTER}{_OUTPUT_OF_MATRIX}"),),
}
"""Changes within single functions, by function."""

# The delegate takes nodes that unpack constants even if other nodes, or the caller, still read their outputs.
_UNPACKED = """  if (LITESMITH_DELEGATED(kTfLiteBuiltinDequantize) ||
      LITESMITH_DELEGATED(kTfLiteBuiltinDensify)) {
    std::unordered_set<int> litesmith_ours(&nodes_to_delegate->data[0],
                                           &nodes_to_delegate->data[nodes_to_delegate->size]);
    const std::vector<int>& outputs = static_cast<tflite::Subgraph*>(context->impl_)->outputs();
    static_unpack_nodes_.clear();
    for (int i = execution_plan->size - 1; i >= 0; --i) {
      const int unpacking = execution_plan->data[i];
      TfLiteNode* node = nullptr;
      TfLiteRegistration* registration = nullptr;
      context->GetNodeAndRegistration(context, unpacking, &node, &registration);
      if (node->outputs->size != 1) continue;
      const int tensor = node->outputs->data[0];
      const auto producer = quasi_static_tensors_producers.find(tensor);
      if (producer == quasi_static_tensors_producers.end() || producer->second != unpacking) continue;
      bool wanted = std::find(outputs.begin(), outputs.end(), tensor) != outputs.end();
      for (int j = 0; j < execution_plan->size && !wanted; ++j) {
        if (litesmith_ours.count(execution_plan->data[j]) != 0) continue;
        TfLiteNode* other = nullptr;
        context->GetNodeAndRegistration(context, execution_plan->data[j], &other, &registration);
        for (int k = 0; k < other->inputs->size; ++k) wanted |= other->inputs->data[k] == tensor;
      }
      if (wanted) continue;
      litesmith_ours.insert(unpacking);
      static_unpack_nodes_.insert(unpacking);
    }
  }

"""
_ADDED_AT_LAST = "  // Add nodes that unpack static data consumed by delegated nodes.\n"

# std::sort for two types is 10 KB of code.
_SORT = ("std::sort(", "litesmith::Sort(")

_DELEGATE_CHANGES = (
    ("    return new Subgraph(delegate, runtime_ptr, externals);", _CHECK_OUTPUTS),
    (
        "      const xnn_status status = xnn_setup_runtime(\n",
        "      const xnn_status status = xnn_setup_runtime_v2(\n",
    ),
    (
        '#include "xnnpack.h"  // from @XNNPACK\n',
        '#include "xnnpack.h"  // from @XNNPACK\n#include "delegated_ops.h"\n'
        '#include "litesmith/sort.h"\n#include "tensorflow/lite/core/subgraph.h"\n',
    ),
    (
        "    TFLITE_LOG_PROD_ONCE(tflite::TFLITE_LOG_INFO,\n"
        '                         "Created TensorFlow Lite XNNPACK delegate for CPU.");\n',
        "",
    ),
    ("\n    // Prepare to unpack FP16/INT8 tensors.", _UP_TO_DYNAMIC),
    (_ADDED_AT_LAST, f"{_UNPACKED}{_ADDED_AT_LAST}"),
    # Without scales, quant_params is not null but points to no affine quantisation.
    (
        "        if (quant_params == nullptr) {\n          is_supported_int8_tensor = false;",
        "        if (quant_params == nullptr ||\n"
        "            input_tensor.quantization.type != kTfLiteAffineQuantization) {\n"
        "          is_supported_int8_tensor = false;",
    ),
    _SORT,
    _only_looked_for_if_delegated("Dequantize"),
    _only_looked_for_if_delegated("Densify"),
    _only_if_delegated("Dequantize"),
    _only_if_delegated("Densify"),
    # The delegate makes its own threads.
    ("          CpuBackendContext::GetFromContext(context)->get_xnnpack_threadpool();", "          nullptr;"),
    # Half precision would change the answers, and XNNPACK's own profile is not used.
    (
        "    } else {\n      const char* precision_metadata_ptr = nullptr;",
        "    } else if (false) {\n      const char* precision_metadata_ptr = nullptr;",
    ),
    ("    if (context->profiler) {\n", "    if (false) {\n"),
)

_REFUSED = "TF_LITE_ENSURE_STATUS(EnsureMemoryAllocations());\n      TFLITE_LOG_PROD_ONCE("
_IMMUTABLE = "    // entire graph immutable.\n"
_OWN_HEADER = '#include "tensorflow/lite/core/subgraph.h"\n'
_GRAPH_CHANGES = (
    # Nodes before the first one with a dynamic output can still be delegated.
    (f"    if (has_dynamic_tensors_) {{\n      {_REFUSED}", f"    if (false) {{\n      {_REFUSED}"),
    (
        f"{_IMMUTABLE}    state_ = kStateInvokableAndImmutable;",
        f"{_IMMUTABLE}    if (!has_dynamic_tensors_) state_ = kStateInvokableAndImmutable;",
    ),
    # Keep what the pruning step "delegates" leaves out.
    (_OWN_HEADER, f"#define LITESMITH_KEEP_DELEGATES\n{_OWN_HEADER}"),
)

_DATATYPE = re.compile(r"^xnn_datatype GetXNNPackDatatype\(.*?^\}\n", re.DOTALL | re.MULTILINE)
_VISIT = re.compile(r"  static TfLiteStatus VisitNode\(.*?\n  \}\n", re.DOTALL)
_CASE = re.compile(r"^      case kTfLiteBuiltin(\w+):", re.MULTILINE)


def files(tree: SourceTree) -> dict[str, str]:
    """The patched files: name → content.

    Raises:
        SourceError: a change does not apply to the pinned sources.
    """
    texts = {
        name: (tree.root / tree.locate(path)).read_text(encoding="utf-8") for name, path in ORIGINALS.items()
    }
    delegate = _changed(texts[DELEGATE], _DELEGATE_CHANGES, DELEGATE)
    for function, changes in _WITHIN.items():
        body = _found(re.compile(rf"  static TfLiteStatus {function}\(.*?\n  \}}\n", re.DOTALL), delegate)
        delegate = delegate.replace(body, _changed(body, changes, DELEGATE))
    # It is also called without a context for messages.
    datatype = _found(_DATATYPE, delegate)
    delegate = delegate.replace(datatype, datatype.replace("TF_LITE_KERNEL_LOG", "TF_LITE_MAYBE_KERNEL_LOG"))
    visit = _found(_VISIT, delegate)
    guarded = _CASE.sub(
        r"      case kTfLiteBuiltin\1:\n"
        r"        if (!LITESMITH_DELEGATED(kTfLiteBuiltin\1)) return kTfLiteError;\n       ",
        visit,
    )
    return {
        DELEGATE: delegate.replace(visit, guarded),
        GRAPH: _changed(texts[GRAPH], _GRAPH_CHANGES, GRAPH),
    }


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    if match is None:
        raise SourceError(f"{ORIGINALS[DELEGATE]} has no {pattern.pattern}", "compare the pinned sources")
    return match[0]


def _changed(text: str, changes: tuple[tuple[str, str], ...], name: str) -> str:
    for find, replace in changes:
        if find not in text:
            raise SourceError(f"a change to {ORIGINALS[name]} does not apply: it has no {find!r}")
        text = text.replace(find, replace)
    return text
