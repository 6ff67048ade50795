"""The names of ops in a program's messages."""

from __future__ import annotations

from litesmith.runtime.op_registry import PackedNames, Registry
from litesmith.study import op_names


def unpacked(packed: PackedNames) -> list[str]:
    """As templates/project/op_names.cc.j2 does it."""
    names = packed.names.removesuffix("\0").split("\0")
    return ["".join(b if ord(b) < 0x80 else packed.parts[ord(b) - 0x80] for b in name) for name in names]


def test_packed_names_are_the_names(registry: Registry) -> None:
    names, packed = registry.names, registry.runtime.op_names
    assert unpacked(packed) == [names.get(code, "") for code in range(max(names) + 1)]
    plain = sum(len(name) + 1 for name in names.values())
    assert len(packed.names) + sum(len(part) + 1 for part in packed.parts) < 0.7 * plain


def test_a_part_is_replaced_where_that_saves_bytes() -> None:
    packed = op_names.pack({0: "STABLEHLO_ADD", 1: "STABLEHLO_MUL", 3: "STABLEHLO_POW"})
    assert packed.parts == ("STABLEHLO_",)
    assert packed.names == "\x80ADD\0\x80MUL\0\0\x80POW\0"
