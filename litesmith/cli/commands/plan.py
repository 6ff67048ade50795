"""Tasks that predict whether a model fits a board, and that measure what predictions are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from litesmith.base.errors import UsageError
from litesmith.cli.command import Result, command, group, option
from litesmith.cli.options import (
    BOARD,
    ENTRY,
    INVENTORY,
    MODEL,
    PROGRAM,
    EntryOptions,
    ProgramOptions,
    board_over_ssh,
)

if TYPE_CHECKING:
    from litesmith.predict.plan.limits import Limits
    from litesmith.predict.plan.menu import MenuReport
    from litesmith.predict.plan.plans import Plan
    from litesmith.study.calibration import CalibrationReport


@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """The options that say what a board has, and how fast a model must be on it."""

    fps: str | None = option("the frames per second that are required")
    flash: str | None = option("memory for program and model: 1000KB (default: the profile's value)")
    ram: str | None = option("memory for tensors: 512KB (default: the profile's value)")
    flops: str | None = option("the FLOP/s that a program reaches: 500M (default: the profile's rates)")

    def limits(self) -> Limits:
        """The budget.

        Raises:
            UsageError: a value is not a number, or not more than 0.
        """
        from litesmith.predict.plan.limits import parse_limits

        return parse_limits(fps=self.fps, flash=self.flash, ram=self.ram, flops=self.flops)


@command(
    PROGRAM.only("target", "toolchain", "kernels"),
    group("budget", BudgetOptions),
    ENTRY,
    help={
        "model": MODEL,
        "menu": "a family of models (mobilenet_v1) or a YAML file, instead of --model",
        "plot": "with --menu: draw accuracy over MACs to this PNG file",
        "html": "write the plan as a page to this file",
    },
    json="print the plan as JSON",
    letters=(
        "target",
        "model",
        "menu",
        "toolchain",
        "kernels",
        "fps",
        "flash",
        "ram",
        "flops",
        "plot",
        "html",
    ),
)
def plan(
    options: ProgramOptions,
    budget: BudgetOptions,
    entry: EntryOptions,
    model: str | None = None,
    menu: str | None = None,
    plot: str | None = None,
    html: str | None = None,
) -> Result[Plan] | Result[MenuReport]:
    """Compare what a model, or a family of models, needs with what a board has; nothing is built."""
    if (model is None) == (menu is None):
        raise UsageError("give either --model or --menu", "for example --model examples/det.tflite")
    if menu is None and plot is not None:
        raise UsageError("--plot draws a menu", "give --menu mobilenet_v1, or --html for the page of a model")
    target = options.required_target()
    limits = budget.limits()
    if menu is not None:
        _refuse_with_menu(options, entry)
        return _plan_menu(menu, target, options.toolchain, limits, plot=plot, html=html)
    return _plan_model(options, entry, str(model), limits, html=html)


def _plan_model(
    options: ProgramOptions, entry: EntryOptions, model: str, limits: Limits, *, html: str | None
) -> Result[Plan]:
    from litesmith.base import files
    from litesmith.build.request import resolve
    from litesmith.cli.render import plan as tables
    from litesmith.cli.render import plan_page
    from litesmith.predict.plan import plans

    request = options.request(models=(model,), choice=entry.choice())
    resolved = resolve(request)
    (opened,) = resolved.models
    found = plans.plan(resolved.profile, resolved.toolchain, opened, limits, request.choice)
    if html is not None:
        files.write_atomically(Path(html), plan_page.of_plan(found))
    return Result(value=found, show=tables.plan)


def _refuse_with_menu(options: ProgramOptions, entry: EntryOptions) -> None:
    """Refuses options that need a graph: a menu only lists the ops of its models."""
    given = {
        "--kernels": options.kernels != "builtin" and options.kernels,
        "--signature": entry.signature,
        "--input-shape": entry.input_shape,
    }
    for name, value in given.items():
        if value:
            raise UsageError(
                f"{name} goes with --model: a menu does not describe the graphs of its models",
                f"leave out {name}: menus are planned with TensorFlow Lite's built-in kernels",
            )


def _plan_menu(
    menu: str, target: str, toolchain: str | None, limits: Limits, *, plot: str | None, html: str | None
) -> Result[MenuReport]:
    from litesmith.base import files
    from litesmith.cli.render import menu_plot, plan_page
    from litesmith.cli.render import plan as tables
    from litesmith.predict.plan import menu as menus

    found = menus.choose(menus.load(menu), target, toolchain, limits)
    if plot is not None:
        files.write_atomically(Path(plot), menu_plot.png(found))
    if html is not None:
        files.write_atomically(Path(html), plan_page.of_menu(found))
    return Result(value=found, show=tables.menu)


@command(
    PROGRAM.only("target", "toolchain"),
    help={
        "board": f"{BOARD} (default: the emulator, to try the calculation only)",
        "boards": INVENTORY,
        "model": f"{MODEL}, to measure with; may be repeated (default: the zoo and the examples)",
        "runs": "inferences per model",
        "out": "the profile to write (default: <target>.<board>.yaml)",
    },
    json="print the measurements as JSON",
    repeatable=("model",),
    letters=("target", "board", "boards", "model"),
)
def calibrate(
    options: ProgramOptions,
    board: str | None = None,
    boards: str | None = None,
    model: tuple[str, ...] = (),
    runs: int = 10,
    out: str | None = None,
) -> Result[CalibrationReport]:
    """Measure the throughput of each op on a board, and write a profile that 'plan' predicts with."""
    from litesmith.cli.render import plan as tables
    from litesmith.study import calibration

    chosen = board_over_ssh(boards, board) if board is not None else None
    found = calibration.run(options.required_target(), options.toolchain, chosen, model, runs, out)
    return Result(value=found, show=tables.calibration)
