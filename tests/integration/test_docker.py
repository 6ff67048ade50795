"""The toolchain docker with a real engine: containers, images and their failures."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from litesmith.base.errors import ToolError
from litesmith.build import cache as build_cache
from litesmith.build import session
from litesmith.build.request import Request, resolve
from litesmith.container import docker_client, toolchain_images
from litesmith.container.docker_client import Container, EngineError, Limits
from tests.conftest import EXAMPLES, ROOT, Cli, one_error_line
from tests.integration.conftest import default_sigint, share

pytestmark = pytest.mark.usefixtures("docker_engine")

GESTURE = EXAMPLES / "gesture.tflite"
USER = 12345
LIMITS = Limits(memory=256 << 20, cpus=0.5)


def litesmith_containers() -> list[str]:
    done = docker_client.call("ps", "--all", "--quiet", "--filter", f"label={docker_client.LABEL}")
    return done.stdout.decode().split()


@pytest.fixture(scope="module")
def image() -> str:
    return toolchain_images.ensure(toolchain_images.dockerfile("armhf")).tag


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A private cache that shares sources and references with the default one."""
    folder = tmp_path / "cache äö, with 'spaces'"
    folder.mkdir()
    share(folder, "sources", "reference", "toolchains")
    return folder


@pytest.fixture(scope="module")
def compiled(image: str) -> Sequence[Path]:
    """The objects of the model's program, compiled in a container, in the default cache."""
    del image
    request = Request(target="armv7", toolchain="docker", models=(str(GESTURE),))
    with session.opened(resolve(request)) as opened:
        return [build_cache.located(path) for path in opened.builder.build(opened.project()).objects]


MISSING = 30
"""The number of objects that a build still compiles, after the fixture ``most_objects``."""


@pytest.fixture
def most_objects(cache: Path, compiled: Sequence[Path]) -> int:
    """Copies all objects of the model but ``MISSING`` to the private cache, and returns their number."""
    for path in sorted(compiled)[MISSING:]:
        copy = cache / "objects" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return len(compiled) - MISSING


def objects(cache: Path) -> set[Path]:
    return set((cache / "objects").glob("*/*.o"))


def test_permissions_of_a_container(image: str, tmp_path: Path) -> None:
    readable, writable = tmp_path / "read, only", tmp_path / 'scratch "äö"'
    readable.mkdir()
    writable.mkdir()
    (readable / "file").write_text("content")
    with contextlib.closing(
        Container(image, readable=[readable], writable=[writable], limits=LIMITS)
    ) as container:

        def run(*arguments: str) -> tuple[int, str]:
            done = container.run(arguments, writable, 30)
            return done.code, done.stdout.decode() + done.stderr

        assert run("id", "-u") == (0, f"{os.getuid()}\n")
        assert run("cat", str(readable / "file")) == (0, "content")
        assert run("pwd") == (0, f"{writable}\n")
        for forbidden in (str(readable / "new"), "/etc/new", "/var/tmp/new"):
            code, text = run("touch", forbidden)
            assert code != 0
            assert "Read-only file system" in text
        assert run("touch", "made")[0] == 0
        assert (writable / "made").exists()
        interfaces = [line.split(":")[0].strip() for line in run("cat", "/proc/net/dev")[1].splitlines()[2:]]
        assert interfaces == ["lo"]
        (found,) = json.loads(docker_client.call("container", "inspect", container.name).stdout)
        assert found["HostConfig"]["Memory"] == found["HostConfig"]["MemorySwap"] == LIMITS.memory
        assert found["HostConfig"]["NanoCpus"] == 5 * 10**8
        assert found["HostConfig"]["CapDrop"] == ["ALL"]
        assert found["HostConfig"]["PidsLimit"] > 0
    assert litesmith_containers() == []


def test_a_compiler_without_memory_is_explained(image: str, tmp_path: Path) -> None:
    (tmp_path / "x.cc").write_text(f"int data[] = {{{'1,' * 3_000_000}}};")
    limits = Limits(memory=96 << 20, cpus=1)
    with (
        contextlib.closing(Container(image, readable=[], writable=[tmp_path], limits=limits)) as container,
        pytest.raises(EngineError, match="killed in its container with 96 MiB") as caught,
    ):
        container.run(["arm-linux-gnueabihf-g++", "-c", "x.cc"], tmp_path, 120)
    assert "LITESMITH_DOCKER_MEMORY" in caught.value.next_step


def test_a_timeout_leaves_no_container(image: str, tmp_path: Path) -> None:
    container = Container(image, readable=[], writable=[tmp_path], limits=LIMITS)
    with pytest.raises(ToolError, match="did not end within 1 s"), contextlib.closing(container):
        container.run(["sleep", "1000"], tmp_path, 1)
    assert litesmith_containers() == []


def test_a_container_that_is_removed(image: str, tmp_path: Path) -> None:
    container = Container(image, readable=[], writable=[tmp_path], limits=LIMITS)
    with contextlib.closing(container):
        docker_client.call("rm", "--force", container.name)
        with pytest.raises(EngineError, match="container was stopped") as caught:
            container.run(["true"], tmp_path, 30)
    assert "already compiled are kept" in caught.value.next_step


def test_a_compiler_missing_from_the_image(cli: Cli, tmp_path: Path) -> None:
    profile = (ROOT / "targets/armv7.yaml").read_text().replace("image: armhf", "image: arm64")
    (tmp_path / "board.yaml").write_text(profile)
    done = cli("build", "--target", "board.yaml", "--toolchain", "docker", "--model", GESTURE)
    assert done.returncode == 1
    assert "has no arm-linux-gnueabihf-g++" in one_error_line(done)
    assert not (tmp_path / "build").exists()


def as_user(*groups: int) -> list[str]:
    """Arguments that run a command as an unprivileged user, who may read this checkout."""
    listed = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", *listed, *reading]


def build_words(out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "litesmith", "build", "--target", "armv7", "--toolchain", "docker"),
        *("--model", str(GESTURE), "--out", str(out), *more),
    ]


needs_root = pytest.mark.usefixtures("root")


@needs_root
def test_a_user_builds_and_owns_everything(cache: Path, tmp_path: Path) -> None:
    socket = Path("/var/run/docker.sock").stat()
    home = tmp_path / "home"
    home.mkdir()
    for folder in (tmp_path, cache, home):
        os.chown(folder, USER, USER)
    # Folders that the user cannot write to are copied or left out.
    for shared in ("reference", "toolchains"):
        (cache / shared).unlink()
    done = subprocess.run(
        [*as_user(socket.st_gid), *build_words(home / "out", "--no-verify")],
        cwd=home,
        env={**os.environ, "LITESMITH_CACHE": str(cache), "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    made = [home, *home.rglob("*"), *(path for path in cache.rglob("*") if not path.is_symlink())]
    assert len(made) > 100
    assert {path.stat().st_uid for path in made} == {USER}
    assert not list((cache / "work").iterdir())
    assert litesmith_containers() == []


@needs_root
def test_no_permission_on_the_socket(tmp_path: Path) -> None:
    os.chown(tmp_path, USER, USER)
    done = subprocess.run(
        [*as_user(), *build_words(tmp_path / "out")],
        env={**os.environ, "LITESMITH_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    line = one_error_line(done)
    assert "no permission to use the Docker engine's socket" in line
    assert "usermod -aG docker" in line


def test_no_engine(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        *("build", "--target", "armv7", "--toolchain", "docker", "--model", GESTURE),
        env={"DOCKER_HOST": f"unix://{tmp_path}/no.sock"},
    )
    assert done.returncode == 1
    line = one_error_line(done)
    assert "the Docker engine does not answer" in line
    assert "systemctl start docker" in line
    assert not (tmp_path / "build").exists()


def test_no_client(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        *("build", "--target", "armv7", "--toolchain", "docker", "--model", GESTURE),
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "docker is not installed" in one_error_line(done)


def test_an_image_that_does_not_build(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.Dockerfile").write_text(
        (ROOT / "docker/armhf.Dockerfile").read_text().replace("g++-arm-linux-gnueabihf", "g++-nonsense")
    )
    profile = (ROOT / "targets/armv7.yaml").read_text().replace("image: armhf", "image: ./bad.Dockerfile")
    (tmp_path / "board.yaml").write_text(profile)
    done = cli(
        *("build", "--target", "board.yaml", "--toolchain", "docker", "--model", GESTURE),
        env={"LITESMITH_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 1
    line = one_error_line(done)
    assert "bad.Dockerfile cannot be built: E: Unable to locate package g++-nonsense" in line
    log = Path(line.rpartition("complete log of the engine is ")[2])
    assert "apt-get update" in log.read_text()
    assert litesmith_containers() == []


def start_build(out: Path, cache: Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        build_words(out, "--no-verify"),
        env={**os.environ, "LITESMITH_CACHE": str(cache), **more},
        cwd=out.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=default_sigint,
    )


def wait_for_objects(cache: Path, count: int) -> None:
    deadline = time.monotonic() + 180
    while len(objects(cache)) < count:
        assert time.monotonic() < deadline, "nothing is compiled"
        time.sleep(0.05)


def wait_until_gone() -> None:
    deadline = time.monotonic() + 30
    while litesmith_containers():
        assert time.monotonic() < deadline, "a container is still there"
        time.sleep(0.1)


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_terminated_build_removes_its_container(
    cache: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    child = start_build(tmp_path / "out", cache)
    wait_for_objects(cache, 2)
    assert len(litesmith_containers()) == 1
    child.send_signal(ending)
    stderr = child.communicate(timeout=60)[1]
    wait_until_gone()
    assert not (tmp_path / "out").exists()
    if ending == signal.SIGKILL:
        return
    assert child.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert list((cache / "work").iterdir()) == []


@pytest.mark.usefixtures("image")
def test_two_builds_at_once(cache: Path, most_objects: int, tmp_path: Path) -> None:
    children = [start_build(tmp_path / name, cache) for name in ("one", "two")]
    wait_for_objects(cache, most_objects + 1)
    deadline = time.monotonic() + 60
    while len(litesmith_containers()) < 2:
        assert time.monotonic() < deadline, "they do not run at once"
        time.sleep(0.05)
    for child in children:
        stderr = child.communicate(timeout=600)[1]
        assert child.returncode == 0, stderr
    assert (tmp_path / "one/bin/gesture").read_bytes() == (tmp_path / "two/bin/gesture").read_bytes()
    assert litesmith_containers() == []
    # A second model compiles only new files.
    before = objects(cache)
    assert len(before) >= most_objects + MISSING
    done = subprocess.run(
        [*build_words(tmp_path / "three", "--no-verify", "--model", str(EXAMPLES / "digits.tflite"))],
        env={**os.environ, "LITESMITH_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    new = objects(cache) - before
    assert 0 < len(new) < 25


class PrivateEngine:
    """A separate Docker engine that the tests can stop and whose disk they can fill.

    The path of ``folder`` is short: that of a socket has at most 107 bytes.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.address = f"unix://{folder}/docker.sock"
        self.start()

    def start(self) -> None:
        argv = [
            # In a separate network namespace: two engines would remove each other's bridge.
            *("unshare", "--net", "dockerd", f"--host={self.address}", f"--data-root={self.root}"),
            *(f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"),
            *("--bridge=none", "--iptables=false", "--ip-masq=false"),
        ]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + 60
        while self.docker("version").returncode != 0:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.2)

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *arguments],
            env={**os.environ, "DOCKER_HOST": self.address},
            capture_output=True,
            text=True,
            timeout=300,
        )

    def load(self, tag: str) -> None:
        archive = self.folder / "image.tar"
        subprocess.run(["docker", "save", f"--output={archive}", tag], check=True, timeout=300)
        done = self.docker("load", f"--input={archive}")
        assert done.returncode == 0, done.stderr
        archive.unlink()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    folder = tmp_path_factory.mktemp("engine")
    made = PrivateEngine(folder, folder / "data")
    yield made
    made.stop()


@needs_root
def test_an_engine_that_stops_during_a_build(
    image: str, private: PrivateEngine, cache: Path, most_objects: int, tmp_path: Path
) -> None:
    private.load(image)
    child = start_build(tmp_path / "out", cache, DOCKER_HOST=private.address)
    wait_for_objects(cache, most_objects + 2)
    private.stop()
    stderr = child.communicate(timeout=120)[1]
    assert child.returncode == 1
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert "the Docker engine stopped during the build" in line
    assert "start it again" in line
    assert not (tmp_path / "out").exists()
    # The next step works: the engine starts again, and the build continues where it stopped.
    assert most_objects + 2 <= len(objects(cache)) < most_objects + MISSING
    private.start()
    again = start_build(tmp_path / "out", cache, DOCKER_HOST=private.address)
    stderr = again.communicate(timeout=600)[1]
    assert again.returncode == 0, stderr
    assert (tmp_path / "out/bin/gesture").exists()


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@needs_root
@pytest.mark.usefixtures("image")
def test_no_disk_space_for_the_engine(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, cli: Cli
) -> None:
    with small_disk(tmp_path / "disk", "250m") as disk:
        fat = (ROOT / "docker/armhf.Dockerfile").read_text().partition("RUN ")[0]
        (tmp_path / "fat.Dockerfile").write_text(f"{fat}RUN head -c 400M /dev/zero >/fat\n")
        profile = (ROOT / "targets/armv7.yaml").read_text().replace("image: armhf", "image: ./fat.Dockerfile")
        (tmp_path / "board.yaml").write_text(profile)
        private = PrivateEngine(tmp_path_factory.mktemp("engine"), disk)
        try:
            private.load(toolchain_images.LOCAL_BASE)
            done = cli(
                *("build", "--target", "board.yaml", "--toolchain", "docker", "--model", GESTURE),
                env={"DOCKER_HOST": private.address},
            )
        finally:
            private.stop()
    assert done.returncode == 1
    line = one_error_line(done)
    assert "no disk space left" in line
    assert "docker system prune" in line
    assert not (tmp_path / "build").exists()


@needs_root
@pytest.mark.usefixtures("image", "cross_gcc")
@pytest.mark.parametrize("toolchain", ["docker", "gcc", "zig"])
def test_no_disk_space_for_the_cache(tmp_path: Path, cli: Cli, toolchain: str) -> None:
    with small_disk(tmp_path / "disk", "400k") as disk:
        share(disk, "sources", "reference", "toolchains")
        done = cli(
            *("build", "--target", "armv7", "--toolchain", toolchain, "--model", GESTURE),
            env={"LITESMITH_CACHE": str(disk)},
        )
    assert done.returncode == 1
    line = one_error_line(done)
    assert "no disk space" in line or "No space left" in line
    assert "LITESMITH_CACHE" in line
    assert not (tmp_path / "build").exists()
    assert litesmith_containers() == []


@needs_root
def test_a_base_is_created_and_tagged(cli: Cli, private: PrivateEngine) -> None:
    assert shutil.which("debootstrap"), "apt-get install debootstrap"
    done = cli("docker.base", env={"DOCKER_HOST": private.address})
    assert done.returncode == 0, done.stderr
    assert "debootstrap bookworm" in done.stdout
    listed = cli("docker", "--json", env={"DOCKER_HOST": private.address})
    assert {entry["identifier"] for entry in json.loads(listed.stdout)} == {""}
    label = private.docker(
        "inspect", "--format", "{{json .Config.Labels}}", toolchain_images.LOCAL_BASE
    ).stdout
    assert json.loads(label) == {"litesmith.base": "debootstrap bookworm"}
