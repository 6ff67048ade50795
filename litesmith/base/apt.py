"""Debian mirrors and suites, read from this machine's apt configuration."""

from __future__ import annotations

import os
import re

from litesmith.base import process
from litesmith.base.errors import ToolError

_SECONDS = 20


def debian_mirrors() -> tuple[str, ...]:
    """Addresses of the Debian mirrors in this machine's apt configuration.

    ``LITESMITH_DEBIAN_MIRROR`` comes first.  Without it, a machine without apt has no mirrors.
    """
    named = os.environ.get("LITESMITH_DEBIAN_MIRROR")
    found = [named.rstrip("/") + "/"] if named else []
    found += [line.rstrip("/") + "/" for line in _apt_targets("$(REPO_URI)") if line.startswith("http")]
    # Security mirrors do not carry the pool of the main archive, so they are tried last.
    unique = dict.fromkeys(found)
    return tuple(sorted(unique, key=lambda address: "security" in address))


def debian_suites(release: str) -> tuple[str, ...]:
    """The suites of a Debian release, each as ``address suite component``, the main suite first.

    They come from this machine's apt configuration; ``LITESMITH_DEBIAN_MIRROR`` replaces the address of the
    main suite.  Empty if neither exists.
    """
    named = os.environ.get("LITESMITH_DEBIAN_MIRROR")
    pattern = re.compile(rf"Debian (https?\S+) ({release}(?:-\S+)?) main$")
    lines = _apt_targets("$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)")
    found = dict.fromkeys((m[1], m[2]) for line in lines if (m := pattern.match(line)))
    if named:
        rest = [(address, suite) for address, suite in found if suite != release]
        found = dict.fromkeys([(named, release), *rest])
    elif not any(suite == release for _, suite in found) and (mirrors := debian_mirrors()):
        found = {(mirrors[0], release): None, **found}
    ordered = sorted(found, key=lambda item: item[1] != release)
    return tuple(f"{address} {suite} main" for address, suite in ordered)


def _apt_targets(template: str) -> list[str]:
    """The output lines of ``apt-get indextargets``; none on a machine without apt."""
    try:
        done = process.run(["apt-get", "indextargets", "--format", template], timeout=_SECONDS)
    except ToolError:
        return []
    return done.stdout.decode(errors="replace").splitlines() if done.code == 0 else []
