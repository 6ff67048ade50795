"""The tiers of the tests, and the fixtures that all of them share.

A test in ``tests/unit`` belongs to the tier ``unit``, one in ``tests/integration`` to ``full``.  A marker
``build``, ``full`` or ``exhaustive`` on a file, a test or a parameter overrides that; of several markers the
slowest tier counts.  ``--tier`` runs a tier and all faster ones.  A test with the marker ``hostile`` runs
only in the tier of that name, which has no others.

``./inv test`` has three workers.  All tests of a file run in one, because they share the results of its
fixtures.  So do all tests that use the Docker engine, because some of them stop it.  The tests of the lab are
among them: its virtual boards are containers, and binfmt_misc is registered only for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from litesmith.cli.commands.checkout import HOSTILE_TIER, TIERS
from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Registry

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"

ENGINE = "engine"
ENGINE_FILES = ("test_docker", "test_cross_gcc", "test_lab")
LONGEST = (
    *(ENGINE, "test_deploy", "test_outputs", "test_sizes"),
    *("test_xnnpack_ops", "test_pruned_ops", "test_arena", "test_every_op"),
)
"""Groups that take minutes.  They start first, so that no worker is left with a long one at the end."""

_UNIT = Path(__file__).parent / "unit"
_INTEGRATION = Path(__file__).parent / "integration"
_STARTS_A_PROCESS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork")
_USES_THE_NETWORK = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier", choices=(*TIERS, HOSTILE_TIER), default="full", help="how much to run (default: full)"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # These modules import packages that the unit tests do not need.
    return True if config.getoption("tier") == "unit" and collection_path == _INTEGRATION else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(_tier(item))
        if "docker_engine" in getattr(item, "fixturenames", ()) and _group(item.nodeid) != ENGINE:
            raise pytest.UsageError(f"{item.nodeid} uses the Docker engine: add its file to ENGINE_FILES")
    tier = config.getoption("tier")
    wanted = {tier} if tier == HOSTILE_TIER else {*TIERS[: TIERS.index(tier) + 1]}
    deselected = [item for item in items if _tier(item) not in wanted]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if _tier(item) in wanted]
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(_group(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each worker whole groups of tests (the groups of pytest-xdist itself need an older pytest)."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)


def _tier(item: pytest.Item) -> str:
    if item.get_closest_marker(HOSTILE_TIER) is not None:
        return HOSTILE_TIER
    marked = [mark.name for mark in item.iter_markers() if mark.name in TIERS]
    by_folder = "unit" if _UNIT in item.path.parents else "full"
    return max(marked, key=TIERS.index) if marked else by_folder


def _group(nodeid: str) -> str:
    """The group of a test; one worker runs all tests of a group, one after the other."""
    name = Path(nodeid.partition("::")[0]).stem
    return ENGINE if name in ENGINE_FILES else name


class _Isolation:
    """Fails a unit test that starts a process or connects to another machine."""

    def __init__(self) -> None:
        self.test = ""
        self.broken: list[str] = []
        sys.addaudithook(self._check)

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.test:
            return
        if event in _STARTS_A_PROCESS:
            self._fail(f"a unit test starts a process: {event} {arguments[:1]}")
        # A server in a thread of the test itself is allowed.
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
    """An empty cache folder for one test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LITESMITH_CACHE", str(folder))
    return folder


Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs the command line as a subprocess in an empty folder; the unit tier overrides this fixture."""

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
    """The error line of a failed command; fails the test unless there is exactly one."""
    assert "Traceback" not in done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]
