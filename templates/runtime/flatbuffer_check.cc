// A verifier of flatbuffers that reads a description of the schema instead of being generated
// from it: a tenth of the generated code.
//
// A table is described by one character for each of its fields, in the order of schema.fbs:
//   1 2 4 8   a number of that many bytes     a b d h   a vector of such numbers
//   s         a string                        A .. Z    another table; *A a vector of them
//   ? !       the options of an op            ~         an index vector of a sparse tensor
//   ^         the details of a quantisation   -         a field that is not read
// The one-byte field before ? ! ~ or ^ is the type of the union: which table follows.

#include "flatbuffer_check.h"

#include <cstdint>
#include <cstring>

#include "selected_ops.h"

#if defined(LITESMITH_PRUNED) && !defined(LITESMITH_KEEP_VERIFIER)

namespace litesmith {
namespace {

const char* Fields(char table) {
  switch (table) {
    case 'M': return "4*C*G-*B--*S";  // Model
    case 'C': return "1s44";          // OperatorCode
    case 'G': return "*Tdd*Os";       // SubGraph
    case 'T': return "d14sQ1Pd1-4";   // Tensor
    case 'Q': return "--dh1^4";       // QuantizationParameters
    case 'P': return "dd*D";          // SparsityParameters
    case 'D': return "141~1~";        // DimensionMetadata
    case 'O': return "4dd1?a1-d881!"; // Operator
    case 'B': return "a88";           // Buffer
    case 'S': return "*N*Ns-4";       // SignatureDef
    default: return "s4";             // TensorMap
  }
}

// Types that no selected op reads need no description: the runtime does not follow them.
const char* OptionsFields(int type) {
  for (size_t i = 0; i < kSelectedOpCount; ++i) {
    if (kSelectedOps[i].options == type) return kSelectedOps[i].options_fields;
  }
  return "";
}

// Only BlockwiseQuantization is read.
const char* QuantizationFields(int type) { return type == 2 ? "444" : ""; }

const char* SparseFields(int type) { return type == 1 ? "d" : type == 2 ? "b" : type == 3 ? "a" : ""; }

// Names are looked at byte by byte, and any number of tensors may share one.
constexpr uint64_t kMostNameBytes = 1 << 28;

class Verifier {
 public:
  Verifier(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool Table(size_t at, const char* fields) {
    // The limit of upstream's verifier: any number of offsets may point to the same table.
    if (++tables_ > 1000000 || !Number(at, 4)) return false;
    const size_t vtable = at - static_cast<size_t>(static_cast<ptrdiff_t>(Read<int32_t>(at)));
    if (!Number(vtable, 2)) return false;
    const size_t length = Read<uint16_t>(vtable);
    if (length % 2 != 0 || length < 4 || length > size_ - vtable) return false;
    int type = 0;
    for (size_t slot = vtable + 4; *fields != '\0'; ++fields, slot += 2) {
      const bool vector = *fields == '*';
      fields += vector;
      const size_t offset = slot + 2 <= vtable + length ? Read<uint16_t>(slot) : 0;
      if (offset == 0) {
        type = 0;
      } else if (*fields != '-') {
        if (!Field(at + offset, *fields, vector, type)) return false;
        type = *fields == '1' ? data_[at + offset] : 0;
      }
    }
    return true;
  }

  bool Reference(size_t at, char table) {
    return Follow(&at) && Table(at, Fields(table));
  }

 private:
  template <typename T>
  T Read(size_t at) const {
    T value;
    memcpy(&value, data_ + at, sizeof(T));
    return value;
  }

  bool Number(size_t at, size_t bytes) const { return at % bytes == 0 && at < size_ && bytes <= size_ - at; }

  // From a field to what it refers to.
  bool Follow(size_t* at) const {
    if (!Number(*at, 4)) return false;
    const uint32_t offset = Read<uint32_t>(*at);
    if (offset == 0 || offset > INT32_MAX || offset >= size_ - *at) return false;
    *at += offset;
    return true;
  }

  bool Vector(size_t* at, size_t element_bytes, size_t* count) const {
    if (!Follow(at) || !Number(*at, 4)) return false;
    *count = Read<uint32_t>(*at);
    *at += 4;
    return *count <= (size_ - *at) / element_bytes;
  }

  // Names are printed: a terminal must not take parts of them for commands (C0, DEL, and C1 in UTF-8).
  static bool Plain(const uint8_t* name) {
    for (; *name != 0; ++name) {
      if (*name < 0x20 || *name == 0x7f || (*name == 0xc2 && name[1] < 0xa0)) return false;
    }
    return true;
  }

  bool Field(size_t at, char sign, bool vector, int type) {
    size_t count;
    if (vector) {
      if (!Vector(&at, 4, &count)) return false;
      for (; count > 0; --count, at += 4) {
        if (!Reference(at, sign)) return false;
      }
      return true;
    }
    switch (sign) {
      case '1':
      case '2':
      case '4':
      case '8': return Number(at, sign - '0');
      case 'a':
      case 'b':
      case 'd':
      case 'h': return Vector(&at, sign - 'a' + 1, &count);
      case 's':
        return Vector(&at, 1, &count) && count < size_ - at && data_[at + count] == 0 &&
               (name_bytes_ += count) <= kMostNameBytes && Plain(data_ + at);
      case '?': return Follow(&at) && Table(at, OptionsFields(type));
      case '!': return Follow(&at) && Table(at, OptionsFields(kSecondUnion + type));
      case '^': return Follow(&at) && Table(at, QuantizationFields(type));
      case '~': return Follow(&at) && Table(at, SparseFields(type));
      default: return Reference(at, sign);
    }
  }

  const uint8_t* const data_;
  const size_t size_;
  int tables_ = 0;
  uint64_t name_bytes_ = 0;
};

}  // namespace

bool FlatbufferIsSound(const void* data, size_t size) {
  constexpr size_t kHeader = 8;
  return size >= kHeader && memcmp(static_cast<const char*>(data) + 4, "TFL3", 4) == 0 &&
         Verifier(static_cast<const uint8_t*>(data), size).Reference(0, 'M');
}

}  // namespace litesmith

#endif  // LITESMITH_PRUNED
