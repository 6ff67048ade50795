"""Damages models through the schema's own classes: the file stays a flatbuffer, and what it says is wrong.

A mutation changes one field: a shape, an index, an offset, an option, a quantisation, a constant, an operator
code, a signature.  :func:`mutated` makes one to three of them, the same for the same number, and says in one
line which.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from tests.hostile import model_mutations, node_mutations
from tests.hostile.damage import Damage

_MEANINGLESS = (OverflowError, TypeError, AssertionError, struct.error, ValueError)

_MUTATIONS = {**node_mutations.MUTATIONS, **model_mutations.MUTATIONS}
_KINDS, _WEIGHTS = tuple(_MUTATIONS), tuple(_MUTATIONS.values())


@dataclass(frozen=True, kw_only=True)
class Mutated:
    """A damaged model, and in one line what was changed."""

    content: bytes
    change: str


def packed(model: Any) -> bytes:
    """The content of the file of a model."""
    builder = flatbuffers.Builder(1 << 17)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def mutated(original: bytes, name: str, number: int) -> Mutated:
    """Mutation ``number`` of a model: always the same for the same model, name and number."""
    for attempt in range(100):
        rng = random.Random(f"{name} {number} {attempt}")
        model = schema.ModelT.InitFromPackedBuf(original, 0)
        changes = []
        try:
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                changes.append(rng.choices(_KINDS, _WEIGHTS)[0](Damage(rng, model)))
            return Mutated(content=packed(model) + b"\0" * rng.choice((0, 0, 64)), change="; ".join(changes))
        except (*_MEANINGLESS, AttributeError, IndexError):
            # The schema's own types cannot express the value, or nothing is left to change.
            continue
    raise AssertionError(f"{name}: no mutation {number}")
