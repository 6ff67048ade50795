"""Binary → :class:`SizeReport`: what the program weighs and which op it went to.

Totals come from the ELF section headers (``SHF_ALLOC``), so that ``.ARM.exidx``,
``.data.rel.ro`` and the flash image of ``.data`` count; attribution comes from the linker's
map, where every input section names its object.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.errors import UsageError
from litesmith.selection import Selection

_SHF_WRITE = 0x1
_SHF_ALLOC = 0x2
_SHF_EXECINSTR = 0x4

_LLD_LINE = re.compile(r"^\s*[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+ ( *)(\S.*)$")
_LLD_INPUT = re.compile(r"^(.*):\(([^()]*)\)$")
_GNU_START = "Linker script and memory map"
_GNU_LINE = re.compile(
    r"^(?P<indent> ?)(?P<name>[.*]\S+) +0x[0-9a-f]+ +0x(?P<size>[0-9a-f]+)(?: (?P<object>\S.*))?$"
)

# GNU ld's map gives what the linker makes for the loader to the first start file.
_LINKERS_OWN = frozenset(
    {".dynsym", ".dynstr", ".hash", ".gnu.hash", ".gnu.version", ".gnu.version_r", ".gnu.version_d"}
    | {".rel.dyn", ".rela.dyn", ".rel.plt", ".rela.plt", ".plt", ".iplt", ".plt.got", ".plt.sec"}
    | {".dynamic", ".got", ".got.plt", ".eh_frame_hdr"}
)


@dataclass(frozen=True, kw_only=True)
class Sections:
    """Bytes of a program.

    ``text`` is executable, ``rodata`` is read-only, ``data`` is writable and comes from the
    file, ``bss`` is writable and does not.  ``code`` is text + rodata + data: what GNU ``size``
    calls text + data.  ``file`` is the size of the file.
    """

    file: int
    text: int
    rodata: int
    data: int
    bss: int
    code: int


@dataclass(frozen=True, kw_only=True)
class OpSize:
    """Bytes of one op.

    ``attributed`` lies in objects that no other op uses.  ``marginal`` is what the program
    shrinks by when it is linked without the op, the whole truth about its price.
    """

    attributed: int
    marginal: int | None


@dataclass(frozen=True, kw_only=True)
class SizeReport:
    """``size.json``.  ``core`` and the ``buckets`` beside the ops add up to ``binary.code``.

    ``model_check`` is what the program would shrink by without the check of models before
    they are loaded; None where the profile leaves it out.  ``without_ops`` is the code of the
    same program with no op at all.
    """

    binary: Sections
    core: int
    ops: Mapping[str, OpSize]
    buckets: Mapping[str, int]
    model_check: int | None
    without_ops: int

    def to_json(self) -> dict[str, Any]:
        """The contract's form; ``buckets`` comes on top of it."""
        return {
            "binary": asdict(self.binary),
            "core": self.core,
            "ops": {name: asdict(size) for name, size in self.ops.items()},
            "buckets": dict(self.buckets),
            "model_check": self.model_check,
            "without_ops": self.without_ops,
        }


def sections(path: Path) -> Sections:
    """Section sizes of an ELF file.

    Raises:
        UsageError: no ELF file.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    text = rodata = data = bss = 0
    try:
        with path.open("rb") as stream:
            for section in ELFFile(stream).iter_sections():
                flags, size = section["sh_flags"], section["sh_size"]
                if not flags & _SHF_ALLOC:
                    continue
                if section["sh_type"] == "SHT_NOBITS":
                    bss += size
                elif flags & _SHF_EXECINSTR:
                    text += size
                elif flags & _SHF_WRITE:
                    data += size
                else:
                    rodata += size
    except (OSError, ELFError) as error:
        raise UsageError(f"{path} is not an ELF program: {error}") from None
    return Sections(
        file=path.stat().st_size,
        text=text,
        rodata=rodata,
        data=data,
        bss=bss,
        code=text + rodata + data,
    )


def allocated_sections(path: Path) -> dict[str, int]:
    """Bytes of each section of a program that is loaded from its file, by name."""
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream:
        return {
            section.name: section["sh_size"]
            for section in ELFFile(stream).iter_sections()
            if section["sh_flags"] & _SHF_ALLOC and section["sh_type"] != "SHT_NOBITS"
        }


def bytes_by_object(map_text: str, sections: Mapping[str, int]) -> Counter[str]:
    """Bytes of each object in ``sections`` of a program, from the map of ``ld.lld`` or GNU ld.

    Members of an archive count for the archive; what the linker made itself (merged strings,
    tables for the loader, padding) counts for the empty name.
    """
    gnu = map_text.find(_GNU_START)
    pieces = _lld_pieces(map_text) if gnu < 0 else _gnu_pieces(map_text[gnu:])
    total: Counter[str] = Counter({"": sum(sections.values())})
    for section, name, size in pieces:
        if section in sections and section not in _LINKERS_OWN:
            # lib.a(member.o) → lib.a
            total[re.sub(r"\([^()]*\)$", "", name)] += size
            total[""] -= size
    return total


_Pieces = Iterator[tuple[str, str, int]]
"""Output section, object, bytes."""


def _lld_pieces(text: str) -> _Pieces:
    output = ""
    for line in text.splitlines():
        match = _LLD_LINE.match(line)
        if match is None:
            continue
        size, indent, rest = int(match[1], 16), len(match[2]), match[3]
        if indent == 0:
            output = rest
        elif indent == 8:
            section = _LLD_INPUT.match(rest)
            if section is not None and section[1] != "<internal>":
                yield output, section[1].partition("(")[0], size


def _gnu_pieces(text: str) -> _Pieces:
    output = ""
    # A long name stands alone, and the numbers follow on the next line.
    for line in re.sub(r"^( ?\.\S+)\n +(?=0x)", r"\1 ", text, flags=re.MULTILINE).splitlines():
        match = _GNU_LINE.match(line)
        if match is None:
            continue
        if not match["indent"]:
            output = match["name"]
        elif match["object"] and match["name"] != "*fill*":
            yield output, match["object"], int(match["size"], 16)


def report(
    program: Path,
    map_file: Path,
    objects: Mapping[str, str],
    selection: Selection,
    core_sources: frozenset[str],
    marginal: Callable[[str], int] | None,
    embedded_bytes: int,
    unchecked: int | None,
    without_ops: int,
) -> SizeReport:
    """Measures a program.

    ``objects`` maps object paths to sources.  ``marginal`` gives the size of the program
    without an op; None leaves the marginal costs out.  ``unchecked`` is that of the program
    without its model check, ``without_ops`` that of the program with no op.
    """
    binary = sections(program)
    users: dict[str, list[str]] = {}
    for op in selection.ops:
        for source in op.sources:
            users.setdefault(source, []).append(op.name)
    buckets: Counter[str] = Counter()
    attributed: Counter[str] = Counter()
    map_text = map_file.read_text(encoding="utf-8", errors="replace")
    for path, size in bytes_by_object(map_text, allocated_sections(program)).items():
        source = objects.get(path, "")
        if not source:
            buckets["libraries" if path else "linker"] += size
        elif source in core_sources:
            buckets["core"] += size
        elif source.startswith("ruy/"):
            buckets["ruy"] += size
        elif source not in users:
            buckets["glue"] += size
        elif len(users[source]) == 1:
            attributed[users[source][0]] += size
        else:
            buckets["shared by ops"] += size
    if embedded_bytes:
        buckets["glue"] -= embedded_bytes
        buckets["model"] = embedded_bytes
    core = buckets.pop("core", 0)
    return SizeReport(
        binary=binary,
        core=core,
        ops={
            op.name: OpSize(
                attributed=attributed[op.name],
                marginal=None if marginal is None else binary.code - marginal(op.name),
            )
            for op in selection.ops
        },
        buckets=dict(sorted(buckets.items())),
        model_check=None if unchecked is None else binary.code - unchecked,
        without_ops=without_ops,
    )
