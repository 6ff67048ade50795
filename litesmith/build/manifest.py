"""The record of a build, ``manifest.json``: :class:`Manifest`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith import __version__
from litesmith.base import files
from litesmith.base.errors import UsageError
from litesmith.build.builder import Binary
from litesmith.build.project import Project
from litesmith.runtime.pruning import NOTHING
from litesmith.runtime.selection import SelectedModel, upstream_path
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

MANIFEST = "manifest.json"
AGAIN = "build it again"
"""The next step for an output folder whose files do not fit together."""


@dataclass(frozen=True, kw_only=True)
class MadeWith:
    """Everything that a program's size depends on, except its models."""

    target: str
    toolchain: str
    version: str
    linkage: str
    flags: Mapping[str, Any]

    def line(self) -> str:
        """One line for people."""
        optimisation = [flag for flag in self.flags["common"] if flag.startswith("-O")]
        pruned = "pruned" if self.flags["pruned"] else "not pruned"
        made = f"{self.target}, {self.toolchain} {self.version}, {self.linkage}"
        return ", ".join((made, *optimisation[-1:], pruned))

    def differences(self, other: MadeWith) -> list[str]:
        """Differences between this one and a later one: ``linkage: dynamic, was static``.

        Flags are compared only if everything else is equal: another compiler has other flags anyway.
        """
        found = [
            f"{name}: {now}, was {before}"
            for name in ("target", "toolchain", "version", "linkage")
            if (now := getattr(other, name)) != (before := getattr(self, name))
        ]
        if found:
            return found
        for name in sorted({*self.flags, *other.flags}):
            before, now = _words(self.flags.get(name)), _words(other.flags.get(name))
            changed = [f"with {word}" for word in now if word not in before]
            changed += [f"without {word}" for word in before if word not in now]
            if before != now:
                found.append(f"{name}: {', '.join(changed) or 'in another order'}")
        return found


def _words(value: Any) -> list[str]:
    """Flags as a list of words; a mapping or a plain value becomes such a list."""
    if isinstance(value, Mapping):
        return [f"{key}: {' '.join(flags)}" for key, flags in value.items()]
    return list(map(str, value)) if isinstance(value, list) else [str(value)]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The record of one build; its attributes are the keys of ``manifest.json``, in the same order.

    ``toolchain`` is the toolchain's own description, ``flags`` has the flags of compiling and linking,
    ``profile`` is the complete profile.  ``kernels`` says which nodes run in XNNPACK, ``pruning`` what was
    left out of each file, and ``binary`` has the name, digests and sizes of the program.
    """

    litesmith: str
    models: tuple[SelectedModel, ...]
    target: str
    toolchain: Mapping[str, Any]
    flags: Mapping[str, Any]
    profile: Mapping[str, Any]
    pruning: Mapping[str, Any]
    embedded_model: bool
    kernels: Mapping[str, Any]
    sources: Mapping[str, Any]
    binary: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        project: Project,
        profile: Profile,
        toolchain: Toolchain,
        binary: Binary,
        *,
        sizes: Mapping[str, int],
        kernels: Mapping[str, Any],
        sources: Mapping[str, Any],
    ) -> Manifest:
        """The record of a program that was just built; ``sizes`` are the sizes of its file, in bytes."""
        return cls(
            litesmith=__version__,
            models=project.selection.models,
            target=profile.name,
            toolchain=toolchain.describe(profile),
            flags=_flags(project, profile, toolchain),
            profile=profile.model_dump(mode="json"),
            pruning=_pruning(project),
            embedded_model=project.embedded is not None,
            kernels={**kernels, **_xnnpack_parts(project)},
            sources=sources,
            binary={
                "name": project.name,
                "sha256": files.sha256(binary.program),
                "debug_sha256": files.sha256(binary.debug),
                "sizes": sizes,
            },
        )

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of an output folder of ``build``.

        Raises:
            UsageError: the folder has no manifest, or one from another version of litesmith.
        """
        path = folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"{folder} does not contain a litesmith build: {MANIFEST}: {error.strerror}",
                "name the output folder of a build",
            ) from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is damaged: {error}", AGAIN) from None
        try:
            models = tuple(
                SelectedModel(path=str(model["path"]), sha256=str(model["sha256"]))
                for model in content["models"]
            )
            found = cls(**{**content, "models": models})
            found._require_kinds()
        except (KeyError, TypeError):
            raise UsageError(f"{folder} was built by another version of litesmith", AGAIN) from None
        return found

    def _require_kinds(self) -> None:
        """Checks the values that readers rely on.

        Raises:
            KeyError, TypeError: a value is missing or has another type.
        """
        texts = (self.target, *(self.toolchain[key] for key in ("name", "version", "linkage")))
        texts += tuple(self.binary[key] for key in ("name", "sha256", "debug_sha256"))
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("names, versions and digests must be strings")
        if not isinstance(self.flags["common"], list):
            raise TypeError("flags must be a list")

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {**vars(self), "models": [asdict(model) for model in self.models]}

    def write(self, folder: Path) -> None:
        """Writes ``manifest.json`` into a folder."""
        (folder / MANIFEST).write_text(files.to_json(self.to_json()), encoding="utf-8")

    @property
    def made_with(self) -> MadeWith:
        """Everything that the program's size depends on, except its models."""
        return _made_with(
            self.target, self.toolchain, self.flags, self.profile, self.pruning, self.embedded_model
        )

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the models, by path."""
        return {model.path: model.sha256 for model in self.models}


def made_with(project: Project, profile: Profile, toolchain: Toolchain) -> MadeWith:
    """Everything that the size of a project's program depends on, except its models."""
    return _made_with(
        profile.name,
        toolchain.describe(profile),
        _flags(project, profile, toolchain),
        profile.model_dump(mode="json"),
        _pruning(project),
        project.embedded is not None,
    )


def _made_with(
    target: str,
    toolchain: Mapping[str, Any],
    flags: Mapping[str, Any],
    profile: Mapping[str, Any],
    pruning: Mapping[str, Any],
    embedded: bool,
) -> MadeWith:
    # Defines are left out: they say what was pruned, which depends on the models.
    kept = {name: made for name, made in flags.items() if name != "defines"}
    kept["pruned"] = pruning["enabled"]
    kept["embedded model"] = embedded
    kept["model check"] = profile["model_check"]
    return MadeWith(
        target=target,
        toolchain=toolchain["name"],
        version=toolchain["version"],
        linkage=toolchain["linkage"],
        # With lists instead of tuples, as in a manifest that was read.
        flags=json.loads(json.dumps(kept)),
    )


def _flags(project: Project, profile: Profile, toolchain: Toolchain) -> dict[str, Any]:
    flags = toolchain.compile_flags(profile)
    return {
        "target": flags.target,
        "common": flags.common,
        "cxx": flags.cxx,
        "by_source": dict(flags.by_source),
        "defines": (*project.defines, *project.pruning.everywhere),
        "link": toolchain.link_flags(profile),
    }


def _pruning(project: Project) -> dict[str, Any]:
    return {
        "enabled": project.pruning is not NOTHING,
        "dtypes": {upstream_path(source): kept for source, kept in project.pruning.dtypes.items()},
        "defines": {
            upstream_path(source): made
            for source, made in project.pruning.by_source.items()
            if source in project.sources
        },
    }


def _xnnpack_parts(project: Project) -> dict[str, Any]:
    """The part of XNNPACK that is in the program."""
    if project.xnnpack is None:
        return {}
    library = project.xnnpack.library
    return {
        "instruction_sets": library.sets,
        "operators": sorted(library.operators),
        "microkernels": [kernel.symbol for kernel in library.microkernels],
    }
