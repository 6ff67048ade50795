"""One model on one board: latency, memory, and the time of each op.

Two programs run there: the one that ``deploy`` sends, for memory and the first inference, and its profiling
program, for the latency of each inference and the time of each node.  Latencies are measured before the
profiler is turned on, because reading the clock at every node takes time.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith import __version__
from litesmith.base import console, files
from litesmith.base.errors import BoardError, UsageError
from litesmith.board.deploy import lock
from litesmith.board.deploy.deployer import require_fit
from litesmith.board.deploy.executor import BoardExecutor, output_counts
from litesmith.board.deploy.inventory import Board
from litesmith.board.deploy.package import Package, pack
from litesmith.board.deploy.probe import Facts, probe
from litesmith.board.deploy.remote import Remote, run_checked, script
from litesmith.board.deploy.ssh_connection import connected
from litesmith.board.deploy.uploads import remote_path, upload
from litesmith.build.manifest import Manifest
from litesmith.build.request import Request
from litesmith.model import samples
from litesmith.model.entry_points import Choice
from litesmith.model.model_file import Model
from litesmith.study.bench.profiling import NodeTime, OpTime, by_op, node_times, profiling_program
from litesmith.workflow import build_and_verify

_STEP = "measure"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a program is run: measured inferences, warm-up inferences before them, and threads.

    Raises:
        UsageError: one of them is less than 1.
    """

    runs: int
    warm_up: int
    threads: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value} is too few", "give at least 1")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one inference, over all runs after the warm-up."""

    min: float
    median: float
    p90: float
    max: float


@dataclass(frozen=True, kw_only=True)
class BoardReport:
    """The measurements on a board, and what they were made with.

    ``made_with["clock"]`` has the frequency (kHz), governor, temperature (m°C) and load of the board's first
    core before and after the runs, as far as the board reports them.
    """

    board: str
    model: str
    input: str
    runs: int
    warm_up: int
    threads: int
    latency_ms: Latency
    time_to_first_inference_ms: float
    peak_rss_bytes: int
    arena_bytes: int
    ops: tuple[OpTime, ...]
    nodes: tuple[NodeTime, ...]
    made_with: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class _Programs:
    """The program with its model, the profiling program, and the build that they belong to."""

    package: Package
    profiling: Path
    profiling_sha256: str
    manifest: Manifest
    folder: Path

    @property
    def model(self) -> Model:
        return self.package.models[0]

    @property
    def content(self) -> Mapping[str, Path]:
        """The files to send, by digest."""
        return {**self.package.files, self.profiling_sha256: self.profiling}


@dataclass(frozen=True, kw_only=True)
class _Case:
    """What is measured: the options that choose a part of the model, and its inputs with their name.

    ``outputs`` is that of :class:`BoardExecutor`.
    """

    name: str
    arguments: tuple[str, ...]
    sample: samples.Sample
    outputs: Mapping[str | None, int]


@dataclass(frozen=True, kw_only=True)
class _Readings:
    """What the board reported; ``released`` and ``profiled`` are the JSON that the two programs printed."""

    facts: Facts
    released: Mapping[str, Any]
    profiled: Mapping[str, Any]
    clock: Mapping[str, Mapping[str, str]]


def run(request: Request, board: Board, options: RunOptions) -> tuple[Path, BoardReport]:
    """Builds, measures on the board, and writes ``bench-<board>.json`` beside the build.

    Raises:
        LitesmithError: the build failed.
        BoardError: the board cannot run the program, or did not answer; uploaded files are removed.
    """
    if len(request.models) != 1:
        raise UsageError("only one model can be measured at a time", "name one with --model")
    programs = _build(request)
    case = _case(programs.model, request.choice)
    console.note(f"measuring on {board.name}: {options.runs} inferences")
    with connected(board) as remote:
        readings = _measure(remote, programs, case, options)
    report = _report(board, programs, case, options, readings)
    path = programs.folder / f"bench-{board.name}.json"
    files.write_atomically(path, files.to_json(report.to_json()))
    return path, report


def _build(request: Request) -> _Programs:
    outcome = build_and_verify.build(request)
    profiling = profiling_program(outcome.resolved)
    return _Programs(
        package=pack(outcome.program, outcome.models, outcome.profile, {}),
        profiling=profiling,
        profiling_sha256=files.sha256(profiling),
        manifest=outcome.manifest,
        folder=outcome.folder,
    )


def _case(model: Model, choice: Choice) -> _Case:
    part, name, sample = samples.for_measuring(model.analysis, model.path, choice)
    return _Case(name=name, arguments=tuple(part.arguments()), sample=sample, outputs=output_counts((part,)))


def _measure(remote: Remote, programs: _Programs, case: _Case, options: RunOptions) -> _Readings:
    """Sends both programs, runs them on the board, and removes them."""
    package = programs.package
    facts = probe(remote)
    require_fit(remote.board, facts, package)
    token = lock.new_token()
    executor = BoardExecutor(
        remote=remote, token=token, description=remote.board.name, outputs=case.outputs, step=_STEP
    )
    arguments = (
        *("--model", remote_path(remote.board, package.digests[package.model_name(0)])),
        *case.arguments,
        *("--json", "--threads", str(options.threads)),
    )
    repetitions = ("--runs", str(options.runs), "--warm-up", str(options.warm_up))
    with lock.locked(remote, token), _uploaded(remote, programs.content, token):
        before = _clock(remote)
        released = _run_program(executor, package.digests["program"], arguments, case.sample)
        profiled = _run_program(executor, programs.profiling_sha256, (*arguments, *repetitions), case.sample)
        after = _clock(remote)
    return _Readings(
        facts=facts, released=released, profiled=profiled, clock={"before": before, "after": after}
    )


@contextlib.contextmanager
def _uploaded(remote: Remote, content: Mapping[str, Path], token: str) -> Iterator[None]:
    """Uploads files, and on exit removes those that no release uses."""
    sent: list[str] = []
    try:
        upload(remote, content, token, lambda _step: None, sent)
        yield
    finally:
        # What cannot be removed now is removed by the next deployment or measurement.
        with contextlib.suppress(BoardError):
            run_checked(remote, "clean up", script("forget"), remote.board.folder, token, *sent)


def _run_program(
    executor: BoardExecutor, digest: str, arguments: Sequence[str], sample: samples.Sample
) -> dict[str, Any]:
    """Runs an uploaded program on the board; returns the JSON that it printed."""
    board = executor.remote.board
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        ended = executor.run(remote_path(board, digest), arguments, sample.inputs, Path(scratch))
    if ended.code != 0:
        lines = ended.stderr.strip().splitlines() or [f"exit code {ended.code}"]
        raise BoardError(board.name, _STEP, f"the program failed: {lines[-1]}", "run it on the board by hand")
    try:
        printed = json.loads(ended.stdout)
    except (ValueError, RecursionError):
        printed = None
    if not isinstance(printed, dict):
        raise BoardError(board.name, _STEP, "the program did not print JSON", "run it on the board by hand")
    return printed


def _clock(remote: Remote) -> dict[str, str]:
    result = run_checked(remote, _STEP, script("clock"))
    return dict(line.split("=", 1) for line in result.stdout.decode(errors="replace").split() if "=" in line)


def _report(
    board: Board, programs: _Programs, case: _Case, options: RunOptions, readings: _Readings
) -> BoardReport:
    try:
        return _reported(board, programs, case, options, readings)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # The JSON is the board's.
        raise BoardError(
            board.name, _STEP, f"the JSON of the program is not as expected: {error}", "run it there by hand"
        ) from None


def _reported(
    board: Board, programs: _Programs, case: _Case, options: RunOptions, readings: _Readings
) -> BoardReport:
    analysis = programs.model.analysis
    nodes = node_times(readings.profiled["nodes"], options.runs, analysis)
    return BoardReport(
        board=board.name,
        model=analysis.path,
        input=case.name,
        runs=options.runs,
        warm_up=options.warm_up,
        threads=options.threads,
        latency_ms=latency(readings.profiled["latencies_us"]),
        time_to_first_inference_ms=readings.released["time_to_first_inference_ms"],
        peak_rss_bytes=readings.released["peak_rss_bytes"],
        arena_bytes=readings.released["arena_bytes"],
        ops=by_op(nodes),
        nodes=nodes,
        made_with=_made_with(board, programs, readings),
    )


def _made_with(board: Board, programs: _Programs, readings: _Readings) -> dict[str, Any]:
    manifest, facts = programs.manifest, readings.facts
    return {
        "litesmith": __version__,
        "target": manifest.target,
        "toolchain": manifest.toolchain,
        "flags": {key: manifest.flags[key] for key in ("target", "common")},
        "model_sha256": programs.model.analysis.sha256,
        "program_sha256": programs.package.digests["program"],
        "program_bytes": programs.package.program.stat().st_size,
        "profiling_program_sha256": programs.profiling_sha256,
        "machine": facts.machine,
        "kernel": facts.kernel,
        "features": facts.features,
        "run_prefix": board.run_prefix,
        "clock": readings.clock,
    }


def latency(microseconds: Sequence[int]) -> Latency:
    """Statistics, in ms, of the latencies of single inferences in µs.

    p90 is the smallest latency that nine tenths of all inferences do not exceed (nearest rank).
    """
    ranked = sorted(microseconds)
    return Latency(
        min=ranked[0] / 1000,
        median=statistics.median(ranked) / 1000,
        p90=ranked[-(-9 * len(ranked) // 10) - 1] / 1000,
        max=ranked[-1] / 1000,
    )
