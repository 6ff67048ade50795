#ifndef LITESMITH_MODEL_CHECK_H_
#define LITESMITH_MODEL_CHECK_H_

#include "graph_check.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace litesmith {

enum class Fit {
  kFits,
  kDamaged,  // the model refers to something that does not exist in it, or contradicts itself
  kUnfit,    // the model is sound, but needs something that this program was built without
};

#ifndef LITESMITH_NO_MODEL_CHECK
// Compares a model, whose flatbuffer structure has been verified, with the selection, and checks that it makes sense.
// Prints one line to standard error that names what does not fit.  Allocates a few bytes for each tensor of a subgraph.
Fit CheckModel(const tflite::Model& model, const ModelFile& file);
#endif

}  // namespace litesmith

#endif  // LITESMITH_MODEL_CHECK_H_
