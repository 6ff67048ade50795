"""Models that run on a board → the throughput of each op and arithmetic, in a profile of its own.

Programs are those of ``bench.board``: every node is timed.  Without a board, the emulator of the profile
or this machine runs them, which compares arithmetic with arithmetic and says nothing of a board.
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
from litesmith.build.request import Request
from litesmith.measure.verify.executor import find_executor
from litesmith.model import samples
from litesmith.model.model_file import open_model
from litesmith.predict import work
from litesmith.predict.plan import latency
from litesmith.predict.work import Work
from litesmith.runtime import op_registry
from litesmith.study.bench import on_board
from litesmith.study.bench.profiling import NodeTime, node_times, profiling_program
from litesmith.study.bench.speed import default_models
from litesmith.target import profiles
from litesmith.target.profiles import Arithmetic, Profile, Throughput

_WARM_UP = 2


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One model: its work, and the seconds of each node in one inference by (subgraph, node)."""

    model: str
    work: Work
    seconds: Mapping[tuple[int, int], float]

    @property
    def whole(self) -> float:
        """Seconds of all nodes."""
        return sum(self.seconds.values())


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Milliseconds of a model, measured, and predicted from the other models.

    ``unknown`` are its ops that none of the others has with the same arithmetic.
    """

    model: str
    measured_ms: float
    predicted_ms: float
    unknown: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """The profile that was written, and how good its predictions are."""

    path: Path
    throughput: Throughput
    models: tuple[Predicted, ...]

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
        UsageError: too few models or runs, or the profile would be overwritten by something else.
        LitesmithError: a build failed, or a model does not run there.
    """
    if runs < 1:
        raise UsageError(f"--runs {runs} is too few", "give at least 1")
    profile, _ = profiles.load(target).choose(toolchain)
    where = board.name if board else "emulator" if profile.emulator else "this-machine"
    path = Path(out or f"{profile.name}.{where}.yaml")
    if path.suffix not in {".yaml", ".yml"}:
        raise UsageError(
            f"--out {path} is no YAML file", f"write for example --out {profile.name}-bench.yaml"
        )
    if len(names) == 1:
        raise UsageError("one model is too few to measure with", "name several with --model, or none for all")
    timed = []
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        for number, name in enumerate(names or default_models()):
            request = Request(
                target=target, models=(name,), toolchain=toolchain, out=str(Path(scratch) / str(number))
            )
            console.note(f"measuring {name}")
            timed.append(_on_board(request, board, runs) if board else _here(request, profile, runs))
    predicted = tuple(_left_out(one, timed) for one in timed)
    # Of a model with an op that no other one has, the others can know nothing.
    fair = [one for one in predicted if not one.unknown] or predicted
    error = max(
        max(one.predicted_ms / one.measured_ms, one.measured_ms / one.predicted_ms) - 1 for one in fair
    )
    measured = throughput_of(timed, _described(board, profile, toolchain, runs), round(error, 3))
    files.write_atomically(path, _yaml(profile, measured))
    return CalibrationReport(path=path, throughput=measured, models=predicted)


def _on_board(request: Request, board: Board, runs: int) -> Timed:
    _, found = on_board.run(request, board, on_board.RunOptions(runs=runs, warm_up=_WARM_UP, threads=1))
    return _timed(request, found.nodes)


def _here(request: Request, profile: Profile, runs: int) -> Timed:
    try:
        executor = find_executor(profile)
    except NoExecutorError as error:
        raise VerificationError(str(error), "or measure on a board: --board NAME") from None
    model = open_model(request.models[0])
    part, _, sample = samples.for_measuring(model.analysis, model.path)
    arguments = ["--model", str(model.path), *part.arguments()]
    arguments += ["--json", "--runs", str(runs), "--warm-up", str(_WARM_UP)]
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        program = profiling_program(request)
        done = executor.run(str(program), arguments, sample.inputs, Path(scratch))
    if done.code != 0:
        raise VerificationError(f"{model.analysis.path}: the program failed: {done.stderr.strip()}")
    said = json.loads(done.stdout)
    return _timed(request, node_times(said["nodes"], runs, model.analysis))


def _timed(request: Request, nodes: Sequence[NodeTime]) -> Timed:
    model = open_model(request.models[0])
    return Timed(
        model=model.analysis.path,
        work=work.count(model.analysis, op_registry.load()),
        seconds={(node.subgraph, node.node): node.us / 1e6 for node in nodes},
    )


def throughput_of(timed: Sequence[Timed], measured_on: str, error: float) -> Throughput:
    """MACs, and output elements, per second: the whole of all nodes of an op by their whole time."""
    amounts: dict[tuple[bool, str, Arithmetic], int] = defaultdict(int)
    seconds: dict[tuple[bool, str, Arithmetic], float] = defaultdict(float)
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


def _left_out(one: Timed, timed: Sequence[Timed]) -> Predicted:
    """A model's prediction from the others: how good those of models are that were not measured."""
    blind = throughput_of([other for other in timed if other is not one], "the others", 0)
    known = {(op, kind) for rates in (blind.macs, blind.elements) for op in rates for kind in rates[op]}
    unknown = {node.op for node in one.work.nodes if (node.op, latency.kind_of(node.kind)) not in known}
    return Predicted(
        model=one.model,
        measured_ms=1000 * one.whole,
        predicted_ms=1000 * latency.seconds_of(one.work, blind),
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
