"""The tiers of the tests, and the fixtures that all of them share.

A test in ``tests/unit`` belongs to the tier ``unit``, one in ``tests/integration`` to ``full``.  A marker
``build``, ``full`` or ``exhaustive`` on a file, a test or a parameter moves it from there, to the last of the
tiers that are marked.  ``--tier`` runs a tier with those before it.

``./inv test`` has two workers.  The tests of a file run in one of them, because they share what its fixtures
make; so do all tests that use the Docker engine, which some of them stop.  A virtual board of the lab is a
container, and binfmt_misc is registered for it alone, so that these tests are among them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Registry

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"

TIERS = ("unit", "build", "full", "exhaustive")
"""From fast to slow; each runs the tests of those before it, too."""

ENGINE = "engine"
ENGINE_FILES = ("test_docker", "test_cross_gcc", "test_lab")
LONGEST = (ENGINE, "test_xnnpack_ops", "test_pruned_ops", "test_arena", "test_every_op", "test_deploy")
"""Groups that take minutes: they start first, so that no worker has a long one left at the end."""

_UNIT = Path(__file__).parent / "unit"
_INTEGRATION = Path(__file__).parent / "integration"
_STARTS_A_PROCESS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork")
_USES_THE_NETWORK = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=TIERS, default="full", help="how much to run (default: full)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # The modules there import much that the unit tests do not need.
    return True if config.getoption("tier") == "unit" and collection_path == _INTEGRATION else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(_tier(item))
        if "docker_engine" in getattr(item, "fixturenames", ()) and _group(item.nodeid) != ENGINE:
            raise pytest.UsageError(f"{item.nodeid} uses the Docker engine: add its file to ENGINE_FILES")
    last = TIERS.index(config.getoption("tier"))
    deselected = [item for item in items if TIERS.index(_tier(item)) > last]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if TIERS.index(_tier(item)) <= last]
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(_group(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each worker the tests of a whole group (the groups of pytest-xdist need an older pytest)."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)


def _tier(item: pytest.Item) -> str:
    marked = [mark.name for mark in item.iter_markers() if mark.name in TIERS]
    by_folder = "unit" if _UNIT in item.path.parents else "full"
    return max(marked, key=TIERS.index) if marked else by_folder


def _group(nodeid: str) -> str:
    """Which tests one worker runs, one after the other."""
    name = Path(nodeid.partition("::")[0]).stem
    return ENGINE if name in ENGINE_FILES else name


class _Isolation:
    """Makes a unit test fail that starts a process or talks to another machine."""

    def __init__(self) -> None:
        self.test = ""
        self.broken: list[str] = []
        sys.addaudithook(self._check)

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.test:
            return
        if event in _STARTS_A_PROCESS:
            self._fail(f"a unit test starts a process: {event} {arguments[:1]}")
        # A server in a thread of the test itself is fine.
        if event in _USES_THE_NETWORK and not (
            isinstance(arguments[1], tuple) and arguments[1][0] in _LOOPBACK
        ):
            self._fail(f"a unit test uses the network: {event} {arguments[1]}")

    def _fail(self, message: str) -> None:
        self.broken.append(message)
        pytest.fail(message)


_isolation = _Isolation()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if _tier(item) != "unit":
        return (yield)
    _isolation.test, _isolation.broken = item.nodeid, []
    try:
        return (yield)
    finally:
        _isolation.test = ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    found = yield
    # The code under test may have caught the exception.
    if _tier(item) == "unit" and _isolation.broken:
        pytest.fail(_isolation.broken[0])
    return found


@pytest.fixture(scope="session")
def registry() -> Registry:
    return op_registry.load()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LITESMITH_CACHE", str(folder))
    return folder


Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs the command line in an empty folder, as a user would; the unit tier has its own."""

    def run(
        *arguments: str | Path,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 600,
    ):
        return subprocess.run(
            [sys.executable, "-m", "litesmith", *map(str, arguments)],
            cwd=cwd or tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


def one_error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The error line of a failed command; fails the test when there is more or less than one."""
    assert "Traceback" not in done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]
