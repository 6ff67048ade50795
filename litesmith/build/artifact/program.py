"""A program as the artifact of a build, with the content of its output folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.base.errors import UsageError
from litesmith.build.builder import Binary
from litesmith.build.manifest import MANIFEST, Manifest
from litesmith.build.project import Project
from litesmith.runtime.engines.interpreter.sources import MODEL_FILE

SELECTION = "selection.json"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A built program, without the reports on it.

    ``cmake`` has the files for building the project by hand, ``notice`` is the text of ``NOTICE``.
    """

    project: Project
    cmake: Mapping[str, str]
    binary: Binary
    manifest: Manifest
    notice: str

    def write(self, folder: Path) -> None:
        """Writes everything into an empty folder."""
        name = self.project.name
        (folder / "bin").mkdir(parents=True)
        for source, file in ((self.binary.program, name), (self.binary.debug, f"{name}.debug")):
            target = folder / "bin" / file
            target.write_bytes(source.read_bytes())
            target.chmod(0o755)
        write_project(self.project, self.cmake, folder / "project")
        _write_json(folder / SELECTION, self.project.selection.to_json())
        (folder / "NOTICE").write_text(self.notice, encoding="utf-8")
        self.manifest.write(folder)


def write_project(project: Project, cmake: Mapping[str, str], folder: Path) -> None:
    """Writes a project, and the files for building it by hand, into a folder."""
    folder.mkdir(exist_ok=True)
    for name, content in {**project.files, **cmake}.items():
        (folder / name).write_text(content, encoding="utf-8")
        if content.startswith("#!"):
            (folder / name).chmod(0o755)
    if project.embedded is not None:
        shutil.copyfile(project.embedded, folder / MODEL_FILE)


def publish(program: Program, reports: Mapping[str, Any], folder: Path) -> None:
    """Writes a program and its reports (JSON, by file name) into the output folder, all or nothing."""
    # Written to a staging folder first, so that a failed build leaves the old folder unchanged.
    with files.staging_folder(folder) as staged:
        complete = staged / "out"
        program.write(complete)
        for name, content in reports.items():
            _write_json(complete / name, content)
        files.publish(complete, folder, optional=["verify.json"])


def require_replaceable(folder: Path) -> None:
    """Makes sure that a build does not replace files of the user: it replaces ``bin`` and ``project``.

    Raises:
        UsageError: the folder is a file, or contains files that are not from a build.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"the output folder {folder} is a file", "name another one with --out")
    has_build = any((folder / name).exists() for name in (SELECTION, MANIFEST))
    if folder.is_dir() and not has_build and any(folder.iterdir()):
        raise UsageError(
            f"the output folder {folder} contains files that are not from a litesmith build",
            "name a new or empty one with --out",
        )


def _write_json(path: Path, content: Any) -> None:
    path.write_text(files.to_json(content), encoding="utf-8")
