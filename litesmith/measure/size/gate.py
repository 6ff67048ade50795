"""A baseline in the user's repository, and the check that a program has not outgrown it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from litesmith.base import files
from litesmith.base.errors import LitesmithError, UsageError
from litesmith.base.yaml_files import Strict, validate
from litesmith.build.manifest import MadeWith
from litesmith.measure.size.diff import Change, changes, parts_of
from litesmith.measure.size.snapshot import Snapshot

_FORMAT: Literal[1] = 1
_CAUSES = 3


class GateError(LitesmithError):
    """A program that is larger than it may be: it does not fit."""

    exit_code = 3


Bytes = Annotated[int, Field(ge=0, strict=True)]


class Acceptance(Strict):
    """One time that a size was accepted: when, how large, why."""

    date: str
    code: Bytes
    reason: str


class Baseline(Strict):
    """The accepted size of a program.  ``parts`` are the loaded bytes of buckets and ops."""

    format: Literal[1] = _FORMAT
    made_with: MadeWith
    models: Mapping[str, str]
    code: Bytes
    parts: Mapping[str, Bytes]
    history: tuple[Acceptance, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How a program stands to its baseline; ``causes`` are what grew most, ``reasons`` why it fails."""

    code: Change
    limit: int
    causes: tuple[Change, ...]
    reasons: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "passed": not self.reasons,
            "code": self.code.to_json(),
            "limit": self.limit,
            "reasons": self.reasons,
            "causes": [cause.to_json() for cause in self.causes],
        }


def read(path: Path) -> Baseline:
    """A baseline file.

    Raises:
        UsageError: it is not there, or it is none.
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
        raise UsageError(f"the baseline {path} is no JSON: {error}", "take it from its history") from None
    if not isinstance(content, dict) or "format" not in content:
        raise UsageError(f"{path} is no baseline of litesmith", "name another file with --baseline")
    return validate(content, Baseline, f"the baseline {path}")


def accept(path: Path, snapshot: Snapshot, reason: str, today: date) -> Baseline:
    """Writes the size of a program as the new baseline; what was accepted before stays in its history.

    Raises:
        UsageError: no reason is given, or the file is no baseline.
    """
    require_reason(reason)
    history = read(path).history if path.exists() else ()
    code = snapshot.report.binary.code
    entry = Acceptance(date=today.isoformat(), code=code, reason=reason.strip())
    made = Baseline(
        made_with=snapshot.made_with,
        models=snapshot.models,
        code=code,
        parts=parts_of(snapshot.report),
        history=(*history, entry),
    )
    try:
        files.write_atomically(path, files.to_json(made.model_dump(mode="json")))
    except OSError as error:
        raise UsageError(f"the baseline {path} cannot be written: {error.strerror}") from None
    return made


def check(path: Path, snapshot: Snapshot, max_growth: int | None, budget: int | None) -> Finding:
    """Holds a program against its baseline: ``max_growth`` and ``budget`` are bytes of code.

    Without either, nothing may grow.

    Raises:
        UsageError: the baseline is of another target, toolchain or of other flags.
    """
    baseline = read(path)
    different = baseline.made_with.differences(snapshot.made_with)
    if different:
        raise UsageError(
            f"{path} cannot be compared with: {'; '.join(different)}",
            "build as the baseline was built, or accept a new one with --accept --reason TEXT",
        )
    code = Change(name="code", before=baseline.code, after=snapshot.report.binary.code)
    growth = 0 if max_growth is None and budget is None else max_growth
    reasons = []
    if growth is not None and code.delta > growth:
        reasons.append(f"the code grew by {code.delta:,} bytes, {growth:,} are allowed")
    if budget is not None and code.after > budget:
        reasons.append(f"the code has {code.after:,} bytes, the budget is {budget:,}")
    parts = parts_of(snapshot.report)
    grown = [change for change in changes(baseline.parts, parts) if change.delta > 0]
    # Over its budget without having grown: then it is the largest parts that count.
    largest = sorted(changes(parts, parts), key=lambda change: -change.after)
    causes = grown if code.delta > 0 else largest
    limits = [code.before + growth] if growth is not None else []
    limits += [budget] if budget is not None else []
    return Finding(
        code=code,
        limit=min(limits),
        causes=tuple(causes[:_CAUSES]),
        reasons=tuple(reasons),
    )


def require_reason(reason: str) -> None:
    """A size is accepted for a reason.

    Raises:
        UsageError: there is none.
    """
    if not reason.strip():
        raise UsageError("a size is accepted for a reason only", "say it with --reason TEXT")


def require(path: Path, *, accept: bool) -> None:
    """Says that a baseline is missing or damaged before anything is built.

    Raises:
        UsageError: it cannot be used.
    """
    if path.exists() or not accept:
        read(path)


def enforce(finding: Finding) -> None:
    """Ends a check that has not passed.

    Raises:
        GateError: with the reasons and the largest causes.
    """
    if finding.reasons:
        causes = ", ".join(
            f"{cause.name} {cause.delta:+,}" if cause.delta else f"{cause.name} {cause.after:,}"
            for cause in finding.causes
        )
        raise GateError(
            f"{'; '.join(finding.reasons)}; largest causes: {causes}",
            "make it smaller, or accept it with --accept --reason TEXT",
        )
