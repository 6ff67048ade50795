"""Deploying a program to one board without SSH: a flash tool of the profile writes it.

Everything that can be checked without touching the board is checked first.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import files, paths, process, units
from litesmith.base.errors import BoardError, TimeOutError, ToolError, UsageError
from litesmith.board.deploy.deployer import Deployment, require_target
from litesmith.board.deploy.inventory import FlashBoard
from litesmith.board.deploy.package import Package
from litesmith.board.deploy.uploads import Progress
from litesmith.measure.size.elf import Elf
from litesmith.target.flash_tools import IMAGE, SCRIPT, FlashTool, Step
from litesmith.target.profiles import Profile

_VERSION_SECONDS = 20
_LONGEST_COMPLAINT = 300
# The value of erased flash.
_FILL = b"\xff"
# The state of a listening socket in /proc/net/tcp.
_LISTENING = "0A"
_NEXT_STEPS: dict[Step, str] = {
    "connect": "nothing was written; check that the board is on, and not in use by another program",
    "flash": "the board may hold a partial program: deploy again",
    "readback": "the board may hold a partial program: deploy again",
    "run": "the program is on the board: check its output there",
}


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether a board's flash tool can start: its executable with the version, or the problem."""

    tool: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A flash tool whose executable is installed; ``described`` is its name with the version."""

    tool: FlashTool
    executable: Path
    described: str


def flash(board: FlashBoard, package: Package, report: Progress) -> Deployment:
    """Writes the program of a package, with its model inside, into one board.

    Raises:
        BoardError: with the step that failed; before the step ``flash`` the board is not touched.
    """
    report("check")
    require_target(board, package, "check")
    found = _find(board, package.profile)
    obstacle = _obstacle(board, found.tool)
    if obstacle:
        raise BoardError(
            board.name, "check", obstacle, "check that it is on and connected, or correct the inventory"
        )
    image = _image(board, package, found.tool)
    report("lock")
    with files.locked(_lock_file(board, found.tool)):
        report("flash")
        _write(board, found, image)
    report("done")
    return Deployment(
        board=board.name,
        release=package.release,
        before="",
        sent=len(image),
        verdict=_verdict(found),
    )


def refuse_rollback(board: FlashBoard, report: Progress) -> Deployment:
    """Fails, because a flashed board keeps no earlier release.

    Raises:
        BoardError: always.
    """
    report("check")
    raise BoardError(
        board.name,
        "check",
        f"the flash tool {board.runner} cannot roll back: a flashed board keeps no earlier release",
        "deploy the earlier model again",
    )


def examine(board: FlashBoard, profile: Profile) -> Readiness:
    """Whether a board's flash tool can start; the board is not touched."""
    try:
        found = _find(board, profile)
    except BoardError as error:
        return Readiness(tool="", problem=str(error))
    return Readiness(tool=found.described, problem=_obstacle(board, found.tool))


def _find(board: FlashBoard, profile: Profile) -> _Found:
    """The flash tool of a board, and its executable on this machine."""

    def failed(message: str, next_step: str) -> BoardError:
        return BoardError(board.name, "check", message, next_step)

    try:
        tool = profile.flash_tool(board.runner)
    except UsageError as error:
        raise failed(error.message, error.next_step) from None
    executable = tool.executable()
    if executable is None:
        names = " or ".join(tool.tools)
        raise failed(f"the flash tool {tool.name} needs {names}, which is not installed", tool.install)
    try:
        return _Found(tool=tool, executable=executable, described=_described(tool, executable))
    except ToolError as error:
        raise failed(error.message, tool.install) from None


def _obstacle(board: FlashBoard, tool: FlashTool) -> str:
    """What is wrong with a board's entry, or with the connection to it; empty when nothing is."""
    return tool.misfit(board) or _unreachable(board)


def _unreachable(board: FlashBoard) -> str:
    """Why this machine cannot reach a board, as far as that shows without touching it; empty otherwise."""
    if board.device is not None:
        try:
            kind = Path(board.device).stat().st_mode
        except OSError as error:
            return f"there is no {board.device}: {error.strerror}"
        if not stat.S_ISCHR(kind):
            return f"{board.device} is not a serial device"
        if not os.access(board.device, os.R_OK | os.W_OK):
            return f"{board.device} cannot be read and written by this user"
    if board.remote is not None and _has_no_listener(board.remote):
        return f"nothing listens at {board.remote}"
    return ""


def _has_no_listener(remote: str) -> bool:
    """Whether no server listens at an address of this machine, according to its kernel.

    False for other machines: a gdb server treats the first connection as its debugger, so a probe would
    start the waiting program.
    """
    host, _, port = remote.rpartition(":")
    if host not in ("localhost", "[::1]") and not re.fullmatch(r"127(\.\d+){3}", host):
        return False
    tables = [path for name in ("tcp", "tcp6") if (path := Path("/proc/net") / name).is_file()]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    open_ports = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENING}
    return bool(rows) and int(port) not in open_ports


def _image(board: FlashBoard, package: Package, tool: FlashTool) -> bytes:
    """The content of the file that the flash tool writes."""
    most = package.profile.resources.flash
    elf = Elf.read(package.program)
    if elf.needs_loader:
        raise BoardError(
            board.name,
            "check",
            "the program needs a dynamic loader, which is not flashed with it",
            "build it statically: --toolchain zig",
        )
    flat = tool.image == "bin"
    size = _span(elf) if flat else sum(len(content) for _, content in elf.placed())
    if size > most:
        raise BoardError(
            board.name,
            "check",
            f"the program takes {units.human_size(size)}, and the flash of a {package.profile.name} has "
            f"{units.human_size(most)}",
            "use a smaller model, or correct 'resources' in the profile",
        )
    return flat_image(elf) if flat else elf.data


def _span(elf: Elf) -> int:
    placed = elf.placed()
    return max(address + len(content) for address, content in placed) - placed[0][0] if placed else 0


def flat_image(elf: Elf) -> bytes:
    """The loaded segments as they lie in memory, from the lowest physical address; gaps are filled with 0xff.

    Raises:
        ToolError: two segments overlap.
    """
    placed = elf.placed()
    image = bytearray()
    for address, content in placed:
        offset = address - placed[0][0]
        if offset < len(image):
            raise ToolError(f"{elf.path}: two segments overlap at {address:#x}", "link it to other addresses")
        image += _FILL * (offset - len(image)) + content
    return bytes(image)


def _lock_file(board: FlashBoard, tool: FlashTool) -> Path:
    """One lock for each connection: two tools must not use the same device either."""
    device = os.path.realpath(board.device) if board.device else None
    connection = device or board.remote or [tool.name, board.probe]
    return paths.cache_folder() / "locks" / f"flash-{files.digest_of(connection)[:16]}"


@contextmanager
def _working_folder(
    tool: FlashTool, board: FlashBoard, image: bytes
) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the tool's input files alone, and the values of all placeholders.

    The tool finds no other file there that it could read as configuration.  The file names are fixed,
    because a user's path would have to be quoted in the tool's own language.
    """
    with tempfile.TemporaryDirectory(prefix="litesmith-") as folder:
        values = {IMAGE: f"program.{tool.image}", SCRIPT: "commands", **board.given()}
        (Path(folder) / values[IMAGE]).write_bytes(image)
        (Path(folder) / values[SCRIPT]).write_text(tool.script_text(values), encoding="utf-8")
        yield Path(folder), values


def _write(board: FlashBoard, found: _Found, image: bytes) -> None:
    """Runs the tool; its output decides whether each step succeeded, not the exit code alone."""
    tool = found.tool
    with _working_folder(tool, board, image) as (folder, values):
        argv = (str(found.executable), *tool.words(values))
        seconds = board.timeout or tool.timeout
        try:
            # The patterns for the output are in English.
            done = process.run(argv, cwd=folder, env={"LC_ALL": "C"}, timeout=seconds)
        except TimeOutError as error:
            raise BoardError(
                board.name,
                "flash",
                error.message,
                "the board may hold a partial program; check whether it hangs, or raise 'timeout' in the "
                "inventory",
            ) from None
    output = done.stdout.decode(errors="replace")
    step = _failed_step(tool, f"{output}\n{done.stderr}", done.code)
    if step is not None:
        raise BoardError(board.name, step, _complaint(tool, output, done), _NEXT_STEPS[step])


def _failed_step(tool: FlashTool, output: str, code: int) -> Step | None:
    """The first step without evidence in the output; None when all steps succeeded."""
    for step in tool.steps:
        if step in tool.evidence and not re.search(tool.evidence[step], output):
            return step
    if code == 0:
        return None
    return tool.steps[-1] if tool.evidence else "flash"


def _complaint(tool: FlashTool, output: str, done: process.Completed) -> str:
    """The tool's error message, in one line."""
    errors = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    lines = [*errors, *(line.strip() for line in output.splitlines() if line.strip())]
    matching = [line for line in lines if tool.complaint and re.search(tool.complaint, line)]
    last = errors[-1] if errors else (lines[-1] if lines else f"exit code {done.code}")
    line = matching[0] if matching else last
    # It may come from the board, so control characters must not reach the terminal.
    printable = "".join(letter if letter.isprintable() else " " for letter in line)
    return f"{Path(done.argv[0]).name}: {printable[:_LONGEST_COMPLAINT]}"


def _described(tool: FlashTool, executable: Path) -> str:
    """The executable's name, with its version where it prints one.

    Raises:
        ToolError: it does not start.
    """
    if not tool.version:
        return executable.name
    done = process.run([executable, *tool.version], env={"LC_ALL": "C"}, timeout=_VERSION_SECONDS)
    number = re.search(r"\d+\.\d+[\w.]*", done.stdout.decode(errors="replace") + done.stderr)
    return f"{executable.name} {number[0]}" if number else executable.name


def _verdict(found: _Found) -> str:
    """What was verified, and what was not."""
    capabilities = found.tool.capabilities
    done = "flashed and read back" if "readback" in capabilities else "flashed"
    if "run" not in capabilities:
        return f"{done}, not verified: {found.described} returns no outputs"
    return f"{done}, ran to its normal end; {found.described} returns no outputs to compare"
