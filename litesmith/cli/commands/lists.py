"""What there is: targets, ops, models, images, tools."""

from __future__ import annotations

from invoke.context import Context

from litesmith.base import console
from litesmith.cli.commands.common import command, print_json


@command(
    help={
        "check": "validate a profile file of your own",
        "json": "print the profiles as JSON",
    }
)
def targets(ctx: Context, check: str | None = None, json: bool = False) -> None:
    """Show the targets, or validate a profile."""
    from litesmith.cli.render import tables
    from litesmith.target import profiles

    del ctx
    if check is not None:
        path = check if "/" in check or check.endswith((".yaml", ".yml")) else f"./{check}"
        found = [profiles.load(path)]
    else:
        found = [profiles.load(name) for name in profiles.available()]
    if json:
        print_json([profile.model_dump(mode="json") for profile in found])
    else:
        tables.profiles(found)
    if check is not None:
        console.note(f"{check} is a valid profile")


@command(name="list", default=True, help={"json": "print the registry as JSON"})
def ops_list(ctx: Context, json: bool = False) -> None:
    """Show the ops that the runtime has: versions and sources."""
    from litesmith.cli.render import tables
    from litesmith.runtime import op_registry

    del ctx
    registry = op_registry.load()
    every = list(registry.by_name().values())
    if json:
        print_json([op.model_dump(mode="json") for op in every])
    else:
        tables.ops(every)


@command(help={"fetch": "download all models", "json": "print the zoo as JSON"})
def zoo(ctx: Context, fetch: bool = False, json: bool = False) -> None:
    """Show the public models that --model zoo:NAME fetches."""
    import dataclasses

    from litesmith.cli.render import tables
    from litesmith.model import zoo as models

    del ctx
    if fetch:
        for name in models.MODELS:
            models.fetch(name)
    if json:
        print_json([dataclasses.asdict(model) for model in models.MODELS.values()])
    else:
        tables.zoo(list(models.MODELS.values()))


@command(help={"json": "print the findings as JSON"})
def doctor(ctx: Context, json: bool = False) -> None:
    """List every outside tool: what it is for, whether it is there, how to get it."""
    import dataclasses

    from litesmith.cli.render import tables
    from litesmith.workflow import doctor as checks

    del ctx
    found = checks.examine()
    if json:
        print_json([dataclasses.asdict(tool) for tool in found])
    else:
        tables.tools(found)


@command()
def base(ctx: Context) -> None:
    """Make the base of the toolchain images with debootstrap, where no registry can be reached."""
    from litesmith.container import toolchain_images

    del ctx
    made = toolchain_images.make_base()
    print(f"{made.tag}: {made.base}, {made.identifier}")


@command(name="list", default=True, help={"json": "print the images as JSON"})
def docker_list(ctx: Context, json: bool = False) -> None:
    """Show the toolchain images: tag, base, and whether the engine has them."""
    import dataclasses

    from litesmith.cli.render import tables
    from litesmith.container import toolchain_images

    del ctx
    found = toolchain_images.survey()
    if json:
        print_json([dataclasses.asdict(entry) for entry in found])
    else:
        tables.images(found)
