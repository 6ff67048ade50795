"""The tasks of the command line: argument names and printing, nothing else.

Heavy imports are inside of the tasks, so that ``invoke --list`` stays fast.
"""

from __future__ import annotations

import errno
import functools
import json as json_module
import shlex
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from litesmith import console
from litesmith.errors import LitesmithError, UsageError

Task = TypeVar("Task", bound=Callable[..., Any])

_INTERRUPTED = 130
_AGAIN_SECONDS = 0.05


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turns errors into one clear line and an exit code; the only place that does."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        # An ordinary end (a CI job that is cancelled) is cleaned up after like Ctrl-C.
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)
        sys.unraisablehook = _interrupt_again
        try:
            return function(*args, **kwargs)
        except LitesmithError as error:
            message, advice, code = error.message, error.next_step, error.exit_code
        except KeyboardInterrupt:
            message, advice, code = "interrupted", "nothing half-written was left", _INTERRUPTED
        except BrokenPipeError:
            raise Exit(code=0) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            message, code = f"{where}{error.strerror or error}", 1
            advice = _OS_ADVICE.get(error.errno or 0, "")
        except MemoryError:
            message, advice, code = "out of memory", "close other programs and try again", 1
        except Exit:
            raise
        except Exception as error:
            message, code = f"internal error: {type(error).__name__}: {error}", 1
            advice = "run it again with --debug and report what it prints"
        if console.debugging():
            traceback.print_exc()
        console.error_line(message, advice)
        raise Exit(code=code)

    return run


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _interrupt_again(unraisable: Any) -> None:
    """Python drops what is raised inside of its own callbacks, a Ctrl-C too: that comes once more."""
    if unraisable.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)


_OS_ADVICE = {
    errno.ENOSPC: "free some disk space, or move the cache with LITESMITH_CACHE",
    errno.EACCES: "check the permissions",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
}


def _task(*args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], Any]:
    def wrap(function: Callable[..., Any]) -> Any:
        return task(*args, **kwargs)(_guarded(function))

    return wrap


def _print_json(value: Any) -> None:
    print(json_module.dumps(value, indent=2, ensure_ascii=False))


def _checkout() -> str:
    from litesmith import paths

    return str(paths.data_folder("tests").parent).replace(" ", "\\ ")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _choice(signature: str | None, input_shapes: Any) -> Any:
    from litesmith import samples

    return samples.Choice(signature=signature, shapes=samples.parse_shapes(input_shapes or ()))


def _needed(value: Any, option: str, example: str) -> Any:
    if not value:
        raise UsageError(f"{option} is missing", f"for example {option} {example}")
    return value


@_task(
    iterable=["model", "input_shape"],
    help={
        "target": "built-in target name or path of a profile (see targets)",
        "model": "a .tflite file or zoo:NAME; once for each model of the program",
        "toolchain": "zig, gcc or docker, with linkage if need be: gcc:static (default: the profile's first)",
        "out": "output folder (default build/<target>/<model name>)",
        "prune": "leave out what the models do not need beyond ops: dtypes, kernel variants, runtime parts",
        "optimise": "size, balanced or speed (default: as the profile says)",
        "compare-stock": "build the program without pruning, too, and say what was saved",
        "embed-model": "put the model into the binary",
        "verify": "run the program and compare its answers",
        "custom-ops": "YAML file with custom ops of your own",
        "input-shape": "NAME=1x224x224x3: verify with this shape of an input",
        "signature": "verify this signature only",
        "json": "print the result as JSON",
    },
)
def build(
    ctx: Context,
    target: str | None = None,
    model: Any = None,
    toolchain: str | None = None,
    out: str | None = None,
    prune: bool = True,
    compare_stock: bool = False,
    optimise: str | None = None,
    embed_model: bool = False,
    verify: bool = True,
    custom_ops: str | None = None,
    input_shape: Any = None,
    signature: str | None = None,
    json: bool = False,
) -> None:
    """Build the smallest program that runs the model, measure and verify it."""
    from litesmith import pipeline, render

    del ctx
    outcome = pipeline.build(
        pipeline.Request(
            target=_needed(target, "--target", "armv7"),
            models=tuple(_needed(model, "--model", "examples/det.tflite")),
            toolchain=toolchain,
            out=out,
            embed_model=embed_model,
            verify=verify,
            choice=_choice(signature, input_shape),
            custom_ops=custom_ops,
            prune=prune,
            compare_stock=compare_stock,
            optimise=optimise,
        )
    )
    if json:
        pipeline.warn_unverified(outcome.verdicts)
        _print_json(outcome.to_json())
    else:
        render.outcome(outcome)


@_task(
    iterable=["model", "input_shape"],
    help={
        "target": "target of the build",
        "model": "the model that it was built for",
        "program": "the program (default: where build puts it)",
        "cpu": "another CPU for the emulator, for example max",
        "toolchain": "what it was built with (default: as its manifest says)",
        "input-shape": "NAME=1x224x224x3: the shape of an input",
        "signature": "this signature only",
        "json": "print the verdicts as JSON",
    },
)
def verify(
    ctx: Context,
    target: str | None = None,
    model: Any = None,
    program: str | None = None,
    cpu: str | None = None,
    toolchain: str | None = None,
    input_shape: Any = None,
    signature: str | None = None,
    json: bool = False,
) -> None:
    """Run a built program and compare its answers with TensorFlow's interpreter."""
    from litesmith import pipeline

    del ctx
    verdicts = pipeline.verify_build(
        _needed(target, "--target", "armv7"),
        _needed(model, "--model", "examples/det.tflite"),
        program,
        cpu,
        toolchain,
        _choice(signature, input_shape),
    )
    if json:
        _print_json([verdict.to_json() for verdict in verdicts])
    else:
        for verdict in verdicts:
            print(verdict.line())
    if any(verdict.passed is False for verdict in verdicts):
        raise Exit(code=4)


@_task(
    iterable=["model"],
    help={"model": "a .tflite file or zoo:NAME", "json": "print the analysis as JSON"},
)
def analyse(ctx: Context, model: Any = None, json: bool = False) -> None:
    """Show what a model contains, and what this runtime cannot run."""
    from litesmith import models, ops

    del ctx
    registry = ops.load()
    names = _needed(model, "--model", "examples/det.tflite")
    opened = [models.open_model(name).analysis for name in names]
    reports = [ops.describe(analysis, registry) for analysis in opened]
    if json:
        _print_json(reports[0] if len(reports) == 1 else reports)
    else:
        from litesmith import render

        for analysis in opened:
            render.analysis(analysis, registry)
    if any(report["problems"] for report in reports):
        raise Exit(code=3)


@_task(
    help={
        "check": "validate a profile file of your own",
        "json": "print the profiles as JSON",
    }
)
def targets(ctx: Context, check: str | None = None, json: bool = False) -> None:
    """Show the targets, or validate a profile."""
    from litesmith import profiles, render

    del ctx
    if check is not None:
        path = check if "/" in check or check.endswith((".yaml", ".yml")) else f"./{check}"
        found = [profiles.load(path)]
    else:
        found = [profiles.load(name) for name in profiles.available()]
    if json:
        _print_json([profile.model_dump(mode="json") for profile in found])
    else:
        render.profiles(found)
    if check is not None:
        console.note(f"{check} is a valid profile")


@_task(name="list", default=True, help={"json": "print the registry as JSON"})
def ops_list(ctx: Context, json: bool = False) -> None:
    """Show the ops that the runtime has: versions and sources."""
    from litesmith import ops, render

    del ctx
    registry = ops.load()
    every = [*registry.builtins.values(), *registry.customs.values()]
    if json:
        _print_json([op.model_dump(mode="json") for op in every])
    else:
        render.ops(every)


@_task()
def derive(ctx: Context) -> None:
    """Generate ops_registry/ from the pinned sources."""
    from litesmith import derive as deriver
    from litesmith import paths, sources

    del ctx
    registry = deriver.Deriver(sources.source_tree()).registry()
    written, removed = deriver.write(paths.data_folder("ops_registry"), registry)
    print(f"{len(registry)} files: {written} written, {removed} removed")


@_task(help={"fetch": "download all models", "json": "print the zoo as JSON"})
def zoo(ctx: Context, fetch: bool = False, json: bool = False) -> None:
    """Show the public models that --model zoo:NAME fetches."""
    import dataclasses

    from litesmith import render
    from litesmith import zoo as models

    del ctx
    if fetch:
        for name in models.MODELS:
            models.fetch(name)
    if json:
        _print_json([dataclasses.asdict(model) for model in models.MODELS.values()])
    else:
        render.zoo(list(models.MODELS.values()))


@_task(help={"json": "print the findings as JSON"})
def doctor(ctx: Context, json: bool = False) -> None:
    """List every outside tool: what it is for, whether it is there, how to get it."""
    import dataclasses

    from litesmith import doctor as checks
    from litesmith import render

    del ctx
    found = checks.examine()
    if json:
        _print_json([dataclasses.asdict(tool) for tool in found])
    else:
        render.tools(found)


@_task(
    help={
        "targets": "names or profiles, separated by commas",
        "models": "models, separated by commas",
        "toolchains": "toolchains, separated by commas, for example zig,gcc:static (default: each first one)",
        "out": "output folder (default build/matrix)",
        "json": "print the cells as JSON",
    }
)
def matrix(
    ctx: Context,
    targets: str = "",
    models: str = "",
    toolchains: str = "",
    out: str = "build/matrix",
    json: bool = False,
) -> None:
    """Build every model for every target with every toolchain, and show one table."""
    from pathlib import Path

    from litesmith import matrix as builds
    from litesmith import render

    del ctx
    found = builds.run(
        _words(_needed(targets, "--targets", "armv7,aarch64")),
        _words(_needed(models, "--models", "zoo:kws,examples/det.tflite")),
        _words(toolchains) or (None,),
        Path(out),
    )
    if json:
        _print_json(found.to_json())
    else:
        render.matrix(found, Path(out) / "matrix.json")
    if found.exit_code:
        raise Exit(code=found.exit_code)


@_task()
def base(ctx: Context) -> None:
    """Make the base of the toolchain images with debootstrap, where no registry can be reached."""
    from litesmith import images

    del ctx
    made = images.make_base()
    print(f"{made.tag}: {made.base}, {made.identifier}")


@_task(name="list", default=True, help={"json": "print the images as JSON"})
def docker_list(ctx: Context, json: bool = False) -> None:
    """Show the toolchain images: tag, base, and whether the engine has them."""
    import dataclasses

    from litesmith import images, render

    del ctx
    found = images.survey()
    if json:
        _print_json([dataclasses.asdict(entry) for entry in found])
    else:
        render.images(found)


@_task(
    help={
        "out": "picture to write (default build/demo.png)",
        "target": "target to build for",
        "seed": "which scene to draw",
    }
)
def demo(ctx: Context, out: str = "build/demo.png", target: str = "armv7", seed: int = 32) -> None:
    """Build the detector, run it on a drawn scene under the emulator, and draw the boxes."""
    from litesmith import demo as show

    del ctx
    print(show.run(target, out, seed).line())


@_task(
    name="speed",
    default=True,
    iterable=["model"],
    help={
        "model": "models to measure (default: zoo and examples)",
        "runs": "inferences for each measurement",
        "json": "print the measurements as JSON",
    },
)
def bench_speed(ctx: Context, model: Any = None, runs: int = 300, json: bool = False) -> None:
    """Compare the x86_64 program with the ai-edge-litert wheel, and count kernels elsewhere."""
    from litesmith import render
    from litesmith.bench import speed

    del ctx
    found = speed.run(tuple(model or ()), runs)
    if json:
        _print_json(found.to_json())
    else:
        render.bench_speed(found)


@_task(
    name="optimise",
    iterable=["model"],
    help={
        "model": "models to measure (default: four of the zoo and one example)",
        "runs": "inferences for each measurement",
        "json": "print the measurements as JSON",
    },
)
def bench_optimise(ctx: Context, model: Any = None, runs: int = 300, json: bool = False) -> None:
    """Bytes, instructions and time for each optimisation, pruned beside stock (x86_64)."""
    from litesmith import render
    from litesmith.bench import optimise

    del ctx
    found = optimise.run(tuple(model or ()), runs)
    if json:
        _print_json(found.to_json())
    else:
        render.bench_optimise(found)


@_task(
    name="pruning",
    help={
        "target": "target of the program",
        "model": "a .tflite file or zoo:NAME",
        "toolchain": "zig, gcc or docker",
        "json": "print the bytes as JSON",
    },
)
def bench_pruning(
    ctx: Context,
    target: str = "armv7",
    model: str = "zoo:vww",
    toolchain: str | None = None,
    json: bool = False,
) -> None:
    """What each step of pruning brings, in bytes: the program without that step."""
    from litesmith import render
    from litesmith.bench import pruning

    del ctx
    found = pruning.run(target, model, toolchain)
    if json:
        _print_json(found.to_json())
    else:
        render.bench_pruning(found)


@_task(
    name="test",
    help={"arguments": "more arguments for pytest", "integration": "also build and run programs"},
)
def run_tests(ctx: Context, arguments: str = "", integration: bool = True) -> None:
    """Run the tests."""
    words = [sys.executable, "-m", "pytest"]
    if not integration:
        words += ["-m", "not integration"]
    with ctx.cd(_checkout()):
        result = ctx.run(f"{shlex.join(words)} {arguments}", warn=True, pty=False)
    if result is None or result.failed:
        raise Exit(code=result.exited if result else 1)


@_task()
def lint(ctx: Context) -> None:
    """Run ruff and mypy."""
    with ctx.cd(_checkout()):
        for command in ("ruff check .", "ruff format --check .", "mypy"):
            result = ctx.run(f"{shlex.quote(sys.executable)} -m {command}", warn=True)
            if result is None or result.failed:
                raise Exit(code=1)


@_task(help={"name": "det, digits, words or gesture; all when left out"}, iterable=["name"])
def examples(ctx: Context, name: Any = None) -> None:
    """Train and convert the example models again (needs requirements/models.txt)."""
    from litesmith import paths

    script = paths.data_folder("examples") / "make_models.py"
    result = ctx.run(f"'{sys.executable}' '{script}' {' '.join(name or ())}", warn=True)
    if result is None or result.failed:
        raise Exit(code=1)


def namespace(*, development: bool) -> Collection:
    """The tasks; those that need a checkout only with ``development``."""
    collection = Collection(build, verify, analyse, targets, zoo, doctor, demo, matrix)
    ops_collection = Collection("ops")
    ops_collection.add_task(ops_list)
    if development:
        ops_collection.add_task(derive)
        for development_task in (run_tests, lint, examples):
            collection.add_task(development_task)
    collection.add_collection(ops_collection)
    bench_collection = Collection("bench")
    bench_collection.add_task(bench_speed)
    bench_collection.add_task(bench_optimise)
    bench_collection.add_task(bench_pruning)
    collection.add_collection(bench_collection)
    docker_collection = Collection("docker")
    docker_collection.add_task(base)
    docker_collection.add_task(docker_list)
    collection.add_collection(docker_collection)
    return collection
