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
      if (xnn_get_external_value_shape(runtime_ptr, tflite_tensor_to_xnnpack[t], &rank, dims) !=
          xnn_status_success) {
        return nullptr;
      }
      for (size_t d = 0; d < rank; ++d) elements *= dims[d];
      if (elements != static_cast<size_t>(NumElements(&context->tensors[t]))) {
        TF_LITE_KERNEL_LOG(context, "tensor %d has another shape in the model than XNNPACK gives it", t);
        return nullptr;
      }
    }
    litesmith_runtime.release();

    return new Subgraph(delegate, runtime_ptr, externals,
"""

_BAD_DEPTH = """
    if (SizeOfDimension(&input_tensor, 3) * dwconv_params->depth_multiplier != output_channels) {
      return kTfLiteError;
    }
"""
_TRANSPOSED = """    const TfLiteTensor& output_tensor = tensors[node->outputs->data[0]];
    TF_LITE_ENSURE_STATUS(CheckTensorFloatOrQUInt8Type(
        delegate, logging_context, output_tensor, node->outputs->data[0], node_index));
    if (perm_tensor.type != kTfLiteInt32 ||
        NumElements(&perm_tensor) != NumDimensions(&input_tensor)) {
      return kTfLiteError;
    }
"""
_REFUSE = "return kTfLiteError;\n"
_PERMUTATION = "    const int* perm_data = GetTensorData<int32_t>(&perm_tensor);\n"
_OUTPUT_CHANNELS = "    const int output_channels = SizeOfDimension(&filter_tensor, 3);\n"
_SLICED = "    const int num_dims = begin_tensor.dims->data[0];\n"
_NEGATIVE_BEGIN = "      if (size[i] <= 0) {\n"
_UNKNOWN_FILTER = """                  tensor.quantization.type, tensor_index, node_index);
          }
          return kTfLiteOk;
"""
_PRODUCTS = """    if (input_a.type != output_tensor.type || input_a.type == kTfLiteUInt8 ||
        (dynamically_quantized && input_b.allocation_type != kTfLiteMmapRo)) {
      return kTfLiteError;
    }
    if (input_a.type == kTfLiteInt8) {
      const float scale = input_a.params.scale * input_b.params.scale / output_tensor.params.scale;
      if (!(scale > 0.0f && scale <= 255.0f)) return kTfLiteError;
    }
"""
_WITHIN: Mapping[str, tuple[tuple[str, str], ...]] = {
    # TensorFlow Lite's kernels ignore the depth multiplier; with a wrong one XNNPACK reads past the input.
    "VisitDepthwiseConv2DNode": ((_OUTPUT_CHANNELS, f"{_OUTPUT_CHANNELS}{_BAD_DEPTH}"),),
    # The delegate reads the permutation before it knows how long it is.
    "VisitTransposeNode": ((_PERMUTATION, f"{_TRANSPOSED}{_PERMUTATION}"),),
    # The same for begin and size; a negative begin would be a large number.
    "VisitSliceNode": (
        (_SLICED, f"{_SLICED}    if (num_dims != NumDimensions(&input_tensor)) {_REFUSE}"),
        (_SLICED, f"{_SLICED}    if (num_dims > XNN_MAX_TENSOR_DIMS) {_REFUSE}"),
        (_NEGATIVE_BEGIN, f"      if (begin[i] < 0) {_REFUSE}{_NEGATIVE_BEGIN}"),
    ),
    "VisitStridedSliceNode": (
        (
            "    const int num_dims = stride_tensor.dims->data[0];\n",
            "    const int num_dims = stride_tensor.dims->data[0];\n"
            f"    if (num_dims > XNN_MAX_TENSOR_DIMS) {_REFUSE}",
        ),
    ),
    # There is no context for the message of TF_LITE_ENSURE_EQ.
    "VisitSplitNode": (
        (
            "    TF_LITE_ENSURE_EQ(logging_context, split_params->num_splits, num_outputs);\n",
            f"    if (split_params->num_splits != num_outputs) {_REFUSE}",
        ),
    ),
    # Minima and maxima are not scaled.
    "VisitReduceNode": (
        (
            "    uint32_t flags = 0;\n",
            "    if ((reduce_operator == xnn_reduce_min || reduce_operator == xnn_reduce_max) &&\n"
            "        (input_tensor.type != output_tensor.type ||\n"
            "         input_tensor.params.scale != output_tensor.params.scale ||\n"
            "         input_tensor.params.zero_point != output_tensor.params.zero_point)) {\n"
            "      return kTfLiteError;\n    }\n    uint32_t flags = 0;\n",
        ),
    ),
    # Weights without scales, and of 2 bits, stay with the built-in kernels.
    "CheckTensorFilterType": (
        (
            _UNKNOWN_FILTER,
            _UNKNOWN_FILTER.replace("          }\n", "              return kTfLiteError;\n          }\n"),
        ),
        ("      case kTfLiteInt2:\n      case kTfLiteInt4:\n", "      case kTfLiteInt4:\n"),
    ),
    # Half precision would change the answers.
    **dict.fromkeys(
        (
            *("CheckTensorFloatType", "CheckTensorFloatOrQInt8Type", "CheckTensorFloatOrQUInt8Type"),
            "CheckTensorFloat32OrFloat16OrQCInt32Type",
        ),
        (("      case kTfLiteFloat16:\n", ""),),
    ),
    # XNNPACK takes the second input of these as a constant, and refuses the others when it is too late to
    # leave a single node to its built-in kernel.
    "VisitBatchMatMulNode": (
        (
            "    const int num_dims_a = NumDimensions(&input_a);\n",
            f"{_PRODUCTS}    const int num_dims_a = NumDimensions(&input_a);\n",
        ),
    ),
    # XNNPACK reads sparse weights as if they were dense.
    "VisitFullyConnectedNode": (
        (
            "    const int32_t output_channels = SizeOfDimension(&filter_tensor, 0);\n",
            f"    if (filter_tensor.sparsity != nullptr) {_REFUSE}"
            "    const int32_t output_channels = SizeOfDimension(&filter_tensor, 0);\n",
        ),
    ),
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

_SCALES_OF_BLOCKS = """          if (!CheckFp16Scale(context, tensor, t, quantization_params)) {
"""
_BAD_SCALES = """          const int scales = quantization_params->scale;
          if (scales < 0 || static_cast<size_t>(scales) >= context->tensors_size ||
              context->tensors[scales].type != kTfLiteFloat16 ||
              context->tensors[scales].allocation_type != kTfLiteMmapRo ||
              NumElements(&context->tensors[scales]) * quantization_params->blocksize !=
                  NumElements(&tensor)) {
            return xnn_datatype_invalid;
          }
"""

_DELEGATE_CHANGES = (
    # The delegate reads the scales of blocks without looking at their tensor.
    (_SCALES_OF_BLOCKS, f"{_BAD_SCALES}{_SCALES_OF_BLOCKS}"),
    ("    return new Subgraph(delegate, runtime_ptr, externals,\n", _CHECK_OUTPUTS),
    # Shapes are checked when the kernel is made, and do not change then.
    (
        "        status = xnn_setup_runtime(runtime_.get(), external_values.size(),\n",
        "        status = xnn_setup_runtime_v2(runtime_.get(), external_values.size(),\n",
    ),
    (
        '#include "tensorflow/lite/delegates/xnnpack/file_util.h"\n',
        '#include "delegated_ops.h"\n#include "litesmith/sort.h"\n',
    ),
    ('#include "tensorflow/lite/delegates/xnnpack/weight_cache.h"\n', ""),
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
    # XNNPACK's kernels for half precision are not in the program: weights are unpacked to single precision.
    ("          bool skip_this_node = true;\n", "          bool skip_this_node = false;\n"),
    # Half precision would change the answers, and XNNPACK's own profile is not used.
    (
        "    } else {\n      const char* precision_metadata_ptr = nullptr;",
        "    } else if (false) {\n      const char* precision_metadata_ptr = nullptr;",
    ),
    ("    if (context->profiler) {\n", "    if (false) {\n"),
    # Variables stay with the built-in kernels.
    ("      if (resource_it == resources_.end()) {\n", "      if (true) {\n"),
    ("      if (resource_it != resources_.end()) {\n", "      if (false) {\n"),
)

_CUT = (
    # Packed weights are not kept in a file.
    r"    // If no weight cache is provided, add one when requested\.\n[\s\S]*?\n    \}\n"
    r"(?=  \}\n\n  TfLiteIntArray)",
    r"    // Map tensors identifiers before packing anything\.\n[\s\S]*?\n    \}\n",
    r"    if \(delegate\.weight_cache_provider_->IsActive\(\) &&\n[\s\S]*?\n    \}\n",
    r"  // If no weight cache is provided and a cache is set in the delegate options,\n[\s\S]*?kOwned\};\n",
    r"  // Now that the unpacking is done, we can update the weight cache mappings\.\n[\s\S]*?\n  \}\n",
    r"bool TfLiteXNNPackDelegateCanUseInMemoryWeightCacheProvider\(\) \{[\s\S]*?\n\}\n",
    r"const char\* TfLiteXNNPackDelegateInMemoryFilePath\(\) \{[\s\S]*?\n\}\n",
)
"""What is left out of the delegate: regular expressions."""

_CONSTANT = {
    # Nodes are checked in the shapes that the graph is prepared with.
    "bool enable_subgraph_reshaping() const": "false",
    "bool support_variable_ops() const": "false",
    "bool force_fp16() const": "false",
    "bool consistent_arithmetic() const": "false",
    "bool transient_indirection_buffer() const": "false",
}
"""Options of the delegate that are fixed: the function's head and its value."""

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

# Functions that are also called without a context for messages.
_QUIET = re.compile(r"^bool CheckFp16Scale\(.*?(?=^// Forward declaration)", re.DOTALL | re.MULTILINE)
_VISIT = re.compile(r"  static TfLiteStatus VisitNode\(.*?\n  \}\n", re.DOTALL)
_CASES = re.compile(r"^((?:      case kTfLiteBuiltin\w+:\n)*      case kTfLiteBuiltin\w+:)", re.MULTILINE)
_CODE = re.compile(r"kTfLiteBuiltin\w+")


def files(tree: SourceTree) -> dict[str, str]:
    """The patched files: name → content.

    Raises:
        SourceError: a change does not apply to the pinned sources.
    """
    texts = {
        name: (tree.root / tree.locate(path)).read_text(encoding="utf-8") for name, path in ORIGINALS.items()
    }
    return {
        DELEGATE: _delegate(texts[DELEGATE]),
        GRAPH: _changed(texts[GRAPH], _GRAPH_CHANGES, GRAPH),
    }


def _delegate(text: str) -> str:
    for pattern in _CUT:
        _found(re.compile(pattern), text)
        text = re.sub(pattern, "", text)
    text = _changed(text, _DELEGATE_CHANGES, DELEGATE)
    for head, value in _CONSTANT.items():
        body = _found(re.compile(rf"  {re.escape(head)} \{{.*?\n  \}}\n", re.DOTALL), text)
        text = text.replace(body, f"  static constexpr {head.removesuffix(' const')} {{ return {value}; }}\n")
    for function, changes in _WITHIN.items():
        body = _found(re.compile(rf"  static TfLiteStatus {function}\(.*?\n  \}}\n", re.DOTALL), text)
        text = text.replace(body, _changed(body, changes, DELEGATE))
    quiet = _found(_QUIET, text)
    text = text.replace(quiet, quiet.replace("TF_LITE_KERNEL_LOG", "TF_LITE_MAYBE_KERNEL_LOG"))
    visit = _found(_VISIT, text)
    return text.replace(visit, _CASES.sub(_guarded, visit))


def _guarded(cases: re.Match[str]) -> str:
    """Refuses the nodes of ops that the program's models do not delegate."""
    taken = " || ".join(
        f"(LITESMITH_DELEGATED({code}) && registration->builtin_code == {code})"
        for code in _CODE.findall(cases[0])
    )
    return f"{cases[0]}\n        if (!({taken})) return kTfLiteError;\n       "


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
