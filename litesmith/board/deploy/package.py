"""A build → :class:`Package`: what travels to a board, by digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.model.model_file import Model
from litesmith.target.profiles import Profile

_ID_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class Package:
    """A program with its models.

    ``content`` maps the names inside of a release to files here, ``digests`` the same names to
    SHA-256.  ``release`` names the whole by what is in it.
    """

    profile: Profile
    models: tuple[Model, ...]
    content: Mapping[str, Path]
    digests: Mapping[str, str]
    release: str
    made_with: Mapping[str, Any]

    @property
    def program(self) -> Path:
        """The program, here."""
        return self.content["program"]

    def model_name(self, number: int) -> str:
        """Name of a model inside of the release."""
        return f"model-{number}.tflite"

    @property
    def files(self) -> Mapping[str, Path]:
        """The files by digest."""
        return {digest: self.content[name] for name, digest in self.digests.items()}

    def to_json(self) -> dict[str, Any]:
        """``release.json`` on the board."""
        return {
            "release": self.release,
            "files": dict(self.digests),
            "models": {self.model_name(i): m.analysis.path for i, m in enumerate(self.models)},
            "made_with": dict(self.made_with),
        }


def pack(program: Path, models: Sequence[Model], profile: Profile, made_with: Mapping[str, Any]) -> Package:
    """The package of a program and its models."""
    content = {"program": program}
    content |= {f"model-{number}.tflite": model.path for number, model in enumerate(models)}
    digests = {name: files.sha256(path) for name, path in content.items()}
    return Package(
        profile=profile,
        models=tuple(models),
        content=content,
        digests=digests,
        release=files.digest_of(digests)[:_ID_LENGTH],
        made_with=made_with,
    )
