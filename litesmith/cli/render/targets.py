"""Target profiles and the op registry as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.base.units import human_size
from litesmith.cli.render.table import add_row, table
from litesmith.runtime.selection import upstream_path

if TYPE_CHECKING:
    from litesmith.runtime.op_registry import Op
    from litesmith.target.profiles import Profile


def profiles(found: Sequence[Profile]) -> None:
    """Target profiles, one per row."""
    shown = table("target", "CPU", "float", "toolchains", "flags", "runs with", "flash", "RAM", "clock")
    for profile in found:
        resources = profile.resources
        add_row(
            shown,
            profile.name,
            profile.cpu,
            profile.float_abi,
            ", ".join(f"{name} ({options.linkage})" for name, options in profile.toolchains.items()),
            " ".join((profile.optimise or "", *profile.flags)).strip(),
            profile.emulator.program if profile.emulator else "this machine",
            human_size(resources.flash),
            human_size(resources.ram),
            f"{resources.cores} x {resources.clock / 1e6:g} MHz",
        )
    console.stdout().print(shown)


def ops(every: Sequence[Op]) -> None:
    """The ops of the registry, with the kernel file of each."""
    shown = table("op", "code", "versions", "dtypes", "kernel file")
    users = Counter(source for op in every for source in op.sources)
    for op in every:
        # The kernel file of the op itself is the one that the fewest other ops need.
        own = min((s for s in op.sources if "/kernels/" in s), key=lambda s: users[s], default="")
        add_row(
            shown,
            op.name,
            "custom" if op.custom else str(op.code),
            f"{op.versions[0]} to {op.versions[1]}",
            ", ".join(op.dtypes),
            upstream_path(own),
        )
    console.stdout().print(shown)
