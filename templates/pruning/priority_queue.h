// A heap of values, in place of std::priority_queue.
//
// Equal values leave it in the order of GCC's std::priority_queue, with which the reference interpreter is
// built, with every C++ library.

#ifndef LITESMITH_PRIORITY_QUEUE_H_
#define LITESMITH_PRIORITY_QUEUE_H_

#include <vector>

#include "litesmith/sort.h"

namespace litesmith {

template <typename Value, typename Less>
class PriorityQueue {
 public:
  explicit PriorityQueue(const Less& less) : less_(less) {}

  bool empty() const { return heap_.empty(); }
  unsigned size() const { return heap_.size(); }
  const Value& top() const { return heap_.front(); }

  void push(const Value& value) {
    heap_.push_back(value);
    RaiseInHeap(heap_.begin(), size() - 1, 0, value, less_);
  }

  void pop() {
    const Value value = heap_.back();
    heap_.pop_back();
    if (!empty()) PutIntoHeap(heap_.begin(), size(), 0, value, less_);
  }

 private:
  std::vector<Value> heap_;
  Less less_;
};

}  // namespace litesmith

#endif  // LITESMITH_PRIORITY_QUEUE_H_
