"""``calibrate``: node times of several models → a profile with the throughput of each op and arithmetic.

The times come from profiling programs.  Without a board, the profile's emulator or this machine runs them:
that shows how arithmetics compare with each other, not how fast a board is.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.base import console, files
from litesmith.base.errors import NoExecutorError, UsageError, VerificationError
from litesmith.board.deploy.inventory import Board
from litesmith.build.request import Request, resolve
from litesmith.measure.verify.executor import find_executor
from litesmith.model import samples
from litesmith.model.model_file import Model, open_model
from litesmith.predict import work
from litesmith.predict.plan import latency
from litesmith.predict.work import Work
from litesmith.runtime import op_registry
from litesmith.study.bench import on_board
from litesmith.study.bench.execution import run_program
from litesmith.study.bench.models import default_models
from litesmith.study.bench.profiling import NodeTime, node_times, profiling_program
from litesmith.target import profiles
from litesmith.target.profiles import Arithmetic, Profile, Throughput

_WARM_UP = 2

_Rate = tuple[bool, str, Arithmetic]
"""Whether the unit is MACs (else output elements), the op, and the arithmetic."""


@dataclass(frozen=True, kw_only=True)
class TimedModel:
    """One model: its work, and the seconds of each node in one inference, by (subgraph, node)."""

    model: str
    work: Work
    seconds: Mapping[tuple[int, int], float]

    @property
    def whole(self) -> float:
        """Seconds of all nodes together."""
        return sum(self.seconds.values())


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Milliseconds of one inference of a model: measured, and predicted from the other models.

    ``unknown`` are the ops that no other model has with the same arithmetic.
    """

    model: str
    measured_ms: float
    predicted_ms: float
    unknown: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """The profile that was written, and how accurate its predictions are."""

    path: Path
    throughput: Throughput
    models: tuple[Prediction, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "profile": str(self.path),
            "throughput": self.throughput.model_dump(mode="json"),
            "models": [vars(model) for model in self.models],
        }


def run(
    target: str,
    toolchain: str | None,
    board: Board | None,
    names: Sequence[str],
    runs: int,
    out: str | None,
) -> CalibrationReport:
    """Measures the models, and writes a profile with the throughput.

    Raises:
        UsageError: too few models or runs, or ``out`` is not a YAML file.
        LitesmithError: a build failed, or a model failed to run.
    """
    if runs < 1:
        raise UsageError(f"--runs {runs} is too few", "give at least 1")
    profile, _ = profiles.load(target).choose(toolchain)
    where = board.name if board else "emulator" if profile.emulator else "this-machine"
    path = Path(out or f"{profile.name}.{where}.yaml")
    if path.suffix not in {".yaml", ".yml"}:
        raise UsageError(
            f"--out {path} is not a YAML file", f"write for example --out {profile.name}-bench.yaml"
        )
    if len(names) == 1:
        raise UsageError(
            "one model is too few to calibrate with", "name several with --model, or none for all"
        )
    timed = []
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        for number, name in enumerate(names or default_models()):
            request = Request(
                target=target, models=(name,), toolchain=toolchain, out=str(Path(scratch) / str(number))
            )
            console.note(f"measuring {name}")
            timed.append(_on_board(request, board, runs) if board else _here(request, profile, runs))
    predictions = tuple(_predicted_from_others(one, timed) for one in timed)
    # A model with an op that no other model has cannot be predicted from the others.
    fair = [one for one in predictions if not one.unknown] or predictions
    error = max(
        max(one.predicted_ms / one.measured_ms, one.measured_ms / one.predicted_ms) - 1 for one in fair
    )
    measured = throughput_of(timed, _described(board, profile, toolchain, runs), round(error, 3))
    files.write_atomically(path, _yaml(profile, measured))
    return CalibrationReport(path=path, throughput=measured, models=predictions)


def _on_board(request: Request, board: Board, runs: int) -> TimedModel:
    _, found = on_board.run(request, board, on_board.RunOptions(runs=runs, warm_up=_WARM_UP, threads=1))
    return _timed(open_model(request.models[0]), found.nodes)


def _here(request: Request, profile: Profile, runs: int) -> TimedModel:
    try:
        executor = find_executor(profile)
    except NoExecutorError as error:
        raise VerificationError(str(error), "or measure on a board: --board NAME") from None
    resolved = resolve(request)
    (model,) = resolved.models
    part, _, sample = samples.for_measuring(model.analysis, model.path)
    arguments = (*part.arguments(), "--json", "--runs", str(runs), "--warm-up", str(_WARM_UP))
    done = run_program(executor, profiling_program(resolved), model, arguments, sample.inputs)
    return _timed(model, node_times(json.loads(done.stdout)["nodes"], runs, model.analysis))


def _timed(model: Model, nodes: Sequence[NodeTime]) -> TimedModel:
    return TimedModel(
        model=model.analysis.path,
        work=work.count(model.analysis, op_registry.load()),
        seconds={(node.subgraph, node.node): node.us / 1e6 for node in nodes},
    )


def throughput_of(timed: Sequence[TimedModel], measured_on: str, error: float) -> Throughput:
    """MACs, or output elements, per second of each op and arithmetic.

    ``error`` is the largest relative error of a prediction from the other models.  A rate is the sum over
    all nodes divided by the sum of their times.
    """
    amounts: dict[_Rate, int] = defaultdict(int)
    seconds: dict[_Rate, float] = defaultdict(float)
    for one in timed:
        for node in one.work.nodes:
            took = one.seconds.get((node.subgraph, node.node), 0.0)
            amount = node.macs or node.elements
            if took > 0 and amount:
                key = (bool(node.macs), node.op, latency.kind_of(node.kind))
                amounts[key] += amount
                seconds[key] += took
    macs: dict[str, dict[Arithmetic, float]] = {}
    elements: dict[str, dict[Arithmetic, float]] = {}
    for (is_macs, op, kind), amount in sorted(amounts.items()):
        rate = float(f"{amount / seconds[is_macs, op, kind]:.4g}")
        (macs if is_macs else elements).setdefault(op, {})[kind] = rate
    return Throughput(measured_on=measured_on, macs=macs, elements=elements, error=error)


def _predicted_from_others(one: TimedModel, timed: Sequence[TimedModel]) -> Prediction:
    """Predicts a model from the other models, which shows the accuracy for models that were not measured."""
    others = throughput_of([other for other in timed if other is not one], "the others", 0)
    known = {(op, kind) for rates in (others.macs, others.elements) for op in rates for kind in rates[op]}
    unknown = {node.op for node in one.work.nodes if (node.op, latency.kind_of(node.kind)) not in known}
    return Prediction(
        model=one.model,
        measured_ms=1000 * one.whole,
        predicted_ms=1000 * latency.seconds_of(one.work, others),
        unknown=tuple(sorted(unknown)),
    )


def _described(board: Board | None, profile: Profile, toolchain: str | None, runs: int) -> str:
    if board is not None:
        where = f"board {board.name}"
    else:
        where = "an emulator" if profile.emulator else "the machine that built it"
    return f"{where}, {toolchain or profile.default_toolchain}, {runs} inferences of each model, one thread"


def _yaml(profile: Profile, measured: Throughput) -> str:
    import yaml

    content = profile.model_dump(mode="json", exclude_defaults=True, exclude={"name", "throughput"})
    content["throughput"] = measured.model_dump(mode="json")
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
