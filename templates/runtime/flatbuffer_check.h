#ifndef LITESMITH_FLATBUFFER_CHECK_H_
#define LITESMITH_FLATBUFFER_CHECK_H_

#include <cstddef>

namespace litesmith {

// Whether everything in a .tflite file that the runtime will follow lies inside the file: the check of
// upstream's generated verifier, but only for the parts of the schema that are read.
bool FlatbufferIsSound(const void* data, size_t size);

}  // namespace litesmith

#endif  // LITESMITH_FLATBUFFER_CHECK_H_
