"""Models at the edge of what kernels can do are not refused, and their answers are right."""

from __future__ import annotations

from pathlib import Path

from tests.integration.conftest import Build
from tests.kernel_models import RUNS


def test_models_at_the_edge(build: Build, tmp_path: Path) -> None:
    models = []
    for number, (_, make) in enumerate(RUNS):
        models.append(tmp_path / f"m{number}.tflite")
        models[-1].write_bytes(make().content())
    verdicts = build("x86_64", *models).json("verify.json")["verdicts"]
    assert [verdict["passed"] for verdict in verdicts] == [True] * len(RUNS)
