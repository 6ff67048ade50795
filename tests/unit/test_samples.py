from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from litesmith.base.errors import UsageError
from litesmith.model import contents, entry_points, samples, tensors
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.entry_points import Choice
from litesmith.study.op_models.writer import Graph
from tests.conftest import EXAMPLES
from tests.models import build_model


def two_signatures(folder: Path) -> Path:
    """A model with one signature that doubles a vector of unknown length, and one that joins strings."""
    g = Graph()
    x = g.input([1, 3], signature=[-1, 3])
    y = g.output()
    g.op("ADD", [x, x], [y], "Add")
    g.subgraph("words")
    a, b = g.input([2], "string"), g.input([2], "string")
    c = g.output("bool", [2])
    g.op("EQUAL", [a, b], [c], "Equal")
    g.signature("double", 0, {"x": x}, {"y": y})
    g.signature("equal", 1, {"second": b, "first": a}, {"same": c})
    path = folder / "m.tflite"
    path.write_bytes(g.content())
    return path


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ([], {}),
        (["x=1x2x3"], {"x": (1, 2, 3)}),
        (["serving_default_a=b:0=7", "y="], {"serving_default_a=b:0": (7,), "y": ()}),
    ],
)
def test_shapes(options: list[str], shapes: dict[str, tuple[int, ...]]) -> None:
    assert entry_points.parse_shapes(options) == shapes


@pytest.mark.parametrize("word", ["x", "=1x2", "x=1x", "x=a", "x=-1", "x=1,2", "x=1x2x"])
def test_invalid_shapes(word: str) -> None:
    with pytest.raises(UsageError, match="NAME=1x224x224x3"):
        entry_points.parse_shapes([word])


def test_the_parts_of_a_model(tmp_path: Path) -> None:
    model = contents.analyse(two_signatures(tmp_path))
    first, second = entry_points.parts(model)
    assert (first.signature, second.signature) == (None, "equal")
    # In the order of the subgraph, regardless of the order of names in the signature.
    assert second.entry.inputs == ("first", "second")
    assert second.arguments() == ["--signature", "equal"]
    (only,) = entry_points.parts(model, Choice(signature="double"))
    assert only.entry.inputs == ("x",)


def test_a_shape_by_tensor_or_signature_name(tmp_path: Path) -> None:
    model = contents.analyse(two_signatures(tmp_path))
    for name in ("x", "t0"):
        part = entry_points.parts(model, Choice(signature="double", shapes={name: (5, 3)}))[0]
        assert part.shape(0) == (5, 3)
        assert part.arguments() == ["--signature", "double", "--input-shape", "t0=5x3"]
        assert samples.samples(model, tmp_path / "m.tflite", part)["zeros"].inputs[0].shape == (5, 3)


def two_inputs_of_one_name(folder: Path) -> Path:
    g = Graph()
    inputs = [g.input([1, 3], signature=[-1, 3]) for _ in range(2)]
    for index in inputs:
        g.current.tensors[index].name = b"x"
    g.op("CONCATENATION", inputs, [g.output("float32")], "Concatenation", axis=1)
    path = folder / "samename.tflite"
    path.write_bytes(g.content())
    return path


def test_inputs_of_one_name_are_addressed_by_position(tmp_path: Path) -> None:
    path = two_inputs_of_one_name(tmp_path)
    model = contents.analyse(path)
    with pytest.raises(UsageError, match="has 2 inputs 'x' for --input-shape") as caught:
        entry_points.parts(model, Choice(shapes={"x": (3, 3)}))
    assert caught.value.next_step == "give the position of one: 0=3x3"
    (part,) = entry_points.parts(model, Choice(shapes={"1": (3, 3)}))
    assert [part.shape(0), part.shape(1)] == [(1, 3), (3, 3)]
    sizes = [value.shape for value in samples.samples(model, path, part)["random 0"].inputs]
    assert sizes == [(1, 3), (3, 3)]
    both = part.of_size([np.zeros((2, 3), np.float32), np.zeros((3, 3), np.float32)])
    assert both.arguments() == ["--input-shape", "0=2x3", "--input-shape", "1=3x3"]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(signature="doubl"), "no signature 'doubl'"),
        (Choice(signature="double", shapes={"z": (1,)}), "no input 'z'"),
    ],
)
def test_signatures_and_inputs_that_a_model_does_not_have(
    tmp_path: Path, choice: Choice, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        entry_points.parts(contents.analyse(two_signatures(tmp_path)), choice)


def test_stored_inputs_and_outputs(tmp_path: Path) -> None:
    path = two_signatures(tmp_path)
    stored = {"a_b_0": np.ones((4, 3), np.float32), "a_b_out0": np.full((4, 3), 2, np.float32)}
    np.savez(path.with_suffix(".inputs.npz"), **stored)
    model = contents.analyse(path)
    found = samples.samples(model, path, entry_points.parts(model)[0])["real a_b"]
    assert found.inputs[0].shape == (4, 3)
    assert found.expected is not None
    assert found.expected[0][0, 0] == 2


def test_random_strings_and_empty_ones(tmp_path: Path) -> None:
    path = two_signatures(tmp_path)
    model = contents.analyse(path)
    found = samples.samples(model, path, entry_points.parts(model)[1])
    assert found["zeros"].inputs[0].tolist() == [b"", b""]
    assert all(isinstance(word, bytes) for word in found["random 0"].inputs[1])


@pytest.mark.parametrize("shape", [(0,), (), (3,), (2, 2)])
def test_string_round_trip(shape: tuple[int, ...]) -> None:
    words = tensors.as_strings(np.array(["", "ä", "x" * 300, "two words"])[: max(int(np.prod(shape)), 1)])
    made = words[: int(np.prod(shape))].reshape(shape)
    again = tensors.from_bytes(tensors.to_bytes(made), np.dtype(object), shape)
    assert again is not None
    assert again.tolist() == made.tolist()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        np.array([1, 8], np.int32).tobytes(),
        np.array([2, 12, 12], np.int32).tobytes(),
        np.array([1, 12, 8], np.int32).tobytes(),
        np.array([1, 12, 99], np.int32).tobytes(),
        np.array([1, 8, 12], np.int32).tobytes(),
    ],
)
def test_bytes_that_are_not_strings(raw: bytes) -> None:
    assert tensors.from_bytes(raw, np.dtype(object), (1,)) is None


def test_numeric_bytes_of_the_wrong_size() -> None:
    assert tensors.from_bytes(b"123", np.dtype("int16"), (2,)) is None


def tried(model: ModelAnalysis, path: Path) -> dict[str, tuple[samples.Array, ...]]:
    """Inputs of the samples for the first subgraph."""
    (part, *_) = entry_points.parts(model)
    return {name: sample.inputs for name, sample in samples.samples(model, path, part).items()}


@pytest.mark.parametrize("name", ["det", "digits", "words", "gesture"])
def test_examples_have_real_inputs(name: str) -> None:
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


def test_inputs_that_are_not_arrays(tmp_path: Path) -> None:
    path = tmp_path / "words.tflite"
    path.write_bytes((EXAMPLES / "words.tflite").read_bytes())
    (tmp_path / "words.inputs.npz").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be used as inputs"):
        tried(contents.analyse(path), path)


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04" + bytes(40), b"\x93NUMPY"])
def test_damaged_inputs_files(tmp_path: Path, content: bytes) -> None:
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
