"""The console script ``litesmith``: the same tasks as ``invoke`` in a checkout."""

from __future__ import annotations

from invoke.program import Program

from litesmith import __version__
from litesmith.commands import namespace


def main() -> None:
    """Runs the command line."""
    Program(
        name="litesmith", binary="litesmith", namespace=namespace(development=False), version=__version__
    ).run()


if __name__ == "__main__":
    main()
