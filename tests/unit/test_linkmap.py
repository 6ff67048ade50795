from __future__ import annotations

from litesmith.measure.size import linkmap
from litesmith.measure.size.linkmap import Piece

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


def test_pieces_of_lld() -> None:
    found = list(linkmap.pieces(MAP))
    assert [(p.output, p.address, p.size, p.file, p.member, p.input) for p in found] == [
        (".ARM.exidx", 0x100D4, 0x10, "/c/objects/aa/one.o", "", ".ARM.exidx"),
        (".text", 0x10100, 0x40, "/c/objects/aa/one.o", "", ".text.f"),
        (".text", 0x10140, 0x80, "/c/objects/bb/two.o", "", ".text._ZN3fooE"),
        (".text", 0x101C0, 0x20, "/c/libc.a", "zig/o/memcpy.o", ".text"),
        (".rodata", 0x20000, 0x10, "", "", ".rodata.str1.1"),
        (".rodata", 0x20010, 0x18, "/c/objects/bb/two.o", "", ".rodata.x"),
        (".bss", 0x30000, 0x500, "/c/objects/bb/two.o", "", ".bss.y"),
        (".comment", 0, 0x99, "", "", ".comment"),
    ]


def test_symbol_names_of_lld() -> None:
    assert linkmap.symbol_names(MAP) == {0x10100: "f"}
    thumb = MAP.replace("   10100    10100       40     1  ", "   10101    10101       40     1  ")
    assert linkmap.symbol_names(thumb) == {0x10100: "f"}


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


def test_pieces_of_gnu_ld() -> None:
    found = list(linkmap.pieces(GNU_MAP))
    assert [(p.output, p.address, p.size, p.file, p.member) for p in found] == [
        (".interp", 0x10154, 0x19, "/usr/lib/crt1.o", ""),
        (".dynsym", 0x10170, 0x6E0, "/usr/lib/crt1.o", ""),
        (".text", 0x10900, 0x40, "/c/my objects äö/aa/one.o", ""),
        (".text", 0x10940, 0x80, "/c/objects/bb/two.o", ""),
        (".text", 0x109C4, 0x20, "/usr/lib/libc.a", "memcpy.o"),
        (".rodata.str1.1.output", 0x20000, 0x10, "/c/objects/bb/two.o", ""),
        (".bss", 0x30000, 0x500, "/c/objects/bb/two.o", ""),
        (".comment", 0, 0x1F, "/c/objects/bb/two.o", ""),
    ]
    assert linkmap.symbol_names(GNU_MAP) == {}


def test_section_names_without_a_dot() -> None:
    """Sections in glibc, and common symbols."""
    text = """Linker script and memory map

__libc_freeres_fn
                0x0000000000020000       0x40
 __libc_freeres_fn
                0x0000000000020000       0x30 /usr/lib/libc.a(dl-reloc.o)
 COMMON         0x0000000000020030       0x10 /usr/lib/libc.a(errno.o)
"""
    found = [(p.output, p.size, p.member) for p in linkmap.pieces(text)]
    assert found == [("__libc_freeres_fn", 0x30, "dl-reloc.o"), ("__libc_freeres_fn", 0x10, "errno.o")]


def test_stubs_belong_to_no_file() -> None:
    line = " .text.__stub   0x0000000000020000       0x22 linker stubs\n"
    (found,) = linkmap.pieces(f"Linker script and memory map\n\n.text           0x020000 0x22\n{line}")
    assert found == Piece(
        output=".text", address=0x20000, size=0x22, file="", member="", input=".text.__stub"
    )
