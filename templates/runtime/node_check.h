// Runs each node on given inputs and writes its outputs, in programs built with LITESMITH_NODE_CHECK.
//
// The nodes run in the program's own graph, arena and order; only the call of each kernel is wrapped: before it, the
// node's inputs that are neither constants nor variables are overwritten with the given values.  So a wrong node
// does not spread to the nodes after it.  Nodes of subgraphs that control flow calls run inside their caller.
//
// All numbers in the files are little-endian.  Input: int64 count of tensors, then for each tensor of the subgraph
// int64 offset in the file (0: no value) and int64 size in bytes; then the values.  Output: a sequence of records,
// int32 kind, node, tensor, TfLiteType, number of dimensions, the dimensions; int64 size in bytes; the value.
//
// Part of main.cc: with internal linkage, and without calls across files, the program is smallest.

#ifndef LITESMITH_NODE_CHECK_H_
#define LITESMITH_NODE_CHECK_H_

#ifdef LITESMITH_NODE_CHECK

#include <sys/types.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "model_runner.h"
#include "options.h"

namespace litesmith {
namespace {

class NodeCheck {
 public:
  // Opens the files of the options and wraps the kernels.  Prints an error and returns false if it cannot.
  bool Begin(const Options& options, const Entry& entry) {
    if (options.node_inputs == nullptr || options.node_outputs == nullptr) return true;
    in_.reset(fopen(options.node_inputs, "rb"));
    if (in_ == nullptr) return Failed(options.node_inputs);
    out_.reset(fopen(options.node_outputs, "wb"));
    if (out_ == nullptr) return Failed(options.node_outputs);
    int64_t count = 0;
    // Kernels add temporary tensors behind those of the model.
    if (fread(&count, sizeof(count), 1, in_.get()) != 1 || count < 0 ||
        count > static_cast<int64_t>(entry.graph->tensors_size())) {
      fprintf(stderr, "error: %s is not for this model\n", options.node_inputs);
      return false;
    }
    places_.resize(count);
    if (fread(places_.data(), sizeof(Place), count, in_.get()) != places_.size()) return Failed(options.node_inputs);
    graph_ = entry.graph;
    current_ = this;
    for (const int index : graph_->execution_plan()) {
      auto* both = const_cast<std::pair<TfLiteNode, TfLiteRegistration>*>(graph_->node_and_registration(index));
      wrapped_[&both->first] = {index, both->second.invoke};
      both->second.invoke = Invoke;
    }
    return true;
  }

  // Whether everything was written.
  bool End(const Options& options) {
    if (out_ == nullptr) return true;
    return fclose(out_.release()) == 0 || Failed(options.node_outputs);
  }

 private:
  struct Place {
    int64_t offset;
    int64_t bytes;
  };
  struct Wrapped {
    int index;
    TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*);
  };
  struct Close {
    void operator()(FILE* file) const { fclose(file); }
  };

  static constexpr int32_t kOutput = 0;
  static constexpr int32_t kOtherSize = 1;  // an input whose given value has another size: the node used its own

  static bool Failed(const char* path) {
    fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
    return false;
  }

  static TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
    const Wrapped& wrapped = current_->wrapped_.at(node);
    for (int i = 0; i < node->inputs->size; ++i) current_->Replace(wrapped.index, node->inputs->data[i]);
    const TfLiteStatus status = wrapped.invoke(context, node);
    if (status != kTfLiteOk) return status;
    for (int i = 0; i < node->outputs->size; ++i) current_->Write(kOutput, wrapped.index, node->outputs->data[i]);
    for (int i = 0; i < node->inputs->size; ++i) {
      const int tensor = node->inputs->data[i];
      if (tensor >= 0 && current_->graph_->tensor(tensor)->is_variable) {
        current_->Write(kOutput, wrapped.index, tensor);
      }
    }
    return status;
  }

  void Replace(int node, int index) {
    if (index < 0 || static_cast<size_t>(index) >= places_.size() || places_[index].offset == 0) return;
    TfLiteTensor* tensor = graph_->tensor(index);
    const bool computed = tensor->allocation_type == kTfLiteArenaRw ||
                          tensor->allocation_type == kTfLiteArenaRwPersistent ||
                          tensor->allocation_type == kTfLiteDynamic;
    if (!computed || tensor->is_variable) return;
    const size_t bytes = places_[index].bytes;
    if (tensor->type == kTfLiteString && tensor->bytes != bytes) TfLiteTensorRealloc(bytes, tensor);
    if (tensor->bytes != bytes) {
      Write(kOtherSize, node, index);
      return;
    }
    if (bytes == 0) return;
    if (fseeko(in_.get(), static_cast<off_t>(places_[index].offset), SEEK_SET) != 0 ||
        fread(tensor->data.raw, 1, bytes, in_.get()) != bytes) {
      Write(kOtherSize, node, index);
    }
  }

  void Write(int32_t kind, int node, int index) {
    if (index < 0) return;
    const TfLiteTensor& tensor = *graph_->tensor(index);
    const int rank = tensor.dims != nullptr ? tensor.dims->size : 0;
    const int32_t head[] = {kind, node, index, tensor.type, rank};
    fwrite(head, sizeof(head), 1, out_.get());
    if (rank > 0) fwrite(tensor.dims->data, sizeof(int32_t), rank, out_.get());
    const bool has_data = kind == kOutput && tensor.data.raw != nullptr && tensor.type != kTfLiteResource &&
                          tensor.type != kTfLiteVariant;
    const int64_t bytes = has_data ? static_cast<int64_t>(tensor.bytes) : 0;
    fwrite(&bytes, sizeof(bytes), 1, out_.get());
    if (bytes > 0) fwrite(tensor.data.raw, 1, bytes, out_.get());
  }

  // Kernels get no pointer of the caller's.
  inline static NodeCheck* current_ = nullptr;

  tflite::Subgraph* graph_ = nullptr;
  std::unique_ptr<FILE, Close> in_;
  std::unique_ptr<FILE, Close> out_;
  std::vector<Place> places_;
  std::map<const TfLiteNode*, Wrapped> wrapped_;
};

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_NODE_CHECK

#endif  // LITESMITH_NODE_CHECK_H_
