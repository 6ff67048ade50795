"""One small model for every op and each combination of dtypes that its kernel has.

:func:`all_cases` makes them; nothing is stored.  The tests run all of them beside the
reference, and ``ops_registry/`` says from them which dtypes an op was run with.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from litesmith.study.op_models import (
    binary,
    conditions,
    control,
    conversions,
    images,
    indexing,
    matrices,
    others,
    quantisation,
    recurrent,
    reductions,
    shapes,
    unary,
)
from litesmith.study.op_models.writer import Case

FAMILIES = (
    unary,
    binary,
    conversions,
    conditions,
    quantisation,
    shapes,
    indexing,
    reductions,
    matrices,
    images,
    recurrent,
    control,
    others,
)

WITHOUT_A_MODEL: Mapping[str, str] = {}
"""Ops for which there is no model, and why."""


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every model."""
    cases = []
    for family in FAMILIES:
        for make in family.FAMILY:
            for op, label, graph in make():
                name = re.sub(r"[^A-Za-z0-9]+", "_", f"{op} {label}").strip("_")
                cases.append(Case(op=op, name=name, content=graph.content(), samples=dict(graph.samples)))
    return tuple(cases)
