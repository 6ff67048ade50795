"""Archives → the kept files of components: each archive is read once, for all components that it has."""

from __future__ import annotations

import functools
import gzip
import hashlib
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from litesmith.base.byte_progress import At
from litesmith.base.download import StoppedError
from litesmith.base.errors import SourceError
from litesmith.runtime import xz_blocks
from litesmith.runtime.components import Component, Origin
from litesmith.runtime.content_digest import content_digest
from litesmith.runtime.xz_blocks import BlockReader

Members = Iterator[tuple[str, Callable[[], IO[bytes]]]]
"""Names of an archive's files, each with a function that opens it; valid until the next one."""

_MEMBERS_BETWEEN_REPORTS = 100
_DAMAGED = (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A component to take out of an archive: where in it, and the folder that its files are written to."""

    component: Component
    origin: Origin
    folder: Path
    digests: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 of the files that are written, by path."""

    @property
    def complete(self) -> bool:
        """Whether the files that are written are those that are pinned."""
        return content_digest(self.digests) == self.component.digest

    def take(self, path: str, opened: Callable[[], IO[bytes]]) -> None:
        """Writes a file of the component's folder, if it is one to keep."""
        if not self.component.keeps(path) or not _is_inside(path):
            return
        with opened() as stream:
            content = stream.read()
        for patch in self.origin.reverts:
            if patch.path == path:
                content = re.sub(patch.find.encode(), patch.replace.encode(), content)
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.digests[path] = hashlib.sha256(content).digest()


def unpack(path: Path, source: str, wanted: Sequence[Wanted], at: At, stopped: Callable[[], bool]) -> None:
    """Writes the kept files of components, and compares each component with its digest.

    Args:
        path: The archive.
        source: Where it came from, for messages.
        wanted: The components to take out of it.
        at: Called with the number of bytes of the archive that have been read.
        stopped: Whether to stop.

    Raises:
        SourceError: the archive is damaged, or its files are not those that are pinned.
        StoppedError: it was told to stop.
    """
    try:
        with xz_blocks.opened(path) as blocks:
            if blocks is not None:
                _take_from_blocks(blocks, wanted, at, stopped)
            else:
                # As a stream: what is compressed in one piece is read once, without seeking back.
                with path.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|*") as tarred:
                    _take(_files(tarred, lambda: at(raw.tell())), wanted, stopped)
    except _DAMAGED as error:
        raise SourceError(f"the archive {source} cannot be unpacked: {error}") from error
    for one in wanted:
        if not one.digests:
            raise SourceError(
                f"the archive {source} contains none of the files of {one.component.name} "
                f"{one.component.version}",
                "it may belong to another version of litesmith",
            )
        if not one.complete:
            raise SourceError(
                f"the files of {one.component.name} in the archive {source} are not those that are pinned: "
                f"their digest is {content_digest(one.digests)} instead of {one.component.digest}",
                "they were changed in transit or at their origin: do not use them, and report it",
            )


def _take_from_blocks(
    blocks: BlockReader, wanted: Sequence[Wanted], at: At, stopped: Callable[[], bool]
) -> None:
    """Reads the parts that are known to have the components; everything, if that does not complete them."""
    by_start: dict[int, list[Wanted]] = {}
    for one in wanted:
        by_start.setdefault(one.origin.tar_block, []).append(one)
    by_start.pop(0, None)
    for start, ones in sorted(by_start.items()):
        blocks.seek(start * tarfile.BLOCKSIZE)
        with suppress(tarfile.ReadError), tarfile.open(fileobj=blocks, mode="r:") as tarred:
            _take(_files(tarred, lambda: at(blocks.compressed_position)), ones, stopped, only_there=True)
    if rest := [one for one in wanted if not one.complete]:
        for one in rest:
            one.digests.clear()
        blocks.seek(0)
        with tarfile.open(fileobj=blocks, mode="r:") as tarred:
            _take(_files(tarred, lambda: at(blocks.compressed_position)), rest, stopped)


def _take(
    members: Members, wanted: Sequence[Wanted], stopped: Callable[[], bool], *, only_there: bool = False
) -> None:
    """Takes components out of an archive, until they are complete or the archive ends.

    With ``only_there`` the first member of another folder ends it, too.
    """
    by_root: dict[str, list[Wanted]] = {}
    for one in wanted:
        by_root.setdefault(one.origin.root, []).append(one)
    roots = [(_pattern(root), ones) for root, ones in by_root.items()]
    anywhere = re.compile("|".join(pattern.pattern for pattern, _ in roots))
    pending = list(wanted)
    inside = False
    for name, opened in members:
        if stopped():
            raise StoppedError
        if anywhere.match(name) is None:
            # The members of a folder are usually contiguous, so that the rest of a huge archive need not be
            # read; the digests say whether something is missing.
            if only_there:
                return
            if inside:
                pending = [one for one in pending if not one.complete]
                if not pending:
                    return
            inside = False
            continue
        inside = True
        for pattern, ones in roots:
            if (match := pattern.match(name)) is not None:
                for one in ones:
                    one.take(name[match.end() :], opened)


def _pattern(root: str) -> re.Pattern[str]:
    """Matches the part of a member's name that is the root, with the slash at its end."""
    segments = [re.escape(segment).replace(r"\*", "[^/]*") for segment in root.split("/") if segment]
    return re.compile(r"(?:\./)?" + "".join(f"{segment}/" for segment in segments))


def _is_inside(path: str) -> bool:
    return not {"", ".", ".."} & set(path.split("/"))


def _files(tarred: tarfile.TarFile, progress: Callable[[], None]) -> Members:
    """The regular files of a tar archive, in its order."""
    count = 0
    while (info := tarred.next()) is not None:
        # Without this a list of all members stays in memory, several hundred megabytes of a large archive.
        tarred.members.clear()  # type: ignore[attr-defined]
        count += 1
        if count % _MEMBERS_BETWEEN_REPORTS == 0:
            progress()
        if info.isreg():
            yield info.name, functools.partial(_stream, tarred, info)


def _stream(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream: Any = tarred.extractfile(info)
    return stream  # type: ignore[no-any-return]
