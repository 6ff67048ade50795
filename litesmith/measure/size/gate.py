"""The size gate: a baseline in the user's repository, and the check that a program still fits it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from litesmith.base import files
from litesmith.base.errors import LitesmithError, UsageError
from litesmith.base.yaml_files import Strict, validate
from litesmith.build.manifest import MadeWith
from litesmith.measure.size.diff import Change, changes
from litesmith.measure.size.snapshot import Snapshot

_FORMAT: Literal[1] = 1
_CAUSES = 3


class GateError(LitesmithError):
    """The program is larger than its baseline or its budget allows."""

    exit_code = 3


Bytes = Annotated[int, Field(ge=0, strict=True)]


class Acceptance(Strict):
    """An entry of a baseline's history: when a size was accepted, its bytes of code, and why."""

    date: str
    code: Bytes
    reason: str


class Baseline(Strict):
    """The accepted size of a program in bytes.

    ``models`` maps paths to digests.  ``parts`` are the loaded bytes by bucket and op.
    """

    format: Literal[1] = _FORMAT
    made_with: MadeWith
    models: Mapping[str, str]
    code: Bytes
    parts: Mapping[str, Bytes]
    history: tuple[Acceptance, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A program compared with its baseline.

    ``limit`` is how many bytes of code are allowed.  ``reasons`` say why the check fails, and are
    empty if it passes.  ``causes`` are the parts that grew most, or the largest if nothing grew.
    """

    code: Change
    limit: int
    causes: tuple[Change, ...]
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The finding as ``size.check --json`` prints it."""
        return {
            "passed": not self.reasons,
            "code": self.code.to_json(),
            "limit": self.limit,
            "reasons": self.reasons,
            "causes": [cause.to_json() for cause in self.causes],
        }


def read(path: Path) -> Baseline:
    """Reads a baseline file.

    Raises:
        UsageError: the file is missing, or is not a baseline.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"there is no baseline {path}", "write the first one with --accept --reason 'first baseline'"
        ) from None
    except OSError as error:
        raise UsageError(f"the baseline {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"the baseline {path} is not valid JSON: {error}", "restore it from version control"
        ) from None
    if not isinstance(content, dict) or "format" not in content:
        raise UsageError(f"{path} is not a baseline of litesmith", "name another file with --baseline")
    return validate(content, Baseline, f"the baseline {path}")


def accept(path: Path, snapshot: Snapshot, reason: str, today: date) -> Baseline:
    """Writes the size of a program as the new baseline, and adds it to the history.

    Raises:
        UsageError: there is no reason, or the existing file is not a baseline.
    """
    require_reason(reason)
    history = read(path).history if path.exists() else ()
    code = snapshot.report.binary.code
    entry = Acceptance(date=today.isoformat(), code=code, reason=reason.strip())
    made = Baseline(
        made_with=snapshot.made_with,
        models=snapshot.models,
        code=code,
        parts=snapshot.report.parts(),
        history=(*history, entry),
    )
    try:
        files.write_atomically(path, files.to_json(made.model_dump(mode="json")))
    except OSError as error:
        raise UsageError(f"the baseline {path} cannot be written: {error.strerror}") from None
    return made


def check(path: Path, snapshot: Snapshot, max_growth: int | None, budget: int | None) -> Finding:
    """Compares a program with its baseline; ``max_growth`` and ``budget`` are bytes of code.

    Without either, the code must not grow at all.

    Raises:
        UsageError: the baseline has another target, toolchain or flags.
    """
    baseline = read(path)
    differences = baseline.made_with.differences(snapshot.made_with)
    if differences:
        raise UsageError(
            f"{path} cannot be compared with: {'; '.join(differences)}",
            "build as the baseline was built, or accept a new one with --accept --reason TEXT",
        )
    if max_growth is None and budget is None:
        max_growth = 0
    code = Change(name="code", before=baseline.code, after=snapshot.report.binary.code)
    limits: list[int] = []
    reasons: list[str] = []
    if max_growth is not None:
        limits.append(code.before + max_growth)
        if code.delta > max_growth:
            reasons.append(f"the code grew by {code.delta:,} bytes, {max_growth:,} are allowed")
    if budget is not None:
        limits.append(budget)
        if code.after > budget:
            reasons.append(f"the code has {code.after:,} bytes, the budget is {budget:,}")
    return Finding(
        code=code,
        limit=min(limits),
        causes=_causes(baseline.parts, snapshot.report.parts(), grown=code.delta > 0),
        reasons=tuple(reasons),
    )


def _causes(before: Mapping[str, int], after: Mapping[str, int], *, grown: bool) -> tuple[Change, ...]:
    """The parts of a program that grew most; the largest parts if the program has not grown."""
    if grown:
        causes = [change for change in changes(before, after) if change.delta > 0]
    else:
        causes = sorted(changes(after, after), key=lambda change: -change.after)
    return tuple(causes[:_CAUSES])


def require_reason(reason: str) -> None:
    """Checks that there is a reason to accept a size.

    Raises:
        UsageError: the reason is empty.
    """
    if not reason.strip():
        raise UsageError("a size is accepted only with a reason", "give one with --reason TEXT")


def require(path: Path, *, accept: bool) -> None:
    """Checks the baseline before anything is built; with ``accept`` it may be missing.

    Raises:
        UsageError: the baseline is missing or damaged.
    """
    if path.exists() or not accept:
        read(path)


def enforce(finding: Finding) -> None:
    """Fails if the check did not pass.

    Raises:
        GateError: the reasons and the largest causes.
    """
    if finding.reasons:
        causes = ", ".join(
            f"{cause.name} {cause.delta:+,}" if cause.delta else f"{cause.name} {cause.after:,}"
            for cause in finding.causes
        )
        raise GateError(
            f"{'; '.join(finding.reasons)}; largest causes: {causes}",
            "make the program smaller, or accept its size with --accept --reason TEXT",
        )
