#ifndef LITESMITH_GRAPH_CHECK_H_
#define LITESMITH_GRAPH_CHECK_H_

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/schema/schema_generated.h"

namespace litesmith {

// The bytes of a model's file: its buffers may lie behind the flatbuffer.
struct ModelFile {
  const uint8_t* data;
  size_t size;
};

// Whether what a model says of its tensors, nodes and subgraphs makes sense: upstream's kernels take it as it is.
// Every node of the model is of a selected op.  Prints one line to standard error that names what is damaged.
bool GraphIsSound(const tflite::Model& model, const ModelFile& file);

}  // namespace litesmith

#endif  // LITESMITH_GRAPH_CHECK_H_
