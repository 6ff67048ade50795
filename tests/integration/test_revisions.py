from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.model import git_revision, model_file
from tests.models import ADD, RESHAPE, Op, build_model

pytestmark = pytest.mark.build

_WHO = ("-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *_WHO, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose models/det.tflite has one op in its first commit and two in its second."""
    folder = tmp_path / "repository"
    (folder / "models").mkdir(parents=True)
    git(folder.parent, "init", "-q", str(folder))
    for ops in ([Op(ADD)], [Op(ADD), Op(RESHAPE)]):
        (folder / "models/det.tflite").write_bytes(build_model(ops))
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "model")
    monkeypatch.setenv("LITESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(folder)
    return folder


def ops_of(name: str) -> int:
    return len(model_file.open_model(name).analysis.ops())


@pytest.mark.usefixtures("repository")
def test_a_model_of_a_revision() -> None:
    assert ops_of("HEAD:models/det.tflite") == 2
    assert ops_of("HEAD~1:models/det.tflite") == 1
    opened = model_file.open_model("HEAD~1:models/det.tflite")
    assert opened.analysis.path == "HEAD~1:models/det.tflite"
    assert opened.analysis.name == "det"


def test_paths_relative_to_the_working_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "models")
    assert ops_of("HEAD~1:./det.tflite") == 1


def test_a_file_with_a_colon_is_a_file(repository: Path) -> None:
    (repository / "a:b.tflite").write_bytes(build_model())
    assert not git_revision.is_revision("a:b.tflite")
    assert ops_of("a:b.tflite") == 1


@pytest.mark.parametrize(
    "name",
    ["HEAD:models/none.tflite", "nobody:models/det.tflite", "--help:x", "--output=x:models/det.tflite"],
)
def test_revisions_and_files_that_git_does_not_have(repository: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read from git") as caught:
        model_file.open_model(name)
    assert "\n" not in str(caught.value)
    assert not (repository / "x").exists()


def test_a_folder_is_not_a_model(repository: Path) -> None:
    for name in ("HEAD:models", "HEAD:models/.."):
        with pytest.raises(UsageError, match="cannot be read from git"):
            model_file.open_model(name)
    assert not git_revision.is_revision("a:" + "x" * 5000) or repository


def test_errors_name_what_was_typed(repository: Path) -> None:
    (repository / "bad.tflite").write_bytes(b"not a model")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "bad")
    with pytest.raises(UsageError, match=r"HEAD:bad\.tflite"):
        model_file.open_model("HEAD:bad.tflite")


def test_files_in_revisions(repository: Path) -> None:
    assert git_revision.in_revision("v1", "models/det.tflite") == "v1:./models/det.tflite"
    assert git_revision.in_revision("v1", str(repository / "models/det.tflite")) == "v1:./models/det.tflite"
    for other in ("zoo:kws", "HEAD:models/det.tflite"):
        with pytest.raises(UsageError, match=f"{other} has no revision v1"):
            git_revision.in_revision("v1", other)


def test_outside_any_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="not a git repository"):
        model_file.open_model("HEAD:det.tflite")


def test_a_git_lfs_pointer_is_not_a_model(repository: Path) -> None:
    (repository / "big.tflite").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "pointer")
    with pytest.raises(UsageError, match="is stored in Git LFS"):
        model_file.open_model("HEAD:big.tflite")
