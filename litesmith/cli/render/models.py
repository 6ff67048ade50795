"""Models as tables: what they contain, and the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from litesmith.base import console
from litesmith.base.units import human_size
from litesmith.cli.render.table import add_row, table

if TYPE_CHECKING:
    from litesmith.model.analysis import ModelAnalysis
    from litesmith.model.zoo import ZooModel
    from litesmith.runtime.op_registry import Registry


def analyses(models: Sequence[ModelAnalysis], registry: Registry) -> None:
    """What each model contains: ops, subgraphs, signatures, weights, and what cannot run."""
    for model in models:
        _analysis(model, registry)


def _analysis(model: ModelAnalysis, registry: Registry) -> None:
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


def zoo(models: Sequence[ZooModel]) -> None:
    """The models of the zoo, one per row."""
    shown = table("model", "description", "origin", "package", "licence")
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
