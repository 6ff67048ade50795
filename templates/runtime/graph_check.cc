// Checks what the runtime and its kernels rely on without looking: shapes, constants, the order of nodes, and
// which subgraphs call which.

#include "graph_check.h"

#include <cfloat>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "options_check.h"
#include "selected_ops.h"
#include "tensorflow/lite/schema/schema_utils.h"

namespace litesmith {
namespace {

// Kernels count elements in int, and a call of a subgraph takes some hundred bytes of the stack.
constexpr uint64_t kMostElements = INT32_MAX;
constexpr int kDeepestCall = 32;

// Numbers that are looked at: any number of tensors and nodes may share long vectors.
constexpr uint64_t kMostNumbers = 1 << 26;

class GraphCheck {
 public:
  GraphCheck(const tflite::Model& model, const ModelFile& file) : model_(model), file_(file) {}

  bool Sound() {
    const uint32_t count = model_.subgraphs()->size();
    for (uint32_t i = 0; i < count; ++i) {
      if (!Subgraph(static_cast<int>(i))) return false;
    }
    if (kCallsAreSound != nullptr && !kCallsAreSound(model_, file_)) return false;
    return Signatures();
  }

  bool Calls() {
    const uint32_t count = model_.subgraphs()->size();
    const std::unique_ptr<uint8_t[]> seen(new uint8_t[count]());
    for (uint32_t i = 0; i < count; ++i) {
      if (!Calls(i, seen.get(), 0)) return false;
    }
    return true;
  }

 private:
  // What is known of a tensor while the nodes are followed in their order.
  // Files have the shape [0] for a tensor without elements, and for one whose shape a kernel sets.
  enum : uint8_t { kUnset, kEmpty, kSet, kConstant };

  // Reports damage at a place that graph_, node_ and tensor_ describe; those that are negative are left out.
  __attribute__((format(printf, 2, 3))) bool Damaged(const char* what, ...) const {
    fputs("error: the model is damaged: ", stderr);
    if (node_ >= 0) {
      const tflite::Operator& node = *graph_->operators()->Get(node_);
      const tflite::OperatorCode& code = *model_.operator_codes()->Get(node.opcode_index());
      fprintf(stderr, "node %d of subgraph %d, %s, ", node_, number_, NameOf(code));
    } else if (tensor_ >= 0) {
      const flatbuffers::String* name = graph_->tensors()->Get(tensor_)->name();
      fprintf(stderr, "tensor %d of subgraph %d, %s, ", tensor_, number_, name != nullptr ? name->c_str() : "without a name");
    } else if (number_ >= 0) {
      fprintf(stderr, "subgraph %d ", number_);
    }
    va_list values;
    va_start(values, what);
    vfprintf(stderr, what, values);
    va_end(values);
    fputs("; copy or convert it again\n", stderr);
    return false;
  }

  // Counts the numbers of vectors; returns false when they are too many.
  bool Spend(uint64_t numbers) {
    spent_ += numbers;
    return spent_ <= kMostNumbers || Damaged("shares too much of its data with others");
  }

  template <typename T>
  bool Spend(const flatbuffers::Vector<T>* numbers) {
    return numbers == nullptr || Spend(numbers->size());
  }

  static const char* NameOf(const tflite::OperatorCode& code) {
    const SelectedOp* op = FindOp(code);
    return op != nullptr ? op->name : "?";
  }

  // The constant data of a tensor, or null.  `sound` is false if it lies outside of the file.
  const uint8_t* Constant(const tflite::Tensor& tensor, size_t* bytes, bool* sound) const {
    *bytes = 0;
    *sound = true;
    const uint32_t index = tensor.buffer();
    if (index == 0) return nullptr;
    if (model_.buffers() == nullptr || index >= model_.buffers()->size()) {
      *sound = false;
      return nullptr;
    }
    const tflite::Buffer& buffer = *model_.buffers()->Get(index);
    if (buffer.data() != nullptr) {
      *bytes = buffer.data()->size();
      return buffer.data()->data();
    }
    if (buffer.offset() <= 1) return nullptr;
    *sound = buffer.offset() <= file_.size && buffer.size() <= file_.size - buffer.offset();
    *bytes = buffer.size();
    return *sound ? file_.data + buffer.offset() : nullptr;
  }

  bool Quantization(const tflite::Tensor& tensor) {
    const tflite::QuantizationParameters* found = tensor.quantization();
    if (found == nullptr) return true;
    if (!Spend(found->scale()) || !Spend(found->zero_point())) return false;
    if (found->details_type() == tflite::QuantizationDetails_BlockwiseQuantization) {
      const auto* blocks = found->details_as_BlockwiseQuantization();
      const int count = static_cast<int>(graph_->tensors()->size());
      if (blocks == nullptr || blocks->scales() < 0 || blocks->scales() >= count || blocks->zero_points() < -1 ||
          blocks->zero_points() >= count || blocks->block_size() <= 0) {
        return Damaged("has blocks without scales");
      }
    }
    if (found->scale() != nullptr) {
      for (const float scale : *found->scale()) {
        if (!(scale >= 0 && scale <= FLT_MAX)) return Damaged("has the scale %g", static_cast<double>(scale));
      }
    }
    if (found->zero_point() != nullptr) {
      int64_t least = INT32_MIN;
      int64_t most = INT32_MAX;
      switch (tensor.type()) {
        case tflite::TensorType_INT4: least = -8, most = 7; break;
        case tflite::TensorType_INT8: least = INT8_MIN, most = INT8_MAX; break;
        case tflite::TensorType_UINT8: least = 0, most = UINT8_MAX; break;
        case tflite::TensorType_INT16: least = INT16_MIN, most = INT16_MAX; break;
        default: break;
      }
      for (const int64_t zero : *found->zero_point()) {
        if (zero < least || zero > most) return Damaged("has the zero point %lld", static_cast<long long>(zero));
      }
    }
    return true;
  }

  // Checks a tensor; `state` becomes what nodes find in it before any of them has run.
  bool Tensor(const tflite::Tensor& tensor, uint8_t* state) {
    if (!Spend(tensor.shape())) return false;
    uint64_t elements = 1;
    bool empty = false;
    if (tensor.shape() != nullptr) {
      for (const int32_t dim : *tensor.shape()) {
        if (dim < 0) return Damaged("has the dimension %d", dim);
        empty = empty || dim == 0;
        elements = elements > kMostElements ? elements : elements * (dim == 0 ? 1 : dim);
      }
    }
    if (elements > kMostElements) return Damaged("has more than 2147483647 elements");
    if (tensor.external_buffer() != 0) return Damaged("has its data in another file");
    size_t bytes;
    bool sound;
    const uint8_t* const data = Constant(tensor, &bytes, &sound);
    if (!sound) return Damaged("has its data outside of the file");
    // Tensors that no node has may be of any dtype.
    if (data != nullptr && tensor.type() == tflite::TensorType_STRING && kStringsAreSound != nullptr) {
      if (!Spend(elements)) return false;
      if (!kStringsAreSound(data, bytes, empty ? 0 : elements)) return Damaged("has strings that do not fit its shape");
    }
    *state = data != nullptr ? kConstant : tensor.is_variable() ? kSet : empty ? kEmpty : kUnset;
    return Quantization(tensor);
  }

  bool Subgraph(int number) {
    number_ = number;
    graph_ = model_.subgraphs()->Get(number);
    node_ = tensor_ = -1;
    const int count = graph_->tensors() != nullptr ? static_cast<int>(graph_->tensors()->size()) : 0;
    const std::unique_ptr<uint8_t[]> states(new uint8_t[count + 1]);
    for (tensor_ = 0; tensor_ < count; ++tensor_) {
      if (!Tensor(*graph_->tensors()->Get(tensor_), &states[tensor_])) return false;
    }
    tensor_ = -1;
    if (graph_->inputs() != nullptr) {
      for (const int index : *graph_->inputs()) {
        if (states[index] == kConstant) return Damaged("has the constant %d as an input", index);
        states[index] = kSet;
      }
    }
    const int nodes = graph_->operators() != nullptr ? static_cast<int>(graph_->operators()->size()) : 0;
    for (node_ = 0; node_ < nodes; ++node_) {
      if (!Node(*graph_->operators()->Get(node_), states.get())) return false;
    }
    node_ = -1;
    if (graph_->outputs() == nullptr) return true;
    for (const int index : *graph_->outputs()) {
      if (states[index] == kUnset) return Damaged("has the output %d, to which no node writes", index);
    }
    return true;
  }

  bool Node(const tflite::Operator& node, uint8_t* states) {
    if (!Spend(node.inputs()) || !Spend(node.outputs())) return false;
    const SelectedOp& op = *FindOp(*model_.operator_codes()->Get(node.opcode_index()));
    if (node.inputs() != nullptr) {
      uint32_t position = 0;
      for (const int index : *node.inputs()) {
        if (index < 0 && !(op.optional_inputs >> (position < 63 ? position : 63) & 1)) {
          return Damaged("has no input %u", position);
        }
        if (index >= 0 && states[index] == kUnset) return Damaged("reads tensor %d before a node writes to it", index);
        ++position;
      }
    }
    if (node.outputs() != nullptr) {
      for (const int index : *node.outputs()) {
        if (index < 0 && !op.optional_outputs) return Damaged("has no tensor for an output");
        if (index < 0) continue;
        if (states[index] >= kSet) {
          return Damaged("writes to tensor %d, which %s", index,
                         states[index] == kConstant ? "is constant" : "is an input or written to already");
        }
        states[index] = kSet;
      }
    }
    const char* const problem = OptionsProblem(op, node, file_);
    return problem == nullptr || Damaged("%s", problem);
  }

  // Follows the calls of a subgraph; in `seen`, 1 is for one whose calls are being followed, 2 for one that is done.
  bool Calls(uint32_t number, uint8_t* seen, int depth) {
    if (seen[number] == 2) return true;
    number_ = static_cast<int>(number);
    graph_ = model_.subgraphs()->Get(number);
    node_ = tensor_ = -1;
    if (seen[number] == 1) return Damaged("calls itself");
    if (depth > kDeepestCall) return Damaged("is called through more than %d others", kDeepestCall);
    seen[number] = 1;
    if (graph_->operators() != nullptr) {
      for (const tflite::Operator* node : *graph_->operators()) {
        CalledSubgraphs called(*FindOp(*model_.operator_codes()->Get(node->opcode_index())), *node);
        int index;
        while (called.Next(&index)) {
          if (index < 0 || static_cast<uint32_t>(index) >= model_.subgraphs()->size()) {
            return Damaged("calls subgraph %d, which does not exist", index);
          }
          if (!Calls(static_cast<uint32_t>(index), seen, depth + 1)) return false;
          number_ = static_cast<int>(number);
          graph_ = model_.subgraphs()->Get(number);
        }
      }
    }
    seen[number] = 2;
    return true;
  }

  bool Signatures() {
    if (model_.signature_defs() == nullptr) return true;
    number_ = node_ = tensor_ = -1;
    for (const tflite::SignatureDef* signature : *model_.signature_defs()) {
      if (signature->subgraph_index() >= model_.subgraphs()->size()) {
        return Damaged("a signature has subgraph %u, which does not exist", signature->subgraph_index());
      }
      const auto* tensors = model_.subgraphs()->Get(signature->subgraph_index())->tensors();
      const uint32_t count = tensors != nullptr ? tensors->size() : 0;
      for (const auto* maps : {signature->inputs(), signature->outputs()}) {
        if (maps == nullptr) continue;
        for (const tflite::TensorMap* map : *maps) {
          if (map->tensor_index() >= count) {
            return Damaged("a signature has tensor %u, which does not exist", map->tensor_index());
          }
        }
      }
    }
    return true;
  }

  const tflite::Model& model_;
  const ModelFile& file_;
  const tflite::SubGraph* graph_ = nullptr;
  int number_ = -1;
  int node_ = -1;
  int tensor_ = -1;
  uint64_t spent_ = 0;
};

}  // namespace

bool CallsAreSound(const tflite::Model& model, const ModelFile& file) { return GraphCheck(model, file).Calls(); }

bool GraphIsSound(const tflite::Model& model, const ModelFile& file) { return GraphCheck(model, file).Sound(); }

}  // namespace litesmith
