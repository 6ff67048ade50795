"""A package onto one board, in steps; the release that runs there is switched last."""

from __future__ import annotations

import json
from dataclasses import dataclass

from litesmith.base.errors import BoardError, VerificationError
from litesmith.board.deploy import lock
from litesmith.board.deploy.executor import BoardRunner
from litesmith.board.deploy.inventory import Board
from litesmith.board.deploy.package import Package
from litesmith.board.deploy.probe import Facts, misfit, probe
from litesmith.board.deploy.remote import Remote, connected, done, script
from litesmith.board.deploy.uploads import Report, path_there, send
from litesmith.measure.verify import verification
from litesmith.model.entry_points import Choice

# As for programs: what does not fit, and (VerificationError's) what ran and is wrong.
_MISFIT = 3


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a deployment did: bytes that travelled, the release, and what was proven there.

    ``note`` is what did not work after the switch, and does not matter to what runs.
    """

    board: str
    release: str
    before: str
    sent: int
    verdict: str
    note: str = ""


def deploy(board: Board, package: Package, report: Report, choice: Choice) -> Deployment:
    """Deploys to one board.

    Raises:
        BoardError: with the step that failed; the board runs what it ran before.
    """
    report("connect")
    with connected(board) as remote:
        report("probe")
        facts = probe(remote)
        require_fit(board, facts, package)
        token = lock.new_token()
        report("lock")
        with lock.locked(remote, token):
            new: list[str] = []
            send(remote, package.files, token, report, new)
            report("smoke run")
            verdict = _prove(remote, package, token, choice)
            report("release")
            _release(remote, package, token)
            report("switch")
            _switch(remote, package.release, facts.current, token)
            # The new release runs: what comes now can wait for the next time.
            report("prune")
            note = _pruned(remote, token)
    report("done")
    return Deployment(
        board=board.name,
        release=package.release,
        before=facts.current,
        sent=sum(package.files[digest].stat().st_size for digest in new),
        verdict=verdict,
        note=note,
    )


def rollback(board: Board, report: Report) -> Deployment:
    """Makes the release before the current one current again.

    Raises:
        BoardError: there is none, or the board does not answer.
    """
    report("connect")
    with connected(board) as remote:
        token = lock.new_token()
        report("lock")
        with lock.locked(remote, token):
            report("switch")
            answer = done(remote, "switch", script("back"), board.folder)
            current, before = answer.stdout.decode().split()
            _switch(remote, before, current, token)
    report("done")
    return Deployment(board=board.name, release=before, before=current, sent=0, verdict="")


def require_fit(board: Board, facts: Facts, package: Package) -> None:
    """Says what keeps a package from running on a board, before anything is sent.

    Raises:
        BoardError: it does not fit.
    """
    if board.target != package.profile.name:
        raise BoardError(
            board.name,
            "probe",
            f"the inventory says that it is a {board.target}, and the program is for {package.profile.name}",
            f"deploy with --target {board.target}, or correct the inventory",
            exit_code=_MISFIT,
        )
    if facts.lacks:
        raise BoardError(
            board.name,
            "probe",
            f"it has no {', '.join(facts.lacks)}",
            "deploying takes a POSIX shell, coreutils or busybox",
            exit_code=_MISFIT,
        )
    reason = misfit(facts, package.profile, package.program)
    if reason:
        raise BoardError(board.name, "probe", reason, "build for the target that it is", exit_code=_MISFIT)


def _switch(remote: Remote, release: str, before: str, token: str) -> None:
    """Makes a release the current one; both have been proven on the board."""
    board = remote.board
    try:
        done(remote, "switch", script("switch"), board.folder, token, release)
    except BoardError as error:
        reason = error.message.removeprefix(f"{board.name}, switch: ")
        raise BoardError(
            board.name,
            "switch",
            f"{reason}: it runs either {release} or {before or 'nothing'}, which are both whole",
            "deploy again to be sure",
        ) from None


def _pruned(remote: Remote, token: str) -> str:
    """Removes old releases; what went wrong, if anything."""
    try:
        done(remote, "prune", script("prune"), remote.board.folder, token, str(remote.board.keep))
    except BoardError as error:
        return f"old releases were not removed: {error.message}"
    return ""


def _prove(remote: Remote, package: Package, token: str, choice: Choice) -> str:
    """Runs the program there on the reference's inputs, and compares."""
    board = remote.board
    runner = BoardRunner(remote=remote, token=token, description=f"the board {board.name}")
    lines = []
    try:
        for number, model in enumerate(package.models):
            verdict = verification.verify_with(
                runner,
                path_there(board, package.digests["program"]),
                path_there(board, package.digests[package.model_name(number)]),
                model.analysis,
                model.path,
                program_digest=package.digests["program"],
                choice=choice,
            )
            if verdict.passed is False:
                raise VerificationError(verdict.line(), "look at it there, or build with --no-prune")
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
    done(remote, "release", script("release"), *arguments, stdin=content)
