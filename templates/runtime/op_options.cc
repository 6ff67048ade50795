// Reads the options of ops through the table of selected ops.  Upstream's switch over all ops would link
// the readers of all of them, or would have to be compiled again for each set of ops.

#include "selected_ops.h"

#ifdef LITESMITH_OWN_READERS

namespace tflite {

// Declared in upstream's flatbuffer_conversions.h; upstream's own definition is renamed.
TfLiteStatus ParseOpData(const Operator* op, BuiltinOperator op_type, ErrorReporter* error_reporter,
                         BuiltinDataAllocator* allocator, void** builtin_data) {
  *builtin_data = nullptr;
  for (size_t i = 0; i < litesmith::kSelectedOpCount; ++i) {
    const litesmith::SelectedOp& selected = litesmith::kSelectedOps[i];
    if (selected.code != op_type || selected.options == 0) continue;
    if (selected.read_options != nullptr) {
      return selected.read_options(op, error_reporter, allocator, builtin_data);
    }
    return litesmith::kReadBySwitch(op, op_type, error_reporter, allocator, builtin_data);
  }
  return kTfLiteOk;
}

}  // namespace tflite

#endif  // LITESMITH_OWN_READERS
