from __future__ import annotations

import struct

import pytest

from litesmith.model import flatbuffer
from litesmith.model.flatbuffer import DamagedError, Span


def table_file(*fields: bytes) -> bytes:
    """A root table with its fields inline, in order and without padding."""
    vtable_size = 4 + 2 * len(fields)
    offsets, inline = [], 4
    for value in fields:
        offsets.append(inline if value else 0)
        inline += len(value)
    vtable = struct.pack(f"<HH{len(fields)}H", vtable_size, inline, *offsets)
    vtable += b"\0" * (-len(vtable) % 4)
    position = 4 + len(vtable)
    return struct.pack("<I", position) + vtable + struct.pack("<i", len(vtable)) + b"".join(fields)


def test_scalars_of_every_kind() -> None:
    root = flatbuffer.root(table_file(b"\xff", struct.pack("<i", -5), struct.pack("<Q", 2**40)))
    assert root.scalar(0, "b") == -1
    assert root.scalar(0, "B") == 255
    assert root.scalar(1, "i") == -5
    assert root.scalar(2, "Q") == 2**40


def test_an_absent_field_has_the_default() -> None:
    root = flatbuffer.root(table_file(b"", b"\x07"))
    assert root.scalar(0, "i", 42) == 42
    assert root.scalar(9, "i", 42) == 42
    assert not root.has(0)
    assert root.has(1)
    assert root.text(0) == ""
    assert root.numbers(0, "i") == ()
    assert root.table(0) is None
    assert root.span(5) is None
    assert list(root.tables(0)) == []


def test_a_vector_and_a_string() -> None:
    data = table_file(struct.pack("<I", 8), struct.pack("<I", 16))
    data += struct.pack("<I3i", 3, 1, -2, 3) + struct.pack("<I", 3) + b"abc\0"
    # The offsets are relative to their own fields: adjust them to the appended data.
    base = len(data) - 24
    fields = base - 8
    data = bytearray(data)
    struct.pack_into("<I", data, fields, base - fields)
    struct.pack_into("<I", data, fields + 4, base + 16 - (fields + 4))
    root = flatbuffer.root(bytes(data))
    assert root.numbers(0, "i") == (1, -2, 3)
    assert root.length(0, 4) == 3
    assert root.text(1) == "abc"
    assert root.span(1) == Span(base + 20, 3)


@pytest.mark.parametrize("size", range(8))
def test_a_file_of_a_few_bytes(size: int) -> None:
    with pytest.raises(DamagedError, match=f"only {size} bytes"):
        flatbuffer.root(b"\0" * size)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (struct.pack("<II", 0xFFFFFFF0, 0), "outside of the file"),
        (struct.pack("<IIi", 8, 0, 100), "no vtable"),
        (struct.pack("<IHHi", 8, 2, 4, 4), "impossible size"),
        (struct.pack("<IHHi", 8, 7, 4, 4), "impossible size"),
        (struct.pack("<IHHi", 8, 400, 4, 4), "impossible size"),
        (struct.pack("<IHHi", 8, 4, 400, 4), "over the end"),
    ],
)
def test_a_damaged_root(data: bytes, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        flatbuffer.root(data)


@pytest.mark.parametrize("offset", [1, 2, 3, 7, 8, 60000])
def test_a_field_outside_its_table(offset: int) -> None:
    data = bytearray(table_file(struct.pack("<i", 1)))
    struct.pack_into("<H", data, 4 + 4, offset)
    with pytest.raises(DamagedError, match="lies outside"):
        flatbuffer.root(bytes(data)).scalar(0, "i")


@pytest.mark.parametrize("length", [2, 1000, 2**31, 2**32 - 1])
def test_a_vector_that_exceeds_the_file(length: int) -> None:
    data = table_file(struct.pack("<I", 4)) + struct.pack("<Ii", length, 0)
    root = flatbuffer.root(data)
    for read in (lambda: root.numbers(0, "i"), lambda: list(root.tables(0)), lambda: root.length(0, 8)):
        with pytest.raises(DamagedError, match="over the end"):
            read()


def test_an_offset_of_zero_does_not_loop_forever() -> None:
    root = flatbuffer.root(table_file(struct.pack("<I", 0)))
    with pytest.raises(DamagedError, match="points at itself"):
        root.table(0)


def test_one_table_behind_a_million_pointers() -> None:
    count = 20000
    vector = struct.pack("<I", count)
    head = table_file(struct.pack("<I", 4))
    slots = len(head) + 4
    # Every slot points back at the root table.
    vector += b"".join(struct.pack("<I", (4 + 8 - (slots + 4 * i)) & 0xFFFFFFFF) for i in range(count))
    root = flatbuffer.root(head + vector)

    def read_again_and_again() -> None:
        for _ in range(100):
            list(root.tables(0))

    with pytest.raises(DamagedError):
        read_again_and_again()


def test_text_that_is_not_utf8() -> None:
    data = table_file(struct.pack("<I", 4)) + struct.pack("<I", 2) + b"\xff\xfe"
    assert flatbuffer.root(data).text(0) == "��"


def test_many_pointers_to_one_table_with_a_large_vtable() -> None:
    """The work is bounded by the size of the file, not by pointers times fields."""
    fields = 30000
    vtable = struct.pack("<HH", 4 + 2 * fields, 8) + struct.pack("<H", 4) + bytes(2 * fields - 2)
    position = 4 + len(vtable)
    head = struct.pack("<I", position) + vtable + struct.pack("<iI", len(vtable), 4)
    count = 50000
    slots = len(head) + 4
    vector = struct.pack("<I", count)
    vector += b"".join(struct.pack("<I", (position - (slots + 4 * i)) & 0xFFFFFFFF) for i in range(count))
    root = flatbuffer.root(head + vector)
    with pytest.raises(DamagedError):
        list(root.tables(0))
