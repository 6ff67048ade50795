"""``NOTICE``: the licences of all code in a program."""

from __future__ import annotations

from litesmith import __version__
from litesmith.build.project import Project
from litesmith.runtime.source_tree import SourceTree
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain


def notice(project: Project, profile: Profile, tree: SourceTree, toolchain: Toolchain) -> str:
    """The licence texts of all code in the program."""
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


def license_components(project: Project, tree: SourceTree) -> tuple[str, ...]:
    """Names of the upstream components whose code is in the program."""
    compiled = {source.partition("/")[0] for source in project.sources}
    headers = {name for name, s in tree.sources.items() if s.component.headers_only}
    return tuple(name for name in tree.sources if name in compiled | headers)


def _license(name: str, spdx: str, text: str) -> str:
    return f"{'=' * 78}\n{name}: {spdx}\n{'-' * 78}\n{text.strip()}\n"
