"""The sizes of one build, measured now or read from its output folder: :class:`Snapshot`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.base.errors import UsageError
from litesmith.build.manifest import AGAIN, MANIFEST, MadeWith, Manifest
from litesmith.measure.size.anatomy import Anatomy
from litesmith.measure.size.elf import Elf, program_size
from litesmith.measure.size.size_report import SizeReport


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The sizes of a program, its models and what it was made with; ``models`` maps paths to digests."""

    title: str
    made_with: MadeWith
    models: Mapping[str, str]
    report: SizeReport
    anatomy: Anatomy

    def to_json(self) -> dict[str, Any]:
        """The content of ``size.json`` with what the program was made with, and every symbol."""
        return {
            "title": self.title,
            "made_with": vars(self.made_with),
            "models": dict(self.models),
            **self.report.to_json(),
            "symbols": self.anatomy.to_json(),
        }


def read(folder: Path) -> Snapshot:
    """The snapshot of an output folder of ``build``; the program in it is checked against the reports.

    Raises:
        UsageError: the folder does not contain a build, or has files of different builds.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "name the output folder of a build")
    manifest = Manifest.read(folder)
    program = folder / "bin" / manifest.binary["name"]
    _require_program(program, manifest)
    try:
        report = SizeReport.from_json(_json(folder / "size.json", f"{folder} is incomplete"))
        anatomy = Anatomy.from_json(_json(folder / "symbols.json", f"{folder} is incomplete"))
        found = Snapshot(
            title=str(folder),
            made_with=manifest.made_with,
            models=manifest.digests,
            report=report,
            anatomy=anatomy,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(f"{folder} was built by another version of litesmith", AGAIN) from None
    if program_size(program) != report.binary:
        raise UsageError(f"{folder}/size.json and {program} are from different builds", AGAIN)
    sums = [sum(anatomy.buckets(loaded=loaded).values()) for loaded in (True, False)]
    if sums != [report.binary.loaded, report.binary.bss]:
        raise UsageError(f"{folder}/symbols.json and {program} are from different builds", AGAIN)
    return found


def read_program(program: Path) -> Snapshot:
    """The snapshot of the build that a program is part of.

    Raises:
        UsageError: the program is not part of a build, or is not the program of that build.
    """
    elf = Elf.read(program)
    folder = program.absolute().parent.parent
    if not (folder / MANIFEST).is_file():
        symbols = "has symbols, but" if elf.symbols() else "is stripped, and"
        raise UsageError(
            f"{program} {symbols} no manifest.json of a build in the folder above its own, "
            "so the op that each byte belongs to is unknown",
            "name a program in the output folder of a build, or a model with --target and --model",
        )
    manifest = Manifest.read(folder)
    if program.name.removesuffix(".debug") != manifest.binary["name"]:
        raise UsageError(f"{program} is not the program that {folder}/manifest.json describes", AGAIN)
    return read(folder)


def _require_program(program: Path, manifest: Manifest) -> None:
    """Checks a program and its symbols against the manifest of their build.

    Raises:
        UsageError: one of the two is missing, or comes from a different build.
    """
    debug = program.with_name(f"{program.name}.debug")
    for path in (program, debug):
        if not path.is_file():
            what = "program" if path == program else "file with its symbols"
            raise UsageError(f"the {what} is missing: {path}", AGAIN)
    elf = Elf.read(program)
    if files.sha256(program) != manifest.binary["sha256"]:
        raise UsageError(f"{program} is not the program that its manifest.json describes", AGAIN)
    if files.sha256(debug) != manifest.binary["debug_sha256"]:
        symbols = Elf.read(debug)
        if symbols.machine == elf.machine and not symbols.symbols():
            raise UsageError(f"{debug} has no symbols", AGAIN)
        raise UsageError(f"{debug} and {program} are from different builds", AGAIN)


def _json(path: Path, otherwise: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{otherwise}: {path.name}: {error.strerror}", "name the output folder of a build"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged: {error}", AGAIN) from None
