"""All toolchains, in an explicit dictionary."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.target.profiles import ToolchainName
from litesmith.toolchain.protocol import Toolchain


def load(name: ToolchainName) -> Toolchain:
    """The toolchain with a name from :meth:`Profile.choose`.

    Raises:
        ToolError: the toolchain is not installed.
    """
    from litesmith.toolchain.docker import Docker
    from litesmith.toolchain.gcc import Gcc
    from litesmith.toolchain.zig import Zig

    known: Mapping[ToolchainName, type[Toolchain]] = {"zig": Zig, "gcc": Gcc, "docker": Docker}
    return known[name]()
