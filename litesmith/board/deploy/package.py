"""A build → :class:`Package`: the files that are sent to a board, by digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.measure.verify.verdict import Verdict
from litesmith.model.model_file import Model
from litesmith.target.profiles import Profile

_ID_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class Package:
    """A program with its models.

    ``content`` maps names within the release to local files, ``digests`` the same names to their
    SHA-256.  ``release`` is the release's name, derived from the digests.  ``verdicts`` are those of the
    build, one for each model, or none.
    """

    profile: Profile
    models: tuple[Model, ...]
    content: Mapping[str, Path]
    digests: Mapping[str, str]
    release: str
    made_with: Mapping[str, Any]
    verdicts: tuple[Verdict, ...] = ()

    @property
    def program(self) -> Path:
        """The local file of the program."""
        return self.content["program"]

    def model_name(self, number: int) -> str:
        """Name of a model within the release."""
        return f"model-{number}.tflite"

    @property
    def files(self) -> Mapping[str, Path]:
        """The local files by digest."""
        return {digest: self.content[name] for name, digest in self.digests.items()}

    def to_json(self) -> dict[str, Any]:
        """``release.json`` on the board."""
        return {
            "release": self.release,
            "files": dict(self.digests),
            "models": {self.model_name(i): m.analysis.path for i, m in enumerate(self.models)},
            "made_with": dict(self.made_with),
        }


def pack(
    program: Path,
    models: Sequence[Model],
    profile: Profile,
    made_with: Mapping[str, Any],
    verdicts: Sequence[Verdict] = (),
) -> Package:
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
        verdicts=tuple(verdicts),
    )
