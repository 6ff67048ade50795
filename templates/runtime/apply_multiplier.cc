// How ruy's portable kernels scale an int32 accumulator to 8 or 16 bits.  Upstream rounds once
// here and twice in its x86 kernels.  This is the arithmetic of the x86 kernels, so that every
// architecture gives the same results as TensorFlow's own interpreter.

#include "ruy/apply_multiplier.h"

#include <cstdint>

namespace ruy {
namespace detail {

std::int32_t MultiplyByQuantizedMultiplier(std::int32_t x, std::int32_t quantized_multiplier, int shift) {
  const int left_shift = shift > 0 ? shift : 0;
  const int right_shift = shift > 0 ? 0 : -shift;
  const auto shifted = static_cast<std::int32_t>(static_cast<std::uint32_t>(x) << left_shift);
  const std::int64_t product = static_cast<std::int64_t>(shifted) * quantized_multiplier;
  const std::int64_t high = (product + (std::int64_t{1} << 30)) >> 31;
  const std::int64_t nudge = right_shift > 0 ? std::int64_t{1} << (right_shift - 1) : 0;
  return static_cast<std::int32_t>((high + nudge) >> right_shift);
}

}  // namespace detail
}  // namespace ruy
