"""Tasks about code size: where the bytes are, what changed, what is allowed, and what would be."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litesmith.base.errors import UsageError
from litesmith.cli.command import Result, command
from litesmith.cli.options import PROGRAM, ProgramOptions, required

if TYPE_CHECKING:
    from litesmith.build.request import ResolvedRequest
    from litesmith.measure.size.diff import Diff
    from litesmith.measure.size.gate import Baseline, Finding
    from litesmith.measure.size.snapshot import Snapshot
    from litesmith.predict.code_size.estimate import Estimate
    from litesmith.study.what_if import Answer


@command(
    PROGRAM,
    name="show",
    default=True,
    help={
        "program": "a program in the output folder of a build, instead of --target and --model",
        "before": "the output folder of an earlier build: also show what changed since",
        "html": "write a page with a treemap (default file: build/size/<model>-<target>.html)",
    },
    json="print everything, down to symbols, as JSON",
    optional=("html",),
)
def show(
    options: ProgramOptions,
    program: str | None = None,
    before: str | None = None,
    html: Any = None,
) -> Result[Snapshot]:
    """Show where every byte of a program is: ops, runtime, libraries, symbols."""
    from litesmith.cli.render import size as tables
    from litesmith.measure.size import diff as diffs
    from litesmith.measure.size import snapshot

    old = snapshot.read(Path(before)) if before else None
    if program is not None:
        options.refuse_with("--program")
        page = _page_path(html, Path(program).name)
        found = snapshot.read_program(Path(program))
    else:
        resolved = _resolved(options)
        page = _page_path(html, _page_name(resolved))
        found = _measured(resolved)
    change = diffs.compare(old, found) if old else None

    def show(found: Snapshot) -> None:
        if page is None:
            tables.snapshot(found)
            if change:
                tables.diff(change)

    return Result(
        value=found,
        show=show,
        to_json=lambda found: found.to_json() | ({"change": change.to_json()} if change else {}),
        finish=lambda: _write_page(page, found, old),
    )


@command(
    PROGRAM,
    name="diff",
    help={
        "before": "the output folder of a build, a model, REVISION:PATH, or with --model a Git revision",
        "after": "the same of the other build",
        "markdown": "print it for the description of a merge request",
        "html": "write a page with a treemap (default file: build/size/diff.html)",
    },
    json="print everything as JSON",
    optional=("html",),
)
def diff(
    before: str, after: str, options: ProgramOptions, markdown: bool = False, html: Any = None
) -> Result[Diff]:
    """Show what changed between two builds: folders, or revisions of a model in Git."""
    from litesmith.cli.render import size as tables
    from litesmith.measure.size import diff as diffs
    from litesmith.measure.size import measurement

    page = _page_path(html, "diff")
    old, new = (
        measurement.find_snapshot(name, options.model, options.target, **options.settings())
        for name in (before, after)
    )

    def show(found: Diff) -> None:
        if markdown:
            print(found.to_markdown(), end="")
        elif page is None:
            tables.diff(found)

    return Result(value=diffs.compare(old, new), show=show, finish=lambda: _write_page(page, new, old))


@command(
    PROGRAM,
    name="check",
    help={
        "build": "the output folder of a build, instead of --target and --model",
        "baseline": "the file with the accepted size",
        "max-growth": "the growth of the code that is allowed, for example 2KiB (default: none, or any "
        "with --budget)",
        "budget": "the largest size of the code that is allowed, for example 150KiB",
        "accept": "write the size as the new baseline, whatever it is; needs --reason",
        "reason": "with --accept: why, for the history of the baseline",
    },
    json="print the finding as JSON",
    letters=("baseline", "max_growth", "budget", "accept", "reason", "build"),
)
def check(
    options: ProgramOptions,
    baseline: str | None = None,
    max_growth: str | None = None,
    budget: str | None = None,
    accept: bool = False,
    reason: str = "",
    build: str | None = None,
) -> Result[Finding] | Result[Baseline]:
    """Fail when a program has outgrown its baseline or its budget."""
    from litesmith.cli.render import size as tables
    from litesmith.measure.size import gate, snapshot

    path = Path(required(baseline, "--baseline", "size-baseline.json"))
    allowed_growth = _bytes(max_growth, "--max-growth")
    most = _bytes(budget, "--budget")
    if reason and not accept:
        raise UsageError("--reason is only valid with --accept", "add --accept, or leave the reason out")
    if accept:
        gate.require_reason(reason)
    if accept and (max_growth or budget):
        raise UsageError("--accept takes any size", "leave out --max-growth and --budget")
    gate.require(path, accept=accept)
    if build is not None:
        options.refuse_with("--build")
        found = snapshot.read(Path(build))
    else:
        found = _measured(_resolved(options))
    if accept:
        return _accepted(path, found, reason)
    verdict = gate.check(path, found, allowed_growth, most)
    return Result(value=verdict, show=tables.finding, finish=lambda: gate.enforce(verdict))


def _accepted(path: Path, found: Snapshot, reason: str) -> Result[Baseline]:
    from datetime import datetime

    from litesmith.base import console
    from litesmith.measure.size import gate

    made = gate.accept(path, found, reason, datetime.now(UTC).date())
    said = f"{path}: {made.code:,} bytes of code accepted: {reason.strip()}"
    return Result(
        value=made,
        show=lambda _: None,
        to_json=lambda baseline: baseline.model_dump(mode="json"),
        finish=lambda: console.note(said),
    )


@command(
    PROGRAM,
    name="what-if",
    help={
        "add-op": "an op to add, with dtypes if need be: RESIZE_BILINEAR:int8+int32; may be repeated",
        "add-model": "a model that the program runs as well; may be repeated",
        "drop-op": "an op to leave out; may be repeated",
        "int8-only": "as if the models were converted to int8, with int8 inputs and outputs",
    },
    json="print the bytes as JSON",
    repeatable=("add_op", "add_model", "drop_op"),
    letters=("target", "model", "add_op", "add_model", "drop_op", "int8_only"),
)
def what_if(
    options: ProgramOptions,
    add_op: tuple[str, ...] = (),
    add_model: tuple[str, ...] = (),
    drop_op: tuple[str, ...] = (),
    int8_only: bool = False,
) -> Result[Answer]:
    """Measure what the program would weigh with other ops, models or dtypes; nothing is written."""
    from litesmith.build import session
    from litesmith.build.request import resolve
    from litesmith.cli.render import size as tables
    from litesmith.study import what_if

    request = options.request()
    changes = what_if.Changes(
        add_models=add_model,
        add_ops=what_if.parse_names(add_op),
        drop_ops=what_if.parse_names(drop_op),
        int8_only=int8_only,
    )
    with session.opened(resolve(request)) as opened:
        return Result(value=what_if.ask(opened, changes), show=tables.answer)


@command(
    PROGRAM.only("target", "model", "toolchain", "optimise", "kernels", "embed_model"),
    name="of",
    default=True,
    json="print the estimate as JSON",
)
def estimate(options: ProgramOptions) -> Result[Estimate]:
    """Predict what the program will weigh, before anything is compiled."""
    from litesmith.cli.render import size as tables
    from litesmith.predict.code_size.program_estimate import estimate_program

    resolved = _resolved(options)
    found = estimate_program(
        resolved.profile, resolved.toolchain, resolved.models, embed_model=options.embed_model
    )
    return Result(value=found, show=tables.estimate)


def _resolved(options: ProgramOptions) -> ResolvedRequest:
    from litesmith.build.request import resolve

    return resolve(options.request())


def _measured(resolved: ResolvedRequest) -> Snapshot:
    from litesmith.measure.size import measurement

    request = resolved.request
    return measurement.build_snapshot(resolved, f"{', '.join(request.models)} on {request.target}")


def _page_name(resolved: ResolvedRequest) -> str:
    from litesmith.model.model_file import joint_name

    return f"{joint_name(resolved.models)}-{resolved.profile.name}"


def _page_path(html: Any, name: str) -> Path | None:
    """The file of the page; checked before anything is built."""
    import os

    if not html:
        return None
    path = Path(f"build/size/{name}.html" if html is True else html)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        what = "is a folder" if path.is_dir() else "cannot be written"
        raise UsageError(f"the page {path} {what}", "name a file with --html=PATH")
    return path


def _write_page(path: Path | None, after: Snapshot, before: Snapshot | None) -> None:
    from litesmith.base import console, files
    from litesmith.cli.render import size_page

    if path is None:
        return
    try:
        files.write_atomically(path, size_page.render(after, before))
    except OSError as error:
        raise UsageError(f"the page {path} cannot be written: {error.strerror}") from None
    console.note(f"wrote the page {path}")


def _bytes(text: str | None, option: str) -> int | None:
    from litesmith.base.units import parse_size

    if text is None:
        return None
    try:
        size = parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}", f"for example {option} 2KiB") from None
    return int(str(size))
