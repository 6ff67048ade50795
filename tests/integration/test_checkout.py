"""The files of the checkout, and the modules that the first steps of a command import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.build


def test_listing_the_tasks_imports_nothing_heavy() -> None:
    code = (
        "import sys; import litesmith.cli.commands as c; c.namespace(development=True); "
        "heavy = {'numpy', 'pydantic', 'jinja2', 'rich', 'requests', 'elftools', 'ai_edge_litert', "
        "'tensorflow', 'PIL'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_analysis_imports_no_interpreter() -> None:
    code = (
        "import sys; from litesmith.model import model_file; "
        "from litesmith.runtime import op_registry; "
        "model_file.open_model('examples/det.tflite'); op_registry.load(); "
        "heavy = {'ai_edge_litert', 'tensorflow', 'numpy', 'requests', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def tracked_files() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = done.stdout.splitlines() if done.returncode == 0 else []
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_registry_or_mirror_is_named() -> None:
    forbidden = re.compile(
        r"(deb|ftp|security)\.debian\.org|pypi\.org|pythonhosted|registry\.npmjs|/opt/pypi"
    )
    this = Path(__file__).resolve()
    for path in tracked_files():
        if path != this and path.suffix not in {".tflite", ".npz", ".png"}:
            assert not forbidden.search(path.read_text(errors="replace")), path


def test_shell_scripts_have_no_syntax_errors() -> None:
    for script in ("inv", "requirements/lock", ".ci/run"):
        subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
