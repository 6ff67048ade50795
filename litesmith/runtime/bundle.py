"""Bundles: one archive with the kept files of components, for machines without a network.

The bytes of a bundle depend only on the files: names are sorted, times and owners are left out.
"""

from __future__ import annotations

import lzma
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from litesmith.base import files
from litesmith.base.errors import UsageError
from litesmith.runtime.components import Archive, Component, Origin
from litesmith.runtime.originals import Originals

VARIABLE = "LITESMITH_SOURCES"
"""The environment variable that names the bundle to read instead of the network."""

# Twenty percent larger than with the default of 6, in a fifth of the time.
_PRESET = 3


def named_bundle() -> Path | None:
    """The bundle that the environment names, if any.

    Raises:
        UsageError: there is no such file.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named).absolute()
    if not path.is_file():
        raise UsageError(
            f"{VARIABLE} names {named}, which is not a file",
            "write it with 'sources --bundle FILE' on a machine with a network",
        )
    return path


def bundle_archive(path: Path) -> Archive:
    """A bundle as an archive."""
    return Archive(kind="bundle", location=path.name, sha256=files.sha256(path))


def origin_in(archive: Archive, component: Component, store: Originals) -> Origin:
    """Where the files of a component are in a bundle."""
    return Origin(archive=archive, root=store.folder(component).name)


def require_writable(path: Path) -> None:
    """Checks where a bundle is to be written, before anything is fetched for it.

    Raises:
        UsageError: the folder does not exist, or ``path`` is a folder.
    """
    if not path.parent.is_dir():
        raise UsageError(f"--bundle {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UsageError(f"--bundle {path} is a folder", "name a file, for example litesmith-sources.tar.xz")
    if path.exists() and not path.is_file():
        raise UsageError(f"--bundle {path} is a device or a pipe", "name a file that can be replaced")


def write(path: Path, components: Sequence[Component], store: Originals) -> None:
    """Writes the bundle of components that are in the store, completely or not at all.

    Raises:
        OSError: the disk is full, or the folder is not writable.
    """
    folders = {store.folder(component): component for component in components}
    with files.staging_folder(path) as staged:
        written = staged / path.name
        with (
            lzma.open(written, "wb", preset=_PRESET) as stream,
            tarfile.open(fileobj=stream, mode="w:") as archive,
        ):
            for folder, component in sorted(folders.items(), key=lambda item: item[0]):
                for inner in store.paths(component):
                    member = tarfile.TarInfo(f"{folder.name}/{inner}")
                    member.size = (folder / inner).stat().st_size
                    with (folder / inner).open("rb") as content:
                        archive.addfile(member, content)
        written.replace(path)
