"""Accuracy over MACs of a menu, with the limits of the board, as a picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from litesmith.base import packages
from litesmith.predict.plan.menu import MenuReport, VariantPlan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"fits": "#1b7a43", "perhaps": "#b26a00", "does not fit": "#9aa4b1"}
_LIMIT = "#b3261e"
_INCHES = (8.0, 5.0)
_DOTS_PER_INCH = 120


def png(found: MenuReport) -> bytes:
    """The picture as PNG."""
    stream = io.BytesIO()
    _draw(found).savefig(stream, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()


def svg(found: MenuReport) -> str:
    """The picture as an SVG element for a page."""
    packages.require("plot")
    import matplotlib as mpl

    stream = io.StringIO()
    # The same menu gives the same text: ids come from its name, and no date is written.
    with mpl.rc_context({"svg.hashsalt": found.menu, "svg.fonttype": "none"}):
        _draw(found).savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _draw(found: MenuReport) -> Figure:
    packages.require("plot")
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    shown = _best_arithmetic(found)
    for number, choice in enumerate(sorted(shown, key=lambda one: one.million_macs)):
        best = found.best is not None and choice.variant == found.best.variant
        axes.scatter(
            choice.million_macs,
            choice.top1,
            s=150 if best else 45,
            marker="*" if best else "o",
            color=_COLOURS[choice.verdict],
            zorder=3,
        )
        axes.annotate(
            choice.variant,
            (choice.million_macs, choice.top1),
            # Labels of neighbours would overlap.
            (6, 5 if number % 2 else -12),
            textcoords="offset points",
            fontsize=8,
        )
    for macs, label in _limits(found):
        axes.axvline(macs, color=_LIMIT, linestyle="--", linewidth=1)
        axes.annotate(
            label,
            (macs, 1),
            (3, -12),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
            color=_LIMIT,
        )
    for verdict, colour in _COLOURS.items():
        axes.scatter([], [], color=colour, label=verdict)
    axes.set_xscale("log")
    ticks = [n * 10**power for power in range(5) for n in (1, 2, 5)]
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("million multiply-accumulates")
    axes.set_ylabel("top-1 accuracy, % (published)")
    axes.set_title(f"{found.menu} on {found.target}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def _best_arithmetic(found: MenuReport) -> list[VariantPlan]:
    """Each variant once, with the arithmetic that fits best."""
    order = list(_COLOURS)
    by_variant: dict[str, VariantPlan] = {}
    for choice in found.choices:
        known = by_variant.get(choice.variant)
        if known is None or order.index(choice.verdict) < order.index(known.verdict):
            by_variant[choice.variant] = choice
    return list(by_variant.values())


def _limits(found: MenuReport) -> list[tuple[float, str]]:
    """Millions of MACs per frame that the board computes, in the worst and in the best case."""
    wanted = next(
        (line.have for choice in found.choices for line in choice.lines if line.unit == "1/s"), None
    )
    if wanted is None:
        return []
    limits: dict[float, str] = {}
    for arithmetic in dict.fromkeys(choice.arithmetic for choice in found.choices):
        one = next(choice for choice in found.choices if choice.arithmetic == arithmetic)
        for milliseconds, how in ((one.latency.high, "for certain"), (one.latency.low, "at best")):
            macs = one.million_macs * 1000 / wanted / milliseconds
            same = one.latency.high == one.latency.low
            limits[round(macs, 6)] = f"{wanted:g} 1/s" if same else f"{arithmetic}, {how}"
    return sorted(limits.items())
