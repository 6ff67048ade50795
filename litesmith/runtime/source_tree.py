"""Pinned components → :class:`SourceTree`: their folders, with patches, in the cache."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from litesmith.base import console, files, paths, whole_folders
from litesmith.base.errors import SourceError, ToolError
from litesmith.runtime import fetching
from litesmith.runtime.components import Archive, Component
from litesmith.runtime.edits.patch import Patch
from litesmith.runtime.originals import Originals, read_stamp, write_stamp
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS


@dataclass(frozen=True, kw_only=True)
class Source:
    """One component on disk: its folder (relative to the tree's root), and the archive it came from."""

    component: Component
    folder: str
    archive: Archive


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
        """Digest of everything that all files of a group depend on: the components' content and patches."""
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
                "revision": source.component.revision,
                "digest": source.component.digest,
                "origin": source.archive.kind,
                "location": source.archive.location,
                "sha256": source.archive.sha256,
                "license": source.component.license,
                "patched": ", ".join(sorted({p.path for p in source.component.patches})),
            }
            for name, source in self.sources.items()
        }


def source_tree(components: tuple[Component, ...] = COMPONENTS) -> SourceTree:
    """The tree of components, by default of those that all programs need; fetches those that are missing.

    Raises:
        SourceError: no origin could be reached, a digest did not match, or a patch does not apply.
        UsageError: LITESMITH_SOURCES names a file that is not there.
    """
    root = paths.cache_folder() / "sources"
    missing = [one for one in components if folder_of(one) is None]
    if missing:
        store = originals()
        for component in missing:
            store.require_sound(component)
        fetching.fetch(missing, store, (*COMPONENTS, *XNNPACK_COMPONENTS))
        root.mkdir(parents=True, exist_ok=True)
        for component in missing:
            _make(store, component, root / _folder(component))
    return SourceTree(
        root=root,
        sources={
            one.name: Source(component=one, folder=_folder(one), archive=read_stamp(root / _folder(one)))
            for one in components
        },
    )


def folder_of(component: Component) -> Path | None:
    """The folder of a component with its patches, if it has been made."""
    folder = paths.cache_folder() / "sources" / _folder(component)
    try:
        read_stamp(folder)
    except (OSError, ValueError, TypeError):
        return None
    return folder


def require_whole(tree: SourceTree) -> None:
    """Makes those folders of a tree again whose files have changed since they were made.

    Raises:
        SourceError: see :func:`source_tree`.
        ToolError: the files of a custom op have changed.
    """
    damaged = [
        source for source in tree.sources.values() if not whole_folders.is_whole(tree.root / source.folder)
    ]
    for source in damaged:
        console.note(f"{tree.root / source.folder} is damaged: it is made again")
        whole_folders.discard(tree.root / source.folder)
    if damaged:
        source_tree(tuple(source.component for source in damaged))
    for local in tree.local.values():
        if not whole_folders.is_whole(tree.root / local.folder):
            whole_folders.discard(tree.root / local.folder)
            raise ToolError(f"the copy of {local.origin} in the cache is damaged", "build again")


def originals() -> Originals:
    """The store of the components' own files, in the cache."""
    return Originals(root=paths.cache_folder() / "originals")


def _folder(component: Component) -> str:
    """The name of a component's folder: by content, patches and headers, whichever origin it came from."""
    patches = [[patch.path, patch.find, patch.replace] for patch in component.patches]
    headers = {path.name: path.read_text(encoding="utf-8") for path in _own_headers(component)}
    return f"{component.name}-{files.digest_of(component.digest, patches, headers)[:12]}"


def _own_headers(component: Component) -> list[Path]:
    """The project's own headers that are copied into the component's folder."""
    if component.headers is None:
        return []
    return sorted((paths.data_folder("templates") / component.headers).iterdir())


def _make(store: Originals, component: Component, final: Path) -> None:
    """Makes the folder of a component with patches and headers, completely or not at all.

    Files without patches are hard links to the originals: sources are only read.
    """
    source = store.folder(component)
    patched = {patch.path for patch in component.patches}
    with files.staging_folder(final) as staged:
        for path in store.paths(component):
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            if path in patched:
                shutil.copyfile(source / path, staged / path)
            else:
                (staged / path).hardlink_to(source / path)
        for patch in component.patches:
            _apply(patch, staged / patch.path, component.name)
        for header in _own_headers(component):
            (staged / "litesmith").mkdir(exist_ok=True)
            shutil.copyfile(header, staged / "litesmith" / header.name)
        write_stamp(staged, read_stamp(source))
        # Another build may have been faster; it has made the same content.
        if folder_of(component) is None:
            whole_folders.discard(final)
        whole_folders.publish(staged, final)


def _apply(patch: Patch, path: Path, component: str) -> None:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    text, count = re.subn(patch.find, patch.replace, text)
    if count == 0:
        raise SourceError(f"the patch of {component}'s {patch.path} does not apply: it has no {patch.find!r}")
    path.write_text(text, encoding="utf-8")
