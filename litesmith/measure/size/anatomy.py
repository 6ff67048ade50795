"""Where every byte of a program went: :class:`Anatomy`, which is ``symbols.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

CORE = "core runtime"
RUY = "ruy"
GLUE = "glue"
SHARED = "shared by ops"
OP = "op"
CXX_LIBRARY = "libc++"
C_LIBRARY = "libc"
COMPILER_LIBRARY = "compiler runtime"
UNWIND = "unwind tables"
LOADER = "loader tables"
MODEL = "model"
HEADERS = "headers"
DELEGATE = "delegate"
XNNPACK = "XNNPACK"
MICROKERNELS = "micro-kernels"
PADDING = "padding"
UNATTRIBUTED = "unattributed"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The part of a program that bytes belong to: a bucket, and for the buckets of ops which ops."""

    bucket: str
    ops: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``CONV_2D``, ``shared by ADD, MUL`` or the name of the bucket."""
        if self.bucket == OP:
            return self.ops[0]
        return f"shared by {', '.join(self.ops)}" if self.bucket == SHARED else self.bucket


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes with the same owner and the same origin: a symbol, or bytes without one.

    ``section`` is the section of the program, empty outside all sections.  ``symbol`` is the
    linker's name, empty for bytes without a symbol; ``name`` is its demangled form, or a
    description.  ``source`` is the source file or the library, empty for what the linker made.
    ``size`` is in bytes.  ``loaded`` is false for memory that the file has no content for (``.bss``).
    """

    owner: Owner
    section: str
    symbol: str
    name: str
    source: str
    size: int
    loaded: bool


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """All parts of a program, largest first.

    The sizes of the loaded parts add up to what the program's segments take from the file, those
    of the others to ``.bss``.
    """

    parts: tuple[Part, ...]

    def buckets(self, *, loaded: bool = True) -> dict[Owner, int]:
        """Bytes of each owner, largest first."""
        sizes: Counter[Owner] = Counter()
        for part in self.parts:
            if part.loaded == loaded:
                sizes[part.owner] += part.size
        return dict(sizes.most_common())

    def to_json(self) -> list[dict[str, Any]]:
        """The content of ``symbols.json``."""
        return [
            {
                "bucket": part.owner.bucket,
                "ops": part.owner.ops,
                "name": part.name,
                "symbol": part.symbol,
                "section": part.section,
                "source": part.source,
                "size": part.size,
                "loaded": part.loaded,
            }
            for part in self.parts
        ]

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> Anatomy:
        """The anatomy that :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError: the rows have another form.
        """
        return cls(
            parts=tuple(
                Part(
                    owner=Owner(bucket=str(row["bucket"]), ops=tuple(map(str, row["ops"]))),
                    section=str(row["section"]),
                    symbol=str(row["symbol"]),
                    name=str(row["name"]),
                    source=str(row["source"]),
                    size=int(row["size"]),
                    loaded=bool(row["loaded"]),
                )
                for row in rows
            )
        )
