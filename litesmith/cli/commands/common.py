"""What all tasks share: one place that turns errors into a line and an exit code."""

from __future__ import annotations

import errno
import functools
import json as json_module
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from invoke.exceptions import Exit
from invoke.tasks import task

from litesmith.base import console
from litesmith.base.errors import LitesmithError, UsageError

Task = TypeVar("Task", bound=Callable[..., Any])

_INTERRUPTED = 130
_AGAIN_SECONDS = 0.05


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turns errors into one clear line and an exit code; the only place that does."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        # An ordinary end (a CI job that is cancelled) is cleaned up after like Ctrl-C.
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)
        sys.unraisablehook = _interrupt_again
        try:
            return function(*args, **kwargs)
        except LitesmithError as error:
            message, advice, code = error.message, error.next_step, error.exit_code
        except KeyboardInterrupt:
            message, advice, code = "interrupted", "nothing half-written was left", _INTERRUPTED
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


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _interrupt_again(unraisable: Any) -> None:
    """Python drops what is raised inside of its own callbacks, a Ctrl-C too: that comes once more."""
    if unraisable.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)


_OS_ADVICE = {
    errno.ENOSPC: "free some disk space, or move the cache with LITESMITH_CACHE",
    errno.EACCES: "check the permissions",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
}


def command(*args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], Any]:
    def wrap(function: Callable[..., Any]) -> Any:
        return task(*args, **kwargs)(guarded(function))

    return wrap


def print_json(value: Any) -> None:
    print(json_module.dumps(value, indent=2, ensure_ascii=False))


def checkout() -> str:
    from litesmith.base import paths

    return str(paths.data_folder("tests").parent).replace(" ", "\\ ")


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def choice(signature: str | None, input_shapes: Any) -> Any:
    from litesmith.model import entry_points

    return entry_points.Choice(signature=signature, shapes=entry_points.parse_shapes(input_shapes or ()))


def needed(value: Any, option: str, example: str) -> Any:
    if not value:
        raise UsageError(f"{option} is missing", f"for example {option} {example}")
    return value
