"""Python packages that only some commands need.

They are extras of the wheel (``pip install 'litesmith[deploy]'``).  A checkout installs them into its own
environment when a command first needs them, pinned by digest like all other packages in it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from litesmith.base import console, files, paths, process
from litesmith.base.errors import SourceError, ToolError

_INSTALL_SECONDS = 3600

PIP_ENVIRONMENT: Mapping[str, str] = {"PIP_USER": "0"}
"""Overrides a user's pip.conf or variable: packages go into the environment, never into the home folder."""

_EXTRAS: Mapping[str, tuple[str, str]] = {
    "demo": ("PIL", "Pillow, which draws pictures"),
    "deploy": ("fabric", "fabric, which connects to boards over SSH"),
    "derive": ("elftools", "pyelftools, which reads object files"),
    "plot": ("matplotlib", "matplotlib, which draws plots"),
}
"""Extras of ``pyproject.toml``, each with a module to test for, and with its package and purpose."""


def require(extra: str) -> None:
    """Makes sure that the packages of an extra can be imported.

    Raises:
        ToolError: they are not installed, and litesmith does not run in a checkout's own environment.
        SourceError: they could not be installed.
    """
    module, purpose = _EXTRAS[extra]
    if importlib.util.find_spec(module) is not None:
        return
    environment = Path(sys.prefix)
    if not paths.is_checkout() or environment.parent != paths.data_folder("requirements").parent:
        raise ToolError(f"{purpose}, is not installed", f"install it with: pip install 'litesmith[{extra}]'")
    lock = paths.data_folder("requirements") / f"{extra}.txt"
    with files.locked(environment / f".litesmith-{extra}.lock"):
        importlib.invalidate_caches()
        if importlib.util.find_spec(module) is None:
            console.note(f"installing {purpose}, once")
            install(Path(sys.executable), lock, purpose.partition(",")[0])
            importlib.invalidate_caches()


def install(python: Path, lock: Path, name: str, advice: str = "") -> None:
    """Installs the packages of a lock file for an interpreter, without their dependencies.

    Raises:
        SourceError: pip failed; the message has its last error.
    """
    # pip knows the index, the proxies and the certificates of this machine.
    done = process.run(
        [
            *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--require-hashes", "--requirement", lock),
        ],
        env=PIP_ENVIRONMENT,
        timeout=_INSTALL_SECONDS,
    )
    if done.code != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip printed no error"]
        raise SourceError(
            f"{name} could not be installed: {errors[-1].removeprefix('ERROR: ')}",
            f"check the network connection, the disk and pip's configuration{advice}",
        )
