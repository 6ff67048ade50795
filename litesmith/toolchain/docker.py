"""GCC in a container: the same compiler for everyone in a team.

Each build has one container, in which the compiler runs as the calling user.  Sources and objects are
mounted read-only; the compiler writes into one scratch folder.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from litesmith.base import files, paths, process, templates
from litesmith.base.errors import ToolError
from litesmith.container import docker_client, toolchain_images
from litesmith.container.docker_client import Container
from litesmith.container.toolchain_images import Image
from litesmith.target.profiles import Profile, ToolchainName
from litesmith.toolchain.gcc import Gcc, Installation

# Bump when the content of Installation changes.
_INSTALLATION_FORMAT = 3


def _known(file: Path) -> Installation | None:
    """What a file of the cache says; None without one, and where it is damaged."""
    try:
        return Installation(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Docker(Gcc):
    """The GCC of a toolchain image."""

    name: ToolchainName = "docker"

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._image: Image | None = None
        self._container: Container | None = None
        self._mounts: tuple[tuple[Path, ...], tuple[Path, ...]] | None = None

    def image(self, profile: Profile) -> Image:
        """The image of a profile, built on first use.

        Raises:
            EngineError: no engine answers, or the image cannot be built.
        """
        if self._image is None:
            name = self.options(profile).image
            assert name is not None, "profiles are validated"  # noqa: S101
            self._image = toolchain_images.ensure(toolchain_images.dockerfile(name))
        return self._image

    @contextmanager
    def session(self, readable: Sequence[Path], writable: Path) -> Iterator[None]:
        """Starts the container with the first command, and always removes it at the end."""
        self._mounts = (tuple(readable), (writable,))
        try:
            yield
        finally:
            self._mounts = None
            container, self._container = self._container, None
            if container is not None:
                container.close()

    def _call(self, words: Sequence[str | Path], folder: Path, seconds: float) -> process.Completed:
        if self._mounts is None:
            with closing(self._start((), ())) as container:
                return container.run(words, folder, seconds)
        with self._lock:
            if self._container is None:
                self._container = self._start(*self._mounts)
        return self._container.run(words, folder, seconds)

    def _start(self, readable: Sequence[Path], writable: Sequence[Path]) -> Container:
        assert self._image is not None, "the image is known before a command runs"  # noqa: S101
        return Container(
            self._image.tag, readable=readable, writable=writable, limits=docker_client.default_limits()
        )

    def installation(self, profile: Profile) -> Installation:
        """The compiler in the image, examined once for each image.

        Raises:
            EngineError: no engine answers, or the image cannot be built.
            ToolError: the compiler is not in the image.
        """
        image, triple = self.image(profile), self.options(profile).target
        if triple not in self._installations:
            key = files.digest_of(_INSTALLATION_FORMAT, image.identifier, triple, profile.architecture)
            known = paths.cache_folder() / "toolchains" / f"docker-{key[:16]}.json"
            found = _known(known)
            if found is None:
                found = self._examine(triple, profile.architecture)
                files.write_atomically(known, files.to_json(found.to_json()))
            self._installations[triple] = found
        return self._installations[triple]

    def _missing(self, compiler: str) -> ToolError:
        tag = self._image.tag if self._image else ""
        return ToolError(
            f"the image {tag} has no {compiler}", "correct its Dockerfile, or the target in the profile"
        )

    def describe(self, profile: Profile) -> dict[str, Any]:
        """The compiler and its image in ``manifest.json``."""
        image = self.image(profile)
        return {**super().describe(profile), "image": {"tag": image.tag, "base": image.base}}

    def cmake_files(self, profile: Profile, values: Mapping[str, object]) -> dict[str, str]:
        """``toolchain.cmake``, and the script that runs the compiler in its image."""
        del profile
        return {
            "toolchain.cmake": templates.render("toolchain.docker.cmake", values),
            "in-container": templates.render("in-container", values),
        }

    def cmake_requirement(self, profile: Profile) -> str:
        """The toolchain image."""
        tag = self.image(profile).tag
        return f". The compiler runs in the image `{tag}`, which litesmith's build made."
