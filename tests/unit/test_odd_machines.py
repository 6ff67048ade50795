"""Machines and names that are unusual: each works, or one line says what to set."""

from __future__ import annotations

import errno
import os
import pwd
import threading
from pathlib import Path

import pytest

from litesmith.base import files, packages, paths
from litesmith.base.errors import UsageError
from litesmith.cli.error_handling import _explained
from litesmith.model import git_revision
from litesmith.model.model_file import joint_name, open_model
from litesmith.runtime import custom_ops
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.source_tree import SourceTree
from litesmith.toolchain import zig
from tests.conftest import EXAMPLES, ROOT, Cli

GESTURE = EXAMPLES / "gesture.tflite"


def test_no_home_and_no_passwd_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(_: int) -> pwd.struct_passwd:
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME", "LITESMITH_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(UsageError, match="set HOME, or name a folder in LITESMITH_CACHE"):
        paths.cache_folder()
    monkeypatch.setenv("LITESMITH_CACHE", str(tmp_path))
    assert paths.cache_folder() == tmp_path


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR])
def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int) -> None:
    monkeypatch.setenv("LITESMITH_CACHE", str(tmp_path / "cache"))
    error = OSError(number, os.strerror(number), str(tmp_path / "cache/objects/ab"))
    message, advice, code = _explained(error)
    assert message.startswith(str(tmp_path / "cache/objects/ab"))
    assert (advice, code) == (
        f"name a folder that can be written in LITESMITH_CACHE, in place of {tmp_path / 'cache'}",
        1,
    )


def test_a_full_folder_of_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LITESMITH_CACHE", "/somewhere/else")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "litesmith-x/in0.bin"))
    assert _explained(full)[1] == f"free some disk space, or name another folder than {tmp_path} in TMPDIR"
    # The user's own folder there is another matter.
    out = OSError(errno.EACCES, "Permission denied", str(tmp_path / "out/bin"))
    assert _explained(out)[1] == "check the permissions"
    none = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert _explained(none)[1] == "name a folder that can be written in TMPDIR"


def test_compilers_see_no_variable_that_changes_programs() -> None:
    assert not {"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "ZIG_LIB_DIR"} & set(
        zig.ENVIRONMENT
    )


def test_pip_installs_into_the_environment() -> None:
    assert packages.PIP_ENVIRONMENT == {"PIP_USER": "0"}
    lines = (ROOT / "inv").read_text().splitlines()
    start = lines.index("set -eu")
    assert "unset PYTHONPATH PYTHONHOME" in lines[start : start + 8]
    assert "PIP_USER=0" in lines[start : start + 8]


def test_a_repository_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "fatal: detected dubious ownership in repository at '/work/it'\nTo add an exception ...\n"
    refused = git_revision.process.Completed(argv=("git",), code=128, stdout=b"", stderr=said)
    monkeypatch.setattr(git_revision.process, "run", lambda *_, **__: refused)
    with pytest.raises(UsageError, match=r"git config --global --add safe\.directory /work/it"):
        git_revision.fetch("HEAD:./m.tflite")


def test_thirty_models_in_one_program(tmp_path: Path) -> None:
    models = []
    for number in range(30):
        path = tmp_path / f"a model with quite a long name, number {number}.tflite"
        path.write_bytes(GESTURE.read_bytes())
        models.append(open_model(str(path)))
    name = joint_name(models)
    assert len(name.encode()) <= 160
    assert name.startswith("a_model_with_quite_a_long_name")
    assert name != joint_name(models[:-1])
    assert joint_name(models[:1]) == "a_model_with_quite_a_long_name__number_0"


@pytest.mark.parametrize("letter", ["x", "ü", "漢"])
def test_a_long_name(tmp_path: Path, letter: str) -> None:
    path = tmp_path / f"{letter * (240 // len(letter.encode()))}.tflite"
    path.write_bytes(GESTURE.read_bytes())
    name = joint_name([open_model(str(path))])
    assert len(name.encode()) <= 160
    files.write_atomically(tmp_path / f"{name}.debug", b"")


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As --html /dev/stdout: the page goes to the terminal."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    files.write_atomically(pipe, "page")
    reader.join(10)
    assert (read, pipe.is_fifo()) == ([b"page"], True)
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    files.write_atomically(link, "page")
    assert link.is_symlink()
    assert Path("/dev/null").is_char_device()


def test_a_page_onto_a_device(cli: Cli) -> None:
    done = cli("plan", "--model", GESTURE, "--target", "armv7", "--html", "/dev/null")
    assert done.returncode == 0, done.stderr
    assert Path("/dev/null").is_char_device()


def test_a_link_in_the_output_folder_is_replaced(tmp_path: Path) -> None:
    """What it leads to is another's and stays as it is."""
    elsewhere, staged, final = tmp_path / "elsewhere", tmp_path / "staged", tmp_path / "out"
    for folder in (elsewhere, staged / "bin", final):
        folder.mkdir(parents=True)
    (elsewhere / "ls").write_text("mine")
    (staged / "bin/program").write_text("program")
    (staged / "manifest.json").write_text("{}")
    (final / "bin").symlink_to(elsewhere)
    files.publish(staged, final)
    assert not (final / "bin").is_symlink()
    assert (final / "bin/program").read_text() == "program"
    assert [path.name for path in elsewhere.iterdir()] == ["ls"]


OP = "ops: [{{name: {name}, registration: f, sources: [op.cc], include: [include]}}]\n"


def test_a_header_that_is_a_link_out_of_the_folder(tmp_path: Path, registry: Registry) -> None:
    folder = tmp_path / "op"
    (folder / "include").mkdir(parents=True)
    (folder / "op.cc").write_text("")
    (folder / "op.yaml").write_text(OP.format(name="Mine"))
    (tmp_path / "secret.h").write_text("secret")
    (folder / "include/secret.h").symlink_to(tmp_path / "secret.h")
    tree = SourceTree(root=tmp_path / "tree", sources={})
    with pytest.raises(UsageError, match=r"include/secret\.h is a link out of"):
        custom_ops.extend(folder / "op.yaml", registry, tree)
    assert not tree.root.exists()


@pytest.mark.parametrize("name", ['"a\\""', '"a\\\\b"', '"a\\nb"', '"a\\e[2J"'])
def test_names_of_custom_ops_are_plain(tmp_path: Path, registry: Registry, name: str) -> None:
    """They are in C++ strings of the program."""
    (tmp_path / "op.yaml").write_text(OP.format(name=name))
    with pytest.raises(UsageError, match="without quotation marks, backslashes and control characters"):
        custom_ops.extend(tmp_path / "op.yaml", registry, SourceTree(root=tmp_path, sources={}))
