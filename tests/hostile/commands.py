"""Sends damaged models through analyse, plan, estimate and the page of a plan.

Allowed are a result and a :class:`LitesmithError`, which the command line prints as one line.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from litesmith.base.errors import LitesmithError
from litesmith.build.request import Request, ResolvedRequest, resolve
from litesmith.cli.render import models as model_tables
from litesmith.cli.render import plan as plan_tables
from litesmith.cli.render import plan_page
from litesmith.predict.code_size.program_estimate import estimate_program
from litesmith.predict.plan import plans
from litesmith.predict.plan.limits import Limits
from litesmith.runtime import op_registry
from tests.hostile.mutator import mutated


def _resolved(model: Path, target: str, kernels: str | None = None) -> ResolvedRequest:
    return resolve(Request(target=target, models=(str(model),), kernels=kernels))


def _analyse(model: Path) -> None:
    registry = op_registry.load()
    analysis = _resolved(model, "armv7").models[0].analysis
    json.dumps(op_registry.describe(analysis, registry))
    model_tables.analyses([analysis], registry)


def _plan(target: str, kernels: str | None) -> Callable[[Path], None]:
    def run(model: Path) -> None:
        resolved = _resolved(model, target, kernels)
        found = plans.plan(
            resolved.profile, resolved.toolchain, resolved.models[0], Limits(), resolved.request.choice
        )
        plan_tables.plan(found)
        json.dumps(found.to_json())
        plan_page.of_plan(found)

    return run


def _estimate(model: Path) -> None:
    resolved = _resolved(model, "armv7")
    estimate_program(resolved.profile, resolved.toolchain, resolved.models, embed_model=False)


COMMANDS: Mapping[str, Callable[[Path], None]] = {
    "analyse": _analyse,
    "plan": _plan("armv7", None),
    "plan --kernels xnnpack": _plan("x86_64", "xnnpack"),
    "estimate": _estimate,
}


def tracebacks(seed: str, original: bytes, numbers: Iterable[int]) -> tuple[dict[str, int], list[str]]:
    """How many results each command gave, and what ended in a traceback."""
    results = dict.fromkeys(COMMANDS, 0)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.tflite"
        for number in numbers:
            damaged = mutated(original, seed, number)
            model.write_bytes(damaged.content)
            for name, run in COMMANDS.items():
                try:
                    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                        run(model)
                    results[name] += 1
                except LitesmithError:
                    pass
                except Exception:
                    found.append(f"{name}: {seed} {number}: {damaged.change}\n{traceback.format_exc()}")
    return results, found
