"""Damaged models in the commands that read them: a result or one error, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import seeds
from tests.hostile.commands import tracebacks

_MODELS = 40
"""Damaged models of each kind; each takes a fifth of a second."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return seeds.written(tmp_path_factory.mktemp("written"))


@pytest.mark.parametrize("seed", ["det", "kws", "words", "control", "strings"])
def test_no_command_ends_in_a_traceback(models: dict[str, Path], seed: str) -> None:
    results, found = tracebacks(seed, models[seed].read_bytes(), range(_MODELS))
    assert not found, found[0]
    assert all(results.values()), results
