"""Changes that leave parts of ruy out of pruned programs."""

from __future__ import annotations

import re

from litesmith.runtime.edits.patch import Patch, guard, never, pruned

# The portable kernels are never chosen if NEON is part of the instruction set.  Packed matrices are never
# kept for later, because caching is never enabled.  Few ops multiply in the other storage order
# (``OTHER_ORDER`` in runtime/pruning.py).
RUY_PRUNING = (
    # A failed check names its line; the text of its condition is left out.
    pruned(
        "RUY",
        "ruy/check_macros.h",
        '    fprintf(stderr, "%s:%d: %s condition not satisfied: %s\\n", file, line,\n'
        "            macro, condition_str);",
        '    fprintf(stderr, "%s:%d: check failed\\n", file, line);',
    ),
    Patch(
        path="ruy/check_macros.h",
        find=r"    char lhs_value_buf\[kValueBufSize\];\n(?:.*\n)+?        rhs_value_buf\);\n",
        replace=(
            rf"{guard('RUY')}\n"
            r'    fprintf(stderr, "%s:%d: check failed\\n", file, line);'
            r"\n#else\n\g<0>#endif\n"
        ),
    ),
    Patch(
        path="ruy/path.h",
        find=re.escape("constexpr Path kDefaultPaths = Path::kStandardCpp | kDefaultArchPaths;"),
        replace=(
            f"{guard('RUY')} && RUY_PLATFORM_NEON\n"
            "constexpr Path kDefaultPaths = kDefaultArchPaths;\n"
            "#else\n"
            "constexpr Path kDefaultPaths = Path::kStandardCpp | kDefaultArchPaths;\n"
            "#endif"
        ),
    ),
    # Programs choose no paths by the environment.
    never("RUY", "ruy/ctx.cc", "int GetHexIntEnvVarOrZero(const char* name) {", "0"),
    never(
        "RUY",
        "ruy/prepare_packed_matrices.cc",
        "bool ShouldCache(const TrMulParams& params, Side side) {",
        "false",
    ),
    Patch(
        path="ruy/pack.h",
        find=r"  if \(src\.layout\.order == Order::kColMajor\) \{",
        replace="#ifdef LITESMITH_ONE_ORDER\n  constexpr bool kColMajor = true;\n#else\n"
        "  const bool kColMajor = src.layout.order == Order::kColMajor;\n#endif\n  if (kColMajor) {",
    ),
)
