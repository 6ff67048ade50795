"""Merged sections: strings and constants of which the linker keeps one copy for the whole program.

A section with ``SHF_MERGE`` consists of entries, which the linker compares: with ``SHF_STRINGS``
strings that end in a zero, otherwise constants of ``sh_entsize`` bytes (System V gABI, "Sections").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from litesmith.measure.size.elf import Elf


def merged_entries(elf: Elf) -> Iterator[bytes]:
    """The entries of all sections of an object that the linker may merge."""
    for section in elf.sections():
        if section.merged and section.size:
            content = elf.content(section)
            if section.strings:
                yield from split_strings(content, section.entry or 1)
            else:
                yield from split_constants(content, section.entry or len(content))


def split_strings(content: bytes, width: int = 1) -> Iterator[bytes]:
    """Strings of characters of ``width`` bytes, each with the zero that ends it."""
    start = 0
    zero = bytes(width)
    while start < len(content):
        end = content.find(zero, start)
        while end >= 0 and (end - start) % width:
            end = content.find(zero, end + 1)
        end = len(content) if end < 0 else end + width
        yield content[start:end]
        start = end


def split_constants(content: bytes, size: int) -> Iterator[bytes]:
    """Constants of ``size`` bytes."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


@dataclass(frozen=True, kw_only=True)
class MergedKind:
    """What a merged section holds, by its name.

    ``.rodata.str1.4`` holds strings that are aligned to 4 bytes, ``.rodata.cst8`` constants of 8
    bytes.  ``constant_size`` is None for strings, ``alignment`` is 1 for constants.
    """

    constant_size: int | None
    alignment: int

    @classmethod
    def of(cls, name: str) -> MergedKind | None:
        """The kind of the section ``name``; None when the name does not say."""
        if ".str" in name:
            alignment = name.rsplit(".", 1)[-1]
            return cls(constant_size=None, alignment=int(alignment) if alignment.isdigit() else 1)
        size = name.rsplit("cst", 1)[-1]
        return cls(constant_size=int(size), alignment=1) if size.isdigit() else None

    @property
    def strings(self) -> bool:
        """Whether the section holds strings."""
        return self.constant_size is None

    def split(self, content: bytes) -> Iterator[bytes]:
        """The entries of a section of this kind."""
        if self.constant_size is None:
            return split_strings(content)
        return split_constants(content, self.constant_size)
