"""Deploying a package to one board over SSH, in steps; switching to the new release is the last one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from litesmith.base.errors import BoardError, VerificationError
from litesmith.board.deploy import lock
from litesmith.board.deploy.executor import BoardExecutor, output_counts
from litesmith.board.deploy.inventory import AnyBoard, Board
from litesmith.board.deploy.package import Package
from litesmith.board.deploy.probe import Facts, misfit, probe
from litesmith.board.deploy.remote import UNCHANGED, Remote, run_checked, script
from litesmith.board.deploy.ssh_connection import connected
from litesmith.board.deploy.uploads import Progress, remote_path, upload
from litesmith.build.request import OFF, STRICT
from litesmith.measure.verify import verification
from litesmith.measure.verify.program_under_test import ProgramUnderTest
from litesmith.model.entry_points import Choice, parts

# The exit code of a program whose model does not fit it.
_MISFIT = 3
# A name of :class:`Package`; releases of other programs' makers may have other plain names.
_RELEASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The result of a deployment: the new release and the one ``before``, the bytes ``sent``, the verdict.

    ``note`` reports a failure after the switch, which does not affect the new release.
    """

    board: str
    release: str
    before: str
    sent: int
    verdict: str
    note: str = ""


def deploy(
    board: Board,
    package: Package,
    report: Progress,
    choice: Choice,
    verify: str = STRICT,
    *,
    unproven: bool = False,
) -> Deployment:
    """Deploys to one board; ``verify`` is that of a build's request.

    A program whose outputs were not compared with the reference's on the board is not switched to, unless
    ``unproven`` allows it; one with wrong outputs only with ``verify`` set to warn.

    Raises:
        BoardError: with the step that failed; the board still runs its previous release.
    """
    report("connect")
    with connected(board) as remote:
        report("probe")
        facts = probe(remote)
        require_fit(board, facts, package)
        token = lock.new_token()
        report("lock")
        with lock.locked(remote, token):
            sent: list[str] = []
            upload(remote, package.files, token, report, sent)
            report("smoke run")
            verdict = ""
            if verify != OFF:
                verdict = _verify(remote, package, token, choice, verify, unproven=unproven)
            report("release")
            _release(remote, package, token)
            report("switch")
            _switch(remote, package.release, facts.current, token)
            # The new release is in place: a failure from here on is not a failed deployment.
            report("prune")
            note = _pruned(remote, token)
    report("done")
    return Deployment(
        board=board.name,
        release=package.release,
        before=facts.current,
        sent=sum(package.files[digest].stat().st_size for digest in sent),
        verdict=verdict,
        note=note,
    )


def rollback(board: Board, report: Progress) -> Deployment:
    """Switches back to the release before the current one.

    Raises:
        BoardError: there is no earlier release, or the board did not answer.
    """
    report("connect")
    with connected(board) as remote:
        token = lock.new_token()
        report("lock")
        with lock.locked(remote, token):
            report("switch")
            result = run_checked(remote, "switch", script("back"), board.folder)
            current, before = _releases(board, result.stdout)
            _switch(remote, before, current, token)
    report("done")
    return Deployment(board=board.name, release=before, before=current, sent=0, verdict="")


def require_fit(board: Board, facts: Facts, package: Package) -> None:
    """Checks that a package can run on a board, before anything is sent.

    Raises:
        BoardError: it cannot.
    """
    require_target(board, package, "probe", _MISFIT)
    if facts.lacks:
        raise BoardError(
            board.name,
            "probe",
            f"it has no {', '.join(facts.lacks)}",
            "deployments need a POSIX shell with coreutils or busybox",
            exit_code=_MISFIT,
        )
    reason = misfit(facts, package.profile, package.program)
    if reason:
        raise BoardError(board.name, "probe", reason, "build for the board's own target", exit_code=_MISFIT)


def require_target(
    board: AnyBoard, package: Package, step: str, exit_code: int = BoardError.exit_code
) -> None:
    """Checks that a package is built for the target that the inventory gives a board.

    Raises:
        BoardError: it is for another target.
    """
    if board.target != package.profile.name:
        raise BoardError(
            board.name,
            step,
            f"its target in the inventory is {board.target}, and the program is for {package.profile.name}",
            f"deploy with --target {board.target}, or correct the inventory",
            exit_code=exit_code,
        )


def _releases(board: Board, answer: bytes) -> tuple[str, str]:
    """The names of the current release and of the one before it, as ``back.sh`` prints them."""
    names = answer.decode(errors="replace").split()
    if len(names) != 2 or not all(_RELEASE.fullmatch(name) for name in names):
        raise BoardError(
            board.name,
            "switch",
            "its answer does not name two releases",
            "check what is in the folder 'releases' on the board",
        )
    return names[0], names[1]


def _switch(remote: Remote, release: str, before: str, token: str) -> None:
    """Makes a release the current one."""
    board = remote.board
    try:
        run_checked(remote, "switch", script("switch"), board.folder, token, release)
    except BoardError as error:
        reason = error.message.removeprefix(f"{board.name}, switch: ")
        raise BoardError(
            board.name,
            "switch",
            f"{reason}: the current release is either {release} or {before or 'none'}, and both are complete",
            "deploy again to be sure",
        ) from None


def _pruned(remote: Remote, token: str) -> str:
    """Removes old releases; returns what went wrong, or an empty string."""
    try:
        run_checked(remote, "prune", script("prune"), remote.board.folder, token, str(remote.board.keep))
    except BoardError as error:
        return f"old releases were not removed: {error.message}"
    return ""


def _verify(
    remote: Remote, package: Package, token: str, choice: Choice, verify: str, *, unproven: bool
) -> str:
    """Runs the program on the board and compares its outputs with the reference; returns the verdicts."""
    board = remote.board
    lines = []
    try:
        for number, model in enumerate(package.models):
            executor = BoardExecutor(
                remote=remote,
                token=token,
                description=f"the board {board.name}",
                outputs=output_counts(parts(model.analysis, choice)),
            )
            digest = package.digests["program"]
            program = ProgramUnderTest(
                executor=executor,
                path=remote_path(board, digest),
                model=remote_path(board, package.digests[package.model_name(number)]),
            )
            earlier = package.verdicts[number] if package.verdicts else None
            verdict = verification.verify_with(
                program, model, program_digest=digest, choice=choice, earlier=earlier
            )
            if verdict.fails and verify == STRICT:
                raise VerificationError(
                    verdict.line(), "run it on the board by hand, or build with --no-prune"
                )
            if not unproven and (verdict.passed is None or verdict.worst is None):
                raise VerificationError(
                    f"no outputs of the program were compared on the board: {verdict.line()}",
                    f"{UNCHANGED} with --unproven to switch to it all the same",
                )
            lines.append(verdict.line())
    except VerificationError as error:
        raise BoardError(
            board.name, "smoke run", error.message, error.next_step, exit_code=error.exit_code
        ) from None
    return "; ".join(lines)


def _release(remote: Remote, package: Package, token: str) -> None:
    pairs = [word for name, digest in package.digests.items() for word in (name, digest)]
    content = json.dumps(package.to_json(), indent=2).encode()
    arguments = (remote.board.folder, token, package.release, *pairs)
    run_checked(remote, "release", script("release"), *arguments, stdin=content)
