// The ops whose nodes XNNPACK may run: LITESMITH_DELEGATED_OPS lists their codes.

#ifndef LITESMITH_DELEGATED_OPS_H_
#define LITESMITH_DELEGATED_OPS_H_

namespace litesmith {

constexpr bool IsDelegated(int code) {
  constexpr int kCodes[] = {LITESMITH_DELEGATED_OPS};
  for (const int delegated : kCodes) {
    if (delegated == code) return true;
  }
  return false;
}

}  // namespace litesmith

#define LITESMITH_DELEGATED(op) (::litesmith::IsDelegated(op))

#endif  // LITESMITH_DELEGATED_OPS_H_
