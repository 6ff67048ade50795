// Heap sort, in place of std::sort, std::stable_sort and std::partial_sort.
//
// It has a tenth of their code.  It is not stable: callers give an order in which no two different
// elements are equal, so that the result is the same with every compiler and C++ library.

#ifndef LITESMITH_SORT_H_
#define LITESMITH_SORT_H_

namespace litesmith {

// Moves an element of a heap with the largest element at its front down to its place.
template <typename Iterator, typename Less>
void SiftDown(Iterator heap, unsigned size, unsigned hole, const Less& less) {
  const auto moved = heap[hole];
  for (unsigned child = 2 * hole + 1; child < size; child = 2 * hole + 1) {
    if (child + 1 < size && less(heap[child], heap[child + 1])) ++child;
    if (!less(moved, heap[child])) break;
    heap[hole] = heap[child];
    hole = child;
  }
  heap[hole] = moved;
}

// Puts the smallest elements in order between first and middle; the order of the others is arbitrary.
template <typename Iterator, typename Less>
void PartialSort(Iterator first, Iterator middle, Iterator last, const Less& less) {
  unsigned size = middle - first;
  for (unsigned i = size / 2; i-- > 0;) SiftDown(first, size, i, less);
  for (Iterator other = middle; size != 0 && other != last; ++other) {
    if (!less(*other, *first)) continue;
    const auto largest = *first;
    *first = *other;
    *other = largest;
    SiftDown(first, size, 0, less);
  }
  while (size > 1) {
    --size;
    const auto largest = *first;
    *first = first[size];
    first[size] = largest;
    SiftDown(first, size, 0, less);
  }
}

template <typename Iterator, typename Less>
void Sort(Iterator first, Iterator last, const Less& less) {
  PartialSort(first, last, last, less);
}

template <typename Iterator>
void Sort(Iterator first, Iterator last) {
  PartialSort(first, last, last, [](const auto& left, const auto& right) { return left < right; });
}

}  // namespace litesmith

#endif  // LITESMITH_SORT_H_
