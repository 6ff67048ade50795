"""Turns every error of a task into one line on standard error and an exit code."""

from __future__ import annotations

import errno
import functools
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from invoke.exceptions import Exit

from litesmith.base import console
from litesmith.base.errors import LitesmithError

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

INTERRUPTED = 130
"""The exit code after Ctrl-C or SIGTERM."""

_RETRY_SECONDS = 0.05

_OS_ADVICE = {
    errno.ENOSPC: "free some disk space, or move the cache with LITESMITH_CACHE",
    errno.EACCES: "check the permissions",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
}


def exits_on_error(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """Makes a function raise :class:`invoke.Exit`, after one error line, whatever goes wrong in it."""

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        try:
            with _interruptible():
                return function(*args, **kwargs)
        except LitesmithError as error:
            message, advice, code = error.message, error.next_step, error.exit_code
        except KeyboardInterrupt:
            message, advice, code = "interrupted", "no partial output was left behind", INTERRUPTED
        except BrokenPipeError:
            raise Exit(code=0) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            message, code = f"{where}{error.strerror or error}", 1
            advice = _OS_ADVICE.get(error.errno or 0, "")
        except MemoryError:
            message, advice, code = "out of memory", "close other programs and try again", 1
        except Exit:
            raise
        except Exception as error:
            message, code = f"internal error: {type(error).__name__}: {error}", 1
            advice = "run it again with --debug and report what it prints"
        if console.debugging():
            traceback.print_exc()
        console.error_line(message, advice)
        raise Exit(code=code)

    return run


@contextmanager
def _interruptible() -> Iterator[None]:
    """Handles SIGTERM like Ctrl-C, and delivers a Ctrl-C again that Python dropped.

    SIGTERM is how a CI job is cancelled: temporary files and containers are removed then, too.
    """
    # SIGALRM is part of delivering a Ctrl-C again.
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
    """Python only prints what is raised in a destructor or a callback: a Ctrl-C there must come again."""
    if unraisable.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)
