"""What each bucket and each op of a program costs: :class:`SizeReport`, which is ``size.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from litesmith.measure.size.anatomy import CORE, OP, SHARED, Anatomy
from litesmith.measure.size.elf import ProgramSize


@dataclass(frozen=True, kw_only=True)
class OpSize:
    """Bytes of one op.

    ``attributed`` are the loaded bytes that no other op and no other part of the program uses.
    ``marginal`` is how much code the program loses when it is linked without the op: its real cost.
    """

    attributed: int
    marginal: int


@dataclass(frozen=True, kw_only=True)
class SizeReport:
    """The sizes of a program in bytes.

    ``core``, the ``attributed`` bytes of the ops, and the ``buckets`` add up to ``binary.loaded``;
    without the bucket ``headers`` they add up to ``binary.code``.  ``shared`` splits the bucket
    ``shared by ops`` by the ops that share the bytes; ``memory`` splits ``binary.bss`` by bucket.
    ``model_check`` is how much code the check of a model before it is loaded takes; None if the
    profile leaves the check out.  ``without_ops`` is the code of the same program without any op.
    """

    binary: ProgramSize
    core: int
    ops: Mapping[str, OpSize]
    buckets: Mapping[str, int]
    shared: Mapping[tuple[str, ...], int]
    memory: Mapping[str, int]
    model_check: int | None
    without_ops: int

    @classmethod
    def of(
        cls,
        binary: ProgramSize,
        anatomy: Anatomy,
        *,
        without: Mapping[str, int],
        without_ops: int,
        unchecked: int | None,
    ) -> SizeReport:
        """Sums up a program.

        ``without`` is the code of the program without each of its ops, ``without_ops`` without any
        op, ``unchecked`` without the check of models; all in bytes.
        """
        attributed = dict.fromkeys(without, 0)
        buckets: Counter[str] = Counter()
        shared: dict[tuple[str, ...], int] = {}
        for owner, size in anatomy.buckets().items():
            if owner.bucket == OP:
                attributed[owner.ops[0]] += size
                continue
            buckets[owner.bucket] += size
            if owner.bucket == SHARED:
                shared[owner.ops] = size
        memory: Counter[str] = Counter()
        for owner, size in anatomy.buckets(loaded=False).items():
            memory[owner.label if owner.bucket == OP else owner.bucket] += size
        core = buckets.pop(CORE, 0)
        return cls(
            binary=binary,
            core=core,
            ops={
                name: OpSize(attributed=attributed[name], marginal=binary.code - code)
                for name, code in without.items()
            },
            buckets=dict(sorted(buckets.items())),
            shared=shared,
            memory=dict(memory),
            model_check=None if unchecked is None else binary.code - unchecked,
            without_ops=without_ops,
        )

    def parts(self) -> dict[str, int]:
        """Bytes of the core, of each bucket, op, and set of ops that share code; all of ``binary.loaded``."""
        shared = {f"shared by {', '.join(names)}": size for names, size in self.shared.items()}
        buckets = {name: size for name, size in self.buckets.items() if name != SHARED}
        ops = {name: size.attributed for name, size in self.ops.items()}
        return {CORE: self.core, **buckets, **shared, **ops}

    def to_json(self) -> dict[str, Any]:
        """The content of ``size.json``."""
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
        """The report that :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: the content has another form.
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
