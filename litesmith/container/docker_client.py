"""The Docker engine: calls of its client, explanations of errors, and containers that remove themselves.

Calls go to the ``docker`` client, not to the engine's socket, because the client handles contexts and TLS.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import secrets
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import process
from litesmith.base.console import trace
from litesmith.base.errors import TimeOutError, ToolError, UsageError

_ASK_SECONDS = 60
_START_SECONDS = 120
_STOP_SECONDS = 15

LABEL = "litesmith.container"
"""Label of every container that litesmith starts."""

# The wording depends on the client's version.
_UNREACHABLE = (
    "cannot connect to the docker",
    "failed to connect to the docker api",
    "error during connect",
    "is the docker daemon running",
    "unable to resolve docker endpoint",
)
_KILLED = re.compile(r"Killed signal terminated program|terminated with signal 9")

_BYTES_PER_WORKER = 2 << 30
_MEMORY_SHARE = 0.75
_KILLED_CODE = 137
_LEAST_MEMORY = 16 << 20
_MOST_PROCESSES = 512


class EngineError(ToolError):
    """The Docker engine is missing, is not running, or failed."""


def _explained(text: str) -> EngineError | None:
    """The error for a client's message with a known cause; None for any other message."""
    low = text.lower()
    if "permission denied" in low and ("docker daemon socket" in low or "docker api" in low):
        return EngineError(
            "no permission to use the Docker engine's socket",
            "add yourself to its group ('usermod -aG docker USER', as root) and log in again, or build with "
            "--toolchain gcc or zig",
        )
    if any(sign in low for sign in _UNREACHABLE):
        return EngineError(
            f"the Docker engine does not answer: {_first_line(text)}",
            "start it ('systemctl start docker', or 'dockerd' as root), or build with --toolchain gcc or zig",
        )
    if "no space left on device" in low:
        return EngineError(
            "the Docker engine has no disk space left",
            "free some, for example with 'docker system prune', and run this again",
        )
    return None


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")


def call(*words: str | Path, timeout: float = _ASK_SECONDS) -> process.Completed:
    """Runs ``docker`` with ``words``; any other failed command is returned with its exit code.

    Raises:
        EngineError: no client, no engine, no permission, no disk space, or no answer in time.
    """
    program = shutil.which("docker")
    if program is None:
        raise EngineError(
            "docker is not installed",
            "install it (Debian: apt-get install docker.io), or build with --toolchain gcc or zig",
        )
    try:
        done = process.run([program, *words], timeout=timeout)
    except TimeOutError:
        raise EngineError(
            f"the Docker engine does not answer: 'docker {words[0]}' took more than {timeout:.0f} s",
            "check whether it hangs ('docker info'), or build with --toolchain gcc or zig",
        ) from None
    if done.code != 0:
        problem = _explained(done.stderr + done.stdout.decode(errors="replace"))
        if problem is not None:
            raise problem
    return done


def require() -> str:
    """Checks that the engine answers, and returns its version.

    Raises:
        EngineError: no client, no engine, or no permission.
    """
    done = call("version", "--format", "{{.Server.Version}}")
    if done.code != 0:
        raise EngineError(
            f"the Docker engine does not answer: {_first_line(done.stderr)}", "see 'docker info'"
        )
    return done.stdout.decode().strip()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a container: ``memory`` in bytes, and ``cpus``."""

    memory: int
    cpus: float


def default_limits() -> Limits:
    """All CPUs, with 2 GiB of memory for each but at most three quarters of this machine's memory.

    ``LITESMITH_DOCKER_MEMORY`` (``4GiB``) and ``LITESMITH_DOCKER_CPUS`` (``2``) override the defaults.

    Raises:
        UsageError: one of the two variables has an invalid value.
    """
    from litesmith.base.units import parse_size

    cpus = float(os.cpu_count() or 1)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    memory = min(_BYTES_PER_WORKER * int(cpus), int(physical * _MEMORY_SHARE))
    named_memory = os.environ.get("LITESMITH_DOCKER_MEMORY")
    named_cpus = os.environ.get("LITESMITH_DOCKER_CPUS")
    if named_memory:
        with contextlib.suppress(ValueError):
            memory = 0
            memory = int(str(parse_size(named_memory)))
        if memory < _LEAST_MEMORY:
            raise UsageError(
                f"LITESMITH_DOCKER_MEMORY={named_memory} is not a usable memory limit",
                "give a size such as 4GiB",
            )
    if named_cpus:
        with contextlib.suppress(ValueError):
            cpus = math.nan
            cpus = float(named_cpus)
        if not 0 < cpus < math.inf:
            raise UsageError(
                f"LITESMITH_DOCKER_CPUS={named_cpus} is not a number of CPUs", "give a number such as 2"
            )
    return Limits(memory=memory, cpus=min(cpus, float(os.cpu_count() or 1)))


class Container:
    """A running container in which commands run as the calling user, without a network.

    Folders are mounted at the same paths as outside, ``readable`` ones read-only.  The container's first
    process waits for the end of its standard input, which this process holds open.  The container therefore
    ends with this process, even if this process is killed.
    """

    def __init__(
        self, image: str, *, readable: Sequence[Path], writable: Sequence[Path], limits: Limits
    ) -> None:
        """Starts the container.

        Raises:
            EngineError: the engine cannot start it.
        """
        self.name = f"litesmith-{os.getpid()}-{secrets.token_hex(4)}"
        self._limits = limits
        mounts = [_mount(folder, "readonly") for folder in readable] + [_mount(folder) for folder in writable]
        temporary = [f"--env=TMPDIR={folder}" for folder in writable[:1]]
        words = [
            *("docker", "run", "--rm", "--interactive", f"--name={self.name}", f"--label={LABEL}=yes"),
            *("--pull=never", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"),
            *("--security-opt=no-new-privileges", f"--user={os.getuid()}:{os.getgid()}"),
            *(f"--memory={limits.memory}", f"--memory-swap={limits.memory}", f"--cpus={limits.cpus:g}"),
            *(f"--pids-limit={_MOST_PROCESSES}", "--env=LC_ALL=C", *temporary),
            *(f"--mount={mount}" for mount in mounts),
            *(image, "sh", "-c", "echo ready; exec cat >/dev/null"),
        ]
        trace(" ".join(words))
        self._client = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        timer = threading.Timer(_START_SECONDS, self._client.kill)
        timer.start()
        try:
            started = self._client.stdout is not None and self._client.stdout.readline() == b"ready\n"
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
        if not started:
            message = self._client.communicate()[1].decode(errors="replace")
            self._remove()
            slow = f"it took more than {_START_SECONDS} s"
            reason = _first_line(message) if message.strip() else slow
            raise _explained(message) or EngineError(
                f"a container of {image} cannot be started: {reason}", "see 'docker info'"
            )

    def run(self, argv: Sequence[str | Path], cwd: Path, timeout: float) -> process.Completed:
        """Runs a command in the container; an exit code other than 0 is not an error here.

        Raises:
            EngineError: the engine or the container ended in the meantime, or ran out of memory.
            ToolError: the command ran out of time.
        """
        done = process.run(["docker", "exec", f"--workdir={cwd}", self.name, *argv], timeout=timeout)
        if done.code != 0 and (self._client.poll() is not None or not self._is_running()):
            raise EngineError(
                "the container was stopped during the build",
                "run this again: files that are already compiled are kept",
            )
        if done.code == _KILLED_CODE or (done.code != 0 and _KILLED.search(done.stderr)):
            raise EngineError(
                f"a compiler was killed in its container with {self._limits.memory >> 20} MiB of memory",
                "give it more with LITESMITH_DOCKER_MEMORY, for example 4GiB",
            )
        return done

    def _is_running(self) -> bool:
        try:
            done = call("container", "inspect", "--format", "{{.State.Running}}", self.name)
        except EngineError as error:
            raise EngineError(
                "the Docker engine stopped during the build",
                "start it again and repeat the command: files that are already compiled are kept",
            ) from error
        return done.stdout.strip() == b"true"

    def close(self) -> None:
        """Stops the container and everything in it, and waits until it is gone."""
        if self._client.stdin is not None:
            with contextlib.suppress(OSError):
                self._client.stdin.close()
        try:
            self._client.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._client.kill()
            self._client.wait()
        self._remove()
        for stream in (self._client.stdout, self._client.stderr):
            if stream is not None:
                stream.close()

    def _remove(self) -> None:
        # --rm has already removed it, unless the client was killed before the engine got the request.
        with contextlib.suppress(ToolError):
            call("rm", "--force", self.name)


def _mount(folder: Path, *options: str) -> str:
    """A ``--mount`` value; the client parses it as CSV, and a path may contain commas and quotes."""
    fields = ["type=bind", f"source={folder}", f"target={folder}", *options]
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields)
