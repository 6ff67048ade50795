// Sorting for the delegate: lists of nodes and tensors are short and nearly in order.

#ifndef LITESMITH_SORT_FEW_H_
#define LITESMITH_SORT_FEW_H_

#include <functional>

namespace litesmith {

// An insertion sort: std::sort takes 5 KB of code for each type.
template <typename Iterator, typename Less = std::less<>>
void SortFew(Iterator first, Iterator last, Less less = {}) {
  for (Iterator next = first; next != last; ++next) {
    const auto value = *next;
    Iterator place = next;
    for (; place != first && less(value, *(place - 1)); --place) *place = *(place - 1);
    *place = value;
  }
}

}  // namespace litesmith

#endif  // LITESMITH_SORT_FEW_H_
