"""The tasks of the command line: argument names and printing, nothing else.

Heavy imports are inside of the tasks, so that ``invoke --list`` stays fast.
"""

from __future__ import annotations

from typing import Any

from invoke.collection import Collection

from litesmith.cli.commands import (
    bench,
    boards,
    contributing,
    converting,
    lab,
    lists,
    planning,
    programs,
    sizes,
)


def namespace(*, development: bool) -> Collection:
    """The tasks; those that need a checkout only with ``development``."""
    collection = Collection(
        programs.build,
        programs.verify,
        programs.analyse,
        programs.matrix,
        programs.demo,
        planning.plan,
        planning.calibrate,
        converting.convert,
        boards.deploy,
        boards.rollback,
        lists.targets,
        lists.zoo,
        lists.doctor,
    )
    groups: dict[str, list[Any]] = {
        "ops": [lists.ops_list],
        "boards": [boards.list_boards],
        "lab": [lab.up, lab.down],
        "docker": [lists.base, lists.docker_list],
        "size": [sizes.size, sizes.diff, sizes.check, sizes.what_if],
        "estimate": [sizes.estimate],
        "bench": [
            bench.bench_speed,
            bench.bench_kernels,
            bench.bench_optimise,
            bench.bench_pruning,
            bench.bench_board,
            bench.bench_compare,
        ],
    }
    if development:
        groups["ops"].append(contributing.derive)
        groups["estimate"].append(contributing.measure)
        for one in (contributing.run_tests, contributing.lint, contributing.examples):
            collection.add_task(one)
    for name, tasks in groups.items():
        group = Collection(name)
        for one in tasks:
            group.add_task(one)
        collection.add_collection(group)
    return collection
