"""Files, operators and micro-kernels of XNNPACK that delegated nodes require."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, order=True)
class RequiredMicrokernels:
    """Micro-kernels of one configuration (``xnn_init_…_config``).

    ``kind`` is ``gemm``, ``gemm1``, ``igemm``, ``igemm1`` (1: for a single row) or ``dwconv``; empty stands
    for all micro-kernels of the configuration.  ``taps`` is the filter size of a ``dwconv``, else 0.
    """

    config: str
    kind: str = ""
    taps: int = 0


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What nodes require of XNNPACK.

    ``files`` are files of ``src/subgraph``, ``operators`` are the names after ``xnn_create_``.
    ``references`` are portable functions that take the place of micro-kernels, each as its kind (``unary``
    or ``binary``), the operator and the dtype.
    """

    files: frozenset[str] = field(default_factory=frozenset)
    operators: frozenset[str] = field(default_factory=frozenset)
    microkernels: frozenset[RequiredMicrokernels] = field(default_factory=frozenset)
    references: frozenset[tuple[str, str, str]] = field(default_factory=frozenset)

    def __or__(self, other: Requirements) -> Requirements:
        return Requirements(
            files=self.files | other.files,
            operators=self.operators | other.operators,
            microkernels=self.microkernels | other.microkernels,
            references=self.references | other.references,
        )


def joined(several: Iterable[Requirements]) -> Requirements:
    """All of these requirements in one."""
    return functools.reduce(Requirements.__or__, several, Requirements())
