#ifndef LITESMITH_FLATBUFFER_CHECK_H_
#define LITESMITH_FLATBUFFER_CHECK_H_

#include <cstddef>

namespace litesmith {

// Whether everything in a .tflite file that the runtime will follow lies inside of the file: what
// upstream's generated verifier does for the whole schema, for those parts that are read.
bool FlatbufferIsSound(const void* data, size_t size);

}  // namespace litesmith

#endif  // LITESMITH_FLATBUFFER_CHECK_H_
