"""Pinned archives → :class:`SourceTree`: fetched once and checked by digest; only used parts are unpacked."""

from __future__ import annotations

import functools
import json
import re
import shutil
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

from litesmith.base import apt, console, files, paths, units
from litesmith.base.errors import SourceError
from litesmith.runtime.edits import Patch
from litesmith.runtime.pins import COMPONENTS, Component, Origin

_STAMP = ".litesmith.json"
_CONNECT_AND_READ_SECONDS = 30
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Source:
    """One component on disk: its folder (relative to the tree's root) and where it came from."""

    component: Component
    folder: str
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class LocalSource:
    """The files of custom ops.

    ``folder`` is named by their content and is relative to the tree's root, ``origin`` is the user's folder.
    ``include`` lists the subfolders for the include path.
    """

    folder: str
    origin: Path
    include: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SourceTree:
    """All components.  Compilers run in ``root`` and see only relative paths.

    ``local`` are the files of custom ops; upstream's files do not see them.
    """

    root: Path
    sources: Mapping[str, Source]
    local: Mapping[str, LocalSource] = field(default_factory=dict)

    def locate(self, name: str) -> str:
        """Path, relative to ``root``, of ``component/path/in/it``."""
        component, _, rest = name.partition("/")
        known = self.local.get(component) or self.sources[component]
        return f"{known.folder}/{rest}"

    def include_folders(self, group: str = "") -> tuple[str, ...]:
        """The include path of files of a group, relative to ``root``, in order."""
        return tuple(
            f"{source.folder}/{inner}" if inner else source.folder
            for source in self._seen_by(group)
            for inner in (source.component.include, *source.component.also_include)
        )

    def identity(self, group: str = "") -> str:
        """Digest of everything that all files of a group depend on: archives, unpacked parts and patches."""
        return files.digest_of([source.folder for source in self._seen_by(group)])

    def group_of(self, name: str) -> str:
        """The group of a ``component/path``'s component."""
        component = name.partition("/")[0]
        return "" if component in self.local else self.sources[component].component.group

    def prefixes(self, group: str = "") -> tuple[str, ...]:
        """The folders of the components that files of a group see, relative to ``root``."""
        return tuple(source.folder for source in self._seen_by(group))

    def include_folders_of(self, name: str) -> tuple[str, ...]:
        """The include path of one ``component/path``; for a custom op it ends with the op's own folders."""
        local = self.local.get(name.partition("/")[0])
        inner = local.include if local else ()
        own = (f"{local.folder}/{folder}" if folder != "." else local.folder for folder in inner if local)
        return (*self.include_folders(self.group_of(name)), *own)

    def prefixes_of(self, name: str) -> tuple[str, ...]:
        """The folders whose names must not be in the object of a ``component/path``."""
        local = self.local.get(name.partition("/")[0])
        return (*self.prefixes(self.group_of(name)), *([local.folder] if local else ()))

    def _seen_by(self, group: str) -> list[Source]:
        return [source for source in self.sources.values() if source.component.group in ("", group)]

    def manifest(self) -> dict[str, dict[str, str]]:
        """The sources in ``manifest.json``, by component."""
        return {
            name: {
                "version": source.component.version,
                "origin": source.origin.kind,
                "location": source.origin.location,
                "sha256": source.origin.sha256,
                "license": source.component.license,
                "patched": ", ".join(sorted({p.path for p in source.component.patches})),
            }
            for name, source in self.sources.items()
        }


def source_tree(components: tuple[Component, ...] = COMPONENTS) -> SourceTree:
    """The tree of all pinned sources; fetches and unpacks those that are missing.

    Raises:
        SourceError: no origin could be reached, or a digest did not match.
    """
    root = paths.cache_folder() / "sources"
    missing = [c for c in components if _find(root, c) is None]
    if missing:
        root.mkdir(parents=True, exist_ok=True)
        stop = threading.Event()
        with (
            console.progress("fetching sources", len(missing)) as advance,
            ThreadPoolExecutor(max_workers=2) as pool,
        ):
            # The largest archives first, because they take longest.
            ordered = sorted(missing, key=_unpacking_order)
            waiting = [pool.submit(_Fetch(root, c, stop, advance).run) for c in ordered]
            try:
                for done in as_completed(waiting):
                    advance(1, done.result())
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    found = {c.name: _find(root, c) for c in components}
    return SourceTree(
        root=root, sources={name: source for name, source in found.items() if source is not None}
    )


def _unpacking_order(component: Component) -> int:
    return {"ruy": 0, "tensorflow": 1}.get(component.name, 2)


def _folder(component: Component, origin: Origin) -> str:
    patches = [[patch.path, patch.find, patch.replace] for patch in component.patches]
    headers = {path.name: path.read_text(encoding="utf-8") for path in _own_headers(component)}
    identity = files.digest_of(origin.sha256, origin.root, component.keep, component.drop, patches, headers)
    return f"{component.name}-{identity[:12]}"


def _own_headers(component: Component) -> list[Path]:
    """The project's own headers that are copied into the component's folder."""
    if component.headers is None:
        return []
    return sorted((paths.data_folder("templates") / component.headers).iterdir())


def _find(root: Path, component: Component) -> Source | None:
    for origin in component.origins:
        folder = _folder(component, origin)
        stamp = root / folder / _STAMP
        if stamp.exists():
            # Both origins may have the same archive; the stamp says which one was used.
            kind = json.loads(stamp.read_text())["origin"]
            origin = next((o for o in component.origins if o.kind == kind), origin)
            return Source(component=component, folder=folder, origin=origin)
    return None


def _addresses(origin: Origin) -> tuple[str, ...]:
    if origin.kind == "upstream":
        return (origin.location,)
    return tuple(mirror + origin.location for mirror in apt.debian_mirrors())


class _UnreachableError(Exception):
    """An origin does not answer or does not have the file, so that the next one is tried."""


class _StoppedError(Exception):
    """Another component failed, or the user interrupted the download."""


@dataclass(frozen=True)
class _Fetch:
    """Fetches and unpacks one component; ends early when ``stop`` is set."""

    root: Path
    component: Component
    stop: threading.Event
    advance: console.Advance

    def run(self) -> str:
        """Fetches and unpacks the component, and returns its name.

        Raises:
            SourceError: no origin could be reached, or a digest did not match.
        """
        tried: list[str] = []
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=self.root) as scratch:
            for origin in self.component.origins:
                addresses = _addresses(origin)
                if not addresses:
                    tried.append("the Debian archive (this machine has no apt configuration)")
                for address in addresses:
                    try:
                        archive = self._download(address, origin.sha256, Path(scratch))
                    except _UnreachableError as error:
                        tried.append(f"{address} ({error})")
                        continue
                    self._unpack(archive, origin)
                    return self.component.name
        raise SourceError(
            f"the source of {self.component.name} {self.component.version} could not be fetched: "
            f"tried {'; '.join(tried)}",
            "check the network connection, or name a mirror in LITESMITH_DEBIAN_MIRROR",
        )

    def _download(self, address: str, sha256: str, folder: Path) -> Path:
        import pooch
        import requests

        pooch.get_logger().setLevel("WARNING")
        try:
            return Path(
                pooch.retrieve(
                    address,
                    known_hash=f"sha256:{sha256}",
                    fname="archive",
                    path=folder,
                    downloader=self._stream,
                )
            )
        except requests.RequestException as error:
            response = getattr(error, "response", None)
            reason = f"HTTP {response.status_code}" if response is not None else type(error).__name__
            raise _UnreachableError(reason) from error
        except ValueError as error:
            if "hash" not in str(error):
                raise
            raise SourceError(
                f"the archive of {self.component.name} from {address} does not have the pinned "
                f"SHA-256 {sha256}",
                "it was changed in transit or at its origin: do not use it, and report it",
            ) from error

    def _stream(self, address: str, output: str, _pooch: object) -> None:
        """Implements pooch's downloader protocol; pooch's own downloader cannot be stopped."""
        import requests

        got = 0
        with (
            requests.get(address, stream=True, timeout=_CONNECT_AND_READ_SECONDS) as response,
            Path(output).open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_content(_CHUNK):
                self._check_stop()
                file.write(chunk)
                got += len(chunk)
                self.advance(0, f"{self.component.name} {units.human_size(got)}")

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise _StoppedError

    def _unpack(self, archive: Path, origin: Origin) -> None:
        """Unpacks the members to keep into the component's folder, completely or not at all."""
        component = self.component
        final = self.root / _folder(component, origin)
        self.advance(0, f"unpacking {component.name}")
        with files.staging_folder(final) as staged:
            try:
                count = self._extract(archive, origin.root, staged)
            except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
                raise SourceError(f"the archive of {component.name} cannot be unpacked: {error}") from error
            if count == 0:
                raise SourceError(
                    f"the archive of {component.name} from {origin.location} contains none of its files"
                )
            for patch in component.patches:
                _apply(patch, staged / patch.path, component.name)
            for header in _own_headers(component):
                (staged / "litesmith").mkdir(exist_ok=True)
                shutil.copyfile(header, staged / "litesmith" / header.name)
            (staged / _STAMP).write_text(files.to_json({"origin": origin.kind, "files": count}))
            # Another build may have been faster; it has unpacked the same content.
            if not final.exists():
                staged.rename(final)

    def _extract(self, archive: Path, root: str, folder: Path) -> int:
        count = 0
        with _members(archive) as members:
            for name, opened in members:
                self._check_stop()
                inner = _inside(name, root)
                if inner is None and count and root not in ("", "*"):
                    # The members of a folder are contiguous, so the rest of a huge archive is not
                    # needed.  Its digest has already been checked.
                    break
                if inner is None or not _kept(inner, self.component):
                    continue
                target = folder / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened() as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy, _CHUNK)
                count += 1
        return count


def _apply(patch: Patch, path: Path, component: str) -> None:
    text, count = re.subn(patch.find, patch.replace, path.read_text(encoding="utf-8"))
    if count == 0:
        raise SourceError(f"the patch of {component}'s {patch.path} does not apply: it has no {patch.find!r}")
    path.write_text(text, encoding="utf-8")


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[tuple[str, Callable[[], IO[bytes]]]]]:
    """The regular files of a tar or zip archive, in the archive's order."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield (
                (info.filename, functools.partial(zipped.open, info))
                for info in zipped.infolist()
                if not info.is_dir()
            )
        return
    # Opened as a stream, because large archives are read once, without seeking back.
    with tarfile.open(archive, "r|*") as tarred:
        yield ((info.name, functools.partial(_tar_file, tarred, info)) for info in tarred if info.isreg())


def _tar_file(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream: Any = tarred.extractfile(info)
    return stream  # type: ignore[no-any-return]


def _inside(name: str, root: str) -> str | None:
    """The member's path below ``root``; None if it is elsewhere or contains ``..``."""
    parts = name.removeprefix("./").split("/")
    pattern = root.split("/") if root else []
    if len(parts) <= len(pattern) or ".." in parts:
        return None
    if not all(fnmatchcase(p, w) for p, w in zip(parts, pattern, strict=False)):
        return None
    return "/".join(parts[len(pattern) :])


def _kept(inner: str, component: Component) -> bool:
    return inner.startswith(component.keep) and not any(part in inner for part in component.drop)
