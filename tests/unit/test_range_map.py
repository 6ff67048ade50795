from __future__ import annotations

import itertools
from random import Random

import pytest

from litesmith.measure.size.range_map import RangeMap


def labelled(ranges: RangeMap[str]) -> list[tuple[int, int, str]]:
    return [(one.start, one.end, one.label) for one in ranges]


def test_an_address_keeps_its_first_label() -> None:
    ranges: RangeMap[str] = RangeMap(100, 200)
    ranges.add(120, 130, "symbol")
    ranges.add(150, 160, "symbol")
    ranges.add(110, 170, "section")
    assert labelled(ranges) == [
        (110, 120, "section"),
        (120, 130, "symbol"),
        (130, 150, "section"),
        (150, 160, "symbol"),
        (160, 170, "section"),
    ]
    assert ranges.unlabelled() == [(100, 110), (170, 200)]
    assert ranges.unlabelled(105, 115) == [(105, 110)]


def test_labels_end_with_the_map() -> None:
    ranges: RangeMap[str] = RangeMap(100, 200)
    ranges.add(0, 110, "before")
    ranges.add(190, 300, "after")
    ranges.add(300, 400, "outside")
    ranges.add(150, 150, "empty")
    assert labelled(ranges) == [(100, 110, "before"), (190, 200, "after")]


@pytest.mark.parametrize("seed", range(30))
def test_ranges_are_those_of_a_table_of_bytes(seed: int) -> None:
    random = Random(seed)
    ranges: RangeMap[int] = RangeMap(10, 90)
    table: dict[int, int] = {}
    for label in range(20):
        start = random.randrange(100)
        end = start + random.randrange(30)
        ranges.add(start, end, label)
        for address in range(max(start, 10), min(end, 90)):
            table.setdefault(address, label)
    found = list(ranges)
    assert {address: one.label for one in found for address in range(one.start, one.end)} == table
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))
    assert all(one.size > 0 for one in found)
    gaps = {address for start, end in ranges.unlabelled() for address in range(start, end)}
    assert gaps == set(range(10, 90)) - set(table)
