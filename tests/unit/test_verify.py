from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from litesmith.base import files, process
from litesmith.base.errors import NoExecutorError, UsageError
from litesmith.measure.verify import verification
from litesmith.measure.verify.executor import find_executor
from litesmith.measure.verify.reference import Question
from litesmith.measure.verify.verification import FLOAT_TOLERANCE, HOPELESS, Verdict, Worst
from litesmith.model import contents, entry_points, samples
from litesmith.model.contents import ModelAnalysis
from litesmith.model.entry_points import Entry
from litesmith.study.op_models.writer import Graph
from litesmith.target import profiles
from tests.conftest import EXAMPLES
from tests.models import Op, build_model


def tried(model: ModelAnalysis, path: Path) -> dict[str, tuple[samples.Array, ...]]:
    """Inputs of the samples for the first subgraph."""
    (part, *_) = entry_points.parts(model)
    return {name: sample.inputs for name, sample in samples.samples(model, path, part).items()}


def why_not(path: Path) -> str:
    model = contents.analyse(path)
    return verification._not_comparable(model, entry_points.parts(model))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint32", "uint64"])
def test_integers_must_be_equal(dtype: str) -> None:
    expected = np.array([1, 100, 7], dtype)
    assert verification.compare(expected, expected.copy()) == (0.0, 0.0)
    other = expected.copy()
    other[1] -= 3
    assert verification.compare(expected, other) == (3.0, 0.0)


def test_integers_at_the_ends_do_not_wrap() -> None:
    assert verification.compare(np.array([-128], np.int8), np.array([127], np.int8)) == (255.0, 0.0)
    least = np.array([np.iinfo(np.int64).min])
    assert verification.compare(least, np.array([np.iinfo(np.int64).max]))[0] == float(2**64 - 1)


def test_floats_are_compared_within_the_outputs_range() -> None:
    expected = np.array([-5.0, 0.0, 15.0], np.float32)
    error, tolerance = verification.compare(expected, expected + np.float32(2e-3))
    assert tolerance == FLOAT_TOLERANCE == 1e-5
    assert error == pytest.approx(2e-3 / 20, rel=1e-3)


def test_a_constant_output_is_compared_by_its_magnitude() -> None:
    expected = np.full(3, 4.0, np.float32)
    assert verification.compare(expected, expected + np.float32(0.4))[0] == pytest.approx(0.1, rel=1e-3)


def test_a_zero_output_is_compared_absolutely() -> None:
    expected = np.zeros(3, np.float32)
    assert verification.compare(expected, expected + np.float32(0.5))[0] == pytest.approx(0.5)


def test_nan_equals_nan_and_nothing_else() -> None:
    nan = np.array([np.nan, 1.0], np.float32)
    assert verification.compare(nan, nan.copy())[0] == 0.0
    assert verification.compare(nan, np.array([0.0, 1.0], np.float32))[0] == HOPELESS
    assert verification.compare(np.array([1.0, 2.0]), np.array([np.nan, 2.0]))[0] == HOPELESS


def test_infinities() -> None:
    values = np.array([np.inf, -np.inf, 1.0], np.float32)
    assert verification.compare(values, values.copy())[0] == 0.0
    assert verification.compare(values, -values)[0] == HOPELESS


def test_booleans_and_empty_outputs() -> None:
    assert verification.compare(np.array([True, False]), np.array([True, True])) == (1.0, 0.0)
    assert verification.compare(np.zeros(0, np.float32), np.zeros(0, np.float32))[0] == 0.0
    assert verification.compare(np.zeros(0, np.int8), np.zeros(0, np.int8))[0] == 0.0


def test_complex_outputs() -> None:
    values = np.array([3 + 4j, 0], np.complex64)
    assert verification.compare(values, values + 0.5j)[0] == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("name", ["det", "digits", "words", "gesture"])
def test_examples_are_tried_with_real_inputs(name: str) -> None:
    path = EXAMPLES / f"{name}.tflite"
    model = contents.analyse(path)
    found = tried(model, path)
    assert [sample for sample in found if sample.startswith("real")] == [f"real {i}" for i in range(4)]
    assert {"zeros", "random 0", "random 1", "random 2"} <= set(found)
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    for values in found.values():
        assert [v.shape for v in values] == [tensor.shape]
        assert [str(v.dtype) for v in values] == [tensor.dtype]


def test_random_inputs_are_the_same_every_time() -> None:
    path = EXAMPLES / "words.tflite"
    model = contents.analyse(path)
    first, second = (tried(model, path)["random 1"][0] for _ in range(2))
    assert np.array_equal(first, second)
    assert first.min() < -100
    assert first.max() > 100


def test_inputs_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "words.tflite"
    path.write_bytes((EXAMPLES / "words.tflite").read_bytes())
    np.savez(tmp_path / "words.inputs.npz", **{"0_0": np.zeros((1, 2), np.int8)})
    with pytest.raises(UsageError, match=r"words.inputs.npz, real 0: int8\[1, 2\] does not fit"):
        tried(contents.analyse(path), path)


def test_inputs_that_are_no_arrays(tmp_path: Path) -> None:
    path = tmp_path / "words.tflite"
    path.write_bytes((EXAMPLES / "words.tflite").read_bytes())
    (tmp_path / "words.inputs.npz").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be used as inputs"):
        tried(contents.analyse(path), path)


def test_a_missing_emulator_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoExecutorError) as error:
        find_executor(profiles.load("armv7"))
    assert str(error.value) == "qemu-arm is not installed; apt-get install qemu-user"


def test_the_build_machine_needs_no_emulator() -> None:
    assert find_executor(profiles.load("x86_64")).argv == ()


def test_another_cpu_needs_an_emulator() -> None:
    with pytest.raises(UsageError, match="has no emulator"):
        find_executor(profiles.load("x86_64"), "max")


def verdict(passed: bool | None, dtype: str = "int8") -> Verdict:
    worst = None
    if passed is not None:
        worst = Worst(sample="real 0", output=1, name="scores", dtype=dtype, error=2.0, tolerance=0.0)
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


def test_the_line_of_a_verdict() -> None:
    assert verdict(False).line() == (
        "m.tflite: WRONG, 4 inputs, worst output 1 (scores) on real 0: error 2 steps, tolerance 0 steps, "
        "ran with qemu-arm"
    )
    assert "verified, 4 inputs" in verdict(True, "float32").line()
    assert "steps" not in verdict(True, "float32").line()
    assert verdict(None).line() == "m.tflite: not verified: qemu-arm is not installed"


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (Op(148), "random numbers"),
        (Op(0, dtypes=(0, 13)), "'t1' has the dtype resource"),
        (Op(0, dtypes=(0, 5)), ""),
        (Op(0), ""),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, op: Op, reason: str) -> None:
    (tmp_path / "m.tflite").write_bytes(build_model([op]))
    found = why_not(tmp_path / "m.tflite")
    assert reason in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04" + bytes(40), b"\x93NUMPY"])
def test_inputs_files_that_are_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "words.tflite"
    path.write_bytes((EXAMPLES / "words.tflite").read_bytes())
    (tmp_path / "words.inputs.npz").write_bytes(content)
    with pytest.raises(UsageError, match="cannot be used as inputs"):
        tried(contents.analyse(path), path)


def test_an_input_of_unknown_size_has_the_allocated_shape(tmp_path: Path) -> None:
    def dynamic(model: object) -> None:
        model.subgraphs[0].tensors[0].shape = [4, 4]  # type: ignore[attr-defined]
        model.subgraphs[0].tensors[0].shapeSignature = [-1, 4]  # type: ignore[attr-defined]

    path = tmp_path / "m.tflite"
    path.write_bytes(build_model(change=dynamic))
    assert tried(contents.analyse(path), path)["zeros"][0].shape == (4, 4)


def test_an_input_larger_than_the_machine(tmp_path: Path) -> None:
    def huge(model: object) -> None:
        model.subgraphs[0].tensors[0].shape = [2**31 - 1] * 4  # type: ignore[attr-defined]

    path = tmp_path / "m.tflite"
    path.write_bytes(build_model(change=huge))
    assert "elements" in why_not(path)


def test_strings_are_compared_one_by_one() -> None:
    words = np.array([b"a", b"", "ä".encode()], object)
    assert verification.compare(words, words.copy()) == (0.0, 0.0)
    assert verification.compare(words, np.array([b"a", b"x", b""], object)) == (2.0, 0.0)


@pytest.mark.parametrize(("factor", "least", "most"), [(1.0, 0.0, 1e-5), (1e5, 1e-3, 1.0)])
def test_what_a_rounding_of_the_inputs_moves(
    tmp_path: Path, factor: float, least: float, most: float
) -> None:
    g = Graph()
    scaled = g.tensor([1, 64], "float32")
    g.op("MUL", [g.input([1, 64]), g.const(np.full([1, 64], factor))], [scaled], "Mul")
    g.op("SIN", [scaled], [g.output()])
    path = tmp_path / "sine.tflite"
    path.write_bytes(g.content())
    inputs = [np.random.default_rng(1).uniform(-1, 1, [1, 64]).astype(np.float32)]
    question = Question(
        model=path, sha256=files.digest_of(g.content().hex()), entry=Entry(), samples={"exact": inputs}
    )
    assert least <= verification.moved_by_rounding(question, 0) <= most


def test_a_program_says_why_it_fails() -> None:
    def failed(stderr: str) -> str:
        return verification._complaint(process.Completed(argv=("p",), code=4, stdout=b"", stderr=stderr))

    said = "ERROR: a.cc:1 INT8 != FLOAT32\nERROR: Node number 5 (ADD) failed to prepare.\nerror: see above\n"
    assert failed(said) == "a.cc:1 INT8 != FLOAT32; Node number 5 (ADD) failed to prepare"
    assert failed("error: no memory\n") == "error: no memory"
    assert failed("") == "it said nothing"
