"""The whole way, once: model → analysis → selection → project → binary → size → verdict.

It reads like the diagram of the README, and it is the only module that imports every stage.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith import (
    __version__,
    console,
    custom_ops,
    files,
    generate,
    ops,
    profiles,
    selection,
    size,
    sources,
    toolchains,
    verify,
)
from litesmith.build import Binary, Builder, license_components, workshop
from litesmith.errors import UsageError, VerificationError
from litesmith.generate import Project
from litesmith.models import Model, joint_name, open_model
from litesmith.profiles import Profile
from litesmith.pruning import NOTHING
from litesmith.samples import EVERYTHING, Choice, parts
from litesmith.selection import upstream_path
from litesmith.size import SizeReport
from litesmith.sources import SourceTree
from litesmith.toolchains import Toolchain
from litesmith.verify import Verdict


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for, as it was written."""

    target: str
    models: tuple[str, ...]
    toolchain: str | None = None
    out: str | None = None
    embed_model: bool = False
    verify: bool = True
    choice: Choice = EVERYTHING
    custom_ops: str | None = None
    prune: bool = True
    compare_stock: bool = False
    optimise: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a build ended in.  ``sysroot`` has the libraries that a dynamic program runs with.

    ``stock`` is the code of the same program without pruning, in bytes, where it is known.
    """

    folder: Path
    program: Path
    size: SizeReport
    verdicts: tuple[Verdict, ...]
    sysroot: Path | None
    stock: int | None

    def to_json(self) -> dict[str, Any]:
        """The result for machines."""
        return {
            "out": str(self.folder),
            "program": str(self.program),
            "size": self.size.to_json(),
            "stock": self.stock,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
        }


def default_folder(profile: Profile, models: Sequence[Model]) -> Path:
    """Where a build goes when nobody says: ``build/<target>/<model name>``."""
    return Path("build") / profile.name / joint_name(models)


def build(request: Request) -> Outcome:
    """Builds, measures and verifies a program; publishes the output folder when all went well.

    Raises:
        LitesmithError: anything that keeps the program from being built, or its answers from
            being right; the output folder is as it was then.
    """
    profile, name = profiles.load(request.target).choose(request.toolchain)
    if request.optimise is not None:
        profile = profile.optimised(request.optimise)
    toolchain = toolchains.load(name)
    if not request.models:
        raise UsageError("no model is given", "name one with --model FILE")
    if request.embed_model and len(request.models) > 1:
        raise UsageError("--embed-model takes one model", "build one program for each model")
    models = [open_model(name) for name in request.models]
    for model in models:
        parts(model.analysis, request.choice)
    folder = Path(request.out) if request.out else default_folder(profile, models)
    _require_ours(folder)

    registry = ops.load()
    if request.custom_ops is None:
        for model in models:
            ops.require_supported(registry, model.analysis)
    # A compiler that is missing is said before anything is fetched.
    toolchain.version(profile)
    tree = sources.source_tree()
    if request.custom_ops is not None:
        extension = custom_ops.extend(Path(request.custom_ops), registry, tree)
        registry, tree = extension.registry, extension.tree
    selected = selection.select([model.analysis for model in models], registry)
    with workshop(profile, toolchain, tree, registry.runtime.defines) as builder:
        make = functools.partial(
            generate.generate,
            joint_name(models),
            selected,
            profile,
            toolchain,
            tree,
            registry.runtime,
            models[0].path if request.embed_model else None,
        )
        project = make(pruned=request.prune)
        binary = builder.build(project)
        measured = measure(builder, project, binary)
        stock = _stock(builder, make(pruned=False), request.compare_stock) if request.prune else None
        sysroot = toolchain.sysroot(profile)
        manifest = _manifest(project, profile, toolchain, tree, measured, binary)
        notice = _notice(project, profile, tree, toolchain)
    verdicts = _verify_all(request, binary, profile, models, sysroot)

    # Written aside first: a build that fails leaves the old one as it was.
    with files.staging_folder(folder) as staged:
        staged_out = staged / "out"
        _write(staged_out, project, binary, measured, verdicts)
        (staged_out / "NOTICE").write_text(notice, encoding="utf-8")
        (staged_out / "manifest.json").write_text(files.to_json(manifest), encoding="utf-8")
        files.publish(staged_out, folder, optional=["verify.json"])
    return Outcome(
        folder=folder,
        program=folder / "bin" / project.name,
        size=measured,
        verdicts=verdicts,
        sysroot=sysroot,
        stock=stock,
    )


def _stock(builder: Builder, unpruned: Project, wanted: bool) -> int | None:
    """Code of the program without pruning, in bytes: when it is wanted, or there already."""
    program = builder.stripped(unpruned) if wanted else builder.finished(unpruned)
    return size.sections(program).code if program else None


def _require_ours(folder: Path) -> None:
    """A build replaces ``bin`` and ``project`` of its folder: they must not be the user's."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"the output folder {folder} is a file", "name another one with --out")
    ours = (folder / "selection.json").exists() or (folder / "manifest.json").exists()
    if folder.is_dir() and not ours and any(folder.iterdir()):
        raise UsageError(
            f"the output folder {folder} holds other things than a build of litesmith",
            "name a new or empty one with --out",
        )


# No op is called so.
_BARE = ""


def measure(builder: Builder, project: Project, binary: Binary) -> SizeReport:
    """Sizes of a program, with the marginal cost of each op: linked again without it."""
    names = [op.name for op in project.selection.ops]
    without = {name: project.reduced(project.selection.without(name)) for name in names}
    smaller = builder.variants({**without, _BARE: project.bare()})
    unchecked = size.sections(builder.stripped(project.unchecked())).code if project.model_check else None
    return size.report(
        binary.program,
        binary.map_file,
        binary.objects,
        project.selection,
        frozenset(project.runtime.core),
        lambda op: size.sections(smaller[op]).code,
        project.embedded.stat().st_size if project.embedded else 0,
        unchecked,
        size.sections(smaller[_BARE]).code,
    )


def _verify_all(
    request: Request, binary: Binary, profile: Profile, models: Sequence[Model], sysroot: Path | None
) -> tuple[Verdict, ...]:
    if not request.verify:
        return ()
    verdicts = tuple(
        verify.verify(
            binary.program,
            profile,
            m.analysis,
            m.path,
            embedded=request.embed_model,
            sysroot=sysroot,
            choice=request.choice,
        )
        for m in models
    )
    wrong = next((v for v in verdicts if v.passed is False), None)
    if wrong is not None:
        raise VerificationError(
            wrong.line(), "nothing was written; build with --no-verify to look at the program"
        )
    return verdicts


def _write(
    folder: Path, project: Project, binary: Binary, measured: SizeReport, verdicts: Sequence[Verdict]
) -> None:
    (folder / "bin").mkdir(parents=True)
    for source, name in ((binary.program, project.name), (binary.debug, f"{project.name}.debug")):
        target = folder / "bin" / name
        target.write_bytes(source.read_bytes())
        target.chmod(0o755)
    project.write(folder / "project")
    (folder / "selection.json").write_text(files.to_json(project.selection.to_json()), encoding="utf-8")
    (folder / "size.json").write_text(files.to_json(measured.to_json()), encoding="utf-8")
    if verdicts:
        content = {"verdicts": [verdict.to_json() for verdict in verdicts]}
        (folder / "verify.json").write_text(files.to_json(content), encoding="utf-8")


def _manifest(
    project: Project,
    profile: Profile,
    toolchain: Toolchain,
    tree: SourceTree,
    measured: SizeReport,
    binary: Binary,
) -> dict[str, Any]:
    flags = toolchain.compile_flags(profile)
    return {
        "litesmith": __version__,
        "models": [{"path": m.path, "sha256": m.sha256} for m in project.selection.models],
        "target": profile.name,
        "profile": profile.model_dump(mode="json"),
        "toolchain": toolchain.describe(profile),
        "flags": {
            "target": flags.target,
            "common": flags.common,
            "cxx": flags.cxx,
            "by_source": dict(flags.by_source),
            "defines": (*project.defines, *project.pruning.everywhere),
            "link": toolchain.link_flags(profile),
        },
        "pruning": {
            "enabled": project.pruning is not NOTHING,
            "dtypes": {upstream_path(source): kept for source, kept in project.pruning.dtypes.items()},
            "defines": {
                upstream_path(source): made
                for source, made in project.pruning.by_source.items()
                if source in project.sources
            },
        },
        "sources": tree.manifest(),
        "embedded_model": project.embedded is not None,
        "binary": {
            "name": project.name,
            "sha256": files.sha256(binary.program),
            "debug_sha256": files.sha256(binary.debug),
            "sizes": measured.to_json()["binary"],
        },
    }


def _notice(project: Project, profile: Profile, tree: SourceTree, toolchain: Toolchain) -> str:
    """Licence texts of everything whose code is in the program."""
    parts = [
        f"{project.name} contains code of the following projects.\n\n"
        f"litesmith {__version__}: the files of project/. Apache-2.0.\n"
    ]
    for name in license_components(project, tree):
        source = tree.sources[name]
        path = tree.root / source.folder / source.component.license_file
        text = path.read_text(encoding="utf-8", errors="replace")
        parts.append(_license(f"{name} {source.component.version}", source.component.license, text))
    parts += [_license(item.component, item.spdx, item.text) for item in toolchain.licenses(profile)]
    return "\n".join(parts)


def _license(name: str, spdx: str, text: str) -> str:
    return f"{'=' * 78}\n{name}: {spdx}\n{'-' * 78}\n{text.strip()}\n"


def verify_build(
    target: str,
    names: Sequence[str],
    program: str | None = None,
    cpu: str | None = None,
    toolchain: str | None = None,
    choice: Choice = EVERYTHING,
) -> tuple[Verdict, ...]:
    """Verifies an existing program, by default the one that ``build`` would have written.

    ``toolchain`` is needed for a program without the ``manifest.json`` of its build only.

    Raises:
        UsageError: no such program.
        VerificationError: it failed to run.
    """
    profile = profiles.load(target)
    if not names:
        raise UsageError("no model is given", "name one with --model FILE")
    models = [open_model(name) for name in names]
    path = Path(program) if program else default_folder(profile, models) / "bin" / joint_name(models)
    if not path.is_file():
        hint = " ".join(f"--model {name}" for name in names)
        raise UsageError(f"there is no program {path}", f"run './inv build --target {target} {hint}' first")
    recorded = {} if toolchain else _recorded_toolchain(path)
    spec = f"{recorded['name']}:{recorded['linkage']}" if recorded else toolchain
    profile, name = profile.choose(spec)
    sysroot = toolchains.load(name).sysroot(profile, recorded.get("sha256"))
    return tuple(
        verify.verify(path, profile, m.analysis, m.path, cpu=cpu, sysroot=sysroot, choice=choice)
        for m in models
    )


def _recorded_toolchain(program: Path) -> dict[str, str]:
    """What the manifest of a program's build says about the toolchain; empty when there is none."""
    manifest = program.absolute().parent.parent / "manifest.json"
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))["toolchain"]
        return {key: str(found[key]) for key in ("name", "linkage", "sha256") if key in found}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def warn_unverified(verdicts: Sequence[Verdict]) -> None:
    """One line for a build that could not be verified here."""
    for verdict in verdicts:
        if verdict.passed is None:
            console.note(verdict.line())
            return
