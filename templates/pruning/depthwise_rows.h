// Which row kernels a depthwise convolution needs: LITESMITH_DEPTHWISE_ROWS lists stride, input
// depth and depth multiplier of every node of the models.

#ifndef LITESMITH_DEPTHWISE_ROWS_H_
#define LITESMITH_DEPTHWISE_ROWS_H_

#ifdef LITESMITH_DEPTHWISE_ROWS

namespace litesmith {

constexpr int kDepthwiseRows[] = {LITESMITH_DEPTHWISE_ROWS};

// Upstream's own condition for a kernel, asked of each node; a fixed depth of 0 is any depth.
constexpr bool NeedsDepthwiseRow(bool allow_strided, int fixed_input_depth, int fixed_depth_multiplier) {
  constexpr int kNumbers = sizeof(kDepthwiseRows) / sizeof(int);
  for (int i = 0; i < kNumbers; i += 3) {
    if ((kDepthwiseRows[i] == 1 || allow_strided) &&
        (kDepthwiseRows[i + 1] == fixed_input_depth || fixed_input_depth == 0) &&
        kDepthwiseRows[i + 2] == fixed_depth_multiplier) {
      return true;
    }
  }
  return false;
}

}  // namespace litesmith

#define LITESMITH_DEPTHWISE_ROW(allow_strided, depth, multiplier) \
  litesmith::NeedsDepthwiseRow(allow_strided, depth, multiplier)
#else
#define LITESMITH_DEPTHWISE_ROW(allow_strided, depth, multiplier) true
#endif

#endif  // LITESMITH_DEPTHWISE_ROWS_H_
