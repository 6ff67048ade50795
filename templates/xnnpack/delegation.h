// Hands nodes of a model to XNNPACK.

#ifndef LITESMITH_DELEGATION_H_
#define LITESMITH_DELEGATION_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "tensorflow/lite/core/interpreter.h"

namespace litesmith {

// The delegates of all subgraphs, and the nodes that they run.  Must outlive the interpreter.
class Delegation {
 public:
  // Delegates what XNNPACK takes, before tensors are allocated.  Prints the reason and returns false if XNNPACK
  // leaves a node that this program has no other kernel for, or does not support this CPU.
  bool Apply(tflite::Interpreter* interpreter, int threads);

  // Members of a JSON object, with a comma after the last one.
  void PrintJson() const;
  void PrintText() const;

 private:
  using Delegate = std::unique_ptr<TfLiteDelegate, void (*)(TfLiteDelegate*)>;

  bool ApplyTo(tflite::Subgraph* graph, int index, int threads);

  std::vector<Delegate> delegates_;
  std::vector<std::vector<int>> nodes_;  // of each subgraph
  int partitions_ = 0;
};

}  // namespace litesmith

#endif  // LITESMITH_DELEGATION_H_
