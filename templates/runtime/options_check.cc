#include "options_check.h"

#include <cstring>

namespace litesmith {
namespace {

using tflite::Operator;

template <typename Options>
bool Windows(const Options* options) {
  return options != nullptr && options->stride_w() > 0 && options->stride_h() > 0;
}

template <typename Options>
bool Dilated(const Options* options) {
  return Windows(options) && options->dilation_w_factor() > 0 && options->dilation_h_factor() > 0;
}

// Whether a node has positive strides, dilations and windows: kernels divide by them.
bool DividesByZero(const Operator& node, int code) {
  switch (code) {
    case tflite::BuiltinOperator_CONV_2D: return !Dilated(node.builtin_options_as_Conv2DOptions());
    case tflite::BuiltinOperator_DEPTHWISE_CONV_2D: return !Dilated(node.builtin_options_as_DepthwiseConv2DOptions());
    case tflite::BuiltinOperator_TRANSPOSE_CONV: return !Windows(node.builtin_options_as_TransposeConvOptions());
    case tflite::BuiltinOperator_CONV_3D:
    case tflite::BuiltinOperator_CONV_3D_TRANSPOSE: {
      const auto* options = node.builtin_options_as_Conv3DOptions();
      return !Dilated(options) || options->stride_d() <= 0 || options->dilation_d_factor() <= 0;
    }
    case tflite::BuiltinOperator_AVERAGE_POOL_2D:
    case tflite::BuiltinOperator_MAX_POOL_2D:
    case tflite::BuiltinOperator_L2_POOL_2D: {
      const auto* options = node.builtin_options_as_Pool2DOptions();
      return !Windows(options) || options->filter_width() <= 0 || options->filter_height() <= 0;
    }
    default: return false;
  }
}

// Whether an op calls subgraphs.  Without its options, it would call the first one, and with it itself.
bool CallsSubgraphs(int code) {
  switch (code) {
    case tflite::BuiltinOperator_IF:
    case tflite::BuiltinOperator_WHILE:
    case tflite::BuiltinOperator_CALL_ONCE:
    case tflite::BuiltinOperator_STABLEHLO_CASE:
    case tflite::BuiltinOperator_STABLEHLO_REDUCE_WINDOW:
    case tflite::BuiltinOperator_STABLEHLO_SCATTER:
    case tflite::BuiltinOperator_STABLEHLO_COMPOSITE: return true;
    default: return false;
  }
}

bool HasOwnOptions(const SelectedOp& op, const Operator& node) {
  if (op.options >= kSecondUnion) {
    return node.builtin_options_2_type() == op.options - kSecondUnion && node.builtin_options_2() != nullptr;
  }
  return op.options != 0 && node.builtin_options_type() == op.options && node.builtin_options() != nullptr;
}

uint64_t Number(const uint8_t* at, int width) {
  uint64_t value = 0;
  memcpy(&value, at, width);
  return value;
}

// A map of numbers in FlexBuffers, as custom ops of upstream have it.  Their readers do not check offsets.
//   … keys' offset, their width, count, values, a byte of type for each, … root, its type, its width
class FlexMap {
 public:
  FlexMap(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool Sound() {
    if (size_ < 3) return false;
    const int root = data_[size_ - 1];
    const int type = data_[size_ - 2];
    width_ = 1 << (type & 3);
    if (!Width(root) || size_ < 2 + static_cast<size_t>(root) || type >> 2 != kMap) return false;
    return Follow(size_ - 2 - root, root, &values_) && Vector();
  }

 private:
  enum : int { kFloat = 3, kIndirectInt = 6, kIndirectFloat = 8, kMap = 9, kBool = 26 };
  // More than any op reads; many nodes may share one map.
  static constexpr uint64_t kMostValues = 64;
  static constexpr size_t kLongestKey = 64;

  static bool Width(uint64_t width) { return width == 1 || width == 2 || width == 4 || width == 8; }

  // From an offset to what it refers to, which lies before it.
  bool Follow(size_t at, int width, size_t* target) const {
    const uint64_t offset = Number(data_ + at, width);
    if (offset > at) return false;
    *target = at - offset;
    return true;
  }

  bool Vector() const {
    if (values_ < 3 * static_cast<size_t>(width_) || values_ > size_) return false;
    const uint64_t count = Number(data_ + values_ - width_, width_);
    const uint64_t key_width = Number(data_ + values_ - 2 * width_, width_);
    size_t keys;
    // For each element a value and its type.
    if (!Width(key_width) || count > kMostValues || count > (size_ - values_) / (width_ + 1) ||
        !Follow(values_ - 3 * width_, width_, &keys) || keys < key_width ||
        Number(data_ + keys - key_width, static_cast<int>(key_width)) != count ||
        count > (size_ - keys) / key_width) {
      return false;
    }
    for (uint64_t i = 0; i < count; ++i) {
      size_t key;
      if (!Follow(keys + i * key_width, static_cast<int>(key_width), &key) ||
          memchr(data_ + key, 0, size_ - key < kLongestKey ? size_ - key : kLongestKey) == nullptr ||
          !Value(i, data_[values_ + count * width_ + i])) {
        return false;
      }
    }
    return true;
  }

  bool Value(uint64_t index, int type) const {
    const int kind = type >> 2;
    if (kind <= kFloat || kind == kBool) return kind != kFloat || width_ != 1;
    size_t target;
    return kind >= kIndirectInt && kind <= kIndirectFloat && Follow(values_ + index * width_, width_, &target) &&
           static_cast<size_t>(1 << (type & 3)) <= size_ - target && (kind != kIndirectFloat || (type & 3) >= 1);
  }

  const uint8_t* const data_;
  const size_t size_;
  int width_ = 1;
  size_t values_ = 0;
};

}  // namespace

const char* OptionsProblem(const SelectedOp& op, const Operator& node, const ModelFile& file) {
  if (DividesByZero(node, op.code)) return "has no stride, dilation or window";
  if (CallsSubgraphs(op.code) && !HasOwnOptions(op, node)) return "has no options";
  if (op.code != tflite::BuiltinOperator_CUSTOM) return nullptr;
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (node.custom_options() != nullptr) {
    data = node.custom_options()->data();
    size = node.custom_options()->size();
  } else if (node.large_custom_options_offset() > 1) {
    const uint64_t offset = node.large_custom_options_offset();
    if (offset > file.size || node.large_custom_options_size() > file.size - offset) {
      return "has its options outside of the file";
    }
    data = file.data + offset;
    size = node.large_custom_options_size();
  }
  if (op.options_are_a_map && !FlexMap(data, size).Sound()) return "has damaged options";
  return nullptr;
}

bool StringsAreSound(const uint8_t* data, size_t bytes, uint64_t elements) {
  constexpr size_t kWord = sizeof(int32_t);
  if (elements > bytes / kWord || bytes < (elements + 2) * kWord || Number(data, kWord) != elements) return false;
  uint64_t before = (elements + 2) * kWord;
  for (uint64_t i = 1; i <= elements + 1; ++i) {
    const uint64_t offset = Number(data + i * kWord, kWord);
    if (offset < before || offset > bytes) return false;
    before = offset;
  }
  return true;
}

bool CalledSubgraphs::Next(int* index) {
  const uint32_t position = position_++;
  const auto one_of = [&](int first, int second) {
    *index = position == 0 ? first : second;
    return position < 2;
  };
  const auto only = [&](int first) {
    *index = first;
    return position == 0;
  };
  if (!HasOwnOptions(op_, node_)) return false;
  if (op_.options < kSecondUnion) {
    if (const auto* found = node_.builtin_options_as_IfOptions()) {
      return one_of(found->then_subgraph_index(), found->else_subgraph_index());
    }
    if (const auto* found = node_.builtin_options_as_WhileOptions()) {
      return one_of(found->cond_subgraph_index(), found->body_subgraph_index());
    }
    const auto* found = node_.builtin_options_as_CallOnceOptions();
    return found != nullptr && only(found->init_subgraph_index());
  }
  if (const auto* found = node_.builtin_options_2_as_StablehloCaseOptions()) {
    const auto* branches = found->branch_subgraph_indices();
    if (branches == nullptr || position >= branches->size()) return false;
    *index = branches->Get(position);
    return true;
  }
  if (const auto* found = node_.builtin_options_2_as_StablehloReduceWindowOptions()) {
    return only(found->body_subgraph_index());
  }
  if (const auto* found = node_.builtin_options_2_as_StablehloScatterOptions()) {
    return only(found->update_computation_subgraph_index());
  }
  const auto* found = node_.builtin_options_2_as_StableHLOCompositeOptions();
  return found != nullptr && only(found->decomposition_subgraph_index());
}

}  // namespace litesmith
