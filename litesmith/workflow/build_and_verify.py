"""All stages of a build, in order: model → analysis → selection → project → binary → size → verdict.

It reads like the diagram of the README.  :func:`~litesmith.build.session.opened` has the stages up to the
selection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import console, files
from litesmith.base.errors import UsageError, VerificationError
from litesmith.build.artifact.program import Program, publish, require_replaceable
from litesmith.build.builder import Binary
from litesmith.build.cmake_project import cmake_files
from litesmith.build.manifest import Manifest
from litesmith.build.notice import notice
from litesmith.build.request import OFF, STRICT, Request, ResolvedRequest, resolve
from litesmith.build.session import Session, opened
from litesmith.measure.size import elf
from litesmith.measure.size.anatomy import Anatomy
from litesmith.measure.size.measurement import measure
from litesmith.measure.size.size_report import SizeReport
from litesmith.measure.verify import verification
from litesmith.measure.verify.verdict import Verdict
from litesmith.model.entry_points import EVERYTHING, Choice
from litesmith.model.model_file import Model, joint_name, open_model
from litesmith.target import profiles
from litesmith.target.profiles import Profile
from litesmith.toolchain.registry import load as load_toolchain
from litesmith.workflow.node_programs import RebuiltPrograms, SessionPrograms


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a build.  ``sysroot`` has the libraries that a dynamic program needs.

    ``stock`` is the code size of the same program without pruning, in bytes, if it is known.
    """

    folder: Path
    program: Path
    size: SizeReport
    verdicts: tuple[Verdict, ...]
    sysroot: Path | None
    stock: int | None
    resolved: ResolvedRequest
    manifest: Manifest

    @property
    def profile(self) -> Profile:
        """The profile that the program was built for."""
        return self.resolved.profile

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that the program was built for."""
        return self.resolved.models

    def to_json(self) -> dict[str, Any]:
        """The result in JSON's types."""
        return {
            "out": str(self.folder),
            "program": str(self.program),
            "size": self.size.to_json(),
            "stock": self.stock,
            "kernels": {key: self.manifest.kernels[key] for key in ("asked", "chosen", "reason")},
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
        }


def default_folder(profile: Profile, models: Sequence[Model]) -> Path:
    """The default output folder: ``build/<target>/<model name>``."""
    return Path("build") / profile.name / joint_name(models)


def output_folder(resolved: ResolvedRequest) -> Path:
    """The output folder of a build: the request's, or the default one."""
    named = resolved.request.out
    return Path(named) if named else default_folder(resolved.profile, resolved.models)


def build(request: Request) -> Outcome:
    """Resolves a request and builds it; see :func:`build_resolved`."""
    return build_resolved(resolve(request))


def build_resolved(resolved: ResolvedRequest) -> Outcome:
    """Builds, measures and verifies a program; writes the output folder if all of this succeeds.

    Raises:
        LitesmithError: the program cannot be built, or its answers are wrong; the output folder is
            unchanged.
    """
    request, profile = resolved.request, resolved.profile
    folder = output_folder(resolved)
    require_replaceable(folder)
    with opened(resolved) as session:
        toolchain, tree = session.toolchain, session.tree
        project = session.project()
        binary = session.builder.build(project)
        anatomy, measured = measure(session.builder, project, binary)
        stock = _stock(session, request.compare_stock) if request.prune else None
        sysroot = toolchain.sysroot(profile)
        built = Program(
            project=project,
            cmake=cmake_files(project, profile, toolchain, tree),
            binary=binary,
            manifest=Manifest.of(
                project,
                profile,
                toolchain,
                binary,
                sizes=asdict(measured.binary),
                kernels=session.kernels.to_json(),
                sources=tree.manifest(),
            ),
            notice=notice(project, profile, tree, toolchain),
        )
        verdicts = _verify_all(session, binary, sysroot)
    publish(built, _reports(anatomy, measured, verdicts), folder)
    return Outcome(
        folder=folder,
        program=folder / "bin" / project.name,
        size=measured,
        verdicts=verdicts,
        sysroot=sysroot,
        stock=stock,
        resolved=resolved,
        manifest=built.manifest,
    )


def _reports(anatomy: Anatomy, measured: SizeReport, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The reports on the program's size and on its verification, by file name."""
    reports: dict[str, Any] = {"size.json": measured.to_json(), "symbols.json": anatomy.to_json()}
    if verdicts:
        reports["verify.json"] = {"verdicts": [verdict.to_json() for verdict in verdicts]}
    return reports


def _stock(session: Session, wanted: bool) -> int | None:
    """The code of the program without pruning, in bytes: if requested, or if it is in the cache."""
    unpruned = session.project(pruned=False)
    builder = session.builder
    program = builder.stripped(unpruned) if wanted else builder.finished(unpruned)
    return elf.program_size(program).code if program else None


def _verify_all(session: Session, binary: Binary, sysroot: Path | None) -> tuple[Verdict, ...]:
    request = session.request
    if request.verify == OFF:
        return ()
    verdicts = tuple(_verify(session, model, binary, sysroot) for model in session.models)
    failing = next((verdict for verdict in verdicts if verdict.fails), None)
    if failing is not None and request.verify == STRICT:
        raise VerificationError(
            failing.line(), "nothing was written; with --verify warn the program is written all the same"
        )
    return verdicts


def _verify(session: Session, model: Model, binary: Binary, sysroot: Path | None) -> Verdict:
    request = session.request
    try:
        return verification.verify(
            binary.program,
            session.profile,
            model,
            embedded=request.embed_model,
            sysroot=sysroot,
            choice=request.choice,
            nodes=SessionPrograms(session=session),
        )
    except VerificationError as error:
        if request.verify == STRICT:
            raise
        return verification.failed(model, error, files.sha256(binary.program))


def verify_build(
    target: str,
    names: Sequence[str],
    program: str | None = None,
    cpu: str | None = None,
    toolchain: str | None = None,
    choice: Choice = EVERYTHING,
) -> tuple[Verdict, ...]:
    """Verifies an existing program, by default the one in the default output folder.

    ``names`` are those of the models.  ``toolchain`` is needed only for a program without the
    ``manifest.json`` of its build.

    Raises:
        UsageError: the program does not exist.
        VerificationError: the program failed to run.
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
    sysroot = load_toolchain(name).sysroot(profile, recorded.get("sha256"))
    again = RebuiltPrograms(program=path, resolved=lambda: _request_of(path, target, names, spec, choice))
    return tuple(
        verification.verify(path, profile, model, cpu=cpu, sysroot=sysroot, choice=choice, nodes=again)
        for model in models
    )


def _request_of(
    program: Path, target: str, names: Sequence[str], toolchain: str | None, choice: Choice
) -> ResolvedRequest:
    """The request that a program was built with, as far as its manifest tells."""
    manifest = Manifest.read(program.absolute().parent.parent)
    return resolve(
        Request(
            target=target,
            models=tuple(names),
            toolchain=toolchain,
            choice=choice,
            embed_model=manifest.embedded_model,
            prune=bool(manifest.pruning["enabled"]),
            kernels=manifest.kernels.get("chosen"),
            optimise=manifest.profile.get("optimise"),
        )
    )


def _recorded_toolchain(program: Path) -> dict[str, str]:
    """The toolchain in the manifest next to a program; empty without a manifest."""
    try:
        found = Manifest.read(program.absolute().parent.parent).toolchain
    except UsageError:
        return {}
    return {key: str(found[key]) for key in ("name", "linkage", "sha256") if key in found}


def warn_unverified(verdicts: Sequence[Verdict]) -> None:
    """Prints one line if a build is wrong, or could not be verified on this machine."""
    for verdict in verdicts:
        if not verdict.passed:
            console.note(verdict.line())
            return
