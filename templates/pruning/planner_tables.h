// Tables of the memory planner, as arrays in place of hash tables.

#ifndef LITESMITH_PLANNER_TABLES_H_
#define LITESMITH_PLANNER_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace litesmith {

// The tensors that each node allocates, in place of a vector of sets.
class TensorsOfNodes {
 public:
  class Node {
   public:
    Node(std::vector<int32_t>* pairs, int32_t node) : pairs_(pairs), node_(node) {}
    void insert(int32_t tensor) {
      for (size_t i = 0; i < pairs_->size(); i += 2) {
        if ((*pairs_)[i] == node_ && (*pairs_)[i + 1] == tensor) return;
      }
      pairs_->push_back(node_);
      pairs_->push_back(tensor);
    }

   private:
    std::vector<int32_t>* pairs_;
    int32_t node_;
  };

  void clear() { pairs_.clear(); }
  Node operator[](size_t node) { return Node(&pairs_, static_cast<int32_t>(node)); }

  // Appends the tensors of the nodes from first to last.
  void AppendTo(std::vector<int32_t>* tensors, int32_t first, int32_t last) const {
    for (size_t i = 0; i < pairs_.size(); i += 2) {
      if (pairs_[i] >= first && pairs_[i] <= last) tensors->push_back(pairs_[i + 1]);
    }
  }

 private:
  std::vector<int32_t> pairs_;  // node, tensor, node, tensor, ...
};

// The tensor in whose memory another tensor is, in place of a map.
class SharedTensors {
 public:
  struct iterator {
    int32_t first, second;
    const iterator* operator->() const { return this; }
    bool operator==(const iterator& other) const { return first == other.first; }
    bool operator!=(const iterator& other) const { return first != other.first; }
  };

  void clear() { roots_.clear(); }
  iterator end() const { return {kNone, kNone}; }
  iterator find(int32_t tensor) const {
    if (static_cast<size_t>(tensor) >= roots_.size() || roots_[tensor] == kNone) return end();
    return {tensor, roots_[tensor]};
  }
  void erase(const iterator& found) { roots_[found.first] = kNone; }
  int32_t& operator[](int32_t tensor) {
    while (roots_.size() <= static_cast<size_t>(tensor)) roots_.push_back(kNone);
    return roots_[tensor];
  }

 private:
  static constexpr int32_t kNone = -1;
  std::vector<int32_t> roots_;  // by tensor
};

}  // namespace litesmith

#endif  // LITESMITH_PLANNER_TABLES_H_
