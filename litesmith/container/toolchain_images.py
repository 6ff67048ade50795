"""Toolchain images: built from Dockerfiles, tagged by their content, on a pinned or a local base image.

The base is ``debian:bookworm-slim``, pinned by digest in each Dockerfile.  If no registry can be reached,
:func:`make_base` makes a base with debootstrap from this machine's Debian mirror.  A label of every image
says which of the two it is based on.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import console, files, paths
from litesmith.base.errors import UsageError, nearest
from litesmith.container import debian_root, docker_client
from litesmith.container.docker_client import EngineError

LOCAL_BASE = "litesmith-base:bookworm"
"""The base image that :func:`make_base` makes."""

_RELEASE = "bookworm"
_REPLACED = f"debian:{_RELEASE}-slim@"
_BASE_LABEL = "litesmith.base"
_OFFLINE = ("Temporary failure resolving", "Failed to fetch", "Could not resolve", "Could not connect")
_PULL_SECONDS = 600
_BUILD_SECONDS = 1800


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that the engine has.  ``base`` is the image that it is based on."""

    tag: str
    identifier: str
    base: str


def available() -> dict[str, Path]:
    """The built-in Dockerfiles, by name."""
    return {path.stem: path for path in sorted(paths.data_folder("docker").glob("*.Dockerfile"))}


def dockerfile(name: str) -> Path:
    """The built-in Dockerfile with a name, or the one at a path.

    Raises:
        UsageError: there is no such Dockerfile.
    """
    known = available()
    path = known.get(name) or Path(name)
    if not path.is_file():
        advice = nearest(name, list(known)) or f"known images: {', '.join(known)}; or name a Dockerfile"
        raise UsageError(f"there is no image {name!r}", advice)
    return path


def tag_of(path: Path) -> str:
    """``litesmith-<name>:<digest of the Dockerfile>``: a changed file gets another image."""
    name = re.sub(r"[^a-z0-9]+", "-", path.name.removesuffix(".Dockerfile").lower()).strip("-")
    return f"litesmith-{name or 'image'}:{files.sha256(path)[:12]}"


def find(tag: str) -> Image | None:
    """The image with a tag, if the engine has it.

    Raises:
        EngineError: no engine answers.
    """
    done = docker_client.call("image", "inspect", tag)
    if done.code != 0:
        if "no such image" in done.stderr.lower():
            return None
        raise EngineError(f"the Docker engine does not answer: {done.stderr.strip()}", "see 'docker info'")
    (found,) = json.loads(done.stdout)
    labels = found["Config"].get("Labels") or {}
    return Image(tag=tag, identifier=found["Id"], base=labels.get(_BASE_LABEL, "unknown"))


@dataclass(frozen=True, kw_only=True)
class ImageState:
    """One Dockerfile of ``docker/``; ``identifier`` and ``base`` are empty until its image is built."""

    name: str
    tag: str
    pinned: str
    identifier: str
    base: str


def survey() -> tuple[ImageState, ...]:
    """The images of ``docker/``, with those that the engine already has.

    Raises:
        EngineError: no engine answers.
    """
    docker_client.require()
    states = []
    for name, path in available().items():
        tag = tag_of(path)
        found = find(tag)
        states.append(
            ImageState(
                name=name,
                tag=tag,
                pinned=pinned_base(path) or "",
                identifier=found.identifier if found else "",
                base=found.base if found else "",
            )
        )
    return tuple(states)


def ensure(path: Path) -> Image:
    """The image of a Dockerfile, built first if the engine does not have it.

    Raises:
        EngineError: no engine answers, there is no base image, or the build fails.
    """
    tag = tag_of(path)
    found = find(tag)
    if found is not None:
        return found
    # Of two simultaneous builds, one makes the image and the other waits for it.
    with files.locked(paths.cache_folder() / "locks" / tag.replace(":", "-")):
        found = find(tag)
        if found is None:
            _build(path, tag)
            found = find(tag)
    if found is None:
        raise EngineError(f"the engine built {tag} but does not have it", "see 'docker image ls'")
    return found


def _build(path: Path, tag: str) -> None:
    reference, description = _base(path)
    console.note(f"building the toolchain image {tag} on {description}, once")
    with tempfile.TemporaryDirectory(prefix="litesmith-") as context:
        done = docker_client.call(
            *("build", "--force-rm", f"--file={path}", f"--tag={tag}", f"--build-arg=BASE={reference}"),
            *(f"--label={_BASE_LABEL}={description}", context),
            timeout=_BUILD_SECONDS,
        )
    if done.code != 0:
        log = paths.cache_folder() / "logs" / f"{tag.replace(':', '-')}.log"
        text = done.stdout.decode(errors="replace") + done.stderr
        files.write_atomically(log, text)
        offline = any(sign in text for sign in _OFFLINE)
        advice = (
            "check the network and the mirror of the engine's containers" if offline else "correct the file"
        )
        raise EngineError(
            f"the image of {path} cannot be built: {_cause(text)}",
            f"{advice}; the complete log of the engine is {log}",
        )


def _cause(log: str) -> str:
    """The line of a log that has the cause: an error of apt or the engine, else the last line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    apt = [re.sub(r"^#\d+ [\d.]+ ", "", line) for line in lines]
    errors = [line for line in apt if line.startswith("E: ")]
    errors += [
        line for line in apt if re.match(r"(?i)(error|dockerfile parse error|unknown instruction)", line)
    ]
    return (errors or lines[-1:] or ["no message"])[0]


def _base(path: Path) -> tuple[str, str]:
    """The base image for a Dockerfile, and its name in manifests.

    It is the pinned image, from the engine or from a registry.  A local base replaces only Debian's image.
    """
    pinned = pinned_base(path)
    if pinned is None:
        raise UsageError(
            f"{path}: 'ARG BASE=NAME@sha256:...' with 'FROM ${{BASE}}' is missing",
            "begin the file like those in docker/",
        )
    if find(pinned) is not None:
        return pinned, pinned
    console.note(f"pulling {pinned.partition('@')[0]}, pinned by digest, once")
    done = docker_client.call("pull", "--quiet", pinned, timeout=_PULL_SECONDS)
    if done.code == 0:
        return pinned, pinned
    lines = done.stderr.strip().splitlines()
    reason = lines[-1] if lines else "no message"
    if not pinned.startswith(_REPLACED):
        raise EngineError(
            f"{path}: its base {pinned} cannot be pulled: {reason}", "check its name and the network"
        )
    console.note(f"the base image cannot be pulled: {reason}")
    with files.locked(paths.cache_folder() / "locks" / "base"):
        made = find(LOCAL_BASE) or make_base()
    return made.tag, made.base


def pinned_base(path: Path) -> str | None:
    """The base image that a Dockerfile pins by digest; None if it pins none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    match = re.search(r"^ARG BASE=(\S+@sha256:[0-9a-f]{64})$", text, re.MULTILINE)
    used = re.search(r"^FROM \$\{?BASE\}?\s*$", text, re.MULTILINE)
    return match[1] if match and used else None


def make_base() -> Image:
    """Makes :data:`LOCAL_BASE` with debootstrap, in half a minute.  Needs root.

    Raises:
        EngineError: no engine answers.
        ToolError: debootstrap is missing or failed, there is no mirror, or the user is not root.
    """
    docker_client.require()
    suites = debian_root.require(_RELEASE, "a base", "./inv docker.base")
    # Without certificates, apt in the container cannot use an HTTPS mirror.
    more = ["--include=ca-certificates"] if any(suite.startswith("https") for suite in suites) else []

    def prepare(root: Path) -> None:
        (root / "etc/apt/sources.list").write_text("".join(f"deb {suite}\n" for suite in suites))

    console.note(f"making a base image of Debian {_RELEASE} with debootstrap, once: half a minute")
    with tempfile.TemporaryDirectory(prefix="litesmith-base-") as scratch:
        archive = Path(scratch) / "base.tar"
        debian_root.make(archive, _RELEASE, suites[0].split()[0], more, prepare)
        label = f'LABEL {_BASE_LABEL}="debootstrap {_RELEASE}"'
        done = docker_client.call("import", f"--change={label}", archive, LOCAL_BASE, timeout=_BUILD_SECONDS)
    found = find(LOCAL_BASE)
    if done.code != 0 or found is None:
        raise EngineError(f"the base cannot be imported: {done.stderr.strip()}", "see 'docker info'")
    return found
