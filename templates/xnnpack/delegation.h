// The part of a program that hands nodes to XNNPACK.

#ifndef LITESMITH_DELEGATION_H_
#define LITESMITH_DELEGATION_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "tensorflow/lite/core/interpreter.h"

namespace litesmith {

// Nodes of every subgraph that XNNPACK runs, and the delegates that do so.  It must outlive the interpreter.
class Delegation {
 public:
  // Hands over what XNNPACK takes, before tensors are allocated.  False when it leaves a node that
  // this program has no other kernel for, or cannot be used at all; the reason is printed.
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
