"""The command line: ``litesmith`` of a wheel, and what ``./inv`` runs in a checkout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BAD_ARGUMENTS = 2
_INTERRUPTED = 130


@contextmanager
def _bad_arguments_end_in_2() -> Iterator[None]:
    from invoke.exceptions import Exit, ParseError

    from litesmith.base.console import error_line

    try:
        yield
    except (ParseError, ValueError) as error:
        error_line(str(error), "see 'litesmith --list' and 'litesmith --help TASK'")
        raise Exit(code=_BAD_ARGUMENTS) from None


def main() -> None:
    """Runs the command line."""
    try:
        from invoke.program import Program

        from litesmith import __version__
        from litesmith.base import paths
        from litesmith.cli.commands import namespace

        class Litesmith(Program):
            def parse_core(self, argv: list[str] | None) -> None:
                with _bad_arguments_end_in_2():
                    super().parse_core(argv)

            def parse_tasks(self) -> None:
                with _bad_arguments_end_in_2():
                    super().parse_tasks()

        tasks = namespace(development=paths.is_checkout())
        Litesmith(name="litesmith", binary="litesmith", namespace=tasks, version=__version__).run()
    except BrokenPipeError:
        # The reader, head for example, has seen enough; Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
