"""TensorFlow Lite's files that a program with XNNPACK has in another form: the delegate, and its graph.

They are compiled as files of the project, so that all others stay those of programs without XNNPACK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from litesmith.errors import SourceError
from litesmith.sources import SourceTree

DELEGATE = "xnnpack_delegate.cc"
GRAPH = "subgraph_with_delegates.cc"
ORIGINALS: Mapping[str, str] = {
    DELEGATE: "tensorflow/tensorflow/lite/delegates/xnnpack/xnnpack_delegate.cc",
    GRAPH: "tensorflow/tensorflow/lite/core/subgraph.cc",
}
"""Our names of upstream's files."""

_LITE = "tensorflow/tensorflow/lite"
BESIDE = (
    f"{_LITE}/delegates/xnnpack/quantization_util.cc",
    *(
        f"{_LITE}/kernels/internal/{name}.cc"
        for name in ("common", "quantization_util", "runtime_shape", "tensor_ctypes")
    ),
    f"{_LITE}/kernels/internal/utils/sparsity_format_converter.cc",
    f"{_LITE}/kernels/kernel_util.cc",
    f"{_LITE}/string_util.cc",
)
"""Files that the delegate needs beside its own; kernels bring most of them, where there are any."""

# Nodes up to the first one whose outputs only a run can size: shapes of the others are not known yet.
_UP_TO_DYNAMIC = """
    bool litesmith_is_dynamic = false;
    for (int o = 0; o < node->outputs->size; ++o) {
      const int t = node->outputs->data[o];
      if (t >= 0 && context->tensors[t].allocation_type == kTfLiteDynamic) litesmith_is_dynamic = true;
    }
    if (litesmith_is_dynamic) break;

    // Prepare to unpack FP16/INT8 tensors."""


def _only_if_delegated(op: str) -> tuple[str, str]:
    """What unpacks the constants of an op, for programs whose models have any."""
    case = f"      case kTfLiteBuiltin{op}: {{\n"
    guard = f"        if (!LITESMITH_DELEGATED(kTfLiteBuiltin{op})) break;\n"
    following = "        // Such a condition"
    return f"{case}{following}", f"{case}{guard}{following}"


def _only_looked_for_if_delegated(op: str) -> tuple[str, str]:
    test = f"registration->builtin_code == kTfLiteBuiltin{op} &&\n"
    return f"    if ({test}", f"    if (LITESMITH_DELEGATED(kTfLiteBuiltin{op}) && {test}"


# Nothing else compares what XNNPACK makes of the inputs with what the model's file says of the outputs,
# and there may be no kernel left whose preparation would correct the file.
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

_DELEGATE_CHANGES = (
    ("    return new Subgraph(delegate, runtime_ptr, externals);", _CHECK_OUTPUTS),
    (
        "      const xnn_status status = xnn_setup_runtime(\n",
        "      const xnn_status status = xnn_setup_runtime_v2(\n",
    ),
    (
        '#include "xnnpack.h"  // from @XNNPACK\n',
        '#include "xnnpack.h"  // from @XNNPACK\n#include "delegated_ops.h"\n',
    ),
    (
        "    TFLITE_LOG_PROD_ONCE(tflite::TFLITE_LOG_INFO,\n"
        '                         "Created TensorFlow Lite XNNPACK delegate for CPU.");\n',
        "",
    ),
    ("\n    // Prepare to unpack FP16/INT8 tensors.", _UP_TO_DYNAMIC),
    _only_looked_for_if_delegated("Dequantize"),
    _only_looked_for_if_delegated("Densify"),
    _only_if_delegated("Dequantize"),
    _only_if_delegated("Densify"),
    # Its threads are its own.
    ("          CpuBackendContext::GetFromContext(context)->get_xnnpack_threadpool();", "          nullptr;"),
    # Half precision gives other answers, and nobody reads XNNPACK's own times.
    (
        "    } else {\n      const char* precision_metadata_ptr = nullptr;",
        "    } else if (false) {\n      const char* precision_metadata_ptr = nullptr;",
    ),
    ("    if (context->profiler) {\n", "    if (false) {\n"),
)

_REFUSED = "TF_LITE_ENSURE_STATUS(EnsureMemoryAllocations());\n      TFLITE_LOG("
_IMMUTABLE = "    // entire graph immutable.\n"
_OWN_HEADER = '#include "tensorflow/lite/core/subgraph.h"\n'
_GRAPH_CHANGES = (
    # The nodes before the first dynamic one can be delegated all the same.
    (f"    if (has_dynamic_tensors_) {{\n      {_REFUSED}", f"    if (false) {{\n      {_REFUSED}"),
    (
        f"{_IMMUTABLE}    state_ = kStateInvokableAndImmutable;",
        f"{_IMMUTABLE}    if (!has_dynamic_tensors_) state_ = kStateInvokableAndImmutable;",
    ),
    # This step of pruning leaves out what is needed here.
    (_OWN_HEADER, f"#define LITESMITH_KEEP_DELEGATES\n{_OWN_HEADER}"),
)

_VISIT = re.compile(r"  static TfLiteStatus VisitNode\(.*?\n  \}\n", re.DOTALL)
_CASE = re.compile(r"^      case kTfLiteBuiltin(\w+):", re.MULTILINE)


def files(tree: SourceTree) -> dict[str, str]:
    """Our two files, by name.

    Raises:
        SourceError: upstream's files are not those that the changes were written for.
    """
    texts = {
        name: (tree.root / tree.locate(path)).read_text(encoding="utf-8") for name, path in ORIGINALS.items()
    }
    delegate = _changed(texts[DELEGATE], _DELEGATE_CHANGES, DELEGATE)
    visit = _VISIT.search(delegate)
    if visit is None:
        raise SourceError(f"{ORIGINALS[DELEGATE]} has no VisitNode", "look at the pinned sources")
    guarded = _CASE.sub(
        r"      case kTfLiteBuiltin\1:\n"
        r"        if (!LITESMITH_DELEGATED(kTfLiteBuiltin\1)) return kTfLiteError;\n       ",
        visit[0],
    )
    return {
        DELEGATE: delegate.replace(visit[0], guarded),
        GRAPH: _changed(texts[GRAPH], _GRAPH_CHANGES, GRAPH),
    }


def _changed(text: str, changes: tuple[tuple[str, str], ...], name: str) -> str:
    for find, replace in changes:
        if find not in text:
            raise SourceError(f"a change of {ORIGINALS[name]} does not apply: no {find!r} in it")
        text = text.replace(find, replace)
    return text
