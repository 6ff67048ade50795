"""The command line: the program ``litesmith`` of a wheel, and what ``./inv`` runs in a checkout."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_BAD_ARGUMENTS = 2
_INTERRUPTED = 130


@contextmanager
def _exits_on_bad_arguments() -> Iterator[None]:
    from invoke.exceptions import Exit, ParseError

    from litesmith.base.console import error_line

    try:
        yield
    except (ParseError, ValueError) as error:
        error_line(str(error), "see 'litesmith --list' and 'litesmith --help TASK'")
        raise Exit(code=_BAD_ARGUMENTS) from None


@contextmanager
def _exit_code_of_interruptions() -> Iterator[None]:
    """Ends with the exit code 130 after a Ctrl-C, wherever it came.

    If a Ctrl-C arrives in code that Python made from a string, as :mod:`dataclasses` does, ``python -m`` ends
    by SIGINT instead, even if the exception was handled (CPython's ``exit_sigint``), unless it is blocked.
    """
    try:
        yield
        return
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
    except SystemExit as end:
        if end.code != _INTERRUPTED:
            raise
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.exit(_INTERRUPTED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line with these arguments, or with ``sys.argv``.

    Raises:
        SystemExit: with the exit code, where the command line failed or only printed help.
    """
    with _exit_code_of_interruptions():
        try:
            from invoke.program import Program

            from litesmith import __version__
            from litesmith.base import console, paths
            from litesmith.cli.commands import namespace

            class Litesmith(Program):
                def parse_core(self, argv: list[str] | None) -> None:
                    with _exits_on_bad_arguments():
                        super().parse_core(argv)

                def parse_tasks(self) -> None:
                    with _exits_on_bad_arguments():
                        super().parse_tasks()

            words = list(sys.argv[1:] if arguments is None else arguments)
            tasks = namespace(development=paths.is_checkout())
            program = Litesmith(name="litesmith", binary="litesmith", namespace=tasks, version=__version__)
            console.show_debug_output("--debug" in words)
            with console.filtered():
                program.run(["litesmith", *words])
        except BrokenPipeError:
            # The reader (such as head) closed the pipe; Python would report that again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
