"""Changes of XNNPACK, for all programs with it."""

from __future__ import annotations

import re

from litesmith.runtime.edits.patch import Patch

# Half precision gives different answers, so that no graph is rewritten for it.  The memory that XNNPACK
# allocates for weights and for tensors between its nodes is counted, for --json
# (templates/xnnpack/hardware.c).
XNNPACK_PRUNING = (
    Patch(
        path="src/subgraph.c",
        find=re.escape(
            "(flags & XNN_FLAG_HINT_FP16_INFERENCE) && xnn_is_f16_supported_natively(hardware_config);"
        ),
        replace="false;",
    ),
    Patch(
        path="src/subgraph.c",
        find=re.escape("const bool force_fp16 = (flags & XNN_FLAG_FORCE_FP16_INFERENCE);"),
        replace="const bool force_fp16 = false;",
    ),
    # A node whose result is not used must not end the program.
    Patch(path="src/subgraph.c", find=r'xnn_log_fatal\("Node %u has no consumers[^;]*;', replace=""),
    # Removed nodes have no functions, but a split whose first output is not used has them.
    Patch(
        path="src/runtime.c",
        find=r"if \(opdata->operator_objects\[0\] == NULL\) \{(?=\s+// Operator was removed)",
        replace="if (opdata->reshape == NULL) {",
    ),
    # The arguments of a log message are evaluated although logging is off, and the operator may be missing.
    Patch(path="src/runtime.c", find=r'xnn_log_debug\("reshaping operator[^;]*;', replace=""),
    Patch(path="src/runtime.c", find=r'xnn_log_error\("Operator #%u: %s failed reshape[^;]*;', replace=""),
    Patch(
        path="src/operator-utils.c",
        find=r"(?=  memset\(weights_ptr, padding_byte, aligned_weights_size\);)",
        replace="  extern size_t litesmith_packed_weights;\n"
        "  litesmith_packed_weights += aligned_weights_size;\n",
    ),
    Patch(
        path="src/runtime.c",
        find=r"(?=    runtime->workspace->size = mem_arena_size;)",
        replace="    extern size_t litesmith_workspace;\n"
        "    litesmith_workspace += mem_arena_size - runtime->workspace->size;\n",
    ),
)
