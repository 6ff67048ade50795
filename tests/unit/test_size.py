from __future__ import annotations

from pathlib import Path

import pytest

from litesmith import kernels, size, zoo
from litesmith.errors import UsageError

MAP = """\
     VMA      LMA     Size Align Out     In      Symbol
   100d4    100d4       20     4 .ARM.exidx
   100d4    100d4       10     4         /c/objects/aa/one.o:(.ARM.exidx)
   10100    10100      100    16 .text
   10100    10100       40     4         /c/objects/aa/one.o:(.text.f)
   10100    10100       40     1                 f
   10140    10140       80     4         /c/objects/bb/two.o:(.text._ZN3fooE)
   101c0    101c0       20     4         /c/libc.a(zig/o/memcpy.o):(.text)
   20000    20000       30     4 .rodata
   20000    20000       10     1         <internal>:(.rodata.str1.1)
   20010    20010       18     4         /c/objects/bb/two.o:(.rodata.x)
   30000    30000      500     4 .bss
   30000    30000      500     4         /c/objects/bb/two.o:(.bss.y)
       0        0       99     1 .comment
       0        0       99     1         <internal>:(.comment)
"""


def test_bytes_by_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "map").write_text(MAP)
    monkeypatch.setattr(size, "_allocated_sections", lambda _: frozenset({".ARM.exidx", ".text", ".rodata"}))
    found = size.bytes_by_object(tmp_path / "map", tmp_path / "program")
    assert found == {
        "/c/objects/aa/one.o": 0x10 + 0x40,
        "/c/objects/bb/two.o": 0x80 + 0x18,
        "/c/libc.a": 0x20,
        # padding and merged strings
        "": 0x10 + 0x20 + 0x18,
    }
    assert sum(found.values()) == 0x20 + 0x100 + 0x30


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("#!/bin/sh\n" * 50)
    with pytest.raises(UsageError, match="is not an ELF program"):
        size.sections(tmp_path / "x")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0x4E819400, True),  # sdot v0.4s, v0.16b, v1.16b
        (0x6E819400, True),  # udot v0.4s, v0.16b, v1.16b
        (0x4F80E010, True),  # sdot v16.4s, v0.16b, v0.4b[0]
        (0x4FA2E818, True),  # sdot v24.4s, v0.16b, v2.4b[3]
        (0x6F80E010, True),  # udot v16.4s, v0.16b, v0.4b[0]
        (0x4E209C00, False),  # mul v0.16b, v0.16b, v0.16b
        (0x4E219400, False),  # mla v0.16b, v0.16b, v1.16b
        (0xD503201F, False),  # nop
        (0x00000000, False),
    ],
)
def test_dot_product_instructions(word: int, expected: bool) -> None:
    assert kernels.is_dot_product(word) is expected


def test_dot_products_in_a_log() -> None:
    log = (
        "0x0040:  4f80e010          .byte    0x10\n0x0044:  4f80e010  sdot\n0x0048:  d503201f          nop\n"
    )
    assert kernels.dot_products(log) == 1
    assert kernels.dot_products("0x0048:  d503201f          nop\n") == 0


@pytest.mark.parametrize(
    ("name", "short"), [("vww", "vww"), ("visual_wake_words", "vww"), ("keyword_spotting", "kws")]
)
def test_zoo_names(name: str, short: str) -> None:
    assert zoo.find(name).name == short


def test_an_unknown_zoo_model() -> None:
    with pytest.raises(UsageError, match="no model 'vvw'") as caught:
        zoo.find("vvw")
    assert caught.value.next_step == "perhaps you meant 'vww'"
