"""The kept files of components in the cache, as upstream has them: what every origin is unpacked to.

A component's folder is named by its content, and is there completely or not at all.  Folders of patched files
are made of it without another download, and so are bundles.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import files
from litesmith.runtime.components import Archive, Component
from litesmith.runtime.content_digest import content_digest

STAMP = ".litesmith.json"
"""The file of a component's folder that says where the files came from."""


@dataclass(frozen=True, kw_only=True)
class Originals:
    """The folder of these folders."""

    root: Path

    def folder(self, component: Component) -> Path:
        """The folder of a component; the files are in it if it exists."""
        return self.root / f"{component.name}-{hashlib.sha256(component.digest.encode()).hexdigest()[:12]}"

    def has(self, component: Component) -> bool:
        """Whether the files of a component are there."""
        return (self.folder(component) / STAMP).is_file()

    def require_sound(self, component: Component) -> None:
        """Removes the files of a component that are not those that are pinned, so that they are missing."""
        if self.has(component):
            folder = self.folder(component)
            digests = {path: bytes.fromhex(files.sha256(folder / path)) for path in self.paths(component)}
            if content_digest(digests) != component.digest:
                shutil.rmtree(folder, ignore_errors=True)

    def paths(self, component: Component) -> tuple[str, ...]:
        """The files of a component that is there, relative to its folder, in order."""
        folder = self.folder(component)
        found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return tuple(sorted(path for path in found if path != STAMP))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the same file system, removed at the end."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=self.root) as folder:
            yield Path(folder)

    def publish(self, component: Component, staged: Path, archive: Archive) -> None:
        """Moves complete files into place, with a note of the archive that they came from."""
        write_stamp(staged, archive)
        # mkdtemp creates private folders.
        staged.chmod(0o755)
        final = self.folder(component)
        if not self.has(component):
            shutil.rmtree(final, ignore_errors=True)
            staged.rename(final)


def write_stamp(folder: Path, archive: Archive) -> None:
    """Notes in a folder the archive that its files came from."""
    # Other versions of litesmith read these three keys.
    known = {"kind": archive.kind, "location": archive.location, "sha256": archive.sha256}
    (folder / STAMP).write_text(files.to_json(known), encoding="utf-8")


def read_stamp(folder: Path) -> Archive:
    """The archive that the files of a folder came from.

    Raises:
        ValueError, TypeError: the note is damaged.
    """
    return Archive(**json.loads((folder / STAMP).read_text(encoding="utf-8")))
