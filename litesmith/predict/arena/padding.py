"""The size of a convolution's or pool's output: ``padding.h``."""

from __future__ import annotations

from collections.abc import Callable

Rule = Callable[[int, int, int, int], int]
"""Size of the image, size of the window, stride, dilation → size of the result."""


def _same(size: int, window: int, stride: int, dilation: int) -> int:  # noqa: ARG001
    return (size + stride - 1) // stride if stride else 0


def _valid(size: int, window: int, stride: int, dilation: int) -> int:
    # Integer division in C++ truncates towards zero.
    return int((size + stride - ((window - 1) * dilation + 1)) / stride) if stride else 0


def rule(padding: str) -> Rule:
    """The rule of a padding, ``SAME`` or ``VALID``."""
    return _same if padding == "SAME" else _valid
