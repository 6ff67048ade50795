"""A flash tool that a profile defines, for the tests."""

from __future__ import annotations

from typing import Any

from litesmith.base.yaml_files import validate
from litesmith.target import profiles
from litesmith.target.profiles import Profile

OWN: dict[str, Any] = {
    "description": "writes to a file",
    "tools": ["my-loader"],
    "install": "ask its maker",
    "version": ["--version"],
    "image": "elf",
    "arguments": ["--to", "{remote}", "{image}"],
    "capabilities": ["flash"],
}


def profile_with(**own: object) -> Profile:
    content = {**profiles.load("armv7").model_dump(), "name": "armv7", "runners": own}
    return validate(content, Profile, "test")
