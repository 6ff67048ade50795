"""Which precompiled header a file gets, and what it includes after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from litesmith.build.precompiled import HeaderChoice, own_text
from litesmith.runtime.include_closure import IncludeClosure
from litesmith.runtime.pins import COMPONENTS
from litesmith.runtime.source_tree import Source, SourceTree

KERNELS = "tensorflow/lite/kernels"
OPTIMIZED = f"{KERNELS}/internal/optimized/optimized_ops.h"
REFERENCE = f"{KERNELS}/internal/reference/reference_ops.h"
DTYPES = "LITESMITH_DTYPES=0x2"


@pytest.fixture
def choice(tmp_path: Path) -> HeaderChoice:
    """Of a tree with kernels that are optimised (add), reference (neg) and neither (rank)."""
    includes = {
        OPTIMIZED: [REFERENCE],
        REFERENCE: [],
        f"{KERNELS}/kernel_util.h": [],
        f"{KERNELS}/add_shared.h": [OPTIMIZED],
        f"{KERNELS}/add.cc": [f"{KERNELS}/kernel_util.h", f"{KERNELS}/add_shared.h"],
        f"{KERNELS}/neg.cc": [REFERENCE, f"{KERNELS}/kernel_util.h"],
        f"{KERNELS}/rank.cc": [f"{KERNELS}/kernel_util.h"],
        "tensorflow/lite/core/subgraph.cc": [f"{KERNELS}/kernel_util.h", "ruy/ruy.h"],
    }
    packing = {"ruy/ruy.h": ["ruy/pack.h"], "ruy/pack.h": []}
    for component, headers in (("tensorflow", includes), ("ruy", packing)):
        for name, lines in headers.items():
            path = tmp_path / component / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f'#include "{line}"\n' for line in lines))
    sources = {
        one.name: Source(component=one, folder=one.name, archive=one.origins[0].archive)
        for one in COMPONENTS
        if one.name in ("tensorflow", "ruy")
    }
    return HeaderChoice(IncludeClosure(SourceTree(root=tmp_path, sources=sources)))


def test_a_kernel_gets_the_largest_header_that_it_includes(choice: HeaderChoice) -> None:
    texts = {
        name: choice.text_for(f"tensorflow/{KERNELS}/{name}", [DTYPES])
        for name in ("add.cc", "neg.cc", "rank.cc")
    }
    assert f'#include "{OPTIMIZED}"' in (texts["add.cc"] or "")
    assert f'#include "{REFERENCE}"' in (texts["neg.cc"] or "")
    assert OPTIMIZED not in (texts["neg.cc"] or "")
    assert len(set(texts.values())) == 3


def test_other_files_and_unknown_defines_have_none(choice: HeaderChoice) -> None:
    assert choice.text_for("tensorflow/tensorflow/lite/core/subgraph.cc", []) is None
    assert choice.text_for(f"tensorflow/{KERNELS}/add.cc", [DTYPES, "SOMETHING_ELSE"]) is None


def test_only_files_that_see_ruys_packing_depend_on_its_order(choice: HeaderChoice) -> None:
    assert choice.packs("tensorflow/tensorflow/lite/core/subgraph.cc")
    assert not choice.packs(f"tensorflow/{KERNELS}/rank.cc")


def test_the_defines_of_a_file_come_after_the_header() -> None:
    assert own_text([DTYPES, "LITESMITH_DENSE"]) == (
        '#define LITESMITH_DTYPES 0x2\n#define LITESMITH_DENSE 1\n#include "litesmith/dtypes_later.h"\n'
    )
