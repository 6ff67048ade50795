"""A package onto one board, in steps; the release that runs there is switched last."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from litesmith import files, process, verify
from litesmith.deploy import lock
from litesmith.deploy.inventory import Board
from litesmith.deploy.package import Package
from litesmith.deploy.probe import Facts, misfit, probe, script
from litesmith.deploy.remote import Answer, Remote, connected
from litesmith.errors import BoardError, VerificationError
from litesmith.samples import Choice
from litesmith.tensors import Array, to_bytes

# Links, folders and release.json; and what a file system keeps for itself.
_SPARE_BYTES = 256 * 1024
_SLOWEST_BYTES_PER_SECOND = 20_000
_RUN_SECONDS = 300.0

Report = Callable[[str], None]
"""Hears each step as it begins."""


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
            sent = _upload(remote, package, facts, token, report)
            report("smoke run")
            verdict = _prove(remote, package, token, choice)
            report("release")
            _release(remote, package, token)
            report("switch")
            _switch(remote, package.release, facts.current, token)
            # The new release runs: what comes now can wait for the next time.
            report("prune")
            note = _pruned(remote)
    report("done")
    return Deployment(
        board=board.name,
        release=package.release,
        before=facts.current,
        sent=sent,
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
            answer = _done(remote, "switch", script("back"), board.folder)
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
        )
    if facts.lacks:
        raise BoardError(
            board.name,
            "probe",
            f"it has no {', '.join(facts.lacks)}",
            "deploying takes a POSIX shell, coreutils or busybox",
        )
    reason = misfit(facts, package.profile, package.program)
    if reason:
        raise BoardError(board.name, "probe", reason, "build for the target that it is")


def _done(remote: Remote, step: str, text: str, *arguments: str) -> Answer:
    """An answer that must be good."""
    answer = remote.run(step, text, *arguments)
    if answer.code != 0:
        raise BoardError(
            remote.board.name, step, answer.last_line(), "the board runs what it ran before; deploy again"
        )
    return answer


def _switch(remote: Remote, release: str, before: str, token: str) -> None:
    """Makes a release the current one; both have been proven on the board."""
    board = remote.board
    try:
        _done(remote, "switch", script("switch"), board.folder, release, token)
    except BoardError as error:
        reason = error.message.removeprefix(f"{board.name}, switch: ")
        raise BoardError(
            board.name,
            "switch",
            f"{reason}: it runs either {release} or {before or 'nothing'}, which are both whole",
            "deploy again to be sure",
        ) from None


def _pruned(remote: Remote) -> str:
    """Removes old releases; what went wrong, if anything."""
    try:
        _done(remote, "prune", script("prune"), remote.board.folder, str(remote.board.keep))
    except BoardError as error:
        return f"old releases were not removed: {error.message}"
    return ""


def _upload(remote: Remote, package: Package, facts: Facts, token: str, report: Report) -> int:
    """Sends the files that the board does not have; returns their bytes."""
    board = remote.board
    wanted = dict.fromkeys(package.digests.values())
    there = _done(remote, "compare", script("present"), board.folder, *wanted).stdout.decode().split()
    missing = [digest for digest in wanted if digest not in there]
    need = sum(package.size_of(digest) for digest in missing) + _SPARE_BYTES
    if facts.free < need:
        free, wanted_space = files.human_size(facts.free), files.human_size(need)
        raise BoardError(
            board.name,
            "space",
            f"{board.folder} has {free} left, and {wanted_space} are needed",
            "free some, keep fewer releases ('keep' in the inventory), or name another 'folder'",
        )
    paths_by_digest = {digest: package.content[name] for name, digest in package.digests.items()}
    sent = 0
    for number, digest in enumerate(missing, start=1):
        report(f"upload {number} of {len(missing)}")
        path = paths_by_digest[digest]
        size = path.stat().st_size
        answer = remote.run(
            "upload",
            script("receive"),
            *(board.folder, digest, token),
            stdin=path,
            seconds=board.timeout + size / _SLOWEST_BYTES_PER_SECOND,
        )
        if answer.code != 0:
            raise BoardError(
                board.name,
                "upload",
                f"{path.name} did not arrive whole: {answer.last_line()}",
                "the board runs what it ran before; free some space there, and deploy again",
            )
        sent += size
    return sent


@dataclass(frozen=True, kw_only=True)
class BoardRunner:
    """Runs a package's program on its board, for :mod:`litesmith.verify`."""

    remote: Remote
    token: str
    description: str

    def run(
        self, program: str, arguments: Sequence[str], inputs: Sequence[Array], outputs: Path
    ) -> process.Completed:
        """Inputs travel there, outputs come back."""
        board = self.remote.board
        tensors = [to_bytes(value) for value in inputs]
        sizes = " ".join(str(len(tensor)) for tensor in tensors)
        words = (*board.run_prefix, program, *arguments)
        answer = self.remote.run(
            "smoke run",
            script("run"),
            *(board.folder, self.token, sizes, *words),
            stdin=b"".join(tensors),
            seconds=_RUN_SECONDS,
        )
        if answer.code == 0:
            head, _, rest = answer.stdout.partition(b"\n")
            for position, size in enumerate(map(int, head.split())):
                (outputs / f"out{position}.bin").write_bytes(rest[:size])
                rest = rest[size:]
        return process.Completed(argv=words, code=answer.code, stdout=b"", stderr=answer.stderr)


def _prove(remote: Remote, package: Package, token: str, choice: Choice) -> str:
    """Runs the program there on the reference's inputs, and compares."""
    board = remote.board
    folder = PurePosixPath(board.folder) / "files"
    runner = BoardRunner(remote=remote, token=token, description=f"the board {board.name}")
    lines = []
    try:
        for number, model in enumerate(package.models):
            verdict = verify.verify_with(
                runner,
                str(folder / package.digests["program"]),
                str(folder / package.digests[package.model_name(number)]),
                model.analysis,
                model.path,
                program_digest=package.digests["program"],
                choice=choice,
            )
            if verdict.passed is False:
                raise VerificationError(verdict.line(), "look at it there, or build with --no-prune")
            lines.append(verdict.line())
    except VerificationError as error:
        raise BoardError(board.name, "smoke run", error.message, error.next_step) from None
    return "; ".join(lines)


def _release(remote: Remote, package: Package, token: str) -> None:
    board = remote.board
    pairs: Mapping[str, str] = package.digests
    arguments = [word for name, digest in pairs.items() for word in (name, digest)]
    text = json.dumps(package.to_json(), indent=2)
    answer = remote.run(
        "release",
        script("release"),
        *(board.folder, package.release, token, *arguments),
        stdin=text.encode(),
    )
    if answer.code != 0:
        raise BoardError(
            board.name, "release", answer.last_line(), "the board runs what it ran before; deploy again"
        )
