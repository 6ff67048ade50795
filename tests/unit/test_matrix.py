from __future__ import annotations

import json
from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.workflow import matrix


def test_failed_cells_do_not_stop_the_others(tmp_path: Path) -> None:
    """None of these reaches a compiler."""
    found = matrix.run(
        ("armv7", "nonsense", "armv6"), ("gone.tflite", "zoo:none"), ("zig", "gcc"), tmp_path / "out"
    )
    assert len(found.cells) == 12
    assert {cell.verdict for cell in found.cells} == {"failed"}
    reasons = {(cell.target, cell.toolchain): cell.reason for cell in found.cells}
    assert "unknown target 'nonsense'" in reasons["nonsense", "zig"]
    assert "has no toolchain 'gcc'" in reasons["armv6", "gcc"]
    assert found.exit_code == 2
    stored = json.loads((tmp_path / "out/matrix.json").read_text())
    assert stored["failed"] == 12
    assert stored["cells"][0] | {"seconds": 0} == found.to_json()["cells"][0] | {"seconds": 0}


def test_models_of_the_same_name_have_their_own_folders(tmp_path: Path) -> None:
    found = matrix.run(("armv7",), ("a/x.tflite", "b/x.tflite", "zoo:x"), (None, "gcc:static"), tmp_path)
    folders = [Path(cell.folder).relative_to(tmp_path) for cell in found.cells]
    assert folders == [
        Path("armv7/default/x"),
        Path("armv7/default/x-2"),
        Path("armv7/default/x-3"),
        Path("armv7/gcc-static/x"),
        Path("armv7/gcc-static/x-2"),
        Path("armv7/gcc-static/x-3"),
    ]


def test_a_combination_is_built_once(tmp_path: Path) -> None:
    assert len(matrix.run(("armv7", "armv7"), ("x.tflite", "x.tflite"), (None,), tmp_path).cells) == 1


@pytest.mark.parametrize(("targets", "models"), [((), ("x",)), (("armv7",), ())])
def test_nothing_to_build(tmp_path: Path, targets: tuple[str, ...], models: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="is empty"):
        matrix.run(targets, models, (None,), tmp_path)


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        matrix.run(("armv7",), ("x",), (None,), tmp_path / "x")
