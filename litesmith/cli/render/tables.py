"""Models, targets, ops, tools and builds as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from litesmith.base import console
from litesmith.base.files import human_size
from litesmith.cli.render.common import add_row, bar, table
from litesmith.model.contents import ModelAnalysis
from litesmith.runtime.op_registry import Op, Registry
from litesmith.runtime.selection import upstream_path
from litesmith.target.profiles import Profile

if TYPE_CHECKING:
    from pathlib import Path

    from litesmith.container.toolchain_images import ImageState
    from litesmith.model.zoo import ZooModel
    from litesmith.workflow.doctor import Tool
    from litesmith.workflow.matrix import Matrix


def analysis(model: ModelAnalysis, registry: Registry) -> None:
    """The analysis as tables."""
    out = console.stdout()
    title = f"{model.path}: {human_size(model.size)}"
    shown = table("op", "versions", "uses", "dtypes", "options", title=title)
    for use in model.ops():
        lowest, highest = use.versions
        add_row(
            shown,
            registry.name_of(use) + (" (custom)" if use.custom else ""),
            str(lowest) if lowest == highest else f"{lowest} to {highest}",
            str(use.count),
            ", ".join(use.dtypes),
            "; ".join(_options(option) for option in use.options),
        )
    out.print(shown)
    for number, subgraph in enumerate(model.subgraphs):
        out.print(
            f"subgraph {number} {subgraph.name!r}: {len(subgraph.nodes)} operators, "
            f"{len(subgraph.tensors)} tensors",
            markup=False,
        )
        for kind, indices in (("input", subgraph.inputs), ("output", subgraph.outputs)):
            for index in indices:
                tensor = subgraph.tensors[index]
                out.print(f"  {kind} {tensor.name}: {tensor.dtype}{list(tensor.shape)}", markup=False)
    for signature in model.signatures:
        out.print(
            f"signature {signature.key!r}: {', '.join(signature.inputs)} -> {', '.join(signature.outputs)}",
            markup=False,
        )
    weights = ", ".join(f"{dtype} {human_size(size)}" for dtype, size in model.weight_bytes.items())
    out.print(f"weights: {weights or 'none'}", markup=False)
    for problem in registry.problems(model):
        out.print(f"cannot run: {problem.message}; {problem.next_step}", markup=False, soft_wrap=True)


def _options(options: Any) -> str:
    if isinstance(options, dict):
        return ", ".join(f"{key}={value}" for key, value in options.items())
    return str(options)


def profiles(found: Sequence[Profile]) -> None:
    """Target profiles as a table."""
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
    """The op registry as a table."""
    shown = table("op", "code", "versions", "dtypes", "kernel file")
    users = Counter(source for op in every for source in op.sources)
    for op in every:
        # Its own file is the one that the fewest other ops need.
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


def matrix(found: Matrix, path: Path) -> None:
    """The cells as one table, and what they were made with."""
    out = console.stdout()
    shown = table("model", "target", "toolchain", "code, bytes", "", "verdict", "seconds")
    for name in ("code, bytes", "seconds"):
        next(column for column in shown.columns if column.header == name).justify = "right"
    most = max((cell.code or 0 for cell in found.cells), default=0)
    for cell in found.cells:
        add_row(
            shown,
            cell.model,
            cell.target,
            cell.toolchain,
            f"{cell.code:,}" if cell.code else "",
            bar(cell.code or 0, most),
            cell.verdict + (f": {cell.reason}" if cell.reason else ""),
            f"{cell.seconds:.1f}",
        )
    out.print(shown)
    for line in dict.fromkeys(f"{cell.target}: {cell.made_with}" for cell in found.cells if cell.made_with):
        out.print(line, markup=False, soft_wrap=True)
    out.print(str(path), markup=False)


def images(found: Sequence[ImageState]) -> None:
    """Toolchain images as a table."""
    shown = table("image", "tag", "pinned base", "there", "stands on")
    for entry in found:
        name, digest = entry.pinned.partition("@")[::2]
        short = f"{name}@{digest[:19]}" if digest else ""
        add_row(shown, entry.name, entry.tag, short, "yes" if entry.identifier else "no", entry.base)
    console.stdout().print(shown)


def zoo(models: Sequence[ZooModel]) -> None:
    """The zoo as a table."""
    shown = table("model", "what it is", "from", "package", "licence")
    for model in models:
        add_row(
            shown,
            f"zoo:{model.name}",
            model.title,
            model.origin,
            f"{model.package.name} {model.package.version}",
            model.package.license,
        )
    console.stdout().print(shown)


def tools(found: Sequence[Tool]) -> None:
    """Outside tools as a table."""
    shown = table("tool", "there", "for", "how to get it")
    for tool in found:
        add_row(
            shown, tool.name, tool.version or "missing", tool.purpose, "" if tool.version else tool.install
        )
    console.stdout().print(shown)
