"""The changes that give programs one order of sorting."""

from __future__ import annotations

import re

import pytest

from litesmith.runtime.edits.patch import Patch
from litesmith.runtime.edits.sort_order import SORT_ORDER
from litesmith.runtime.pins import COMPONENTS

SOURCES = {patch.path for patch in SORT_ORDER}


def test_they_are_made_in_the_sources() -> None:
    (tensorflow,) = (one for one in COMPONENTS if one.name == "tensorflow")
    assert set(SORT_ORDER) <= set(tensorflow.patches)


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_a_file_that_sorts_includes_the_header_once(path: str) -> None:
    patches = [patch for patch in SORT_ORDER if patch.path == path]
    assert sum(one.replace.startswith('#include "litesmith/') for one in patches) == 1
    assert any("litesmith::" in one.replace for one in patches)


def apply(patches: list[Patch], text: str) -> str:
    for patch in patches:
        text, count = re.subn(patch.find, patch.replace, text)
        assert count, patch.find
    return text


def test_boxes_with_the_same_score_stay_in_their_order() -> None:
    compare = "      [&values](const int i, const int j) { return values[i] > values[j]; });\n"
    before = (
        '#include "tensorflow/lite/core/c/common.h"\n'
        f"    std::partial_sort(\n{compare}"
        f"  std::stable_sort(\n      indices, indices + num_values,\n{compare}"
    )
    after = apply([one for one in SORT_ORDER if one.path.endswith("detection_postprocess.cc")], before)
    assert "std::" not in after
    assert after.count("values[i] == values[j] && i < j") == 1
