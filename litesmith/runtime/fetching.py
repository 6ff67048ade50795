"""Origins → originals: downloads the archives of components, and unpacks them.

Every component is looked for at its own project first, because that is the smallest download. The rest comes
from Debian: each archive is downloaded once, and read once for all components that it has.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from litesmith.base import apt, byte_progress, console, files, paths
from litesmith.base.byte_progress import Begin
from litesmith.base.download import Downloader, UnreachableError
from litesmith.base.errors import SourceError
from litesmith.runtime import bundle
from litesmith.runtime.components import Archive, Component, Origin
from litesmith.runtime.originals import Originals
from litesmith.runtime.unpacking import Wanted, unpack


def fetch(components: Sequence[Component], store: Originals, known: Iterable[Component]) -> None:
    """Brings the originals of components that are missing into the store.

    ``LITESMITH_SOURCES`` names a bundle that takes the place of the network.

    Args:
        components: The components to fetch.
        store: Where their files are kept.
        known: Other components; those in an archive that is downloaded anyway are unpacked, too.

    Raises:
        SourceError: no origin of a component could be reached, or its files are not those that are pinned.
        UsageError: LITESMITH_SOURCES names a file that is not there.
        OSError: the disk is full, or the folder is not writable.
    """
    downloads = paths.cache_folder() / "downloads"

    def waiting() -> None:
        console.note("another process is fetching sources; waiting for it")

    with files.locked(paths.cache_folder() / "locks" / "sources", waiting):
        missing = [one for one in components if not store.has(one)]
        if not missing:
            return
        downloads.mkdir(parents=True, exist_ok=True)
        stop = threading.Event()
        carried = bundle.named_bundle()
        with byte_progress.transfers() as begin:
            run = _Run(store=store, downloads=downloads, stop=stop, begin=begin)
            try:
                if carried is not None:
                    run.from_bundle(carried, missing)
                    return
                rest = run.from_upstream(missing)
                run.from_debian(rest, [one for one in known if not store.has(one)])
            finally:
                stop.set()


@dataclass(kw_only=True)
class _Run:
    """One run: what it needs, and the addresses that have been tried in vain, by component."""

    store: Originals
    downloads: Path
    stop: threading.Event
    begin: Begin
    tried: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._downloader = Downloader(self.stop)

    def from_upstream(self, components: Sequence[Component]) -> list[Component]:
        """Fetches from the projects' own archives; returns the components that could not be reached."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            waiting = {pool.submit(self._from_project, one): one for one in components}
            try:
                missed = {one.name for done in as_completed(waiting) for one in done.result()}
            except BaseException:
                self.stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return [one for one in components if one.name in missed]

    def _from_project(self, component: Component) -> list[Component]:
        for origin in component.origins:
            if origin.archive.kind == "upstream" and self._fetch(
                origin.archive, origin.archive.location, {component.name: (component, origin)}
            ):
                return []
        return [component]

    def from_debian(self, components: Sequence[Component], known: Sequence[Component]) -> None:
        """Fetches from Debian's archives; ``known`` are unpacked, too, if they are in the same one."""
        mirrors = apt.debian_mirrors() if components else ()
        archives = {
            origin.archive: None
            for component in components
            for origin in component.origins
            if origin.archive.kind == "debian"
        }
        rest = {one.name: one for one in components}
        for archive in archives:
            wanted = {
                one.name: (one, origin)
                for one in (*known, *components)
                for origin in one.origins
                if origin.archive == archive and not self.store.has(one)
            }
            if not rest.keys() & wanted.keys():
                continue
            if not mirrors:
                for name in wanted:
                    self._note(name, "the Debian archive (this machine has no apt configuration)")
            for mirror in mirrors:
                if self._fetch(archive, mirror + archive.location, wanted):
                    rest = {name: one for name, one in rest.items() if name not in wanted}
                    break
        if rest:
            self._fail(list(rest.values()))

    def from_bundle(self, path: Path, components: Sequence[Component]) -> None:
        """Takes components out of a bundle."""
        archive = bundle.bundle_archive(path)
        wanted = [(one, bundle.origin_in(archive, one, self.store)) for one in components]
        self._unpack(path, archive, str(path), wanted)

    def _fetch(self, archive: Archive, address: str, wanted: dict[str, tuple[Component, Origin]]) -> bool:
        """Downloads and unpacks one archive; False if it cannot be reached.

        Raises:
            SourceError: the archive or its content is not what is pinned.
        """
        names = ", ".join(wanted)
        place = (
            self.downloads / f"{hashlib.sha256(archive.location.encode()).hexdigest()[:12]}-{archive.name}"
        )
        label = archive.name if len(wanted) > 1 else f"{names}: {archive.name}"
        if not place.exists():
            try:
                digest = self._downloader.fetch(
                    address,
                    place,
                    sha256=archive.sha256,
                    size=archive.size,
                    begin=lambda total: self.begin(f"fetching {label}", total),
                )
            except UnreachableError as error:
                # Of a host that does not answer, one file says enough.
                tried_at = urlsplit(address).netloc if self._downloader.is_silent(address) else address
                for name in wanted:
                    self._note(name, f"{tried_at} ({error})")
                return False
        else:
            digest = files.sha256(place)
        try:
            if archive.sha256 and digest != archive.sha256:
                raise SourceError(
                    f"the archive of {names} from {address} does not have the pinned SHA-256 "
                    f"{archive.sha256}",
                    "it was changed in transit or at its origin: do not use it, and report it",
                )
            self._unpack(place, replace(archive, sha256=digest), address, list(wanted.values()))
        except (SourceError, OSError):
            place.unlink(missing_ok=True)
            raise
        # After an interruption the next run still has it.
        place.unlink(missing_ok=True)
        return True

    def _unpack(
        self, path: Path, archive: Archive, source: str, wanted: Sequence[tuple[Component, Origin]]
    ) -> None:
        """Unpacks components that are all in one archive; either all of them get into the store, or none."""
        with self.store.scratch() as scratch:
            ones = [
                Wanted(component=component, origin=origin, folder=scratch / component.name)
                for component, origin in wanted
            ]
            for one in ones:
                one.folder.mkdir()
            at = self.begin(f"unpacking {archive.name}", path.stat().st_size)
            unpack(path, source, ones, at, self.stop.is_set)
            for one in ones:
                self.store.publish(one.component, one.folder, archive)

    def _note(self, name: str, what: str) -> None:
        self.tried.setdefault(name, []).append(what)

    def _fail(self, components: Sequence[Component]) -> None:
        names = ", ".join(f"{one.name} {one.version}" for one in components)
        tried = dict.fromkeys(what for one in components for what in self.tried.get(one.name, []))
        raise SourceError(
            f"the source of {names} could not be fetched: tried {'; '.join(tried)}",
            "check the network connection, name a mirror in LITESMITH_DEBIAN_MIRROR, or a file that "
            "'sources --bundle' wrote on another machine in LITESMITH_SOURCES",
        )
