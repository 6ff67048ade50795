from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from litesmith.base import process
from litesmith.base.errors import NoExecutorError, UsageError, VerificationError
from litesmith.measure.verify import reference, verification
from litesmith.measure.verify.cases import Case, detection_counts
from litesmith.measure.verify.comparison import INCOMPARABLE, error_of
from litesmith.measure.verify.executor import find_executor
from litesmith.measure.verify.judgement import compare_case
from litesmith.measure.verify.program_under_test import ProgramUnderTest
from litesmith.measure.verify.reference import Answer, Question
from litesmith.measure.verify.tolerance import tolerance_of
from litesmith.measure.verify.verdict import Output, Verdict
from litesmith.model import entry_points, samples
from litesmith.model.model_file import open_model
from litesmith.model.tensors import Array
from litesmith.study.op_models.writer import Graph
from litesmith.target import profiles
from tests.conftest import EXAMPLES
from tests.models import Op, build_model


def why_not(path: Path) -> str:
    model = open_model(str(path))
    return verification.why_not_comparable(model, entry_points.parts(model.analysis))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint32", "uint64"])
def test_integers_must_be_equal(dtype: str) -> None:
    expected = np.array([1, 100, 7], dtype)
    assert error_of(expected, expected.copy()) == 0.0
    other = expected.copy()
    other[1] -= 3
    assert error_of(expected, other) == 3.0


def test_extreme_integers_do_not_wrap() -> None:
    assert error_of(np.array([-128], np.int8), np.array([127], np.int8)) == 255.0
    least = np.array([np.iinfo(np.int64).min])
    assert error_of(least, np.array([np.iinfo(np.int64).max])) == float(2**64 - 1)


def test_floats_are_compared_within_the_outputs_range() -> None:
    expected = np.array([-5.0, 0.0, 15.0], np.float32)
    assert error_of(expected, expected + np.float32(2e-3)) == pytest.approx(2e-3 / 20, rel=1e-3)


def test_a_constant_output_is_compared_by_its_magnitude() -> None:
    expected = np.full(3, 4.0, np.float32)
    assert error_of(expected, expected + np.float32(0.4)) == pytest.approx(0.1, rel=1e-3)


def test_a_zero_output_is_compared_absolutely() -> None:
    expected = np.zeros(3, np.float32)
    assert error_of(expected, expected + np.float32(0.5)) == pytest.approx(0.5)


def test_nan_equals_nan_and_nothing_else() -> None:
    nan = np.array([np.nan, 1.0], np.float32)
    assert error_of(nan, nan.copy()) == 0.0
    assert error_of(nan, np.array([0.0, 1.0], np.float32)) == INCOMPARABLE
    assert error_of(np.array([1.0, 2.0]), np.array([np.nan, 2.0])) == INCOMPARABLE


def test_infinities() -> None:
    values = np.array([np.inf, -np.inf, 1.0], np.float32)
    assert error_of(values, values.copy()) == 0.0
    assert error_of(values, -values) == INCOMPARABLE


def test_booleans_and_empty_outputs() -> None:
    assert error_of(np.array([True, False]), np.array([True, True])) == 1.0
    assert error_of(np.zeros(0, np.float32), np.zeros(0, np.float32)) == 0.0
    assert error_of(np.zeros(0, np.int8), np.zeros(0, np.int8)) == 0.0


def test_complex_outputs() -> None:
    values = np.array([3 + 4j, 0], np.complex64)
    assert error_of(values, values + 0.5j) == pytest.approx(0.1, rel=1e-3)


def test_a_missing_emulator_names_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoExecutorError) as error:
        find_executor(profiles.load("armv7"))
    assert str(error.value) == "qemu-arm is not installed; apt-get install qemu-user"


def test_this_machine_needs_no_emulator() -> None:
    assert find_executor(profiles.load("x86_64")).argv == ()


def test_another_cpu_needs_an_emulator() -> None:
    with pytest.raises(UsageError, match="has no emulator"):
        find_executor(profiles.load("x86_64"), "max")


def verdict(passed: bool | None, dtype: str = "int8") -> Verdict:
    worst = None
    if passed is not None:
        worst = Output(
            sample="real 0", output=1, name="scores", dtype=dtype, error=2.0, tolerance=0.0, reason="equal"
        )
    return Verdict(
        passed=passed,
        reason="qemu-arm is not installed" if passed is None else "",
        model="m.tflite",
        samples=4,
        worst=worst,
        reference="reference",
        ran_with="qemu-arm",
        program_sha256="0",
    )


def test_the_summary_line_of_a_verdict() -> None:
    assert verdict(False).line() == (
        "m.tflite: WRONG, 4 inputs, worst output 1 (scores) on real 0: error 2 steps, tolerance 0 steps, "
        "ran with qemu-arm"
    )
    assert "verified, 4 inputs" in verdict(True, "float32").line()
    assert "steps" not in verdict(True, "float32").line()
    assert verdict(None).line() == "m.tflite: not verified: qemu-arm is not installed"


def test_a_verdict_by_nodes_names_what_was_not_compared() -> None:
    found = replace(verdict(True), nodes=7, uncompared=("state", "table", "cache"))
    assert "every node is right on the reference's own inputs, but state and 2 more tensors" in found.line()
    assert Verdict.from_json(json.dumps(found.to_json())) == found
    whole = replace(found, uncompared=())
    assert "own inputs; worst output 1" in whole.line()


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (Op(148), "random numbers"),
        (Op(0, dtypes=(0, 13)), "'t1' has the dtype resource"),
        (Op(0, dtypes=(0, 5)), ""),
        (Op(0), ""),
    ],
)
def test_outputs_that_cannot_be_compared_are_reported(tmp_path: Path, op: Op, reason: str) -> None:
    (tmp_path / "m.tflite").write_bytes(build_model([op]))
    found = why_not(tmp_path / "m.tflite")
    assert reason in found
    assert bool(found) == bool(reason)


def test_an_input_larger_than_memory(tmp_path: Path) -> None:
    def huge(model: object) -> None:
        model.subgraphs[0].tensors[0].shape = [2**15, 2**15]  # type: ignore[attr-defined]

    path = tmp_path / "m.tflite"
    path.write_bytes(build_model(change=huge))
    assert "elements" in why_not(path)


def test_strings_are_compared_one_by_one() -> None:
    words = np.array([b"a", b"", "ä".encode()], object)
    assert error_of(words, words.copy()) == 0.0
    assert error_of(words, np.array([b"a", b"x", b""], object)) == 2.0


class Failing:
    """An executor whose program prints ``stderr`` and ends with the exit code 4."""

    description = "a test"

    def __init__(self, stderr: str) -> None:
        self._stderr = stderr

    def run(
        self,
        program: str,
        arguments: Sequence[str],
        inputs: Sequence[Array],  # noqa: ARG002
        outputs: Path,  # noqa: ARG002
    ) -> process.Completed:
        return process.Completed(argv=(program, *arguments), code=4, stdout=b"", stderr=self._stderr)


SAID = "ERROR: a.cc:1 INT8 != FLOAT32\nERROR: Node number 5 (ADD) failed to prepare.\nerror: see above\n"


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (SAID, "a.cc:1 INT8 != FLOAT32; Node number 5 (ADD) failed to prepare"),
        ("error: no memory\n", "error: no memory"),
        ("", "it printed no error message"),
    ],
)
def test_the_error_of_a_failed_program_is_reported(stderr: str, reason: str) -> None:
    model = open_model(str(EXAMPLES / "digits.tflite"))
    (part,) = entry_points.parts(model.analysis)
    found = samples.samples(model.analysis, model.path, part)["zeros"]
    case = Case(part=part, sample="zeros", inputs=found.inputs, expected=())
    with pytest.raises(VerificationError) as error:
        ProgramUnderTest(executor=Failing(stderr), path="p", model="m").run(case)
    assert error.value.message == f"the program failed on zeros with exit code 4: {reason}"


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("int8", 0.0), ("int64", 0.0), ("bool", 0.0), ("float32", 1e-5), ("complex64", 1e-5)],
)
def test_the_tolerance_of_a_dtype(dtype: str, value: float) -> None:
    found = tolerance_of(np.zeros(1, dtype))
    assert found.value == value
    assert found.reason


class Answering:
    """An executor whose program writes ``outputs``."""

    description = "a test"

    def __init__(self, *outputs: Array) -> None:
        self._outputs = outputs

    def run(
        self,
        program: str,
        arguments: Sequence[str],
        inputs: Sequence[Array],  # noqa: ARG002
        outputs: Path,
    ) -> process.Completed:
        for position, value in enumerate(self._outputs):
            (outputs / f"out{position}.bin").write_bytes(value.tobytes())
        return process.Completed(argv=(program, *arguments), code=0, stdout=b"{}", stderr="")


RIGHT = np.array([1.0, 2.0, 4.0], np.float32)


def verified(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    output: Array,
    rejected: Sequence[str] = (),
    earlier: Verdict | None = None,
) -> Verdict:
    """The verdict on a program that writes ``output``; the reference rejects the samples ``rejected``."""

    def answers(questions: Sequence[Question]) -> list[dict[str, Answer]]:
        return [
            {
                name: Answer(outputs=(), error="a bad axis")
                if name in rejected
                else Answer(outputs=(RIGHT,), error="")
                for name in question.samples
            }
            for question in questions
        ]

    monkeypatch.setattr(reference, "answers", answers)
    g = Graph()
    g.op("ABS", [g.input([3])], [g.output()], "Abs")
    path = folder / "m.tflite"
    path.write_bytes(g.content())
    np.savez(folder / "m.inputs.npz", **{"0_0": RIGHT})
    program = ProgramUnderTest(executor=Answering(output), path="p", model="m")
    return verification.verify_with(program, open_model(str(path)), program_digest="0", earlier=earlier)


def test_a_program_with_the_right_outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = verified(monkeypatch, tmp_path, RIGHT)
    assert (found.passed, found.samples, found.reason) == (True, 5, "")
    assert found.worst == Output(
        sample="real 0",
        output=0,
        name="t1",
        dtype="float32",
        error=0.0,
        tolerance=1e-5,
        reason="floats may be summed in another order",
    )
    assert found.outputs == (found.worst,)
    assert (found.status, found.how, found.nodes) == ("verified", "the outputs of the model", 0)


def test_a_program_with_a_wrong_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = verified(monkeypatch, tmp_path, RIGHT + np.float32(0.3))
    assert found.passed is False
    assert found.worst is not None
    assert found.worst.error == pytest.approx(0.1)
    assert found.reason == "reason for the tolerance: floats may be summed in another order"


def test_an_output_of_another_size_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = verified(monkeypatch, tmp_path, RIGHT[:2])
    assert found.passed is False
    assert found.worst is not None
    assert (found.worst.error, found.worst.tolerance) == (INCOMPARABLE, 0.0)


def test_generated_inputs_that_the_reference_rejects_are_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = verified(monkeypatch, tmp_path, RIGHT, ["zeros", "random 1"])
    assert (found.passed, found.samples) == (True, 3)


def test_inputs_of_the_user_that_the_reference_rejects_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(VerificationError, match="the reference interpreter cannot run real 0: a bad axis"):
        verified(monkeypatch, tmp_path, RIGHT, ["real 0"])


def test_a_program_that_fails_is_wrong() -> None:
    model = open_model(str(EXAMPLES / "digits.tflite"))
    found = verification.failed(model, VerificationError("the program failed on zeros"), "0")
    assert (found.status, found.fails) == ("wrong", True)
    assert found.line().endswith("digits.tflite: WRONG: the program failed on zeros")


def test_a_model_that_the_reference_refuses_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(samples, "_real_samples", lambda *_: {})
    every = ["zeros", "random 0", "random 1", "random 2"]
    found = verified(monkeypatch, tmp_path, RIGHT, every)
    assert (found.status, found.refused, found.fails) == ("not verified", True, True)
    assert found.line().endswith("not verified: the reference interpreter cannot run it: a bad axis")


def test_outputs_elsewhere_may_drift_as_far_as_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    close = verified(monkeypatch, tmp_path, RIGHT)
    far = replace(
        close, outputs=tuple(replace(one, tolerance=0.2, reason="4 × its drift") for one in close.outputs)
    )
    output = RIGHT + np.float32(0.3)
    assert verified(monkeypatch, tmp_path, output, earlier=close).status == "wrong"
    assert verified(monkeypatch, tmp_path, output, earlier=far).status == "verified"


def test_a_verdict_json_round_trip() -> None:
    for passed in (True, False, None):
        found = verdict(passed)
        assert Verdict.from_json(json.dumps(found.to_json())) == found


@pytest.mark.parametrize(("row", "wrong"), [(1, [0]), (2, [])])
def test_rows_after_the_last_detection_are_not_compared(row: int, wrong: list[int]) -> None:
    """No kernel writes them: they hold what was in the arena before, in the reference as in a program."""
    model = open_model(str(EXAMPLES / "det.tflite"))
    (part,) = entry_points.parts(model.analysis)
    expected = [np.zeros(tensor.shape, np.float32) for tensor in part.outputs]
    expected[0][0, 0] = 1
    expected[3][0] = 2
    outputs = [value.copy() for value in expected]
    outputs[0][0, row] = 7
    case = Case(
        part=part,
        sample="zeros",
        inputs=tuple(np.zeros(tensor.shape, np.int8) for tensor in part.inputs),
        expected=expected,
        detection_counts=detection_counts(model.analysis, part),
    )
    program = ProgramUnderTest(executor=Answering(*outputs), path="p", model="m")
    assert [one.position for one in compare_case(program, case) if one.is_wrong] == wrong
