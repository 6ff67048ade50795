"""Where the bytes went, what they would be, and whether they are too many."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from litesmith.base.errors import UsageError
from litesmith.cli.commands.common import command, needed, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from litesmith.build.request import Request
    from litesmith.measure.size.snapshot import Snapshot

# What decides about a program, for all tasks of this file.
_PROGRAM_HELP = {
    "target": "built-in target name or path of a profile (see targets)",
    "model": "a .tflite file, zoo:NAME or REVISION:PATH; once for each model of the program",
    "toolchain": "zig, gcc or docker, with linkage if need be: gcc:static (default: the profile's first)",
    "optimise": "size, balanced or speed (default: as the profile says)",
    "kernels": "builtin, xnnpack or auto: who runs the nodes (default: as the profile says)",
    "prune": "leave out what the models do not need beyond ops",
    "embed-model": "with the model in the binary",
    "custom-ops": "YAML file with custom ops of your own",
}


def _request(target: str | None, model: Any, **options: Any) -> Request:
    from litesmith.build.request import Request

    return Request(
        target=needed(target, "--target", "armv7"),
        models=tuple(needed(model, "--model", "examples/det.tflite")),
        **options,
    )


def _title(request: Request) -> str:
    return f"{', '.join(request.models)} on {request.target}"


def _refuse(option: str, target: str | None, model: Any, options: dict[str, Any]) -> None:
    """Options that would change the program, where a build that is there is looked at."""
    beside = {"target": target, "model": model, **options, "no-prune": not options["prune"]}
    given = next((name for name, value in beside.items() if value and name != "prune"), None)
    if given is not None:
        raise UsageError(f"{option} says all of it", f"leave out --{given.replace('_', '-')}")


def _page_path(html: Any, default: str) -> Path | None:
    """Where the page goes; looked at before anything is built."""
    import os
    from pathlib import Path

    if not html:
        return None
    path = Path(default if html is True else html)
    place = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not place.is_dir() or not os.access(place, os.W_OK):
        what = "is a folder" if path.is_dir() else "cannot be written"
        raise UsageError(f"the page {path} {what}", "name a file with --html=PATH")
    return path


def _write_page(path: Path, after: Snapshot, before: Snapshot | None) -> None:
    from litesmith.base import console, files
    from litesmith.cli.render import size_page

    try:
        files.write_atomically(path, size_page.render(after, before))
    except OSError as error:
        raise UsageError(f"the page {path} cannot be written: {error.strerror}") from None
    console.note(f"{path} shows it")


@command(
    name="show",
    default=True,
    iterable=["model"],
    optional=["html"],
    help={
        **_PROGRAM_HELP,
        "program": "a program in the output folder of a build, instead of target and model",
        "before": "output folder of an earlier build, to show what changed since",
        "html": "write a page with a treemap; a path, or build/size/<model>-<target>.html",
        "json": "print all of it, down to symbols, as JSON",
    },
)
def size(
    ctx: Context,
    target: str | None = None,
    model: Any = None,
    toolchain: str | None = None,
    optimise: str | None = None,
    kernels: str | None = None,
    prune: bool = True,
    embed_model: bool = False,
    custom_ops: str | None = None,
    program: str | None = None,
    before: str | None = None,
    html: Any = None,
    json: bool = False,
) -> None:
    """Where every byte of a program went: ops, runtime, libraries, symbols."""
    from pathlib import Path

    from litesmith.build.request import resolve
    from litesmith.cli.render import sizes
    from litesmith.measure.size import diff as diffs
    from litesmith.measure.size import measurement, snapshot
    from litesmith.model.model_file import joint_name

    del ctx
    options = {
        "toolchain": toolchain,
        "optimise": optimise,
        "kernels": kernels,
        "prune": prune,
        "embed_model": embed_model,
        "custom_ops": custom_ops,
    }
    old = snapshot.read(Path(before)) if before else None
    if program is not None:
        _refuse("--program", target, model, options)
        page = _page_path(html, f"build/size/{Path(program).name}.html")
        found = snapshot.read_program(Path(program))
    else:
        request = _request(target, model, **options)
        resolved = resolve(request)
        name = f"{joint_name(resolved.models)}-{resolved.profile.name}"
        page = _page_path(html, f"build/size/{name}.html")
        found = measurement.question_snapshot(resolved, _title(request))
    change = diffs.compare(old, found) if old else None
    if json:
        print_json({**found.to_json(), **({"change": change.to_json()} if change else {})})
    elif page is None:
        sizes.snapshot(found)
        if change:
            sizes.diff(change)
    if page:
        _write_page(page, found, old)


@command(
    name="diff",
    iterable=["model"],
    optional=["html"],
    help={
        **_PROGRAM_HELP,
        "before": "output folder of a build, a model, REVISION:PATH, or with --model a Git revision",
        "after": "the same of the other build",
        "markdown": "print it for the description of a merge request",
        "html": "write a page with a treemap; a path, or build/size/diff.html",
        "json": "print all of it as JSON",
    },
)
def diff(
    ctx: Context,
    before: str,
    after: str,
    target: str | None = None,
    model: Any = None,
    toolchain: str | None = None,
    optimise: str | None = None,
    kernels: str | None = None,
    prune: bool = True,
    embed_model: bool = False,
    custom_ops: str | None = None,
    markdown: bool = False,
    html: Any = None,
    json: bool = False,
) -> None:
    """What changed between two builds: folders, or revisions of a model in Git."""
    from litesmith.cli.render import sizes
    from litesmith.measure.size import diff as diffs
    from litesmith.measure.size import measurement

    del ctx
    options = {
        "toolchain": toolchain,
        "optimise": optimise,
        "kernels": kernels,
        "prune": prune,
        "embed_model": embed_model,
        "custom_ops": custom_ops,
    }
    page = _page_path(html, "build/size/diff.html")
    found = [
        measurement.find_snapshot(name, tuple(model or ()), target, **options) for name in (before, after)
    ]
    made = diffs.compare(*found)
    if json:
        print_json(made.to_json())
    elif markdown:
        print(made.to_markdown(), end="")
    elif page is None:
        sizes.diff(made)
    if page:
        _write_page(page, found[1], found[0])


@command(
    name="check",
    iterable=["model"],
    help={
        **_PROGRAM_HELP,
        "build": "output folder of a build, instead of target and model",
        "baseline": "the file with the accepted size",
        "max-growth": "how much the code may grow, for example 2KiB (nothing, where no budget is given)",
        "budget": "how large the code may be, for example 150KiB",
        "accept": "write the size as the new baseline, whatever it is; needs --reason",
        "reason": "why, for the baseline's history",
        "json": "print the finding as JSON",
    },
)
def check(
    ctx: Context,
    baseline: str | None = None,
    max_growth: str | None = None,
    budget: str | None = None,
    accept: bool = False,
    reason: str = "",
    build: str | None = None,
    target: str | None = None,
    model: Any = None,
    toolchain: str | None = None,
    optimise: str | None = None,
    kernels: str | None = None,
    prune: bool = True,
    embed_model: bool = False,
    custom_ops: str | None = None,
    json: bool = False,
) -> None:
    """Fail when a program has outgrown its baseline or its budget."""
    from datetime import datetime
    from pathlib import Path

    from litesmith.base import console
    from litesmith.build.request import resolve
    from litesmith.cli.render import sizes
    from litesmith.measure.size import gate, measurement, snapshot

    del ctx
    options = {
        "toolchain": toolchain,
        "optimise": optimise,
        "kernels": kernels,
        "prune": prune,
        "embed_model": embed_model,
        "custom_ops": custom_ops,
    }
    path = Path(needed(baseline, "--baseline", "size-baseline.json"))
    growth, most = (_bytes(text, option) for text, option in _limits(max_growth, budget))
    if reason and not accept:
        raise UsageError("--reason belongs to --accept", "add --accept, or leave the reason out")
    if accept:
        gate.require_reason(reason)
    if accept and (max_growth or budget):
        raise UsageError("--accept takes any size", "leave out --max-growth and --budget")
    gate.require(path, accept=accept)
    if build is not None:
        _refuse("--build", target, model, options)
        found = snapshot.read(Path(build))
    else:
        request = _request(target, model, **options)
        found = measurement.question_snapshot(resolve(request), _title(request))
    if accept:
        made = gate.accept(path, found, reason, datetime.now(UTC).date())
        if json:
            print_json(made.model_dump(mode="json"))
        console.note(f"{path}: {made.code:,} bytes of code accepted: {reason.strip()}")
        return
    verdict = gate.check(path, found, growth, most)
    if json:
        print_json(verdict.to_json())
    else:
        sizes.finding(verdict)
    gate.enforce(verdict)


def _limits(max_growth: str | None, budget: str | None) -> list[tuple[str | None, str]]:
    return [(max_growth, "--max-growth"), (budget, "--budget")]


def _bytes(text: str | None, option: str) -> int | None:
    from litesmith.target.profiles import parse_size

    if text is None:
        return None
    try:
        size = parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}", f"for example {option} 2KiB") from None
    return int(str(size))


@command(
    name="what-if",
    iterable=["model", "add_op", "add_model", "drop_op"],
    help={
        **_PROGRAM_HELP,
        "add-op": "an op, with dtypes if need be: RESIZE_BILINEAR:int8+int32",
        "add-model": "a model that the program runs, too",
        "drop-op": "an op that it has now",
        "int8-only": "as if the models were converted to int8, inputs and outputs too",
        "json": "print the bytes as JSON",
    },
)
def what_if(
    ctx: Context,
    target: str | None = None,
    model: Any = None,
    add_op: Any = None,
    add_model: Any = None,
    drop_op: Any = None,
    int8_only: bool = False,
    toolchain: str | None = None,
    optimise: str | None = None,
    kernels: str | None = None,
    prune: bool = True,
    embed_model: bool = False,
    custom_ops: str | None = None,
    json: bool = False,
) -> None:
    """What the program would weigh with other ops, models or dtypes; nothing is written."""
    from litesmith.build import session
    from litesmith.build.request import resolve
    from litesmith.cli.render import sizes
    from litesmith.study import what_if

    del ctx
    options = {
        "toolchain": toolchain,
        "optimise": optimise,
        "kernels": kernels,
        "prune": prune,
        "embed_model": embed_model,
        "custom_ops": custom_ops,
    }
    request = _request(target, model, **options)
    changes = what_if.Changes(
        add_models=tuple(add_model or ()),
        add_ops=what_if.parse_names(add_op or ()),
        drop_ops=what_if.parse_names(drop_op or ()),
        int8_only=int8_only,
    )
    with session.opened(resolve(request)) as opened:
        answer = what_if.ask(opened, changes)
    if json:
        print_json(answer.to_json())
    else:
        sizes.answer(answer)


@command(
    name="of",
    default=True,
    iterable=["model"],
    help={
        **{
            name: _PROGRAM_HELP[name]
            for name in ("target", "model", "toolchain", "optimise", "kernels", "embed-model")
        },
        "json": "print the estimate as JSON",
    },
)
def estimate(
    ctx: Context,
    target: str | None = None,
    model: Any = None,
    toolchain: str | None = None,
    optimise: str | None = None,
    kernels: str | None = None,
    embed_model: bool = False,
    json: bool = False,
) -> None:
    """What the program will weigh, before anything is compiled."""
    from litesmith.build.request import resolve
    from litesmith.cli.render import sizes
    from litesmith.predict.code_size.estimates import estimate_program

    del ctx
    request = _request(
        target, model, toolchain=toolchain, optimise=optimise, kernels=kernels, embed_model=embed_model
    )
    resolved = resolve(request)
    found = estimate_program(resolved.profile, resolved.toolchain, resolved.models, embed_model=embed_model)
    if json:
        print_json(found.to_json())
    else:
        sizes.estimate(found)
