"""A plan, or a menu, → one self-contained HTML file: budget, pictures, tables."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litesmith.base import paths
from litesmith.base.units import human_size
from litesmith.cli.render import menu_plot
from litesmith.predict.arena.prediction import Kind, SubgraphPlan
from litesmith.predict.plan.budget import Line, Verdict, span
from litesmith.predict.plan.menu import MenuReport
from litesmith.predict.plan.plans import Plan

_CLASSES: dict[Verdict, str] = {"fits": "fits", "perhaps": "perhaps", "does not fit": "no"}
_MILLION = 1_000_000
_WIDTH, _HEIGHT, _MARGIN = 960, 360, 24
_HUES: dict[Kind, int] = {
    "input": 265,
    "output": 150,
    "activation": 212,
    "scratch": 35,
    # Usually these lie in the other arena, which is not drawn.
    "variable": 320,
    "kept": 90,
}


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Cells, the CSS class of the last one, and the share that a bar after them shows."""

    cells: Sequence[str]
    verdict: str = ""
    share: float | None = None


def of_plan(found: Plan) -> str:
    """The page of a model's plan."""
    low, high = found.latency.frames_per_second
    facts = [
        ("million MACs", f"{found.work.macs / _MILLION:,.2f}"),
        ("parameters", f"{found.work.parameters:,}"),
        ("arena", human_size(found.arena.bytes)),
        *([("packed weights", human_size(found.packed_weights))] if found.packed_weights else []),
        *([("XNNPACK's workspace", human_size(found.workspace))] if found.workspace else []),
        (
            "program",
            "unknown"
            if found.program is None
            else f"{human_size(found.program)} ±{100 * found.program_error:.1f} %",
        ),
        ("model", human_size(found.model_bytes)),
        ("latency", f"{span(found.latency.low, found.latency.high)} ms"),
        ("frames per second", span(low, high)),
    ]
    facts += [(f"weights, {dtype}", human_size(size)) for dtype, size in found.work.weight_bytes.items()]
    layers = [node for node in found.work.nodes if node.macs]
    most = max((node.macs for node in layers), default=1)
    costs = sorted(found.ops.items(), key=lambda item: -item[1])
    largest = max((size for _, size in costs), default=1)
    tables = [
        _budget(found.lines),
        {
            "title": "MACs of each layer",
            "columns": ["layer", "op", "arithmetic", "MACs", "%", ""],
            "rows": [
                _Row(
                    cells=(
                        node.name.partition(";")[0],
                        node.op,
                        node.kind,
                        f"{node.macs:,}",
                        f"{100 * node.macs / found.work.macs:.1f}",
                    ),
                    share=node.macs / most,
                )
                for node in layers
            ],
        },
    ]
    if costs:
        tables.append(
            {
                "title": "Code of each op, estimated",
                "columns": ["op", "bytes", ""],
                "rows": [
                    _Row(cells=(op, f"{size:,}"), share=max(size, 0) / max(largest, 1)) for op, size in costs
                ],
            }
        )
    return _page(
        title=f"{found.model} on {found.target}: {found.verdict}",
        made_with=f"program: {found.made_with}; latency: {found.latency.basis}",
        facts=facts,
        tables=tables,
        picture="\n".join(_memory(graph) for graph in found.arena.subgraphs if graph.tensors),
        picture_title="Memory over time: each tensor from the node that writes it to its last reader",
    )


def of_menu(found: MenuReport) -> str:
    """The page of a menu."""
    rows = [
        _Row(
            cells=(
                f"{'→ ' if choice is found.best else ''}{choice.variant}",
                choice.arithmetic,
                f"{choice.million_macs:g}",
                f"{choice.million_parameters:g}",
                human_size(choice.model_bytes),
                f"{choice.top1:.1f} %",
                f"{span(choice.latency.low, choice.latency.high)} ms",
                choice.judgement(),
            ),
            verdict=_CLASSES[choice.verdict],
        )
        for choice in found.choices
    ]
    best = f"{found.best.variant} as {found.best.arithmetic}" if found.best else "no variant"
    columns = [
        "variant",
        "arithmetic",
        "million MACs",
        "million parameters",
        "model",
        "top-1",
        "latency",
        "verdict",
    ]
    return _page(
        title=f"{found.menu} on {found.target}: {best}",
        made_with="accuracies as published, in float32",
        facts=[("the most accurate that fits", best)],
        tables=[{"title": "Budget", "columns": columns, "rows": rows}],
        picture=menu_plot.svg(found).replace("<svg", '<svg class="plot"', 1),
        picture_title="Accuracy over MACs, and the MACs that the board computes in the time of one frame",
    )


def _budget(lines: Sequence[Line]) -> dict[str, Any]:
    rows = [
        _Row(cells=(line.name, *line.shown(), line.verdict), verdict=_CLASSES[line.verdict]) for line in lines
    ]
    return {"title": "Budget", "columns": ["", "need", "have", "verdict"], "rows": rows}


def _memory(graph: SubgraphPlan) -> str:
    """Tensors as boxes: nodes from left to right, offsets in the arena from top to bottom."""
    # A tensor that shares the memory of another one is drawn with that one.
    placed = [tensor for tensor in graph.tensors if not tensor.persistent and tensor.shares is None]
    nodes = max(graph.nodes, 1)
    height = max((tensor.offset + tensor.bytes for tensor in placed), default=1)
    across, down = (_WIDTH - 2 * _MARGIN) / nodes, (_HEIGHT - 2 * _MARGIN) / height
    kinds = [kind for kind in _HUES if any(tensor.kind == kind for tensor in placed)]
    boxes = []
    for tensor in placed:
        hue = _HUES[tensor.kind]
        label = html.escape(f"{tensor.name.partition(';')[0]}: {tensor.bytes:,} bytes ({tensor.kind})")
        place = f'x="{_MARGIN + across * tensor.first_node:.1f}" y="{_MARGIN + down * tensor.offset:.1f}"'
        width, tall = across * (tensor.last_node - tensor.first_node + 1), max(down * tensor.bytes, 0.5)
        boxes.append(
            f'<rect {place} width="{width:.1f}" height="{tall:.1f}" '
            f'fill="hsl({hue} 55% 60%)" stroke="#fff" stroke-width="0.5"><title>{label}</title></rect>'
        )
    axis = (
        f'<text x="{_MARGIN}" y="{_HEIGHT - 8}">first node</text>'
        f'<text x="{_WIDTH - _MARGIN}" y="{_HEIGHT - 8}" text-anchor="end">node {nodes - 1}</text>'
        f'<text x="{_MARGIN}" y="16">{html.escape(human_size(height))} in total; '
        f"{', '.join(kinds)}: point at a box for its name</text>"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Memory over time">'
        f"{''.join(boxes)}{axis}</svg>"
    )


def _page(**values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(paths.data_folder("templates") / "page"),
        undefined=StrictUndefined,
        trim_blocks=True,
        # The template escapes every text; the pictures are made here.
        autoescape=False,  # noqa: S701
    )
    # A path may hold bytes that are not UTF-8; the page must not.
    return environment.get_template("plan.html.j2").render(values).encode("utf-8", "replace").decode()
