"""The tasks of the command line: they turn options into calls, and name what shows the result.

Heavy imports are inside the tasks, so that ``--list`` stays fast.
"""

from __future__ import annotations

from typing import Any

from invoke.collection import Collection

from litesmith.cli.commands import (
    bench,
    boards,
    build,
    checkout,
    lab,
    models,
    plan,
    size,
    targets,
    tools,
)


def namespace(*, development: bool) -> Collection:
    """The tasks; those that need a checkout only with ``development``."""
    top_level = [
        *(build.build, build.verify, build.matrix, build.demo),
        *(models.analyse, models.convert, models.zoo),
        *(plan.plan, plan.calibrate),
        *(boards.deploy, boards.rollback),
        *(targets.targets, tools.doctor, tools.sources),
    ]
    groups: dict[str, list[Any]] = {
        "ops": [targets.ops],
        "boards": [boards.list_boards],
        "lab": [lab.up, lab.down],
        "docker": [tools.make_base_image, tools.images],
        "size": [size.show, size.diff, size.check, size.what_if],
        "estimate": [size.estimate],
        "bench": [
            *(bench.speed, bench.kernels, bench.optimise),
            *(bench.pruning, bench.on_board, bench.compare),
        ],
    }
    if development:
        top_level += [checkout.run_tests, checkout.lint, checkout.examples]
        groups["ops"].append(checkout.derive)
        groups["estimate"].append(checkout.measure)
    collection = Collection(*top_level)
    for name, tasks in groups.items():
        collection.add_collection(Collection(name, *tasks))
    return collection
