from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from litesmith.base.errors import ToolError, UsageError
from litesmith.container import docker_client, toolchain_images
from litesmith.container.docker_client import EngineError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
            "does not answer",
        ),
        ("error during connect: Get http://x: EOF", "does not answer"),
        (
            "failed to connect to the docker API at unix:///x.sock; check if the path is correct",
            "does not answer",
        ),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///x",
            "no permission",
        ),
        ("permission denied while trying to connect to the docker API at unix:///x", "no permission"),
        ("write /var/lib/docker/tmp/x: no space left on device", "no disk space"),
    ],
)
def test_messages_of_the_client_are_explained(text: str, message: str) -> None:
    error = docker_client._explained(text)
    assert error is not None
    assert message in error.message
    assert error.next_step


def test_a_message_that_needs_no_explanation() -> None:
    assert docker_client._explained("E: Unable to locate package g++-nonsense") is None


@pytest.mark.parametrize("folder", ["/a b", "/a,b", '/a"b', "/ä ö,\"x\" 'y'"])
def test_a_mount_of_any_path(folder: str) -> None:
    (fields,) = csv.reader([docker_client._mount(Path(folder), "readonly")])
    assert fields == ["type=bind", f"source={folder}", f"target={folder}", "readonly"]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = docker_client.default_limits()
    assert usual.memory > 1 << 28
    assert usual.cpus >= 1
    monkeypatch.setenv("LITESMITH_DOCKER_MEMORY", "512MiB")
    monkeypatch.setenv("LITESMITH_DOCKER_CPUS", "0.5")
    assert docker_client.default_limits() == docker_client.Limits(memory=512 << 20, cpus=0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("MEMORY", value) for value in ("much", "-1GiB", "0", "1", "1e3")),
        *(("CPUS", value) for value in ("all", "0", "-2", "nan", "inf")),
    ],
)
def test_invalid_limits(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LITESMITH_DOCKER_{name}", value)
    with pytest.raises(UsageError, match=f"{name}.*{value}"):
        docker_client.default_limits()


def test_a_missing_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="docker is not installed") as caught:
        docker_client.require()
    assert "apt-get install docker.io" in caught.value.next_step


def test_every_image_pins_its_base() -> None:
    found = toolchain_images.available()
    assert set(found) == {"armhf", "arm64", "riscv64", "amd64"}
    for path in found.values():
        pinned = toolchain_images.pinned_base(path)
        assert pinned is not None
        assert pinned.startswith("debian:bookworm-slim@sha256:")
        assert "--no-install-recommends" in path.read_text()


def test_the_tag_depends_on_the_content(tmp_path: Path) -> None:
    path = tmp_path / "My Board.Dockerfile"
    path.write_text("ARG BASE\nFROM ${BASE}\n")
    first = toolchain_images.tag_of(path)
    assert first.startswith("litesmith-my-board:")
    (tmp_path / "again").mkdir()
    same = tmp_path / "again" / path.name
    same.write_text(path.read_text())
    assert toolchain_images.tag_of(same) == first
    path.write_text("ARG BASE\nFROM ${BASE}\nRUN true\n")
    assert toolchain_images.tag_of(path) != first


def test_a_base_must_be_pinned_and_used(tmp_path: Path) -> None:
    path = tmp_path / "x.Dockerfile"
    pin = f"ubuntu:24.04@sha256:{'0' * 64}"
    path.write_text(f"ARG BASE={pin}\nFROM ${{BASE}}\n")
    assert toolchain_images.pinned_base(path) == pin
    for text in ("FROM ubuntu:24.04\n", "ARG BASE=ubuntu\nFROM ${BASE}\n", f"ARG BASE={pin}\nFROM ubuntu\n"):
        path.write_text(text)
        assert toolchain_images.pinned_base(path) is None


def test_an_unknown_image() -> None:
    with pytest.raises(UsageError, match="no image 'armh'") as caught:
        toolchain_images.dockerfile("armh")
    assert caught.value.next_step == "perhaps you meant 'armhf'"


def test_a_dockerfile_by_path() -> None:
    assert toolchain_images.dockerfile(str(ROOT / "docker/armhf.Dockerfile")).name == "armhf.Dockerfile"


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            "Step 1\nE: Unable to locate package x\nThe command returned a non-zero code: 100",
            "E: Unable to locate",
        ),
        ("#5 1.02 E: Unable to locate package x\nERROR: failed to solve", "E: Unable to locate package x"),
        ("dockerfile parse error line 2: unknown instruction: RUM", "dockerfile parse error line 2"),
        ("", "no message"),
    ],
)
def test_why_an_image_was_not_built(log: str, cause: str) -> None:
    assert toolchain_images._cause(log).startswith(cause)


def test_a_killed_compiler_is_recognised() -> None:
    assert docker_client._KILLED.search("g++: fatal error: Killed signal terminated program cc1plus")
    assert docker_client._KILLED.search("collect2: fatal error: ld terminated with signal 9 [Killed]")
    assert not docker_client._KILLED.search(
        "internal compiler error: Segmentation fault signal terminated program"
    )


def test_a_base_without_debootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_client, "require", lambda: "1.0")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ToolError, match="debootstrap is not installed"):
        toolchain_images.make_base()
