"""What a model needs, before it is built."""

from __future__ import annotations

from typing import Any

from invoke.context import Context

from litesmith.base.errors import UsageError
from litesmith.cli.commands.common import choice, command, needed, print_json


@command(
    iterable=["input_shape"],
    help={
        "target": "built-in target name or path of a profile",
        "model": "a .tflite file or zoo:NAME",
        "signature": "plan this signature",
        "input-shape": "NAME=1x224x224x3: plan with this shape of an input",
        "menu": "a family of models (mobilenet_v1), or a YAML file, in place of --model",
        "toolchain": "zig, gcc or docker, with linkage if need be: gcc:static",
        "kernels": "builtin, xnnpack or auto: who runs the nodes (default: as the profile says)",
        "fps": "frames per second that are wanted",
        "flash": "what the board has for program and model: 1000KB (default: as the profile says)",
        "ram": "what it has for tensors: 512KB (default: as the profile says)",
        "flops": "FLOP/s that a program reaches there, in place of the profile's arithmetic: 500M",
        "plot": "write accuracy over MACs as a PNG (with --menu)",
        "html": "write a page with plan and size",
        "json": "print the plan as JSON",
    },
)
def plan(
    ctx: Context,
    target: str | None = None,
    model: str | None = None,
    menu: str | None = None,
    toolchain: str | None = None,
    kernels: str | None = None,
    fps: str | None = None,
    flash: str | None = None,
    ram: str | None = None,
    flops: str | None = None,
    plot: str | None = None,
    html: str | None = None,
    signature: str | None = None,
    input_shape: Any = None,
    json: bool = False,
) -> None:
    """Hold a model, or a family of models, against what a board has; nothing is built."""
    from litesmith.build.request import Request, resolve
    from litesmith.cli.render import planning as tables
    from litesmith.predict.plan import menu as menus
    from litesmith.predict.plan import plans

    del ctx
    if (model is None) == (menu is None):
        raise UsageError("one of --model and --menu is needed", "for example --model examples/det.tflite")
    wanted = needed(target, "--target", "armv7")
    wishes = plans.parse_wishes(fps=fps, flash=flash, ram=ram, flops=flops)
    found: Any
    if menu is not None:
        of_graphs = {"--kernels": kernels, "--signature": signature, "--input-shape": input_shape}
        for option, value in of_graphs.items():
            if value and value != "builtin":
                raise UsageError(
                    f"{option} goes with --model: of the models of a menu no graph is known",
                    f"leave {option} out: menus are planned with TensorFlow Lite's own kernels",
                )
        found = menus.choose(menus.load(menu), wanted, toolchain, wishes)
    else:
        request = Request(
            target=wanted,
            models=(str(model),),
            toolchain=toolchain,
            choice=choice(signature, input_shape),
            kernels=kernels,
        )
        resolved = resolve(request)
        (planned,) = resolved.models
        found = plans.plan(resolved.profile, resolved.toolchain, planned, wishes, request.choice)
    _draw(found, plot, html)
    if json:
        print_json(found.to_json())
    elif menu is not None:
        tables.menu(found)
    else:
        tables.plan(found)


def _draw(found: Any, png: str | None, page: str | None) -> None:
    from pathlib import Path

    from litesmith.base import files
    from litesmith.predict.plan.menu import MenuReport

    if png is not None:
        if not isinstance(found, MenuReport):
            raise UsageError(
                "--plot draws a menu", "give --menu mobilenet_v1, or --html for the page of a model"
            )
        from litesmith.cli.render import menu_plot

        files.write_atomically(Path(png), menu_plot.png(found))
    if page is not None:
        from litesmith.cli.render import plan_page as pages

        text = pages.of_menu(found) if isinstance(found, MenuReport) else pages.of_plan(found)
        files.write_atomically(Path(page), text)


@command(
    iterable=["model"],
    help={
        "target": "built-in target name or path of a profile",
        "board": "a board of the inventory (default: the emulator, for the arithmetic alone)",
        "boards": "the inventory (default boards.yaml)",
        "model": "models to measure with (default: zoo and examples)",
        "toolchain": "zig, gcc or docker, with linkage if need be: gcc:static",
        "runs": "inferences of each model",
        "out": "the profile that is written (default <target>.<board>.yaml)",
        "json": "print what was measured as JSON",
    },
)
def calibrate(
    ctx: Context,
    target: str | None = None,
    board: str | None = None,
    boards: str | None = None,
    model: Any = None,
    toolchain: str | None = None,
    runs: int = 10,
    out: str | None = None,
    json: bool = False,
) -> None:
    """Measure the throughput of each op on a board, and write a profile that plan predicts with."""
    from pathlib import Path

    from litesmith.board.deploy import inventory
    from litesmith.cli.render import planning as tables
    from litesmith.study import calibration

    del ctx
    chosen = None
    if board is not None:
        (named,) = inventory.load(Path(boards) if boards else None).choose((board,))
        chosen = inventory.over_ssh(named)
    found = calibration.run(
        needed(target, "--target", "armv7"), toolchain, chosen, tuple(model or ()), runs, out
    )
    if json:
        print_json(found.to_json())
    else:
        tables.calibration(found)
