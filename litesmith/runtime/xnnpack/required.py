"""Files, operators and micro-kernels of XNNPACK that delegated nodes require."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

from litesmith.runtime.graph import RuntimeNode, RuntimeTensor


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


def require(
    *files: str,
    operators: Iterable[str] = (),
    configs: Iterable[str] = (),
    microkernels: Iterable[RequiredMicrokernels] = (),
    references: Iterable[tuple[str, str, str]] = (),
) -> Requirements:
    """Requirements with file names without folder and suffix, and all micro-kernels of ``configs``."""
    return Requirements(
        files=frozenset(f"src/subgraph/{name}.c" for name in files),
        operators=frozenset(operators),
        microkernels=frozenset((*microkernels, *(RequiredMicrokernels(config=name) for name in configs))),
        references=frozenset(references),
    )


# Dtypes in the names of XNNPACK's operators and configurations: with the quantisation, without it, and
# the width alone.
QUANTIZED = {"float32": "f32", "int8": "qs8", "uint8": "qu8"}
STORED = {"float32": "f32", "int8": "s8", "uint8": "u8"}
WIDTH = {"float32": "x32", "int32": "x32", "int8": "x8", "uint8": "x8"}


def only_output(node: RuntimeNode) -> RuntimeTensor:
    """A node's output."""
    tensor = node.output()
    if tensor is None:
        raise LookupError("the node has no output")
    return tensor


def moved(file: str, operator: str, dtype: str) -> Requirements:
    """What an operator requires that only moves data."""
    return require(file, "reshape-helpers", operators=[f"{operator}_{WIDTH[dtype]}"])
