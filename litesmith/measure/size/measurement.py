"""Program → sizes: every byte with its owner, and the marginal cost of each op."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from litesmith.base import files, paths
from litesmith.base.errors import UsageError
from litesmith.build import cache
from litesmith.build.builder import Binary, Builder
from litesmith.build.manifest import made_with
from litesmith.build.project import Project
from litesmith.build.request import Request, ResolvedRequest, resolve
from litesmith.build.session import opened
from litesmith.measure.size import elf
from litesmith.measure.size.anatomy import Anatomy
from litesmith.measure.size.dissection import dissect
from litesmith.measure.size.size_report import SizeReport
from litesmith.measure.size.snapshot import Snapshot, read
from litesmith.model.git_revision import in_revision

# The name of the program without any op; no op has an empty name.
_BARE = ""


def measure(builder: Builder, project: Project, binary: Binary) -> tuple[Anatomy, SizeReport]:
    """The sizes of a program, which is linked again without each op for the op's marginal cost.

    They are cached by the program, its project, and litesmith's own files.
    """
    path = paths.cache_folder() / "sizes" / f"{_key(builder, project, binary)}.json"
    if cache.is_whole(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        return Anatomy.from_json(content["symbols"]), SizeReport.from_json(content["size"])
    anatomy, report = _measured(builder, project, binary)
    text = json.dumps({"size": report.to_json(), "symbols": anatomy.to_json()})
    # A cache that cannot be written can still be used.
    with contextlib.suppress(OSError):
        cache.store_text(text, path)
    return anatomy, report


def _key(builder: Builder, project: Project, binary: Binary) -> str:
    """Of everything that the sizes depend on, also those of the programs with fewer ops."""
    return files.digest_of(
        paths.own_files(),
        files.sha256(binary.program),
        files.sha256(binary.map_file),
        sorted(project.files.items()),
        [op.name for op in project.selection.ops],
        project.model_check,
        repr(builder.profile),
        builder.toolchain.identity(builder.profile),
        builder.tree.root.name,
    )


def _measured(builder: Builder, project: Project, binary: Binary) -> tuple[Anatomy, SizeReport]:
    names = [op.name for op in project.selection.ops]
    without = {name: project.reduced(project.selection.without(name)) for name in names}
    smaller = builder.variants({**without, _BARE: project.bare()})
    codes = {name: elf.program_size(program).code for name, program in smaller.items()}
    unchecked = elf.program_size(builder.stripped(project.unchecked())).code if project.model_check else None
    anatomy = anatomise(project, binary)
    return anatomy, SizeReport.of(
        elf.program_size(binary.program),
        anatomy,
        without={name: codes[name] for name in names},
        without_ops=codes[_BARE],
        unchecked=unchecked,
    )


def anatomise(project: Project, binary: Binary) -> Anatomy:
    """Every byte of the program of a project with its owner."""
    return dissect(binary, project.selection, frozenset(project.runtime.core))


def build_snapshot(resolved: ResolvedRequest, title: str) -> Snapshot:
    """Builds and measures the program of a request; only the cache is written to.

    Raises:
        LitesmithError: the program cannot be built.
    """
    with opened(resolved) as session:
        project = session.project()
        anatomy, report = measure(session.builder, project, session.builder.build(project))
        return Snapshot(
            title=title,
            made_with=made_with(project, session.profile, session.toolchain),
            models={model.path: model.sha256 for model in project.selection.models},
            report=report,
            anatomy=anatomy,
        )


def find_snapshot(name: str, models: tuple[str, ...], target: str | None, **options: Any) -> Snapshot:
    """One side of a comparison: an output folder, a model, or a Git revision of ``models``.

    ``options`` are those of :class:`Request`.

    Raises:
        UsageError: the name is none of them, or the target is missing.
        LitesmithError: the program cannot be built.
    """
    folder = Path(name)
    # A branch may have the name of a folder; with a model to look up in it, the branch is meant.
    if folder.is_dir() and (not models or (folder / "manifest.json").is_file()):
        return read(folder)
    is_model = not models and (name.endswith(".tflite") or ":" in name)
    if not is_model and not models:
        raise UsageError(
            f"{name} is neither the output folder of a build nor a model",
            "name one of the two, or a Git revision together with --model",
        )
    if target is None:
        raise UsageError(f"{name} must be built, but --target is missing", "for example --target armv7")
    wanted = (name,) if is_model else tuple(in_revision(name, model) for model in models)
    return build_snapshot(resolve(Request(target=target, models=wanted, **options)), name)
