"""Sizes and frequencies with units, as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
}
_LARGEST = 1e18
_HERTZ = {"HZ": 1, "KHZ": 10**3, "MHZ": 10**6, "GHZ": 10**9}


def parse_size(value: object) -> object:
    """``512KB``, ``8MiB`` or a plain number → bytes.

    Raises:
        ValueError: not a size.
    """
    return _with_unit(value, _UNITS, "a size such as 512KB or 8MiB")


def parse_frequency(value: object) -> object:
    """``900MHz`` or a plain number → hertz.

    Raises:
        ValueError: not a frequency.
    """
    return _with_unit(value, {"": 1, **_HERTZ}, "a frequency such as 900MHz")


def _with_unit(value: object, units: Mapping[str, int], example: str) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].upper() not in units:
        raise ValueError(f"{example} is expected")
    number = float(match[1]) * units[match[2].upper()]
    if number > _LARGEST:
        raise ValueError("it is too large for any board")
    return round(number)


def human_size(count: int) -> str:
    """Bytes for people: ``1234567`` becomes ``1.18 MiB``."""
    if count < 10 * 1024:
        return f"{count} B"
    if count < 1024 * 1024:
        return f"{count / 1024:.1f} KiB"
    if count < 10 * 1024**3:
        return f"{count / 1024**2:.2f} MiB"
    return f"{count / 1024**3:.1f} GiB"
