// The ops of a program, for upstream's switch over all ops: LITESMITH_OPS lists their codes.

#ifndef LITESMITH_OPS_H_
#define LITESMITH_OPS_H_

#ifdef LITESMITH_OPS

namespace litesmith {

constexpr bool IsSelected(int code) {
  constexpr int kCodes[] = {LITESMITH_OPS};
  for (const int selected : kCodes) {
    if (selected == code) return true;
  }
  return false;
}

}  // namespace litesmith

#define LITESMITH_UNSELECTED(op) (!::litesmith::IsSelected(BuiltinOperator_##op))
#else
#define LITESMITH_UNSELECTED(op) false
#endif

#endif  // LITESMITH_OPS_H_
