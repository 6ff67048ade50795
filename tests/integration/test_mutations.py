"""Models with random bytes changed, in a process whose memory and time are measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.build


def test_two_thousand_mutated_models() -> None:
    """In a separate process, so that its memory can be measured; see mutations.py."""
    script = Path(__file__).parent.parent / "mutations.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2000 models" in done.stdout
    assert "Traceback" not in done.stderr
