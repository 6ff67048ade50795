"""An estimate of a program's size, and how accurate estimates of its kind are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_UNKNOWN_ERROR = 0.1
"""The error, as a share, of costs that have not been compared with models yet."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The errors of estimates for models that are not part of the measurement, as shares.

    ``median`` and ``worst`` are over all ``models``.  ``unseen`` is for ops with dtypes that were not
    measured: the error that 95 of 100 single-op models keep within when their own op and dtypes are left out.
    """

    models: int
    median: float
    worst: float
    worst_model: str
    unseen_median: float
    unseen: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The bytes of code that a program will have.

    ``error`` is the largest error of such estimates, as a share.  ``ops`` are the bytes that the program
    would shrink by without each op.  ``approximate`` are ops whose dtypes were not measured.  ``kernels``
    says which kernels run the nodes: ``builtin`` or ``xnnpack``, and ``kernels_reason`` why.  ``notes`` has a
    line for each model of which XNNPACK was asked to take nodes, and takes none.
    """

    code: int
    error: float
    base: int
    ops: Mapping[str, int]
    approximate: tuple[str, ...]
    made_with: str
    kernels: str = "builtin"
    kernels_reason: str = "as asked"
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "code": self.code,
            "error": self.error,
            "low": round(self.code * (1 - self.error)),
            "high": round(self.code * (1 + self.error)),
            "without_ops": self.base,
            "ops": dict(self.ops),
            "approximate": self.approximate,
            "made_with": self.made_with,
            "kernels": self.kernels,
            "kernels_reason": self.kernels_reason,
        }


def error_of(accuracy: Accuracy | None, *, approximate: bool) -> float:
    """The error of an estimate as a share; ``approximate`` where something in it was not measured."""
    if accuracy is None:
        return _UNKNOWN_ERROR
    return accuracy.unseen if approximate else accuracy.worst
