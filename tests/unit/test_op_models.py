from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from litesmith.model import contents
from litesmith.runtime.op_registry import Registry
from litesmith.study.op_models import WITHOUT_A_MODEL, all_cases
from litesmith.study.op_models.writer import packed


def test_names_are_unique() -> None:
    assert not [name for name, count in Counter(case.name for case in all_cases()).items() if count > 1]


def test_every_op_has_a_model_or_a_reason(registry: Registry) -> None:
    ops = {case.op for case in all_cases()}
    assert ops | set(WITHOUT_A_MODEL) == set(registry.by_name())
    assert not ops & set(WITHOUT_A_MODEL)


def test_no_model_is_refused(registry: Registry) -> None:
    for case in all_cases():
        assert registry.problems(contents.analyse_bytes(case.content, case.name)) == (), case.name


@pytest.mark.parametrize(
    ("values", "bits", "expected"),
    [
        # The first element is in the lowest bits; the last byte is filled with zeros.
        ([1, -2, 7], 4, [0xE1, 0x07]),
        ([15, 0], 4, [0x0F]),
        ([1, -1, -2, 0, 1], 2, [0b00_10_11_01, 0b01]),
    ],
)
def test_narrow_integers_are_packed(values: list[int], bits: int, expected: list[int]) -> None:
    assert list(packed(np.array(values), bits)) == expected
