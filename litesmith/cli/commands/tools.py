"""Tasks that show and prepare what programs are built with: external tools, sources, toolchain images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from litesmith.base import console, units
from litesmith.cli.command import Result, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litesmith.container.toolchain_images import ImageState
    from litesmith.runtime.source_survey import SourceState
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


@command(
    help={
        "fetch": "fetch everything now, XNNPACK's sources included",
        "bundle": "write one archive of them to this file; on a machine without a network, name it in "
        "LITESMITH_SOURCES",
    },
    json="print the components as JSON",
)
def sources(fetch: bool = False, bundle: str | None = None) -> Result[Sequence[SourceState]]:
    """List the pinned sources; fetch them ahead, or bundle them for a machine without a network."""
    from litesmith.cli.render import tools as tables
    from litesmith.runtime import source_survey

    if fetch:
        source_survey.fetch_all()
    if bundle is not None:
        source_survey.write_bundle(Path(bundle))
        console.note(f"{bundle}: {units.human_size(Path(bundle).stat().st_size)}")
    return Result(
        value=source_survey.survey(),
        show=tables.sources,
        to_json=lambda found: [dataclasses.asdict(one) for one in found],
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
