"""A model as the user names it — a path, ``zoo:NAME`` or ``REVISION:PATH`` — → :class:`Model`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.base.errors import ModelError, UsageError
from litesmith.model import contents, git_revision, zoo
from litesmith.model.analysis import ModelAnalysis


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model file with its analysis."""

    path: Path
    analysis: ModelAnalysis


def open_model(name: str) -> Model:
    """Analyses a model file, one of the zoo (``zoo:NAME``), or one of a Git revision (``HEAD~1:det.tflite``).

    Raises:
        LitesmithError: it cannot be had, read or understood.
    """
    if name.startswith(zoo.PREFIX):
        path = zoo.fetch(name.removeprefix(zoo.PREFIX))
        return Model(path=path, analysis=contents.analyse(path, shown_as=name))
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the path {name!a} is not valid UTF-8", "rename the file") from None
    if git_revision.is_revision(name):
        path = git_revision.fetch(name)
        try:
            return Model(path=path, analysis=contents.analyse(path, shown_as=name))
        except ModelError as error:
            # Where we keep it says nothing to whoever typed the revision.
            raise ModelError(error.message.replace(str(path), name), error.next_step) from None
    path = Path(name)
    return Model(path=path, analysis=contents.analyse(path))


def joint_name(models: Sequence[Model]) -> str:
    """Name of the program for these models: their own names, as a plain file name."""
    names = dict.fromkeys(model.analysis.name for model in models)
    plain = "-".join("".join(c if c.isalnum() or c in "._-" else "_" for c in name) for name in names)
    return plain.lstrip(".-") or "model"
