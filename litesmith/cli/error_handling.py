"""Turns every error of a task into one line on standard error and an exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from invoke.exceptions import Exit

from litesmith.base import console, files, paths
from litesmith.base.errors import LitesmithError

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

INTERRUPTED = 130
"""The exit code after Ctrl-C or SIGTERM."""

_RETRY_SECONDS = 0.05

_OS_ADVICE = {
    errno.ENOSPC: "free some disk space, or move the cache with LITESMITH_CACHE",
    errno.EDQUOT: "free some disk space, or move the cache with LITESMITH_CACHE",
    errno.EACCES: "check the permissions",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
}
_ABOUT_THE_FOLDER = {*_OS_ADVICE, errno.EPERM, errno.ENOTDIR, errno.EEXIST}
# How temporary files of this project and of Python are called.
_TEMPORARY = ("litesmith-", "tmp")


def exits_on_error(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """Makes a function raise :class:`invoke.Exit`, after one error line, whatever goes wrong in it."""

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        try:
            with _interruptible():
                return function(*args, **kwargs)
        except Exit:
            raise
        except BrokenPipeError:
            raise Exit(code=0) from None
        except (Exception, KeyboardInterrupt) as error:
            if console.debugging():
                traceback.print_exc()
            message, advice, code = _explained(error)
            console.error_line(message, advice)
            raise Exit(code=code) from None

    return run


def _explained(error: BaseException) -> tuple[str, str, int]:
    """What is wrong, what to do next, and the exit code."""
    match error:
        case LitesmithError():
            return error.message, error.next_step, error.exit_code
        case KeyboardInterrupt():
            return "interrupted", "no partial output was left behind", INTERRUPTED
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or error}", _advice_on(error), 1
        case MemoryError():
            return "out of memory", "close other programs and try again", 1
        case _:
            what = f"internal error: {type(error).__name__}: {error}"
            return what, "run it again with --debug and report what it prints", 1


def _advice_on(error: OSError) -> str:
    """The next step: it names the variable for the folder that the error is about, if there is one."""
    usual = _OS_ADVICE.get(error.errno or 0, "")
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    if error.errno == errno.ENOENT and "temporary directory" in (error.strerror or ""):
        return "name a folder that can be written in TMPDIR"
    for folder, variable, names in _variable_folders() if error.errno in _ABOUT_THE_FOLDER else ():
        named = isinstance(error.filename, str) and _is_in(Path(error.filename), folder, names)
        if full and (named or (error.filename is None and files.is_full(folder))):
            return f"free some disk space, or name another folder than {folder} in {variable}"
        if named:
            return f"name a folder that can be written in {variable}, in place of {folder}"
    return usual


def _is_in(path: Path, folder: Path, names: tuple[str, ...]) -> bool:
    """Whether a path is in a folder, and the first part of it there begins with one of these names."""
    if path == folder or not path.is_relative_to(folder):
        return path == folder
    return path.relative_to(folder).parts[0].startswith(names)


def _variable_folders() -> list[tuple[Path, str, tuple[str, ...]]]:
    """The folders that variables name, with the beginnings of the names of what is written there."""
    found: list[tuple[Path, str, tuple[str, ...]]] = []
    with contextlib.suppress(LitesmithError):
        found.append((paths.cache_folder(), "LITESMITH_CACHE", ("",)))
    with contextlib.suppress(OSError):
        found.append((Path(tempfile.gettempdir()), "TMPDIR", _TEMPORARY))
    return found


@contextmanager
def _interruptible() -> Iterator[None]:
    """Handles SIGTERM like Ctrl-C, and re-raises a Ctrl-C that Python dropped.

    SIGTERM is how a CI job is cancelled: temporary files and containers are removed then, too.
    """
    # SIGALRM is how a dropped Ctrl-C is raised again.
    handlers = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGALRM)}
    hook, sys.unraisablehook = sys.unraisablehook, _deliver_again
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _deliver_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Raises a Ctrl-C again that Python only printed.

    Python only prints exceptions from destructors and callbacks, so a Ctrl-C there must be raised again.
    """
    if unraisable.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)
