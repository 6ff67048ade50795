"""Components: upstream projects whose files are pinned by their content, and the archives that have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litesmith.runtime.edits.patch import Patch

OriginKind = Literal["upstream", "debian", "bundle"]


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A file that can be downloaded; several components can come from one archive.

    ``location`` is a URL for ``upstream``, a path below the mirror for ``debian``, and the name of a file for
    ``bundle``.  ``sha256`` is empty for archives that a forge makes of a revision on request: they promise no
    stable digest, and the digest of their content decides.  ``size`` is the length in bytes, 0 if unknown.
    """

    kind: OriginKind
    location: str
    sha256: str = ""
    size: int = 0

    @property
    def name(self) -> str:
        """The name of the file, for people."""
        return self.location.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One archive that has the files of a component.

    ``root`` is the folder inside the archive that becomes the component's folder; ``*`` stands for one path
    segment.  ``reverts`` undo changes that the archive's makers made to upstream's files.

    ``tar_block`` says at which block of 512 bytes of the archive's content the root begins, as ``tar --list
    --block-number`` prints it; it spares reading what is before.  0 if it is unknown.
    """

    archive: Archive
    root: str = "*"
    reverts: tuple[Patch, ...] = ()
    tar_block: int = 0


@dataclass(frozen=True, kw_only=True)
class Component:
    """One upstream project.

    ``revision`` is upstream's commit.  ``digest`` is the digest of the files that are kept
    (:mod:`litesmith.runtime.content_digest`), before patches: it decides, whichever origin they came from.

    ``keep`` lists the beginnings of paths (relative to ``root``) of these files; with ``/*`` at its end it
    stands for the files directly in a folder.  ``endings``, unless empty, lists the endings of their names,
    and ``drop`` fragments of paths to leave out.  ``license`` names the licence, and ``license_file``, which
    is always kept, has its text.

    ``include`` is the folder for the compiler's include path, ``also_include`` lists additional ones.
    ``headers_only`` marks code that gets into a program only through includes.  ``patches`` are applied when
    the component is unpacked; then the files of ``templates/<headers>`` are copied into its folder
    ``litesmith``.  Components with a ``group`` are fetched only for programs that need the group, and only
    files of the group can include their headers.
    """

    name: str
    version: str
    revision: str
    digest: str
    origins: tuple[Origin, ...]
    keep: tuple[str, ...]
    endings: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    include: str = ""
    license: str
    license_file: str
    headers_only: bool = False
    patches: tuple[Patch, ...] = ()
    headers: str | None = None
    also_include: tuple[str, ...] = ()
    group: str = ""

    def keeps(self, path: str) -> bool:
        """Whether a file, by its path relative to the component's folder, is kept."""
        if path == self.license_file:
            return True
        if not any(_starts(path, prefix) for prefix in self.keep):
            return False
        return path.endswith(self.endings or ("",)) and not any(part in path for part in self.drop)


def _starts(path: str, prefix: str) -> bool:
    if prefix.endswith("/*"):
        folder = prefix.removesuffix("*")
        return path.startswith(folder) and "/" not in path[len(folder) :]
    return path.startswith(prefix)
