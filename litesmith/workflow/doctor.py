"""External tools: which are installed, what they are for, and how to install the others."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
from dataclasses import dataclass

from litesmith.base import process
from litesmith.base.apt import debian_mirrors
from litesmith.base.errors import ToolError
from litesmith.container import docker_client
from litesmith.target import flash_tools, profiles
from litesmith.toolchain.gcc import package_of


@dataclass(frozen=True, kw_only=True)
class Tool:
    """An external tool; ``version`` is None if it is missing."""

    name: str
    purpose: str
    version: str | None
    install: str


def _program(name: str, purpose: str, install: str, *options: str) -> Tool:
    """A program and its version, which it prints with ``options``, by default --version."""
    version: str | None = None
    path = shutil.which(name)
    if path is not None:
        try:
            done = process.run([path, *(options or ("--version",))], timeout=20)
            lines = (done.stdout.decode(errors="replace") + done.stderr).strip().splitlines()
            number = re.search(r"\d+\.\d+[\w.]*", lines[0]) if lines else None
            version = number[0] if number else "installed"
        except ToolError as error:
            version, install = None, f"it does not start: {error.message}"
    return Tool(name=name, purpose=purpose, version=version, install=install)


def _package(name: str, purpose: str) -> Tool:
    try:
        version: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return Tool(name=name, purpose=purpose, version=version, install=f"pip install {name}")


def _engine() -> Tool:
    """The Docker engine, which must answer: an installed client is not enough."""
    version, install = None, ""
    try:
        version = docker_client.require()
    except ToolError as error:
        install = str(error)
    return Tool(
        name="Docker engine",
        purpose="compiles in a container (toolchain docker)",
        version=version,
        install=install,
    )


def examine() -> tuple[Tool, ...]:
    """Looks for every external tool."""
    python = sys.version.split()[0]
    mirrors = debian_mirrors()
    tools = [
        Tool(name="python", purpose="runs litesmith", version=python, install="Python 3.11 or later"),
        _package("ziglang", "cross-compiles (toolchain zig)"),
        _package("ai-edge-litert", "gives reference answers for the verification"),
        Tool(
            name="Debian mirror",
            purpose="has the pinned sources if upstream cannot be reached",
            version=f"{len(mirrors)} in apt's configuration" if mirrors else None,
            install="name one in LITESMITH_DEBIAN_MIRROR",
        ),
    ]
    emulators = {
        profile.emulator.program: profile.emulator.install
        for profile in map(profiles.load, profiles.available())
        if profile.emulator
    }
    tools += [
        _program(name, f"runs programs for {name.removeprefix('qemu-')} here, to verify them", install)
        for name, install in sorted(emulators.items())
    ]
    compilers = {
        f"{options.target}-g++": (profile.name, package_of(options.target))
        for profile in map(profiles.load, profiles.available())
        if (options := profile.toolchains.get("gcc"))
    }
    tools += [
        _program(name, f"compiles for {target} (toolchain gcc)", f"apt-get install {package}")
        for name, (target, package) in compilers.items()
    ]
    for flash_tool in map(flash_tools.load, flash_tools.available()):
        executable = flash_tool.executable()
        name = executable.name if executable else flash_tool.tools[0]
        purpose = f"writes programs to boards (flash tool {flash_tool.name})"
        tools.append(_program(name, purpose, flash_tool.install, *(flash_tool.version or ("-h",))))
    tools += [
        _engine(),
        _program(
            "debootstrap",
            "makes virtual boards (lab.up), and base images without a registry",
            "apt-get install debootstrap",
        ),
        _program("qemu-arm-static", "runs virtual boards (lab.up)", "apt-get install qemu-user-static"),
        _program("cmake", "builds a generated project by hand", "apt-get install cmake"),
        _program("ninja", "builds a generated project by hand", "apt-get install ninja-build"),
        _program("valgrind", "counts instructions for bench.optimise", "apt-get install valgrind"),
        _program("git", "reads models of revisions (size.diff)", "apt-get install git"),
        _program("sshd", "simulates boards in the tests", "apt-get install openssh-server", "-V"),
        _program("dropbear", "simulates small boards in the tests", "apt-get install dropbear-bin", "-V"),
        _program("busybox", "simulates small boards in the tests", "apt-get install busybox-static"),
        _program("chromium", "renders the size page in the tests", "apt-get install chromium"),
    ]
    return tuple(tools)
