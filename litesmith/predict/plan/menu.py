"""A family of models and limits → which of the models fit, and the most accurate of these.

Menus are ``menus/*.yaml``, or files of the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from litesmith.base import paths
from litesmith.base.errors import UsageError, nearest
from litesmith.base.yaml_files import Strict, load_yaml
from litesmith.model.analysis import UNKNOWN_ROW
from litesmith.predict.code_size import builtin_costs
from litesmith.predict.code_size.builtin_costs import BuiltinCosts
from litesmith.predict.plan import budget, latency
from litesmith.predict.plan.budget import Line, Verdict
from litesmith.predict.plan.latency import Latency
from litesmith.predict.plan.limits import Limits, budget_lines, require_positive
from litesmith.predict.work import NodeWork, Work
from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.target import profiles
from litesmith.target.profiles import Arithmetic, Profile, ToolchainName
from litesmith.toolchain.registry import load as load_toolchain

_MILLION = 1_000_000
_BYTES: Mapping[Arithmetic, int] = {"float32": 4, "int8": 1}


class Variant(Strict):
    """One model: MACs and parameters in millions, published top-1 accuracy in per cent.

    ``bytes`` and ``arena`` are the bytes of the converted model and of its arena by arithmetic, where known.
    """

    million_macs: Annotated[float, Field(gt=0)]
    million_parameters: Annotated[float, Field(gt=0)]
    top1: Annotated[float, Field(gt=0, le=100)]
    bytes: Mapping[Arithmetic, int] = {}
    arena: Mapping[Arithmetic, int] = {}

    def bytes_as(self, arithmetic: Arithmetic) -> int:
        """Bytes of the model: those of the converted model, else those of its parameters."""
        return self.bytes.get(arithmetic) or round(self.million_parameters * _MILLION * _BYTES[arithmetic])


class Menu(Strict):
    """A family of models.  ``ops`` are the ops of its programs and their dtypes, by arithmetic."""

    name: str = ""
    description: str
    source: str
    ops: Mapping[Arithmetic, Mapping[str, tuple[str, ...]]] = Field(min_length=1)
    variants: Mapping[str, Variant] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class VariantPlan:
    """A variant in one arithmetic, compared with the limits."""

    variant: str
    arithmetic: Arithmetic
    million_macs: float
    million_parameters: float
    top1: float
    model_bytes: int
    program_bytes: int | None
    latency: Latency
    lines: tuple[Line, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all lines."""
        return budget.verdict_of(self.lines)

    @property
    def why_not(self) -> str:
        """The lines that do not fit, in words."""
        return ", ".join(line.shortage() for line in self.lines if line.verdict != "fits")

    def judgement(self) -> str:
        """The verdict, with its reasons."""
        return self.verdict if self.verdict == "fits" else f"{self.verdict}: {self.why_not}"


@dataclass(frozen=True, kw_only=True)
class MenuReport:
    """All variants of a menu in every arithmetic, and the most accurate one that fits; None if none does."""

    menu: str
    target: str
    choices: tuple[VariantPlan, ...]
    best: VariantPlan | None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "menu": self.menu,
            "target": self.target,
            "best": self.best.variant if self.best else None,
            "best_arithmetic": self.best.arithmetic if self.best else None,
            "choices": [
                {**asdict(choice), "verdict": choice.verdict, "why_not": choice.why_not}
                for choice in self.choices
            ],
        }


def available() -> dict[str, Path]:
    """The menus that come with litesmith, by name."""
    return {path.stem: path for path in sorted(paths.data_folder("menus").glob("*.yaml"))}


def load(name: str) -> Menu:
    """The menu of a built-in name or of a file.

    Raises:
        UsageError: there is no such menu, or its file is not valid.
    """
    known = available()
    path = Path(name) if name.endswith((".yaml", ".yml")) or "/" in name else known.get(name)
    if path is None:
        advice = nearest(name, list(known)) or f"use {', '.join(known)}, or the path of a YAML file"
        raise UsageError(f"unknown menu {name!r}", advice)
    return load_yaml(path, Menu).model_copy(update={"name": path.stem})


def choose(menu: Menu, target: str, toolchain_name: str | None, limits: Limits) -> MenuReport:
    """Compares every variant with the limits; nothing is built.

    Raises:
        UsageError: a limit is not positive, or the profile lacks numbers that a plan needs.
    """
    require_positive(limits)
    registry = op_registry.load()
    profile, name = profiles.load(target).choose(toolchain_name)
    known = _costs(profile, name)
    programs = {
        arithmetic: _program(known, _selection(menu, wanted, registry), registry)
        for arithmetic, wanted in menu.ops.items()
    }
    choices = tuple(
        _choice(name, variant, arithmetic, programs[arithmetic], profile, limits)
        for name, variant in menu.variants.items()
        for arithmetic in menu.ops
    )
    fitting = [choice for choice in choices if choice.verdict == "fits"]
    # Of equally accurate ones, the smaller one is better.
    best = max(fitting, key=lambda choice: (choice.top1, -choice.model_bytes), default=None)
    return MenuReport(menu=menu.name, target=profile.name, choices=choices, best=best)


def _costs(profile: Profile, toolchain: ToolchainName) -> BuiltinCosts | None:
    """None where no costs have been measured for the profile's flags."""
    try:
        return builtin_costs.load(profile, load_toolchain(toolchain))
    except UsageError:
        return None


def _program(
    known: BuiltinCosts | None, selection: Selection, registry: Registry
) -> tuple[int | None, float]:
    """Bytes of code and their error as a share; None without costs."""
    if known is None:
        return None, 0.0
    found = builtin_costs.estimate(known, selection, registry.runtime)
    return found.code, found.error


def _selection(menu: Menu, wanted: Mapping[str, tuple[str, ...]], registry: Registry) -> Selection:
    by_name = registry.by_name()
    for name in wanted:
        if name not in by_name:
            raise UsageError(
                f"the menu {menu.name} has the op {name!r}, which this runtime does not have",
                nearest(name, list(by_name)) or "see './inv ops'",
            )
    rows = {"DEPTHWISE_CONV_2D": (UNKNOWN_ROW,)}
    return Selection(
        models=(),
        ops=tuple(
            SelectedOp.of(by_name[name], dtypes=dtypes, depthwise=rows.get(name, ()))
            for name, dtypes in wanted.items()
        ),
        sparse=False,
    )


def _choice(
    name: str,
    variant: Variant,
    arithmetic: Arithmetic,
    program: tuple[int | None, float],
    profile: Profile,
    limits: Limits,
) -> VariantPlan:
    expected = latency.of_work(_work(variant, arithmetic), profile, limits.flops)
    model_bytes = variant.bytes_as(arithmetic)
    code, error = program
    return VariantPlan(
        variant=name,
        arithmetic=arithmetic,
        million_macs=variant.million_macs,
        million_parameters=variant.million_parameters,
        top1=variant.top1,
        model_bytes=model_bytes,
        program_bytes=code,
        latency=expected,
        lines=budget_lines(
            profile,
            limits,
            expected,
            flash=(code, error, model_bytes),
            ram=variant.arena.get(arithmetic),
        ),
    )


def _work(variant: Variant, arithmetic: Arithmetic) -> Work:
    """The work of a variant, as that of one convolution: a menu gives only the sum."""
    node = NodeWork(
        subgraph=0,
        node=0,
        op="CONV_2D",
        name="",
        kind=arithmetic,
        macs=round(variant.million_macs * _MILLION),
        elements=0,
    )
    return Work(nodes=(node,), parameters=round(variant.million_parameters * _MILLION), weight_bytes={})
