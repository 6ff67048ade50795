// Exit codes of the program.

#ifndef LITESMITH_EXIT_CODES_H_
#define LITESMITH_EXIT_CODES_H_

namespace litesmith {

constexpr int kOk = 0;
constexpr int kBadInput = 2;   // bad arguments or files
constexpr int kUnfit = 3;      // the model needs something that this program was built without
constexpr int kRunFailed = 4;  // tensors could not be allocated, or the inference failed

}  // namespace litesmith

#endif  // LITESMITH_EXIT_CODES_H_
