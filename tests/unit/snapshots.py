"""Snapshots of builds for the tests, created without building."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litesmith.build.manifest import MadeWith
from litesmith.measure.size import elf
from litesmith.measure.size.anatomy import Anatomy, Owner, Part
from litesmith.measure.size.elf import ProgramSize
from litesmith.measure.size.size_report import OpSize, SizeReport
from litesmith.measure.size.snapshot import Snapshot
from tests import elves
from tests.elves import ALLOC, EXECUTE, Name

FLAGS = {"common": ["-Os", "-g0"], "cxx": [], "by_source": {}, "link": [], "pruned": True}
MADE_WITH = MadeWith(target="armv7", toolchain="zig", version="1", linkage="static", flags=FLAGS)


def part(name: str, size: int, bucket: str = "op", ops: tuple[str, ...] = ("ADD",)) -> Part:
    owner = Owner(bucket=bucket, ops=ops)
    return Part(owner=owner, section=".text", symbol=name, name=name, source="x.cc", size=size, loaded=True)


def snapshot(
    title: str = "one",
    *,
    core: int = 1000,
    ops: Mapping[str, int] | None = None,
    shared: Mapping[tuple[str, ...], int] | None = None,
    made_with: MadeWith = MADE_WITH,
) -> Snapshot:
    """A program with a core, one symbol per op, and code that ops share."""
    ops = {"ADD": 100, "MUL": 200} if ops is None else ops
    shared = shared or {}
    parts = [part("core", core, "core runtime", ())]
    parts += [part(f"{name}_eval", size, "op", (name,)) for name, size in ops.items()]
    parts += [part(f"common {names[0]}", size, "shared by ops", names) for names, size in shared.items()]
    parts.append(part("headers", 52, "headers", ()))
    code = core + sum(ops.values()) + sum(shared.values())
    report = SizeReport(
        binary=ProgramSize(file=code + 200, text=code, rodata=0, data=0, bss=64, code=code, loaded=code + 52),
        core=core,
        ops={name: OpSize(attributed=size, marginal=size + 8) for name, size in ops.items()},
        buckets={"headers": 52, **({"shared by ops": sum(shared.values())} if shared else {})},
        shared=shared,
        memory={"core runtime": 64},
        model_check=10,
        without_ops=core,
    )
    return Snapshot(
        title=title,
        made_with=made_with,
        models={"m.tflite": "0" * 64},
        report=report,
        anatomy=Anatomy(parts=tuple(parts)),
    )


def build_folder(folder: Path, content: bytes = b"code") -> Path:
    """An output folder like that of ``build``: program, symbols, manifest and reports."""
    sections = [elves.Part(".text", ALLOC | EXECUTE, content, 0x1000)]
    (folder / "bin").mkdir(parents=True)
    program = elves.write(folder / "bin/m", sections)
    debug = elves.write(folder / "bin/m.debug", sections, [Name("f", 1, 0x1000, len(content))])
    totals = elf.program_size(program)
    parts = (
        part("f", totals.code),
        part("headers", totals.loaded - totals.code, "headers", ()),
    )
    report: dict[str, Any] = {**snapshot().report.to_json(), "binary": vars(totals)}
    manifest = {
        "litesmith": "0",
        "models": [{"path": "m.tflite", "sha256": "0" * 64}],
        "target": "armv7",
        "profile": {"model_check": True},
        "toolchain": {"name": "zig", "version": "1", "linkage": "static"},
        "flags": {"common": ["-Os"], "cxx": [], "by_source": {}, "link": [], "defines": ["X"]},
        "pruning": {"enabled": True},
        "embedded_model": False,
        "kernels": {},
        "sources": {},
        "binary": {
            "name": "m",
            "sha256": hashlib.sha256(program.read_bytes()).hexdigest(),
            "debug_sha256": hashlib.sha256(debug.read_bytes()).hexdigest(),
        },
    }
    for name, value in (
        ("manifest", manifest),
        ("size", report),
        ("symbols", Anatomy(parts=parts).to_json()),
    ):
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder
