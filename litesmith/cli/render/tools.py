"""External tools, sources and toolchain images as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.cli.render.table import add_row, table

if TYPE_CHECKING:
    from litesmith.container.toolchain_images import ImageState
    from litesmith.runtime.source_survey import SourceState
    from litesmith.workflow.doctor import Tool

_DIGEST_CHARACTERS = 15


def tools(found: Sequence[Tool]) -> None:
    """External tools, and how to install those that are missing."""
    shown = table("tool", "version", "purpose", "how to install it")
    for tool in found:
        add_row(
            shown, tool.name, tool.version or "missing", tool.purpose, "" if tool.version else tool.install
        )
    console.stdout().print(shown)


def sources(found: Sequence[SourceState]) -> None:
    """The pinned components, and whether this machine has them."""
    shown = table("component", "needed for", "version", "revision", "licence", "content", "origin")
    for one in found:
        needed = "programs with XNNPACK" if one.group else "all programs"
        content = one.digest[:_DIGEST_CHARACTERS]
        origin = one.origin if one.present else "not fetched yet"
        add_row(shown, one.name, needed, one.version, one.revision[:12], one.license, content, origin)
    console.stdout().print(shown)


def images(found: Sequence[ImageState]) -> None:
    """Toolchain images, and which of them the Docker engine has."""
    shown = table("image", "tag", "pinned base", "exists", "base")
    for entry in found:
        name, digest = entry.pinned.partition("@")[::2]
        short = f"{name}@{digest[:19]}" if digest else ""
        add_row(shown, entry.name, entry.tag, short, "yes" if entry.identifier else "no", entry.base)
    console.stdout().print(shown)
