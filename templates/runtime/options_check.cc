#include "options_check.h"

#include <cstring>

namespace litesmith {
namespace {

using tflite::Operator;

// The options of a node, if they are of the kind that its op reads: others have not been verified.
const flatbuffers::Table* OwnOptions(const SelectedOp& op, const Operator& node) {
  const bool second = op.options >= kSecondUnion;
  const int kind = second ? kSecondUnion + node.builtin_options_2_type() : node.builtin_options_type();
  if (op.options == 0 || kind != op.options) return nullptr;
  return static_cast<const flatbuffers::Table*>(second ? node.builtin_options_2() : node.builtin_options());
}

flatbuffers::voffset_t Offset(int field) { return static_cast<flatbuffers::voffset_t>(4 + 2 * field); }

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
  const flatbuffers::Table* const options = OwnOptions(op, node);
  for (int field = 0; op.options_checks[field] != '\0'; ++field) {
    const char check = op.options_checks[field];
    if (check == ' ') continue;
    // Without its options, an op that calls subgraphs would call the first one, and with it itself.
    if (options == nullptr) return "has no options";
    if ((check == 'p' || check == 'q') && options->GetField<int32_t>(Offset(field), check == 'q') <= 0) {
      return "has no stride, dilation or window";
    }
  }
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
  if (op.options_are_a_map && !kMapIsSound(data, size)) return "has damaged options";
  return nullptr;
}

bool MapIsSound(const uint8_t* data, size_t bytes) { return FlexMap(data, bytes).Sound(); }

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
  const flatbuffers::Table* const options = OwnOptions(op_, node_);
  if (options == nullptr) return false;
  for (char check; (check = op_.options_checks[field_]) != '\0'; ++field_) {
    if (check == 'i') {
      *index = options->GetField<int32_t>(Offset(field_++), 0);
      return true;
    }
    if (check != 'v') continue;
    const auto* several = options->GetPointer<const flatbuffers::Vector<int32_t>*>(Offset(field_));
    if (several != nullptr && element_ < several->size()) {
      *index = several->Get(element_++);
      return true;
    }
  }
  return false;
}

}  // namespace litesmith
