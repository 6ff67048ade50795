"""What a program was made from and with: ``manifest.json`` and ``NOTICE``."""

from __future__ import annotations

from typing import Any

from litesmith import __version__, files
from litesmith.build import Binary, license_components
from litesmith.generate import Project
from litesmith.profiles import Profile
from litesmith.pruning import NOTHING
from litesmith.selection import upstream_path
from litesmith.size.report import SizeReport
from litesmith.size.snapshot import MadeWith
from litesmith.sources import SourceTree
from litesmith.toolchains import Toolchain
from litesmith.xnnpack.choice import KernelChoice


def manifest(
    project: Project,
    profile: Profile,
    toolchain: Toolchain,
    tree: SourceTree,
    measured: SizeReport,
    binary: Binary,
    kernels: KernelChoice,
) -> dict[str, Any]:
    """``manifest.json``."""
    return {
        "litesmith": __version__,
        **_made_with(project, profile, toolchain),
        "kernels": {**kernels.to_json(), **_in_the_program(project)},
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
        "binary": {
            "name": project.name,
            "sha256": files.sha256(binary.program),
            "debug_sha256": files.sha256(binary.debug),
            "sizes": measured.to_json()["binary"],
        },
    }


def _in_the_program(project: Project) -> dict[str, Any]:
    """What a program has of XNNPACK."""
    if project.xnnpack is None:
        return {}
    parts = project.xnnpack.parts
    return {
        "instruction_sets": parts.sets,
        "operators": sorted(parts.operators),
        "microkernels": [kernel.symbol for kernel in parts.kernels],
    }


def _made_with(project: Project, profile: Profile, toolchain: Toolchain) -> dict[str, Any]:
    flags = toolchain.compile_flags(profile)
    return {
        "models": [{"path": m.path, "sha256": m.sha256} for m in project.selection.models],
        "target": profile.name,
        "toolchain": toolchain.describe(profile),
        "flags": {
            "target": flags.target,
            "common": flags.common,
            "cxx": flags.cxx,
            "by_source": dict(flags.by_source),
            "defines": (*project.defines, *project.pruning.everywhere),
            "link": toolchain.link_flags(profile),
        },
        "profile": profile.model_dump(mode="json"),
        "pruning": {"enabled": project.pruning is not NOTHING},
        "embedded_model": project.embedded is not None,
    }


def made_with(project: Project, profile: Profile, toolchain: Toolchain) -> MadeWith:
    """What the program's size depends on, beside its models."""
    return MadeWith.of_manifest(_made_with(project, profile, toolchain))


def notice(project: Project, profile: Profile, tree: SourceTree, toolchain: Toolchain) -> str:
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
