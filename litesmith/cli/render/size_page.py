"""One or two snapshots → one self-contained HTML file: treemap, ops, buckets."""

from __future__ import annotations

import json
from typing import Any

from litesmith.base import paths
from litesmith.measure.size.diff import compare
from litesmith.measure.size.snapshot import Snapshot

_SYMBOLS = 100


def render(after: Snapshot, before: Snapshot | None = None) -> str:
    """The page of ``after``, with its changes since ``before``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(paths.data_folder("templates") / "page"),
        undefined=StrictUndefined,
        # The template escapes every text; the data is JSON in a script element.
        autoescape=False,  # noqa: S701
    )
    made = after.made_with.line()
    if before is not None:
        made += f"; before: {before.title}, {before.made_with.line()}"
    page = environment.get_template("size.html.j2").render(
        title=f"{after.title}: {after.report.binary.code:,} bytes of code",
        made_with=made,
        data=_embedded(_data(after, before)),
    )
    # A path may hold bytes that are not UTF-8; the page must not.
    return page.encode("utf-8", "replace").decode()


def _embedded(value: Any) -> str:
    """JSON that cannot close the script element around it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _data(after: Snapshot, before: Snapshot | None) -> dict[str, Any]:
    binary = after.report.binary
    facts = [("code", binary.code), ("text", binary.text), ("rodata", binary.rodata), ("data", binary.data)]
    facts += [("bss", binary.bss), ("loaded", binary.loaded), ("file", binary.file)]
    facts += [("without ops", after.report.without_ops)]
    shown = [(name, f"{size:,}") for name, size in facts]
    diff = compare(before, after) if before is not None else None
    if diff is not None:
        shown.insert(1, ("code, change", f"{diff.code.delta:+,}"))
    return {
        "before": before.title if before else None,
        "facts": shown,
        "parts": [
            (part.owner.label, part.name, part.section, part.source, part.size)
            for part in after.anatomy.parts
            if part.loaded
        ],
        "ops": _ops(after, before),
        "buckets": _buckets(after, before),
        "symbols": [change.to_json() for change in diff.symbols[:_SYMBOLS]] if diff else [],
    }


def _ops(after: Snapshot, before: Snapshot | None) -> list[dict[str, Any]]:
    now, old = after.report.ops, before.report.ops if before else {}
    rows = [
        {
            "name": name,
            "attributed": now[name].attributed if name in now else 0,
            "marginal": now[name].marginal if name in now else 0,
            "before": old[name].marginal if name in old else 0,
        }
        for name in {**now, **old}
    ]
    return sorted(rows, key=lambda row: -int(str(row["marginal"])))


def _buckets(after: Snapshot, before: Snapshot | None) -> list[dict[str, Any]]:
    now = {owner.label: size for owner, size in after.anatomy.buckets().items()}
    old = {owner.label: size for owner, size in before.anatomy.buckets().items()} if before else {}
    rows = [{"name": name, "size": now.get(name, 0), "before": old.get(name, 0)} for name in {**now, **old}]
    return sorted(rows, key=lambda row: -int(str(row["size"])))
