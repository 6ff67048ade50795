"""Textual changes after which programs sort in one order, with every compiler and C++ library.

``std::sort`` leaves open in which order equal elements come, and libraries differ.  The memory planner sorts
tensors by size, so that the offsets of tensors, and with them the size of the arena, would depend on the
library.  Here no two elements are equal, since their indices decide at last.

``sort.h`` and ``priority_queue.h`` in ``templates/pruning/`` take the place of the library.
"""

from __future__ import annotations

import re

from litesmith.runtime.edits.patch import Patch

_LITE = "tensorflow/lite"


def _sort(path: str, *changes: tuple[str, str], before: str, header: str = "sort.h") -> tuple[Patch, ...]:
    """Changes in one file, and the project's header that they need, included ahead of ``before``."""
    include = Patch(
        path=path,
        find=rf"(?={re.escape(f'#include {before}')}\n)",
        replace=f'#include "litesmith/{header}"\n',
    )
    return (
        include,
        *(Patch(path=path, find=re.escape(find), replace=replace) for find, replace in changes),
    )


SORT_ORDER = (
    *_sort(
        f"{_LITE}/arena_planner.cc",
        (
            "    return alloc_node_[idx1] < alloc_node_[idx2];\n",
            "    if (alloc_node_[idx1] != alloc_node_[idx2]) {\n"
            "      return alloc_node_[idx1] < alloc_node_[idx2];\n"
            "    }\n"
            "    return idx1 < idx2;\n",
        ),
        ("std::sort(", "litesmith::Sort("),
        before='"tensorflow/lite/core/c/common.h"',
    ),
    *_sort(
        f"{_LITE}/simple_memory_arena.cc",
        (
            "  std::sort(active_allocs_.begin(), active_allocs_.end());",
            "  litesmith::Sort(active_allocs_.begin(), active_allocs_.end(),\n"
            "                  [](const ArenaAllocWithUsageInterval& left,\n"
            "                     const ArenaAllocWithUsageInterval& right) {\n"
            "                    return left.offset != right.offset ? left.offset < right.offset\n"
            "                                                       : left.tensor < right.tensor;\n"
            "                  });",
        ),
        before='"tensorflow/lite/core/c/common.h"',
    ),
    *_sort(
        f"{_LITE}/graph_info.cc",
        ("std::sort(", "litesmith::Sort("),
        before='"tensorflow/lite/context_util.h"',
    ),
    *_sort(
        f"{_LITE}/kernels/topk_v2.cc",
        ("std::sort(", "litesmith::Sort("),
        before='"tensorflow/lite/core/c/common.h"',
    ),
    *_sort(
        f"{_LITE}/kernels/reverse.cc",
        ("std::sort(", "litesmith::Sort("),
        before='"tensorflow/lite/core/c/common.h"',
    ),
    *_sort(
        f"{_LITE}/kernels/internal/optimized/reduce_utils.h",
        ("std::sort(", "litesmith::Sort("),
        before="<algorithm>",
    ),
    # Of boxes with the same score, the first one comes first.  Classes with the same score come in the order
    # that the reference gives them, with the same algorithm.
    *_sort(
        f"{_LITE}/kernels/detection_postprocess.cc",
        ("std::partial_sort(", "litesmith::PartialSort("),
        (
            "  std::stable_sort(\n"
            "      indices, indices + num_values,\n"
            "      [&values](const int i, const int j) { return values[i] > values[j]; });",
            "  litesmith::Sort(indices, indices + num_values, [&values](const int i, const int j) {\n"
            "    return values[i] > values[j] || (values[i] == values[j] && i < j);\n"
            "  });",
        ),
        before='"tensorflow/lite/core/c/common.h"',
    ),
    *_sort(
        f"{_LITE}/kernels/internal/reference/non_max_suppression.h",
        (
            "std::priority_queue<Candidate, std::deque<Candidate>, decltype(cmp)>",
            "litesmith::PriorityQueue<Candidate, decltype(cmp)>",
        ),
        ("candidate_priority_queue.emplace(", "candidate_priority_queue.push("),
        before="<algorithm>",
        header="priority_queue.h",
    ),
)
"""For TensorFlow Lite."""

# zig's qsort is 4 KB of code.  This is Shell's sort.
_SORT = """
static void litesmith_sort(void* items, size_t count, size_t size, int (*compare)(const void*, const void*)) {
  for (size_t gap = count / 2; gap != 0; gap /= 2) {
    for (size_t i = gap; i < count; i++) {
      for (size_t place = i; place >= gap; place -= gap) {
        char* later = (char*) items + place * size;
        char* earlier = later - gap * size;
        if (compare(earlier, later) <= 0) break;
        for (size_t byte = 0; byte < size; byte++) {
          const char swapped = earlier[byte];
          earlier[byte] = later[byte];
          later[byte] = swapped;
        }
      }
    }
  }
}
"""

XNNPACK_SORT_ORDER = (
    *(
        patch
        for path in ("src/memory-planner.c", "src/operators/reduce-nd.c")
        for patch in (
            Patch(path=path, find=r"(?<=#include <stdlib\.h>\n)", replace=_SORT),
            Patch(path=path, find=r"\bqsort\(", replace="litesmith_sort("),
        )
    ),
    # Of values of the same size, those that live longest come first: this saves up to half of the workspace
    # that the order of their indices takes.
    Patch(
        path="src/memory-planner.c",
        find=re.escape("  return (tensor_size_b > tensor_size_a) - (tensor_size_b < tensor_size_a);\n"),
        replace=(
            "  if (tensor_size_a == tensor_size_b) {\n"
            "    const struct xnn_usage_record* record_a = *(struct xnn_usage_record* const*) a;\n"
            "    const struct xnn_usage_record* record_b = *(struct xnn_usage_record* const*) b;\n"
            "    const uint32_t nodes_a = record_a->last_node - record_a->first_node;\n"
            "    const uint32_t nodes_b = record_b->last_node - record_b->first_node;\n"
            "    if (nodes_a != nodes_b) return (nodes_b > nodes_a) - (nodes_b < nodes_a);\n"
            "    // The records lie in one array, in the order of their values.\n"
            "    return (record_a > record_b) - (record_a < record_b);\n"
            "  }\n"
            "  return (tensor_size_b > tensor_size_a) - (tensor_size_b < tensor_size_a);\n"
        ),
    ),
)
"""For XNNPACK, which uses the C library's ``qsort``."""
