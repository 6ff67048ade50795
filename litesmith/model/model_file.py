"""The name of a model (a path, ``zoo:NAME`` or ``REVISION:PATH``) → :class:`Model`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from litesmith.base import files
from litesmith.base.errors import ModelError, UsageError
from litesmith.model import contents, git_revision, zoo
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.file_format import read_model_file

# File systems allow 255 bytes; suffixes and the names of temporary files are added to it.
_MOST_BYTES_OF_A_NAME = 160
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model file, its bytes, and its analysis."""

    path: Path
    content: bytes = field(repr=False)
    analysis: ModelAnalysis


def open_model(name: str) -> Model:
    """Analyses a model file, one of the zoo (``zoo:NAME``), or one of a Git revision (``HEAD~1:det.tflite``).

    Raises:
        LitesmithError: it cannot be fetched or read, or it is not a valid model.
    """
    if name.startswith(zoo.PREFIX):
        path = zoo.fetch(name.removeprefix(zoo.PREFIX))
        return _read(path, name)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the path {name!a} is not valid UTF-8", "rename the file") from None
    if git_revision.is_revision(name):
        path = git_revision.fetch(name)
        try:
            return _read(path, name)
        except ModelError as error:
            # The user knows the revision, not the path in the cache.
            raise ModelError(error.message.replace(str(path), name), error.next_step) from None
    path = Path(name)
    return _read(path, str(path))


def _read(path: Path, name: str) -> Model:
    content = read_model_file(path)
    return Model(path=path, content=content, analysis=contents.analyse_content(content, path, name))


def joint_name(models: Sequence[Model]) -> str:
    """The name of a program for these models: their names, as a plain file name.

    A name that would be too long for files and folders ends with a digest instead.
    """
    names = dict.fromkeys(model.analysis.name for model in models)
    plain = "-".join("".join(c if c.isalnum() or c in "._-" else "_" for c in name) for name in names)
    plain = plain.lstrip(".-") or "model"
    if len(plain.encode()) <= _MOST_BYTES_OF_A_NAME:
        return plain
    digest = files.digest_of(list(names))[:_DIGITS]
    kept = plain.encode()[: _MOST_BYTES_OF_A_NAME - _DIGITS - 1].decode(errors="ignore")
    return f"{kept.rstrip('._-')}-{digest}"
