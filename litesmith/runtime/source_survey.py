"""What is known of the pinned sources on this machine; fetching all of them ahead, and bundling them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from litesmith.runtime import bundle, fetching, source_tree
from litesmith.runtime.originals import read_stamp
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS

ALL = (*COMPONENTS, *XNNPACK_COMPONENTS)


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """One component.

    ``group`` is empty for components of all programs, ``origin`` and ``location`` are empty if it is not
    ``present``.
    """

    name: str
    version: str
    revision: str
    license: str
    digest: str
    group: str
    present: bool
    origin: str
    location: str


def survey() -> tuple[SourceState, ...]:
    """All components; nothing is fetched."""
    store, states = source_tree.originals(), []
    for one in ALL:
        folder = source_tree.folder_of(one) or (store.folder(one) if store.has(one) else None)
        archive = read_stamp(folder) if folder else None
        states.append(
            SourceState(
                name=one.name,
                version=one.version,
                revision=one.revision,
                license=one.license,
                digest=one.digest,
                group=one.group,
                present=archive is not None,
                origin=archive.kind if archive else "",
                location=archive.location if archive else "",
            )
        )
    return tuple(states)


def fetch_all() -> None:
    """Fetches and unpacks every component that is missing, those of XNNPACK included.

    Raises:
        SourceError: see :func:`litesmith.runtime.source_tree.source_tree`.
    """
    source_tree.source_tree(ALL)


def write_bundle(path: Path) -> None:
    """Fetches every component that is missing, and writes the bundle of all of them.

    Raises:
        SourceError: see :func:`litesmith.runtime.source_tree.source_tree`.
        UsageError: see :func:`litesmith.runtime.bundle.require_writable`.
    """
    bundle.require_writable(path)
    store = source_tree.originals()
    fetching.fetch(ALL, store, ())
    bundle.write(path, ALL, store)
