"""What each step of pruning brings: the program measured again with one step taken back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from litesmith import generate, ops, profiles, selection, size, sources, toolchains
from litesmith.build import workshop
from litesmith.models import joint_name, open_model
from litesmith.pruning import STEPS


@dataclass(frozen=True, kw_only=True)
class StepsReport:
    """Bytes of code: stock, pruned, and what the program grows by without each step.

    Steps overlap, so that their bytes do not add up to the whole.
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
    """Builds the program of one model as often as there are steps.

    Raises:
        LitesmithError: a build failed.
    """
    profile, name = profiles.load(target).choose(toolchain_name)
    toolchain, tree, registry = toolchains.load(name), sources.source_tree(), ops.load()
    opened = open_model(model)
    chosen = selection.select([opened.analysis], registry)
    with workshop(profile, toolchain, tree, registry.runtime.defines) as builder:
        project, stock = (
            generate.generate(
                joint_name([opened]), chosen, profile, toolchain, tree, registry.runtime, pruned=pruned
            )
            for pruned in (True, False)
        )

        def code(one: generate.Project) -> int:
            return size.sections(builder.stripped(one)).code

        pruned = code(project)
        steps = {
            label: code(dataclasses.replace(project, pruning=step.take_back(project.pruning))) - pruned
            for label, step in STEPS.items()
        }
        return StepsReport(
            model=model,
            target=target,
            toolchain=f"{name} {toolchain.version(profile)}, {profile.toolchains[name].linkage}",
            stock=code(stock),
            pruned=pruned,
            steps=dict(sorted(steps.items(), key=lambda item: -item[1])),
        )
