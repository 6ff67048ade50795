// What the program was built for: the contract between the generated table
// (selected_ops.cc) and the check that runs before a model is loaded.

#ifndef LITESMITH_SELECTED_OPS_H_
#define LITESMITH_SELECTED_OPS_H_

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/core/c/c_api_types.h"

#if defined(LITESMITH_PRUNED) && !defined(LITESMITH_KEEP_SWITCH)
#define LITESMITH_OWN_READERS
#endif

namespace tflite {
class BuiltinDataAllocator;
class ErrorReporter;
struct Operator;
enum BuiltinOperator : int32_t;
}  // namespace tflite

namespace litesmith {

// Reads the options of an op: one of upstream's functions.
using OptionsReader = TfLiteStatus (*)(const tflite::Operator*, tflite::ErrorReporter*,
                                       tflite::BuiltinDataAllocator*, void**);

// Options of newer ops are in a union of their own, whose numbers begin with 1 again.
constexpr int32_t kSecondUnion = 256;

struct SelectedOp {
  int32_t code;          // BuiltinOperator, 32 for custom ops
  const char* name;      // the custom op's name, or the builtin's for messages
  int32_t min_version;
  int32_t max_version;
  uint32_t dtypes;       // bit n is set when TensorType n was selected
  int32_t options;       // BuiltinOptions that the op reads, or kSecondUnion + BuiltinOptions2; 0 for none
  const char* options_fields;  // description of their table, see flatbuffer_check.cc
#ifdef LITESMITH_OWN_READERS
  OptionsReader read_options;  // null if the switch reads them
#endif
};

extern const SelectedOp kSelectedOps[];
extern const size_t kSelectedOpCount;

#ifdef LITESMITH_OWN_READERS
// Upstream's switch over all ops, for ops without a reader function; null if none of them is selected.
extern TfLiteStatus (*const kReadBySwitch)(const tflite::Operator*, tflite::BuiltinOperator,
                                           tflite::ErrorReporter*, tflite::BuiltinDataAllocator*,
                                           void**);
#endif

// The name of a builtin op, for messages; empty if the code has none.  Valid until the next call.
const char* BuiltinOpName(int code);

// Whether weights in the sparse format can be loaded.
extern const bool kSparseTensors;

// The model inside the program; size 0 if none was embedded.
extern const unsigned char* const kEmbeddedModel;
extern const size_t kEmbeddedModelSize;

}  // namespace litesmith

#endif  // LITESMITH_SELECTED_OPS_H_
