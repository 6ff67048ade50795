"""Tasks that show and prepare the external tools: the tools of this machine, and toolchain images."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from litesmith.cli.command import Result, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litesmith.container.toolchain_images import ImageState
    from litesmith.workflow.doctor import Tool


@command(json="print the tools as JSON")
def doctor() -> Result[Sequence[Tool]]:
    """List every external tool: its purpose, whether it is installed, and how to install it."""
    from litesmith.cli.render import tools as tables
    from litesmith.workflow import doctor as checks

    return Result(
        value=checks.examine(),
        show=tables.tools,
        to_json=lambda found: [dataclasses.asdict(tool) for tool in found],
    )


@command(name="base")
def make_base_image() -> None:
    """Make the base of the toolchain images with debootstrap, where no image registry can be reached."""
    from litesmith.container import toolchain_images

    made = toolchain_images.make_base()
    print(f"{made.tag}: {made.base}, {made.identifier}")


@command(name="list", default=True, json="print the images as JSON")
def images() -> Result[Sequence[ImageState]]:
    """Show the toolchain images: tag, base, and whether the Docker engine has them."""
    from litesmith.cli.render import tools as tables
    from litesmith.container import toolchain_images

    return Result(
        value=toolchain_images.survey(),
        show=tables.images,
        to_json=lambda found: [dataclasses.asdict(image) for image in found],
    )
