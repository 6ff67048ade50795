"""A measured build, in memory or read from its folder → :class:`Snapshot`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith import files
from litesmith.errors import UsageError
from litesmith.size.anatomy import Anatomy
from litesmith.size.elf import Elf, sections
from litesmith.size.report import SizeReport

_AGAIN = "build it again"


@dataclass(frozen=True, kw_only=True)
class MadeWith:
    """What a program's size depends on, beside its models."""

    target: str
    toolchain: str
    version: str
    linkage: str
    flags: Mapping[str, Any]

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> MadeWith:
        """From ``manifest.json``.

        Raises:
            KeyError, TypeError: the content is of another kind.
        """
        toolchain = manifest["toolchain"]
        if not isinstance(manifest["flags"]["common"], list | tuple):
            raise TypeError("flags are a list")
        # Defines say what was pruned, which depends on the models.
        flags = {name: made for name, made in manifest["flags"].items() if name != "defines"}
        flags["pruned"] = manifest["pruning"]["enabled"]
        flags["embedded model"] = manifest["embedded_model"]
        flags["model check"] = manifest["profile"]["model_check"]
        return cls(
            target=str(manifest["target"]),
            toolchain=str(toolchain["name"]),
            version=str(toolchain["version"]),
            linkage=str(toolchain["linkage"]),
            flags=json.loads(json.dumps(flags)),
        )

    def line(self) -> str:
        """One line for people."""
        optimisation = [flag for flag in self.flags["common"] if flag.startswith("-O")]
        pruned = "pruned" if self.flags["pruned"] else "not pruned"
        made = f"{self.target}, {self.toolchain} {self.version}, {self.linkage}"
        return ", ".join((made, *optimisation[-1:], pruned))

    def differences(self, other: MadeWith) -> list[str]:
        """What is not the same in another one: ``linkage: dynamic, was static``.

        Flags count where all else is equal: another compiler has others anyway.
        """
        found = [
            f"{name}: {now}, was {before}"
            for name in ("target", "toolchain", "version", "linkage")
            if (now := getattr(other, name)) != (before := getattr(self, name))
        ]
        if found:
            return found
        for name in sorted({*self.flags, *other.flags}):
            before, now = _words(self.flags.get(name)), _words(other.flags.get(name))
            changed = [f"with {word}" for word in now if word not in before]
            changed += [f"without {word}" for word in before if word not in now]
            if before != now:
                found.append(f"{name}: {', '.join(changed) or 'in another order'}")
        return found


def _words(value: Any) -> list[str]:
    """A list of flags, or a mapping or a plain value as such a list."""
    if isinstance(value, Mapping):
        return [f"{key}: {' '.join(flags)}" for key, flags in value.items()]
    return list(map(str, value)) if isinstance(value, list) else [str(value)]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A program's sizes, with what it was made from and with.  ``models`` maps paths to digests."""

    title: str
    made_with: MadeWith
    models: Mapping[str, str]
    report: SizeReport
    anatomy: Anatomy

    def to_json(self) -> dict[str, Any]:
        """For machines: ``size.json``, what it was made with, and every symbol."""
        return {
            "title": self.title,
            "made_with": vars(self.made_with),
            "models": dict(self.models),
            **self.report.to_json(),
            "symbols": self.anatomy.to_json(),
        }


def models_of_manifest(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Paths and digests of the models that a manifest names."""
    return {str(model["path"]): str(model["sha256"]) for model in manifest["models"]}


def read(folder: Path) -> Snapshot:
    """The snapshot of an output folder of ``build``, after a look at the program itself.

    Raises:
        UsageError: it is none, or program, symbols and reports are not of one build.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "name the output folder of a build")
    manifest = _json(folder / "manifest.json", f"{folder} holds no build of litesmith")
    try:
        program = folder / "bin" / str(manifest["binary"]["name"])
        require_program(program, manifest)
        report = SizeReport.from_json(_json(folder / "size.json", f"{folder} is not complete"))
        anatomy = Anatomy.from_json(_json(folder / "symbols.json", f"{folder} is not complete"))
        found = Snapshot(
            title=str(folder),
            made_with=MadeWith.of_manifest(manifest),
            models=models_of_manifest(manifest),
            report=report,
            anatomy=anatomy,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(f"{folder} was built by another version of litesmith", _AGAIN) from None
    if sections(program) != report.binary:
        raise UsageError(f"{folder}/size.json is of another build than {program}", _AGAIN)
    sums = [sum(anatomy.buckets(loaded=loaded).values()) for loaded in (True, False)]
    if sums != [report.binary.loaded, report.binary.bss]:
        raise UsageError(f"{folder}/symbols.json is of another build than {program}", _AGAIN)
    return found


def read_program(program: Path) -> Snapshot:
    """The snapshot of the build that a program lies in.

    Raises:
        UsageError: it is no program of ours, or another one than its folder describes.
    """
    elf = Elf.read(program)
    folder = program.absolute().parent.parent
    if not (folder / "manifest.json").is_file():
        symbols = "has symbols, but" if elf.symbols() else "is stripped, and"
        raise UsageError(
            f"{program} {symbols} no manifest.json of a build lies beside its folder: "
            "which op each byte belongs to is not known",
            "name a program in the output folder of a build, or the model with --target and --model",
        )
    manifest = _json(folder / "manifest.json", f"{folder} holds no build of litesmith")
    name = program.name.removesuffix(".debug")
    try:
        described = manifest["binary"]["name"]
    except (KeyError, TypeError):
        described = ""
    if name != described:
        raise UsageError(f"{program} is not the program that {folder}/manifest.json describes", _AGAIN)
    return read(folder)


def require_program(program: Path, manifest: Mapping[str, Any]) -> None:
    """Checks a program and its symbols against the manifest of their build.

    Raises:
        UsageError: one of them is missing, or it is of another build.
    """
    debug = program.with_name(f"{program.name}.debug")
    for path in (program, debug):
        if not path.is_file():
            what = "program" if path == program else "file with the symbols of the stripped program"
            raise UsageError(f"there is no {what} at {path}", _AGAIN)
    elf = Elf.read(program)
    if files.sha256(program) != manifest["binary"]["sha256"]:
        raise UsageError(f"{program} is not the program that its manifest.json describes", _AGAIN)
    if files.sha256(debug) != manifest["binary"]["debug_sha256"]:
        symbols = Elf.read(debug)
        if symbols.machine == elf.machine and not symbols.symbols():
            raise UsageError(f"{debug} has no symbols", _AGAIN)
        raise UsageError(f"{debug} belongs to another build than {program}", _AGAIN)


def _json(path: Path, otherwise: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{otherwise}: {path.name}: {error.strerror}", "name the output folder of a build"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged: {error}", _AGAIN) from None
