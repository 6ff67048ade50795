// How the XNNPACK delegate is applied to all subgraphs, and what it took.

#include "delegation.h"

#include <cstdio>

#include "tensorflow/lite/core/subgraph.h"
#include "tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" {
// Bytes; XNNPACK, as patched, adds to them where it allocates.
size_t litesmith_packed_weights = 0;
size_t litesmith_workspace = 0;
}

namespace litesmith {

namespace {

TfLiteStatus RunNowhere(TfLiteContext*, TfLiteNode*) { return kTfLiteError; }

// Interpreter applies one delegate to all subgraphs; the member that applies one to a single subgraph is private.
// An explicit instantiation may name private members.
using Modify = TfLiteStatus (tflite::Subgraph::*)(TfLiteDelegate*);
Modify ModifyGraph();

template <Modify kMember>
struct Named {
  friend Modify ModifyGraph() { return kMember; }
};
template struct Named<&tflite::Subgraph::ModifyGraphWithDelegate>;

#ifdef LITESMITH_NODE_CHECK
// Each node becomes a partition of its own, so that its inputs can be given and its outputs looked at.
using Replace = decltype(TfLiteContext::ReplaceNodeSubsetsWithDelegateKernels);
Replace replace_subsets = nullptr;
decltype(TfLiteDelegate::Prepare) prepare_delegate = nullptr;

TfLiteStatus ReplaceOneByOne(TfLiteContext* context, TfLiteRegistration registration, const TfLiteIntArray* nodes,
                             TfLiteDelegate* delegate) {
  TfLiteIntArray* one = TfLiteIntArrayCreate(1);
  TfLiteStatus status = kTfLiteOk;
  for (int i = 0; status == kTfLiteOk && i < nodes->size; ++i) {
    one->data[0] = nodes->data[i];
    status = replace_subsets(context, registration, one, delegate);
  }
  TfLiteIntArrayFree(one);
  return status;
}

TfLiteStatus PrepareOneByOne(TfLiteContext* context, TfLiteDelegate* delegate) {
  replace_subsets = context->ReplaceNodeSubsetsWithDelegateKernels;
  context->ReplaceNodeSubsetsWithDelegateKernels = ReplaceOneByOne;
  const TfLiteStatus status = prepare_delegate(context, delegate);
  context->ReplaceNodeSubsetsWithDelegateKernels = replace_subsets;
  return status;
}
#endif

}  // namespace

// The registration of an op whose nodes all go to XNNPACK: it lets the graph be loaded and cannot run.
TfLiteRegistration* OnlyDelegated() {
  static TfLiteRegistration registration = {nullptr, nullptr, nullptr, RunNowhere};
  return &registration;
}

bool Delegation::Apply(tflite::Interpreter* interpreter, int threads) {
  // From the last to the first: bodies of control flow come after their callers, whose preparation looks at them.
  for (size_t i = interpreter->subgraphs_size(); i-- > 0;) {
    if (!ApplyTo(interpreter->subgraph(static_cast<int>(i)), static_cast<int>(i), threads)) return false;
  }
  return true;
}

bool Delegation::ApplyTo(tflite::Subgraph* graph, int index, int threads) {
  TfLiteXNNPackDelegateOptions options = TfLiteXNNPackDelegateOptionsDefault();
  options.num_threads = threads;
  options.flags = TFLITE_XNNPACK_DELEGATE_FLAG_QS8 | TFLITE_XNNPACK_DELEGATE_FLAG_QU8 |
                  TFLITE_XNNPACK_DELEGATE_FLAG_DYNAMIC_FULLY_CONNECTED;
  // One delegate for each subgraph: a delegate drops the constants that it unpacked for another subgraph.
  delegates_.emplace_back(TfLiteXNNPackDelegateCreate(&options), TfLiteXNNPackDelegateDelete);
  if (nodes_.size() <= static_cast<size_t>(index)) nodes_.resize(index + 1);
  TfLiteDelegate* const delegate = delegates_.back().get();
  if (delegate == nullptr) {
    fprintf(stderr, "error: XNNPACK does not know this CPU; build with --kernels builtin\n");
    return false;
  }
#ifdef LITESMITH_NODE_CHECK
  prepare_delegate = delegate->Prepare;
  delegate->Prepare = PrepareOneByOne;
#endif
  const std::vector<int> before = graph->execution_plan();
  const TfLiteStatus status = (graph->*ModifyGraph())(delegate);
  const std::vector<int>& after = graph->execution_plan();
  std::vector<bool> stays(graph->nodes_size());
  for (const int node : after) {
    stays[node] = true;
    const TfLiteRegistration& registration = graph->node_and_registration(node)->second;
    if (registration.builtin_code == tflite::BuiltinOperator_DELEGATE) ++partitions_;
    if (registration.invoke == RunNowhere) {
      fprintf(stderr,
              "error: XNNPACK does not take node %d of subgraph %d, %s, and this program has no other kernel for it; "
              "build with --kernels builtin for this model\n",
              node, index, tflite::EnumNameBuiltinOperator(
                               static_cast<tflite::BuiltinOperator>(registration.builtin_code)));
      return false;
    }
  }
  // A delegate that fails leaves the graph unchanged: the built-in kernels run it.
  if (status != kTfLiteOk) return true;
  for (const int node : before) {
    if (!stays[node]) nodes_[index].push_back(node);
  }
  return true;
}

void Delegation::PrintJson() const {
  printf("\"packed_weights_bytes\": %zu, \"workspace_bytes\": %zu, \"partitions\": %d, \"delegated_nodes\": [",
         litesmith_packed_weights, litesmith_workspace, partitions_);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    fputs(i > 0 ? ", [" : "[", stdout);
    for (size_t k = 0; k < nodes_[i].size(); ++k) printf("%s%d", k > 0 ? ", " : "", nodes_[i][k]);
    putchar(']');
  }
  fputs("], ", stdout);
}

void Delegation::PrintText() const {
  size_t count = 0;
  for (const std::vector<int>& nodes : nodes_) count += nodes.size();
  printf("XNNPACK runs %zu nodes in %d partition%s, packed weights %zu bytes, workspace %zu bytes\n", count,
         partitions_, partitions_ == 1 ? "" : "s", litesmith_packed_weights, litesmith_workspace);
}

}  // namespace litesmith
