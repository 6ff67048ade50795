// The dtypes that the kernels of one file get to see.
//
// Kernels dispatch on TfLiteTensor::type at run time.  Here its reading can only yield the dtypes
// of LITESMITH_DTYPES, a mask with bit n set for TfLiteType n, so that the compiler drops every
// other branch with all the kernel templates behind it.  The form matters: compilers use a chain
// of constants, and ignore an assumption.  Programs check models before they load them.

#ifndef LITESMITH_DTYPES_H_
#define LITESMITH_DTYPES_H_

// With LITESMITH_DTYPES_LATER, this header is compiled ahead for files with different dtypes, and dtypes_later.h
// has what depends on them.
#if defined(LITESMITH_DTYPES) || defined(LITESMITH_DTYPES_LATER)

namespace litesmith {

template <unsigned kMask>
__attribute__((always_inline)) constexpr TfLiteType ListedDtype(TfLiteType dtype) {
  constexpr TfLiteType kFirst = static_cast<TfLiteType>(__builtin_ctz(kMask));
  constexpr unsigned kOthers = kMask & (kMask - 1);
  if constexpr (kOthers != 0) {
    return dtype == kFirst ? kFirst : ListedDtype<kOthers>(dtype);
  }
#ifdef LITESMITH_TRAP_UNLISTED
  if (dtype != kFirst) __builtin_trap();
#endif
  return kFirst;
}

// Same size and layout as TfLiteType; files with and without it share their tensors.
struct Dtype {
  TfLiteType value;

#ifdef LITESMITH_DTYPES_LATER
  operator TfLiteType() const;
#else
  __attribute__((always_inline)) operator TfLiteType() const { return ListedDtype<LITESMITH_DTYPES>(value); }
#endif
  __attribute__((always_inline)) Dtype& operator=(TfLiteType other) {
    value = other;
    return *this;
  }
  Dtype& operator=(const Dtype&) = default;
};

}  // namespace litesmith

#define LITESMITH_TENSOR_TYPE ::litesmith::Dtype
#else
#define LITESMITH_TENSOR_TYPE TfLiteType
#endif

// Sparse weights are refused where the models have none.
#ifdef LITESMITH_DENSE
#define LITESMITH_SPARSITY(tensor) static_cast<const TfLiteSparsity*>(nullptr)
#else
#define LITESMITH_SPARSITY(tensor) (tensor)->sparsity
#endif

#endif  // LITESMITH_DTYPES_H_
