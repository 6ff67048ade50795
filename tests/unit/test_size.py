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


def test_bytes_by_object() -> None:
    found = size.bytes_by_object(MAP, {".ARM.exidx": 0x20, ".text": 0x100, ".rodata": 0x30})
    assert found == {
        "/c/objects/aa/one.o": 0x10 + 0x40,
        "/c/objects/bb/two.o": 0x80 + 0x18,
        "/c/libc.a": 0x20,
        # padding and merged strings
        "": 0x10 + 0x20 + 0x18,
    }
    assert sum(found.values()) == 0x20 + 0x100 + 0x30


GNU_MAP = """\
Archive member included to satisfy reference by file (symbol)

/c/objects/aa/one.o           (unused)
Discarded input sections

 .text._ZN7unusedE
                0x0000000000000000       0x9c /c/objects/aa/one.o

Linker script and memory map

LOAD /c/objects/aa/one.o
                0x0000000000010154                . = (SEGMENT_START ("text-segment", 0x10000))

.interp         0x0000000000010154       0x19
 *(.interp)
 .interp        0x0000000000010154       0x19 /usr/lib/crt1.o

.dynsym         0x0000000000010170      0x6e0
 .dynsym        0x0000000000010170      0x6e0 /usr/lib/crt1.o

.text           0x0000000000010900      0x200
 *(.text.unlikely .text.*_unlikely)
 .text          0x0000000000010900       0x40 /c/my objects äö/aa/one.o
                0x0000000000010900                main
 .text._ZN3fooEverylongindeed
                0x0000000000010940       0x80 /c/objects/bb/two.o
                0x0000000000010940                foo(int)
 *fill*         0x00000000000109c0        0x4
 .text          0x00000000000109c4       0x20 /usr/lib/libc.a(memcpy.o)

.rodata.str1.1.output
                0x0000000000020000       0x30
 .rodata.str1.1
                0x0000000000020000       0x10 /c/objects/bb/two.o
                                         0x5e (size before relaxing)

.bss            0x0000000000030000      0x500
 .bss.y         0x0000000000030000      0x500 /c/objects/bb/two.o
.comment        0x0000000000000000       0x1f
 .comment       0x0000000000000000       0x1f /c/objects/bb/two.o
"""


def test_bytes_by_object_of_gnu_ld() -> None:
    sections = {".interp": 0x19, ".dynsym": 0x6E0, ".text": 0x200, ".rodata.str1.1.output": 0x30}
    found = size.bytes_by_object(GNU_MAP, sections)
    assert found == {
        "/usr/lib/crt1.o": 0x19,
        "/c/my objects äö/aa/one.o": 0x40,
        "/c/objects/bb/two.o": 0x80 + 0x10,
        "/usr/lib/libc.a": 0x20,
        # symbols for the loader, padding, and what the map does not explain
        "": 0x6E0 + (0x200 - 0x40 - 0x80 - 0x20) + 0x20,
    }
    assert sum(found.values()) == sum(sections.values())


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("#!/bin/sh\n" * 50)
    with pytest.raises(UsageError, match="is not an ELF program"):
        size.sections(tmp_path / "x")


def test_kernels_in_a_log() -> None:
    log = (
        "IN: _ZN3ruy21Kernel8bitNeonDotprodERKNS_16KernelParams8bitILi8ELi8EEE\n"
        "0x0040:  4f80e010          .byte    0x10\n"
        "IN: _ZN3ruy21Kernel8bitNeonDotprodERKNS_16KernelParams8bitILi8ELi8EEE\n"
        "IN: _ZN3ruy14Kernel8bitNeonERKNS_16KernelParams8bitILi4ELi2EEE\n"
        "IN: _ZN3ruy20MakeKernelParams8bitIaaLi8ELi8EEEvRKNS_4PMatIaEE\n"
        "IN: memcpy\n"
    )
    assert kernels.kernels_in_log(log) == ("Kernel8bitNeon", "Kernel8bitNeonDotprod")
    assert kernels.kernels_in_log("IN: main\n") == ()


def test_the_portable_kernel_in_a_log() -> None:
    log = "IN: _ZN3ruy9RunKernelINS_6KernelILNS_4PathE2EaaiaEEE3RunENS_6TuningE\n"
    assert kernels.kernels_in_log(log) == ("portable C++",)


@pytest.mark.parametrize(
    ("name", "short"), [("vww", "vww"), ("visual_wake_words", "vww"), ("keyword_spotting", "kws")]
)
def test_zoo_names(name: str, short: str) -> None:
    assert zoo.find(name).name == short


def test_an_unknown_zoo_model() -> None:
    with pytest.raises(UsageError, match="no model 'vvw'") as caught:
        zoo.find("vvw")
    assert caught.value.next_step == "perhaps you meant 'vww'"
