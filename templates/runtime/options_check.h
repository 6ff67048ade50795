#ifndef LITESMITH_OPTIONS_CHECK_H_
#define LITESMITH_OPTIONS_CHECK_H_

#include <cstddef>
#include <cstdint>

#include "graph_check.h"
#include "selected_ops.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace litesmith {

// What is wrong with the options of a node, or null: values that kernels divide by, and options outside of the
// file or not of the form that the op's kernel reads without checking.
const char* OptionsProblem(const SelectedOp& op, const tflite::Operator& node, const ModelFile& file);

// The subgraphs that a node calls, one after the other.  Only options of the op's own kind are read: others have
// not been verified.
class CalledSubgraphs {
 public:
  CalledSubgraphs(const SelectedOp& op, const tflite::Operator& node) : op_(op), node_(node) {}

  // Sets `index` to the next one; returns false after the last.
  bool Next(int* index);

 private:
  const SelectedOp& op_;
  const tflite::Operator& node_;
  int field_ = 0;
  uint32_t element_ = 0;
};

}  // namespace litesmith

#endif  // LITESMITH_OPTIONS_CHECK_H_
