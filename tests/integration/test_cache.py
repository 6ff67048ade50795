"""A cache that is moved, copied, damaged, or used by several checkouts at once gives the same programs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litesmith.base import paths, whole_folders
from tests.conftest import EXAMPLES, ROOT, one_error_line

GESTURE = EXAMPLES / "gesture.tflite"
_OBJECT = re.compile(r"objects/[0-9a-f]{2}/[0-9a-f]{64}\.o")


def build(
    cache: Path, out: Path, *, measured: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A build; unless the sizes are already ``measured``, it attributes and links everything again."""
    if not measured and cache != paths.cache_folder():
        shutil.rmtree(cache / "sizes", ignore_errors=True)
    command = [sys.executable, "-m", "litesmith", "build", "--target", "x86_64", "--model", str(GESTURE)]
    env = {**os.environ, "LITESMITH_CACHE": str(cache), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [*command, "--out", str(out), "--no-verify"],
        cwd=out.parent,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def reports(out: Path) -> dict[str, Any]:
    """What must not depend on the cache: sizes by bucket, symbols, the program."""
    found = {name: json.loads((out / name).read_text()) for name in ("size.json", "symbols.json")}
    return {**found, "program": (out / "bin/gesture").read_bytes()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with what one program needs, made of the objects that this machine's cache has."""
    full, folder = paths.cache_folder(), tmp_path_factory.mktemp("cache")
    first = folder / "first"
    done = build(full, first)
    assert done.returncode == 0, done.stderr
    digest = json.loads((first / "manifest.json").read_text())["binary"]["sha256"]
    cache = folder / "litesmith"
    for place in ("sources", "originals"):
        (cache / place).mkdir(parents=True)
        for inner in (full / place).iterdir():
            (cache / place / inner.name).symlink_to(inner)
    for runtime in (full / "toolchains").glob("zig-*/x86_64-*"):
        target = cache / runtime.relative_to(full)
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if runtime.is_dir() else shutil.copyfile)(runtime, target)
    program = next(
        path for path in (full / "programs").glob("*/*/map") if _sha256(path.with_name("program")) == digest
    )
    for name in set(_OBJECT.findall(program.read_text())):
        for suffix in ("", ".sha256"):
            target = cache / f"{name}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(full / f"{name}{suffix}", target)
    return cache


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def before(small: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The reports of a build with the cache where it was made."""
    out = tmp_path_factory.mktemp("before") / "out"
    done = build(small, out)
    assert done.returncode == 0, done.stderr
    return reports(out)


@pytest.fixture
def moved(small: Path, before: dict[str, Any], tmp_path: Path) -> Path:
    """A copy of the cache in another place, with letters beyond ASCII and blanks in its path."""
    assert before
    return Path(shutil.copytree(small, tmp_path / "ein anderer Ort für ihn" / "litesmith", symlinks=True))


def test_a_copied_and_a_moved_cache(moved: Path, before: dict[str, Any], tmp_path: Path) -> None:
    """Every bucket and symbol is the same, and nothing is compiled again."""
    objects = sorted(path.name for path in moved.glob("objects/*/*.o"))
    assert build(moved, tmp_path / "copied").returncode == 0
    assert reports(tmp_path / "copied") == before
    again = moved.rename(tmp_path / "moved")
    assert build(again, tmp_path / "out").returncode == 0
    assert reports(tmp_path / "out") == before
    assert sorted(path.name for path in again.glob("objects/*/*.o")) == objects
    # The program, its symbols and its map are linked again, too, and name no place.
    shutil.rmtree(again / "programs")
    assert build(again, tmp_path / "linked").returncode == 0
    assert reports(tmp_path / "linked") == before
    for path in again.glob("programs/*/*/map"):
        assert str(tmp_path) not in path.read_text()


def test_sizes_are_measured_once(moved: Path, before: dict[str, Any], tmp_path: Path) -> None:
    """The programs with fewer ops are not needed again; a damaged entry is measured again."""
    assert build(moved, tmp_path / "first").returncode == 0
    for path in moved.glob("programs/*/*/program"):
        if path.read_bytes() != before["program"]:
            shutil.rmtree(path.parent)
    assert len(list(moved.glob("programs/*/*/program"))) == 1
    assert build(moved, tmp_path / "second", measured=True).returncode == 0
    assert reports(tmp_path / "second") == before
    assert len(list(moved.glob("programs/*/*/program"))) == 1
    (entry,) = moved.glob("sizes/*.json")
    entry.write_text(entry.read_text().replace("1", "2"))
    assert build(moved, tmp_path / "third", measured=True).returncode == 0
    assert reports(tmp_path / "third") == before
    assert len(list(moved.glob("programs/*/*/program"))) > 1


def test_maps_of_an_earlier_version(moved: Path, before: dict[str, Any], tmp_path: Path) -> None:
    """They name objects of the place where the cache was; no byte of them becomes another's."""
    for path in moved.glob("programs/*/*/map"):
        path.write_text(path.read_text().replace(" objects/", " /gone/litesmith/objects/"))
        path.with_name("map.sha256").unlink()
    assert build(moved, tmp_path / "out").returncode == 0
    assert reports(tmp_path / "out") == before


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip, empty, Path.unlink], ids=lambda damage: damage.__name__)
def test_damaged_entries(
    moved: Path, before: dict[str, Any], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Programs, symbols, maps, libraries and an object: what is damaged is made again."""
    chosen = [path for path in moved.glob("programs/*/*/*") if path.suffix != ".sha256"]
    # The smallest object is compiled in a moment.
    chosen.append(min(moved.glob("objects/*/*.o"), key=lambda path: path.stat().st_size))
    for path in chosen:
        damage(path)
    done = build(moved, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert reports(tmp_path / "out") == before
    for path in chosen:
        assert path.with_name(f"{path.name}.sha256").read_text() == _sha256(path)


def test_a_damaged_source_is_not_compiled(moved: Path, before: dict[str, Any], tmp_path: Path) -> None:
    """It is noticed before anything is compiled, and made again of the originals."""
    for linked in (moved / "sources").glob("farmhash-*"):
        real = linked.readlink()
        linked.unlink()
        (shutil.copytree if real.is_dir() else shutil.copyfile)(real, linked)
    # Those of earlier versions of the pins are not used.
    headers = list((moved / "sources").glob("farmhash-*/src/farmhash.h"))
    assert headers
    for header in headers:
        assert whole_folders.is_whole(header.parents[1])
        header.write_text("#error damaged\n")
    min(moved.glob("objects/*/*.o"), key=lambda path: path.stat().st_size).unlink()
    done = build(moved, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "is damaged: it is made again" in done.stderr
    assert reports(tmp_path / "out") == before
    assert [header for header in headers if header.read_text() != "#error damaged\n"]


def test_an_odd_environment(moved: Path, before: dict[str, Any], tmp_path: Path) -> None:
    """Variables that compilers and Python read change nothing; an object is compiled with them."""
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for name in ("stdio.h", "cstdint", "string.h", "vector", "stddef.h"):
        (wrong / name).write_text("#error another header\n")
    searched = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "LIBRARY_PATH")
    odd = {
        **dict.fromkeys(searched, str(wrong)),
        "ZIG_LIB_DIR": str(wrong),
        "HOME": str(tmp_path / "none"),
        "CFLAGS": "-O0",
        "LC_ALL": "C",
        "PIP_USER": "1",
    }
    shutil.rmtree(moved / "programs")
    min(moved.glob("objects/*/*.o"), key=lambda path: path.stat().st_size).unlink()
    done = build(moved, tmp_path / "out", **odd)
    assert done.returncode == 0, done.stderr
    assert reports(tmp_path / "out") == before


@pytest.mark.usefixtures("root")
def test_a_cache_on_a_read_only_file_system(moved: Path, before: dict[str, Any], tmp_path: Path) -> None:
    """What is in it cannot be used without scratch files there; the line names the variable."""
    assert before
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    command = [sys.executable, "-m", "litesmith", "build", "--target", "x86_64", "--model", str(GESTURE)]
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            str(moved),
            *command,
            "--out",
            str(tmp_path / "out"),
        ],
        env={**os.environ, "LITESMITH_CACHE": str(moved), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    line = one_error_line(done)
    assert (done.returncode, "LITESMITH_CACHE" in line) == (1, True), line


@pytest.mark.full
def test_many_builds_of_three_checkouts_at_once(moved: Path, before: dict[str, Any], tmp_path: Path) -> None:
    """Ten builds of each, with a cache without programs, in which some objects are missing: none fails."""
    checkouts = [tmp_path / f"checkout {number}" for number in range(3)]
    for checkout in checkouts:
        checkout.mkdir()
        names = ("litesmith", "targets", "templates", "ops_registry", "requirements", "docker", "menus")
        for name in (*names, "examples", "pyproject.toml"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, checkout / name)
    shutil.rmtree(moved / "programs")
    for path in sorted(moved.glob("objects/*/*.o"), key=lambda path: path.stat().st_size)[:3]:
        path.unlink()
    for path in (moved / "toolchains").glob("zig-*/zig"):
        path.unlink()
    command = [sys.executable, "-m", "litesmith", "build", "--target", "x86_64", "--model", str(GESTURE)]
    running = []
    for number in range(30):
        code = checkouts[number % 3]
        out = tmp_path / f"out{number}"
        env = {**os.environ, "LITESMITH_CACHE": str(moved), "PYTHONPATH": str(code)}
        running.append(
            subprocess.Popen(
                [*command, "--out", str(out), "--no-verify"],
                cwd=code,
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    failed = []
    for one in running:
        _, said = one.communicate(timeout=900)
        if one.returncode != 0:
            failed.append(said)
    assert failed == []
    for number in range(30):
        assert reports(tmp_path / f"out{number}") == before


@pytest.mark.full
def test_two_builds_into_one_folder(moved: Path, before: dict[str, Any], tmp_path: Path) -> None:
    """The folder is that of one of them: its files are never of both."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "litesmith", "build", "--target", "x86_64", "--model", str(GESTURE)]
    env = {**os.environ, "LITESMITH_CACHE": str(moved), "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [*command, "--out", str(out), "--no-verify"],
            cwd=tmp_path,
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    said = [one.communicate(timeout=600)[1] for one in running]
    assert [one.returncode for one in running] == [0] * 6, said
    assert reports(out) == before
    assert not list(tmp_path.glob(".out*"))
