// What dtypes.h leaves out with LITESMITH_DTYPES_LATER: the parts that differ between files that share a
// precompiled header.  Each file includes this header after the precompiled one.

#ifndef LITESMITH_DTYPES_LATER_H_
#define LITESMITH_DTYPES_LATER_H_

#include "tensorflow/lite/core/c/common.h"

#if defined(LITESMITH_DTYPES) && defined(LITESMITH_DTYPES_LATER)

namespace litesmith {

inline __attribute__((always_inline)) Dtype::operator TfLiteType() const {
  return ListedDtype<LITESMITH_DTYPES>(value);
}

}  // namespace litesmith

#endif

#ifdef LITESMITH_DENSE
#undef LITESMITH_SPARSITY
#define LITESMITH_SPARSITY(tensor) static_cast<const TfLiteSparsity*>(nullptr)
#endif

#endif  // LITESMITH_DTYPES_LATER_H_
