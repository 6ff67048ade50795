"""Anatomy + marginal costs → :class:`SizeReport`, which is ``size.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from litesmith.measure.size.anatomy import CORE, OP, SHARED, Anatomy
from litesmith.measure.size.elf import ProgramSize


@dataclass(frozen=True, kw_only=True)
class OpSize:
    """Bytes of one op.

    ``attributed`` is what no other op and no other part of the program uses.  ``marginal`` is what
    the program shrinks by when it is linked without the op, the whole truth about its price.
    """

    attributed: int
    marginal: int


@dataclass(frozen=True, kw_only=True)
class SizeReport:
    """``size.json``.

    ``core``, what is ``attributed`` to the ops, and the ``buckets`` add up to ``binary.loaded``,
    and without the bucket ``headers`` to ``binary.code``.  ``shared`` says which ops share the
    bytes of the bucket ``shared by ops``; ``memory`` has ``binary.bss`` by bucket.
    ``model_check`` is what the program would shrink by without the check of models before
    they are loaded; None where the profile leaves it out.  ``without_ops`` is the code of the
    same program with no op at all.
    """

    binary: ProgramSize
    core: int
    ops: Mapping[str, OpSize]
    buckets: Mapping[str, int]
    shared: Mapping[tuple[str, ...], int]
    memory: Mapping[str, int]
    model_check: int | None
    without_ops: int

    def to_json(self) -> dict[str, Any]:
        """The contract's form, with buckets and more on top of it."""
        return {
            "binary": asdict(self.binary),
            "core": self.core,
            "ops": {name: asdict(size) for name, size in self.ops.items()},
            "buckets": dict(self.buckets),
            "shared": [{"ops": names, "bytes": size} for names, size in self.shared.items()],
            "memory": dict(self.memory),
            "model_check": self.model_check,
            "without_ops": self.without_ops,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SizeReport:
        """The same again.

        Raises:
            KeyError, TypeError, ValueError: the content is of another kind.
        """
        return cls(
            binary=ProgramSize(**{name: int(size) for name, size in content["binary"].items()}),
            core=int(content["core"]),
            ops={
                str(name): OpSize(attributed=int(size["attributed"]), marginal=int(size["marginal"]))
                for name, size in content["ops"].items()
            },
            buckets=_numbers(content["buckets"]),
            shared={tuple(map(str, row["ops"])): int(row["bytes"]) for row in content["shared"]},
            memory=_numbers(content["memory"]),
            model_check=None if content["model_check"] is None else int(content["model_check"]),
            without_ops=int(content["without_ops"]),
        )


def _numbers(content: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(size) for name, size in content.items()}


def report(
    binary: ProgramSize,
    anatomy: Anatomy,
    *,
    without: Mapping[str, int],
    without_ops: int,
    unchecked: int | None,
) -> SizeReport:
    """Sums up a program.

    ``without`` is the code of the program without each op, ``without_ops`` without any,
    ``unchecked`` without its model check.
    """
    ops = dict.fromkeys(without, 0)
    buckets: dict[str, int] = {}
    shared: dict[tuple[str, ...], int] = {}
    for owner, size in anatomy.buckets().items():
        if owner.bucket == OP:
            ops[owner.ops[0]] += size
            continue
        buckets[owner.bucket] = buckets.get(owner.bucket, 0) + size
        if owner.bucket == SHARED:
            shared[owner.ops] = size
    memory: dict[str, int] = {}
    for owner, size in anatomy.buckets(loaded=False).items():
        label = owner.label if owner.bucket == OP else owner.bucket
        memory[label] = memory.get(label, 0) + size
    core = buckets.pop(CORE, 0)
    return SizeReport(
        binary=binary,
        core=core,
        ops={
            name: OpSize(attributed=ops[name], marginal=binary.code - code) for name, code in without.items()
        },
        buckets=dict(sorted(buckets.items())),
        shared=shared,
        memory=memory,
        model_check=None if unchecked is None else binary.code - unchecked,
        without_ops=without_ops,
    )
