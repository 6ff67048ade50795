"""External tools and toolchain images as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.cli.render.table import add_row, table

if TYPE_CHECKING:
    from litesmith.container.toolchain_images import ImageState
    from litesmith.workflow.doctor import Tool


def tools(found: Sequence[Tool]) -> None:
    """External tools, and how to install those that are missing."""
    shown = table("tool", "version", "purpose", "how to install it")
    for tool in found:
        add_row(
            shown, tool.name, tool.version or "missing", tool.purpose, "" if tool.version else tool.install
        )
    console.stdout().print(shown)


def images(found: Sequence[ImageState]) -> None:
    """Toolchain images, and which of them the Docker engine has."""
    shown = table("image", "tag", "pinned base", "exists", "base")
    for entry in found:
        name, digest = entry.pinned.partition("@")[::2]
        short = f"{name}@{digest[:19]}" if digest else ""
        add_row(shown, entry.name, entry.tag, short, "yes" if entry.identifier else "no", entry.base)
    console.stdout().print(shown)
