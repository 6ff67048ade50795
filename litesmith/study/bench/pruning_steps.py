"""``bench.pruning``: what each pruning step saves, measured by undoing that step alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from litesmith.build.project import Project
from litesmith.build.request import Request, resolve
from litesmith.build.session import opened
from litesmith.measure.size import elf
from litesmith.runtime.pruning import STEPS


@dataclass(frozen=True, kw_only=True)
class StepsReport:
    """Bytes of code: stock, pruned, and by how much the pruned program grows without each step.

    Steps overlap, so their bytes do not add up to the difference.
    """

    model: str
    target: str
    toolchain: str
    stock: int
    pruned: int
    steps: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def run(target: str, model: str, toolchain_name: str | None = None) -> StepsReport:
    """Builds the program of one model stock, pruned, and pruned without each step.

    Raises:
        LitesmithError: a build failed.
    """
    request = Request(target=target, models=(model,), toolchain=toolchain_name)
    with opened(resolve(request)) as session:
        profile, toolchain, project = session.profile, session.toolchain, session.project()
        linkage = profile.toolchains[toolchain.name].linkage

        def code(one: Project) -> int:
            return elf.program_size(session.builder.stripped(one)).code

        pruned = code(project)
        steps = {
            label: code(dataclasses.replace(project, pruning=step.take_back(project.pruning))) - pruned
            for label, step in STEPS.items()
        }
        return StepsReport(
            model=model,
            target=target,
            toolchain=f"{toolchain.name} {toolchain.version(profile)}, {linkage}",
            stock=code(session.project(pruned=False)),
            pruned=pruned,
            steps=dict(sorted(steps.items(), key=lambda item: -item[1])),
        )
