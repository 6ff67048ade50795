// What the program was built for: the contract between the generated table
// (selected_ops.cc) and the check that runs before a model is loaded.

#ifndef LITESMITH_SELECTED_OPS_H_
#define LITESMITH_SELECTED_OPS_H_

#include <cstddef>
#include <cstdint>

namespace litesmith {

struct SelectedOp {
  int32_t code;          // BuiltinOperator, 32 for custom ops
  const char* name;      // the custom op's name, or the builtin's for messages
  int32_t min_version;
  int32_t max_version;
  uint32_t dtypes;       // bit n is set when TensorType n was selected
  int32_t options;       // BuiltinOptions that the op reads, 0 for none
  const char* options_fields;  // their signs, see flatbuffer_check.cc
};

extern const SelectedOp kSelectedOps[];
extern const size_t kSelectedOpCount;

// Whether weights in the sparse format can be loaded.
extern const bool kSparseTensors;

// The model inside of the program; size 0 where none was embedded.
extern const unsigned char* const kEmbeddedModel;
extern const size_t kEmbeddedModelSize;

}  // namespace litesmith

#endif  // LITESMITH_SELECTED_OPS_H_
