"""The Python that has TensorFlow: the one that the user names, this one, or an environment in the cache.

TensorFlow takes 1.6 GB and only conversions need it, so it is not part of litesmith's own environment.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from litesmith.base import console, files, packages, paths, process
from litesmith.base.errors import ToolError, UsageError

VARIABLE = "LITESMITH_CONVERTER"
"""Names an interpreter that already has TensorFlow."""

_INSTALL_SECONDS = 3600


def interpreter() -> Path:
    """The Python to run the converter with; creates its environment on first use.

    Raises:
        UsageError: ``LITESMITH_CONVERTER`` does not name a program.
        SourceError: TensorFlow cannot be installed.
    """
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise UsageError(
                f"{VARIABLE}={named} is not a program", "name a Python that has TensorFlow, or unset it"
            )
        return Path(found)
    if importlib.util.find_spec("tensorflow") is not None:
        return Path(sys.executable)
    lock = paths.data_folder("requirements") / "models.txt"
    key = files.digest_of(lock.read_text(encoding="utf-8"), sys.implementation.cache_tag)[:12]
    folder = paths.cache_folder() / "converter" / key
    if not folder.is_dir():
        with files.locked(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _make(folder, lock)
    return _python(folder)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _make(folder: Path, lock: Path) -> None:
    console.note(f"installing TensorFlow into {folder}, once: it takes 1.6 GB and a minute or more")
    with files.staging_folder(folder) as scratch:
        staged = scratch / "environment"
        # A virtual environment may be renamed as long as the scripts in its bin folder are not used.
        made = process.run([sys.executable, "-m", "venv", staged], timeout=_INSTALL_SECONDS)
        if made.code != 0:
            raise ToolError(
                "a virtual environment for TensorFlow cannot be created",
                "on Debian: apt-get install python3-venv",
            )
        packages.install(
            _python(staged), lock, "TensorFlow", f", or name a Python that has TensorFlow in {VARIABLE}"
        )
        staged.rename(folder)
