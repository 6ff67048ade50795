"""Virtual boards: containers with a root file system of the board's architecture and an OpenSSH server.

A lab consists of its inventory, a folder with its keys beside that, a private network, and a container for
each board.  ``docker restart`` acts as a board's power button.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from litesmith.base import console, files, process
from litesmith.base.errors import LitesmithError, UsageError
from litesmith.board.lab import binfmt, root_file_system
from litesmith.container import docker_client
from litesmith.container.docker_client import EngineError
from litesmith.target import profiles
from litesmith.target.profiles import Profile

_MARK = "# Made by lab.up; lab.down removes it."
_COUNT = re.compile(r"(?P<target>[^:,]+):(?P<count>\d+)")
_MOST = 64
_PORT = 22
_ANSWER_SECONDS = 60
_SECONDS = 120
_MEMORY = "512m"
_MOST_PROCESSES = 256
# The first two are the addresses of the network itself and of this machine.
_FIRST_ADDRESS = 2


@dataclass(frozen=True, kw_only=True)
class VirtualBoard:
    """One board: its name, its container, its address in the private network, and its target."""

    name: str
    container: str
    address: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Running boards and their inventory."""

    inventory: Path
    boards: tuple[VirtualBoard, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "boards_file": str(self.inventory),
            "boards": [
                {"board": b.name, "target": b.target, "container": b.container, "address": b.address}
                for b in self.boards
            ],
        }


def parse(text: str) -> tuple[tuple[Profile, int], ...]:
    """``armv7:3,aarch64:1`` → profiles and counts.

    Raises:
        UsageError: the text is not of this form, a target is unknown, or there are too many boards.
    """
    counts = []
    for word in text.split(","):
        match = _COUNT.fullmatch(word.strip())
        if match is None or int(match["count"]) == 0:
            raise UsageError(
                f"--boards {text}: {word.strip()!r} is not TARGET:COUNT",
                "write for example armv7:3,aarch64:1",
            )
        counts.append((profiles.load(match["target"]), int(match["count"])))
    names = [profile.name for profile, _ in counts]
    if len(set(names)) != len(names):
        raise UsageError(f"--boards {text}: a target is named twice", "write for example armv7:3,aarch64:1")
    if sum(count for _, count in counts) > _MOST:
        raise UsageError(f"--boards {text}: too many boards", f"a lab has at most {_MOST} boards")
    return tuple(counts)


def folder_of(inventory: Path) -> Path:
    """The folder with a lab's keys, beside its inventory."""
    return inventory.with_suffix(".lab")


def up(counts: Sequence[tuple[Profile, int]], inventory: Path) -> Lab:
    """Starts boards, waits until all of them answer, and writes their inventory.

    Raises:
        UsageError: the lab exists already, or ``inventory`` is another file.
        LitesmithError: a board could not be made or does not answer; everything is removed again.
    """
    folder = folder_of(inventory)
    if folder.exists():
        raise UsageError(
            f"there is a lab already: {inventory}", "remove it with lab.down, or give another --out"
        )
    if inventory.exists():
        raise UsageError(f"{inventory} exists and does not belong to a lab", "name another file with --out")
    docker_client.require()
    images = {profile.name: _image(profile) for profile, _ in counts}
    name = f"litesmith-lab-{secrets.token_hex(3)}"
    inventory.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    try:
        (folder / "lab.json").write_text(files.to_json({"name": name}), encoding="utf-8")
        _new_key(folder / "key")
        boards = _planned(counts, name, _make_network(name))
        by_name = {profile.name: profile for profile, _ in counts}
        with console.progress("starting boards", len(boards)) as advance, ThreadPoolExecutor() as pool:

            def start(board: VirtualBoard) -> str:
                line = _start(board, by_name[board.target], images[board.target], name, folder)
                advance(1, board.name)
                return line

            known_hosts = list(pool.map(start, boards))
        (folder / "known_hosts").write_text("".join(known_hosts), encoding="utf-8")
        files.write_atomically(inventory, _inventory(boards, folder))
    except BaseException:
        _remove(name)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Lab(inventory=inventory, boards=boards)


def _planned(counts: Sequence[tuple[Profile, int]], lab: str, network: Any) -> tuple[VirtualBoard, ...]:
    """The boards of a lab with their names and addresses."""
    numbered = [(profile, number) for profile, count in counts for number in range(1, count + 1)]
    return tuple(
        VirtualBoard(
            name=f"{profile.name}-{number}",
            container=f"{lab}-{profile.name}-{number}",
            address=str(network[_FIRST_ADDRESS + position]),
            target=profile.name,
        )
        for position, (profile, number) in enumerate(numbered)
    )


def down(inventory: Path) -> int:
    """Removes a lab: boards, network, keys and inventory; with the last lab also images and emulation.

    Returns the number of boards.

    Raises:
        UsageError: there is no such lab.
        EngineError: the engine refused.
    """
    folder = folder_of(inventory)
    try:
        name = str(json.loads((folder / "lab.json").read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"there is no lab at {inventory}", "start one with lab.up --boards armv7:3"
        ) from None
    docker_client.require()
    removed = _remove(name)
    with contextlib.suppress(FileNotFoundError):
        if inventory.read_text(encoding="utf-8").startswith(_MARK):
            inventory.unlink()
    shutil.rmtree(folder)
    if not _listed("ps", "--all", "--quiet", f"--filter=label={root_file_system.LABEL}"):
        for image in set(_listed("images", "--quiet", f"--filter=label={root_file_system.LABEL}=image")):
            docker_client.call("rmi", "--force", image)
        with contextlib.suppress(OSError):
            binfmt.unregister()
    return removed


def _image(profile: Profile) -> str:
    binfmt.ensure(profile.architecture)
    return root_file_system.ensure(profile.architecture)


def _new_key(path: Path) -> None:
    done = process.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], timeout=_SECONDS
    )
    if done.code != 0:
        raise LitesmithError(f"ssh-keygen failed: {done.stderr.strip()}", "install openssh-client")


def _make_network(name: str) -> Any:
    """Makes a private network with a fixed subnet, so that boards keep their addresses when they restart."""
    _engine("network", "create", "--internal", name)
    form = "{{(index .IPAM.Config 0).Subnet}}"
    subnet = _engine("network", "inspect", "--format", form, name)
    _engine("network", "rm", name)
    _engine(
        "network",
        "create",
        "--internal",
        f"--subnet={subnet}",
        f"--label={root_file_system.LABEL}={name}",
        name,
    )
    return ip_network(subnet)


def _start(board: VirtualBoard, profile: Profile, image: str, lab: str, folder: Path) -> str:
    """Starts one board; returns the ``known_hosts`` line of its host key."""
    words = [
        *(
            "create",
            f"--name={board.container}",
            f"--hostname={board.name}",
            f"--label={root_file_system.LABEL}={lab}",
        ),
        *(f"--network={lab}", f"--ip={board.address}", f"--memory={_MEMORY}"),
        *(f"--pids-limit={_MOST_PROCESSES}", "--pull=never", "--restart=no"),
        *(image, "/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/lab_config"),
    ]
    _engine(*words)
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        place = Path(scratch)
        _new_key(place / "lab_host_key")
        public = (place / "lab_host_key.pub").read_text(encoding="utf-8").split()
        shutil.copy(folder / "key.pub", place / "lab_authorized")
        (place / "lab_config").write_text(_server_config(profile), encoding="utf-8")
        for file in place.iterdir():
            # sshd refuses a host key that others may read, and authorized keys that others may write.
            file.chmod(0o644 if file.name == "lab_authorized" else 0o600)
        _engine("cp", f"{place}/.", f"{board.container}:/etc/ssh")
    _engine("start", board.container)
    _await(board)
    return f"{board.address} {public[0]} {public[1]}\n"


def _server_config(profile: Profile) -> str:
    """sshd's configuration; QEMU emulates the CPU of the profile in every session."""
    arguments = profile.emulator.arguments if profile.emulator else ()
    cpu = arguments[arguments.index("-cpu") + 1] if "-cpu" in arguments else ""
    lines = [
        *("HostKey /etc/ssh/lab_host_key", "AuthorizedKeysFile /etc/ssh/lab_authorized", "PidFile none"),
        *(
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin no",
            f"AllowUsers {root_file_system.USER}",
        ),
        *("UseDNS no", "MaxStartups 100"),
        *([f"SetEnv QEMU_CPU={cpu}"] if cpu else []),
    ]
    return "".join(f"{line}\n" for line in lines)


def _await(board: VirtualBoard) -> None:
    end = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((board.address, _PORT), 2) as wire:
            wire.settimeout(_ANSWER_SECONDS)
            if wire.recv(4) == b"SSH-":
                return
        time.sleep(0.2)
    said = docker_client.call("logs", "--tail", "1", board.container)
    lines = (said.stdout.decode(errors="replace") + said.stderr).strip().splitlines() or ["no output"]
    raise EngineError(
        f"{board.name} does not answer at {board.address}; its log ends with: {lines[-1]}",
        "see 'docker logs'",
    )


def _inventory(boards: Sequence[VirtualBoard], folder: Path) -> str:
    import yaml

    entries = {
        board.name: {
            "host": board.address,
            "user": root_file_system.USER,
            "key": f"{folder.name}/key",
            "known_hosts": {"file": f"{folder.name}/known_hosts"},
            "target": board.target,
            "folder": root_file_system.FOLDER,
            "tags": ["lab", board.target],
        }
        for board in boards
    }
    return f"{_MARK}\n{yaml.safe_dump({'boards': entries}, sort_keys=False)}"


def _remove(name: str) -> int:
    """Removes the containers and the network of a lab; returns the number of containers."""
    found = _listed("ps", "--all", "--quiet", f"--filter=label={root_file_system.LABEL}={name}")
    if found:
        _engine("rm", "--force", "--volumes", *found)
    docker_client.call("network", "rm", name)
    return len(found)


def _listed(*words: str) -> list[str]:
    return _engine(*words).split()


def _engine(*words: str | Path) -> str:
    """Calls the Docker engine; returns its standard output.

    Raises:
        EngineError: it refused.
    """
    done = docker_client.call(*words, timeout=_SECONDS)
    if done.code != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EngineError(f"the Docker engine refused '{words[0]}': {reason}", "see 'docker info'")
    return done.stdout.decode().strip()
