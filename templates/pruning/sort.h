// Heap sort, in place of std::sort, std::stable_sort and std::partial_sort.
//
// It has a tenth of their code, and gives the same result with every compiler and C++ library, also where
// elements are equal: their order is then that of GCC's std::partial_sort, with which the reference
// interpreter is built.

#ifndef LITESMITH_SORT_H_
#define LITESMITH_SORT_H_

namespace litesmith {

// Puts a value into a heap, with the largest element at its front: where `free` is, or above, up to `top`.
template <typename Iterator, typename Value, typename Less>
void RaiseInHeap(Iterator heap, unsigned free, unsigned top, const Value value, const Less& less) {
  while (free > top) {
    const unsigned parent = (free - 1) / 2;
    if (!less(heap[parent], value)) break;
    heap[free] = heap[parent];
    free = parent;
  }
  heap[free] = value;
}

// Puts a value into the part of a heap below its free element `top`.
template <typename Iterator, typename Value, typename Less>
void PutIntoHeap(Iterator heap, unsigned size, unsigned top, const Value value, const Less& less) {
  unsigned free = top;
  while (2 * free + 1 < size) {
    unsigned child = 2 * free + 2;
    if (child == size || less(heap[child], heap[child - 1])) --child;
    heap[free] = heap[child];
    free = child;
  }
  RaiseInHeap(heap, free, top, value, less);
}

// Puts the smallest elements in order between first and middle; the order of the others is arbitrary.
template <typename Iterator, typename Less>
void PartialSort(Iterator first, Iterator middle, Iterator last, const Less& less) {
  unsigned size = middle - first;
  for (unsigned i = size / 2; i-- > 0;) PutIntoHeap(first, size, i, first[i], less);
  for (Iterator other = middle; size != 0 && other != last; ++other) {
    if (!less(*other, *first)) continue;
    const auto smaller = *other;
    *other = *first;
    PutIntoHeap(first, size, 0, smaller, less);
  }
  while (size > 1) {
    --size;
    const auto value = first[size];
    first[size] = *first;
    PutIntoHeap(first, size, 0, value, less);
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
