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
struct Model;
struct Operator;
struct OperatorCode;
enum BuiltinOperator : int32_t;
}  // namespace tflite

namespace litesmith {

struct ModelFile;

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
  const char* options_checks;  // what its numbers mean, see options_check.cc
  uint64_t optional_inputs;    // bit n is set when input n may be left out; bit 63 is for all from there on
  bool optional_outputs;
  bool options_are_a_map;      // of numbers, in FlexBuffers: a custom op of upstream
#ifdef LITESMITH_OWN_READERS
  OptionsReader read_options;  // null if the switch reads them
#endif
};

extern const SelectedOp kSelectedOps[];
extern const size_t kSelectedOpCount;

// The selected op of an entry of the operator-code table, or null.
const SelectedOp* FindOp(const tflite::OperatorCode& code);

#ifdef LITESMITH_OWN_READERS
// Upstream's switch over all ops, for ops without a reader function; null if none of them is selected.
extern TfLiteStatus (*const kReadBySwitch)(const tflite::Operator*, tflite::BuiltinOperator,
                                           tflite::ErrorReporter*, tflite::BuiltinDataAllocator*,
                                           void**);
#endif

// The name of a builtin op, for messages; empty if the code has none.  Valid until the next call.
const char* BuiltinOpName(int code);

// Checks that only some ops and dtypes need; null if none of those was selected, and then they are not linked.
extern bool (*const kCallsAreSound)(const tflite::Model& model, const ModelFile& file);
extern bool (*const kMapIsSound)(const uint8_t* data, size_t bytes);
extern bool (*const kStringsAreSound)(const uint8_t* data, size_t bytes, uint64_t elements);

// Whether the subgraphs that nodes call exist and do not call themselves.
bool CallsAreSound(const tflite::Model& model, const ModelFile& file);

// Whether a map of numbers in FlexBuffers, as custom ops of upstream have it, is consistent.
bool MapIsSound(const uint8_t* data, size_t bytes);

// Whether a string tensor is consistent: int32 count, count + 1 offsets, the bytes
// (tensorflow/lite/string_util.h).
bool StringsAreSound(const uint8_t* data, size_t bytes, uint64_t elements);

// Whether weights in the sparse format can be loaded.
extern const bool kSparseTensors;

// The model inside the program; size 0 if none was embedded.
extern const unsigned char* const kEmbeddedModel;
extern const size_t kEmbeddedModelSize;

}  // namespace litesmith

#endif  // LITESMITH_SELECTED_OPS_H_
