"""Files from ``templates/``: rendered with Jinja, or copied unchanged."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from litesmith.base import paths

if TYPE_CHECKING:
    from jinja2 import Environment


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(paths.data_folder("templates") / "project"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # C++ and CMake, not HTML; text from models is checked before it gets here.
        autoescape=False,  # noqa: S701
    )


def render(name: str, values: Mapping[str, object]) -> str:
    """Renders ``templates/project/<name>.j2`` with these values.

    Raises:
        jinja2.UndefinedError: the template uses a value that is missing.
    """
    return _environment().get_template(f"{name}.j2").render(values)


def copied(folder: str) -> dict[str, str]:
    """The files of a folder of ``templates/``, by name."""
    place = paths.data_folder("templates") / folder
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(place.iterdir())}
