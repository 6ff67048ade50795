"""Kernels have the same code with headers that are compiled ahead as without them."""

from __future__ import annotations

import pytest

from litesmith.build import builder as building
from litesmith.build.project import Project, ProjectOptions
from litesmith.measure.size import elf
from litesmith.model.analysis import DepthwiseRow
from litesmith.runtime import op_registry, source_tree
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.target import profiles
from litesmith.target.profiles import ToolchainName
from litesmith.toolchain.registry import load as load_toolchain

# Optimised kernels, reference kernels, and one without either; all defines that single files get.
OPS = ("ADD", "CAST", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "RESHAPE", "SQUARED_DIFFERENCE", "TOPK_V2")
DTYPES = ("float32", "int32", "int8")
ROW = DepthwiseRow(stride_width=1, input_depth=24, multiplier=1)


@pytest.mark.build
@pytest.mark.parametrize("name", ["zig", "gcc"])
def test_programs_have_the_same_sizes(name: ToolchainName) -> None:
    """Compared are sizes: with GCC, functions of an object can come in another order."""
    profile, tree, registry = profiles.load("armv7"), source_tree.source_tree(), op_registry.load()
    known = registry.by_name()
    chosen = Selection(
        models=(),
        ops=tuple(
            SelectedOp.of(known[op], dtypes=DTYPES, depthwise=(ROW,) if op == "DEPTHWISE_CONV_2D" else ())
            for op in OPS
        ),
        sparse=False,
    )
    project = Project.of(
        chosen,
        ProjectOptions(name="program"),
        profile=profile,
        tree=tree,
        runtime=registry.runtime,
    )
    sizes = []
    for precompile in (False, True):
        with building.workshop(profile, load_toolchain(name), tree, precompile=precompile) as builder:
            sizes.append(elf.program_size(builder.stripped(project)))
    assert sizes[0] == sizes[1]
