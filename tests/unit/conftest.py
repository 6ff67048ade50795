"""Fixtures of the unit tier, whose tests start no processes and use no network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import cxxfilt  # noqa: F401  # its first import runs ldconfig, which a unit test must not do
import pytest

from litesmith.__main__ import main
from tests.conftest import Cli


@contextmanager
def _restored() -> Iterator[None]:
    """Restores the process state that the command line changes."""
    signals = (signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(one) for one in signals]
    hook, folder = sys.unraisablehook, Path.cwd()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield
    finally:
        os.chdir(folder)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        sys.unraisablehook = hook
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Calls the command line in this process, in an empty folder, and returns its output."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None):
        argv = ["litesmith", *map(str, arguments)]
        with (
            _restored(),
            mock.patch.object(sys, "argv", argv),
            mock.patch.dict(os.environ, env or {}),
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
        ):
            os.chdir(cwd or tmp_path)
            code: str | int | None = 0
            with redirect_stdout(out), redirect_stderr(err):
                try:
                    main()
                except SystemExit as end:
                    code = end.code
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read())
        return subprocess.CompletedProcess(argv, code or 0, *texts)

    return run
