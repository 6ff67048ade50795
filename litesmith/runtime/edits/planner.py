"""Changes that give the memory planner of pruned programs smaller tables, with the same content."""

from __future__ import annotations

import re

from litesmith.runtime.edits.patch import Patch, guard, pruned

_PLANNER = "tensorflow/lite/arena_planner.cc"
_PLANNER_H = "tensorflow/lite/arena_planner.h"
_STEP = "PLANNER"

# Hash tables of small numbers become arrays (templates/pruning/planner_tables.h).
PLANNER_PRUNING = (
    Patch(
        path=_PLANNER_H,
        find=re.escape('#include "tensorflow/lite/core/c/common.h"\n'),
        replace='#include "litesmith/planner_tables.h"\n#include "tensorflow/lite/core/c/common.h"\n',
    ),
    pruned(
        _STEP,
        _PLANNER_H,
        "  std::vector<std::unordered_set<int32_t>> nodes_to_tensors_;",
        "  litesmith::TensorsOfNodes nodes_to_tensors_;",
    ),
    pruned(
        _STEP,
        _PLANNER_H,
        "  std::unordered_map<int32_t, int32_t> actual_tensor_id_;",
        "  litesmith::SharedTensors actual_tensor_id_;",
    ),
    pruned(
        _STEP,
        _PLANNER,
        "  nodes_to_tensors_.resize(\n      std::max(graph_info_->num_execution_nodes(), (size_t)1), {});",
        "",
    ),
    Patch(
        path=_PLANNER,
        find=(
            r"  for \(int i = first_node; i <= last_node; \+\+i\) \{\n"
            r"    tensors_to_allocate\.insert\((?:.*\n){3}  \}\n"
        ),
        replace=(
            rf"{guard(_STEP)}\n"
            r"  nodes_to_tensors_.AppendTo(&tensors_to_allocate, first_node, last_node);\n"
            r"#else\n\g<0>#endif\n"
        ),
    ),
)
"""For pruned programs."""
