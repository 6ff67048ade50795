"""One model on one board: how long, how much memory, and which op takes the time.

Two programs travel: the one that ``deploy`` sends, for memory and the first inference, and the same
with an observed runtime, for single latencies and for the time of each node.  Latencies are taken
before anything observes, as reading the clock for each node takes time, too.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith import __version__
from litesmith.base import console, files
from litesmith.base.errors import BoardError, UsageError
from litesmith.board.deploy import lock
from litesmith.board.deploy.deployer import require_fit
from litesmith.board.deploy.executor import BoardRunner
from litesmith.board.deploy.inventory import Board
from litesmith.board.deploy.package import Package, pack
from litesmith.board.deploy.probe import Facts, probe
from litesmith.board.deploy.remote import Remote, run_checked, script
from litesmith.board.deploy.ssh_connection import connected
from litesmith.board.deploy.uploads import remote_path, upload
from litesmith.build.manifest import Manifest
from litesmith.build.request import Request, resolve
from litesmith.build.session import opened
from litesmith.model import samples
from litesmith.model.contents import ModelAnalysis
from litesmith.workflow import build_and_verify

_STEP = "measure"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one inference, over all runs after the warm-up."""

    min: float
    median: float
    p90: float
    max: float


@dataclass(frozen=True, kw_only=True)
class OpTime:
    """All nodes of one op: how many there are and, for one inference, calls, µs and share of all nodes.

    The µs of a node that runs a subgraph (WHILE, IF) are without those of the nodes in there.
    """

    op: str
    nodes: int
    calls: float
    us: float
    share: float


@dataclass(frozen=True, kw_only=True)
class NodeTime:
    """One node, named by its first output tensor; see :class:`OpTime`."""

    subgraph: int
    node: int
    op: str
    name: str
    calls: float
    us: float
    share: float


@dataclass(frozen=True, kw_only=True)
class BoardReport:
    """What was measured on a board, and what it was made with.

    ``clock`` is what the board said of its first core's frequency (kHz), governor, temperature (m°C)
    and load before and after; a board that says nothing has nothing there.
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


def run(request: Request, board: Board, runs: int, warm_up: int, threads: int) -> tuple[Path, BoardReport]:
    """Builds, measures on the board, and writes ``bench-<board>.json`` beside the build.

    Raises:
        LitesmithError: the build failed.
        BoardError: the board cannot run it, or did not answer; nothing stays there.
    """
    for option, value in (("--runs", runs), ("--warm-up", warm_up), ("--threads", threads)):
        if value < 1:
            raise UsageError(f"{option} {value} is too few", "give at least 1")
    if len(request.models) != 1:
        raise UsageError("one model at a time is measured", "name one with --model")
    outcome = build_and_verify.build(request)
    profiling = profiling_program(request)
    package = pack(outcome.program, outcome.models, outcome.profile, {})
    report = _on_board(board, package, profiling, request, (runs, warm_up, threads), outcome.manifest)
    path = outcome.folder / f"bench-{board.name}.json"
    files.write_atomically(path, files.to_json(report.to_json()))
    return path, report


def profiling_program(request: Request) -> Path:
    """The same program with an observed runtime."""
    with opened(resolve(request)) as session:
        return session.builder.stripped(session.project(profiling=True))


def _on_board(
    board: Board,
    package: Package,
    profiling: Path,
    request: Request,
    how_often: tuple[int, int, int],
    manifest: Manifest,
) -> BoardReport:
    runs, warm_up, threads = how_often
    (model,) = package.models
    part, name, sample = samples.for_measuring(model.analysis, model.path, request.choice)
    console.note(f"measuring on {board.name}: {runs} inferences")
    with connected(board) as remote:
        facts = probe(remote)
        require_fit(board, facts, package)
        token = lock.new_token()
        watched = files.sha256(profiling)
        with lock.locked(remote, token):
            content = {**package.files, watched: profiling}
            new: list[str] = []
            try:
                upload(remote, content, token, lambda _step: None, new)
                arguments = [
                    *("--model", remote_path(board, package.digests[package.model_name(0)])),
                    *part.arguments(),
                    *("--json", "--threads", str(threads)),
                ]
                before = _clock(remote)
                runner = BoardRunner(remote=remote, token=token, description=board.name, step=_STEP)
                released = _said(runner, package.digests["program"], arguments, sample)
                more = ["--runs", str(runs), "--warm-up", str(warm_up)]
                observed = _said(runner, watched, [*arguments, *more], sample)
                clock = {"before": before, "after": _clock(remote)}
            finally:
                # The next deployment or measurement removes what is left when this does not work.
                with contextlib.suppress(BoardError):
                    run_checked(remote, "clean up", script("forget"), board.folder, token, *new)
    times = node_times(observed["nodes"], runs, model.analysis)
    return BoardReport(
        board=board.name,
        model=model.analysis.path,
        input=name,
        runs=runs,
        warm_up=warm_up,
        threads=threads,
        latency_ms=latency(observed["latencies_us"]),
        time_to_first_inference_ms=released["time_to_first_inference_ms"],
        peak_rss_bytes=released["peak_rss_bytes"],
        arena_bytes=released["arena_bytes"],
        ops=by_op(times),
        nodes=times,
        made_with={
            "litesmith": __version__,
            "target": manifest.target,
            "toolchain": manifest.toolchain,
            "flags": {key: manifest.flags[key] for key in ("target", "common")},
            "model_sha256": model.analysis.sha256,
            "program_sha256": package.digests["program"],
            "program_bytes": package.program.stat().st_size,
            "profiling_program_sha256": watched,
            **_described(board, facts),
            "clock": clock,
        },
    )


def _described(board: Board, facts: Facts) -> dict[str, Any]:
    return {
        "machine": facts.machine,
        "kernel": facts.kernel,
        "features": facts.features,
        "run_prefix": board.run_prefix,
    }


def _said(
    runner: BoardRunner, digest: str, arguments: Sequence[str], sample: samples.Sample
) -> dict[str, Any]:
    """Runs a program there; the JSON that it printed."""
    board = runner.remote.board
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        ended = runner.run(remote_path(board, digest), arguments, sample.inputs, Path(scratch))
    if ended.code != 0:
        lines = ended.stderr.strip().splitlines() or [f"exit code {ended.code}"]
        raise BoardError(board.name, _STEP, f"the program failed: {lines[-1]}", "look at it there")
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def _clock(remote: Remote) -> dict[str, str]:
    answer = run_checked(remote, _STEP, script("clock"))
    return dict(line.split("=", 1) for line in answer.stdout.decode(errors="replace").split() if "=" in line)


def latency(microseconds: Sequence[int]) -> Latency:
    """Latencies of single inferences in µs, sorted → their statistics in ms.

    p90 is the smallest latency that nine tenths of all inferences do not exceed (nearest rank).
    """
    ranked = sorted(microseconds)
    return Latency(
        min=ranked[0] / 1000,
        median=statistics.median(ranked) / 1000,
        p90=ranked[-(-9 * len(ranked) // 10) - 1] / 1000,
        max=ranked[-1] / 1000,
    )


def node_times(
    nodes: Sequence[Mapping[str, Any]], runs: int, analysis: ModelAnalysis
) -> tuple[NodeTime, ...]:
    """What a profiling program printed of ``runs`` inferences → the time of each node in one."""
    whole = sum(node["ns"] for node in nodes) or 1
    return tuple(
        NodeTime(
            subgraph=node["subgraph"],
            node=node["node"],
            op=node["op"],
            name=_name(analysis, node["subgraph"], node["node"]),
            calls=node["calls"] / runs,
            us=node["ns"] / runs / 1000,
            share=node["ns"] / whole,
        )
        for node in nodes
    )


def _name(analysis: ModelAnalysis, subgraph: int, node: int) -> str:
    graph = analysis.subgraphs[subgraph]
    outputs = graph.nodes[node].outputs
    return graph.tensors[outputs[0]].name if outputs and outputs[0] >= 0 else ""


def by_op(nodes: Sequence[NodeTime]) -> tuple[OpTime, ...]:
    """The nodes of each op in one line, the slowest op first."""
    found: dict[str, list[NodeTime]] = defaultdict(list)
    for node in nodes:
        found[node.op].append(node)
    made = (
        OpTime(
            op=op,
            nodes=len(of_op),
            calls=sum(node.calls for node in of_op),
            us=sum(node.us for node in of_op),
            share=sum(node.share for node in of_op),
        )
        for op, of_op in found.items()
    )
    return tuple(sorted(made, key=lambda time: (-time.us, time.op)))
