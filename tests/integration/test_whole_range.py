"""One kernel source gives the same answers on every target, over the whole range of its input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from litesmith.measure.verify import reference
from litesmith.measure.verify.executor import LocalExecutor
from litesmith.measure.verify.limits import op_numbers
from litesmith.measure.verify.limits.limit import SMALLEST, subnormal
from litesmith.measure.verify.reference import Question
from litesmith.model import contents, entry_points
from litesmith.model.samples import Sample
from litesmith.model.tensors import Array
from tests import range_models
from tests.integration.op_cases import Prepared, build_program, output_bytes


def _prepare(folder: Path) -> list[Prepared]:
    made = []
    for one in range_models.cases():
        path = one.case.write(folder)
        analysis = contents.analyse(path)
        (part,) = entry_points.parts(analysis)
        made.append((one, path, analysis, part))
    answers = reference.answers(
        [
            Question(model=path, sha256=analysis.sha256, entry=part.entry, samples={"all": (one.values,)})
            for one, path, analysis, part in made
        ]
    )
    return [
        Prepared(
            op=one.case.op,
            path=path,
            analysis=analysis,
            part=part,
            tried={"all": Sample(inputs=(one.values,))},
            answers=answer,
        )
        for (one, path, analysis, part), answer in zip(made, answers, strict=True)
    ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> list[Prepared]:
    return _prepare(tmp_path_factory.mktemp("range"))


def ulps(one: Array, other: Array) -> Array:
    """The number of float32 values between two, elementwise; 0 for two NaNs or two zeros."""
    ordered = []
    for values in (one, other):
        bits = values.view(np.int32).astype(np.int64)
        ordered.append(np.where(bits < 0, -(bits & 0x7FFFFFFF), bits))
    return np.where(np.isnan(one) & np.isnan(other), 0, np.abs(ordered[0] - ordered[1]))


@pytest.mark.parametrize("target", ["x86_64", "armv7", "armv6", "aarch64", "riscv64"])
def test_every_target_gives_the_answers_of_the_reference(prepared: list[Prepared], target: str) -> None:
    program = build_program(target, prepared, pruned=True)
    wrong = [text for case in prepared if (text := _difference(program, case))]
    assert not wrong, "\n".join(wrong)


def _difference(program: tuple[Path, LocalExecutor], case: Prepared) -> str:
    (expected,) = case.answers["all"].outputs
    (raw,) = output_bytes(*program, case, "all")
    actual = np.frombuffer(raw, expected.dtype).reshape(expected.shape)
    (values,) = case.tried["all"].inputs
    if expected.dtype == np.float32:
        distance = ulps(actual, expected)
        with np.errstate(invalid="ignore"):
            small = np.abs(actual.astype(np.float64) - expected) <= op_numbers.ABSOLUTE.get(case.op, SMALLEST)
        distance = np.where(small | subnormal(values), 0, distance)
        limit = op_numbers.ULP.get(case.op, op_numbers.ULP_ELSE)
    else:
        distance = np.abs(actual.astype(np.int64) - expected.astype(np.int64))
        limit = 0
    if distance.max() <= limit:
        return ""
    at = np.unravel_index(distance.argmax(), distance.shape)
    return (
        f"{case.path.stem}: {np.count_nonzero(distance > limit)} of {distance.size} differ, at most by "
        f"{distance.max()}: {actual[at]} instead of {expected[at]} for {values[at]}"
    )
