"""One small model for every op and each combination of dtypes that its kernel has code for.

:func:`all_cases` generates them; nothing is stored.  The tests compare all of them with the reference, and
``ops_registry/`` records from them which dtypes an op was run with.

To add models, write a generator function in the module of the family and list it in the module's ``FAMILY``.
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
    half_precision,
    images,
    indexing,
    matrices,
    narrow_integers,
    others,
    quantisation,
    ranks,
    recurrent,
    reductions,
    shapes,
    stablehlo,
    unary,
    weights,
    windows,
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
    stablehlo,
    windows,
    half_precision,
    narrow_integers,
    weights,
    ranks,
)

WITHOUT_A_MODEL: Mapping[str, str] = {}
"""Ops without a model, and the reason for each."""


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """All models, in a fixed order."""
    cases = []
    for family in FAMILIES:
        for make in family.FAMILY:
            for op, label, graph in make():
                name = re.sub(r"[^A-Za-z0-9]+", "_", f"{op} {label}").strip("_")
                cases.append(Case(op=op, name=name, content=graph.content(), samples=dict(graph.samples)))
    return tuple(cases)
