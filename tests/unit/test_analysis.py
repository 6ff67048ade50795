from __future__ import annotations

from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from litesmith.base.errors import ModelError
from litesmith.model import contents
from litesmith.model.analysis import ModelAnalysis
from litesmith.runtime.op_registry import Registry
from tests.conftest import EXAMPLES
from tests.models import ADD, CONV_2D, CUSTOM, FLOAT32, GELU, INT8, INT32, QUANTIZE, Op, build_model


def analyse(tmp_path: Path, data: bytes, name: str = "m.tflite") -> ModelAnalysis:
    path = tmp_path / name
    path.write_bytes(data)
    return contents.analyse(path)


def test_the_detector_example(registry: Registry) -> None:
    model = contents.analyse(EXAMPLES / "det.tflite")
    uses = {registry.name_of(use): use for use in model.ops()}
    assert set(uses) == {
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEQUANTIZE",
        "LOGISTIC",
        "RESHAPE",
        "STRIDED_SLICE",
        "TFLite_Detection_PostProcess",
    }
    post = uses["TFLite_Detection_PostProcess"]
    assert post.custom
    assert post.options[0]["num_classes"] == 3
    assert post.options[0]["nms_iou_threshold"] == pytest.approx(0.4)
    assert uses["CONV_2D"].count == 9
    assert uses["CONV_2D"].dtypes == ("int32", "int8")
    assert [model.subgraphs[0].tensors[i].shape for i in model.subgraphs[0].outputs] == [
        (1, 8, 4),
        (1, 8),
        (1, 8),
        (1,),
    ]
    assert set(model.signatures[0].outputs) == {"boxes", "classes", "scores", "number"}
    assert model.weight_bytes["int8"] > 30_000


@pytest.mark.parametrize("name", ["det", "digits", "words", "gesture"])
def test_every_example_can_be_analysed(name: str, registry: Registry) -> None:
    model = contents.analyse(EXAMPLES / f"{name}.tflite")
    assert model.size == (EXAMPLES / f"{name}.tflite").stat().st_size < 400_000
    assert model.name == name
    assert registry.problems(model) == ()
    assert sum(use.count for use in model.ops()) == len(model.subgraphs[0].nodes)


def test_an_unused_operator_code_counts(tmp_path: Path) -> None:
    model = analyse(tmp_path, build_model([Op(ADD), Op(QUANTIZE, version=2, used=False)]))
    unused = next(use for use in model.ops() if use.code == QUANTIZE)
    assert (unused.count, unused.dtypes, unused.versions) == (0, (), (2, 2))


def test_versions_of_one_op_form_a_range(tmp_path: Path) -> None:
    model = analyse(tmp_path, build_model([Op(CONV_2D, version=1), Op(CONV_2D, version=3)]))
    (use,) = model.ops()
    assert (use.versions, use.count) == ((1, 3), 2)


def test_an_operator_code_over_127_is_read_from_the_new_field(tmp_path: Path) -> None:
    (use,) = analyse(tmp_path, build_model([Op(GELU)])).ops()
    assert use.code == GELU


def test_an_operator_code_in_the_old_field_only(tmp_path: Path) -> None:
    def old(model: object) -> None:
        model.operatorCodes[0].builtinCode = 0  # type: ignore[attr-defined]
        model.operatorCodes[0].deprecatedBuiltinCode = CONV_2D  # type: ignore[attr-defined]

    (use,) = analyse(tmp_path, build_model([Op(CONV_2D)], change=old)).ops()
    assert use.code == CONV_2D


def test_all_subgraphs_are_counted(tmp_path: Path) -> None:
    model = analyse(tmp_path, build_model([Op(ADD)], subgraphs=3))
    assert model.ops()[0].count == 3
    assert len(model.subgraphs) == 3


def test_dtypes_of_inputs_and_outputs(tmp_path: Path) -> None:
    (use,) = analyse(tmp_path, build_model([Op(ADD, dtypes=(INT8, INT32, FLOAT32))])).ops()
    assert use.dtypes == ("float32", "int32", "int8")


def test_custom_options_of_a_flexbuffer(tmp_path: Path) -> None:
    options = bytes(flexbuffers.Dumps({"size": 3, "names": ["a", "b"], "ratio": 0.5, "on": True, "x": None}))
    model = analyse(tmp_path, build_model([Op(CUSTOM, custom="Mine", options=options)]))
    (use,) = model.ops()
    assert use.name == "Mine"
    assert use.options == ({"names": ["a", "b"], "on": True, "ratio": 0.5, "size": 3, "x": None},)


@pytest.mark.parametrize("options", [b"\xff" * 9, b"abc", bytes(range(40)), b"\x01" * 3])
def test_custom_options_of_an_unknown_format_are_shown_as_bytes(tmp_path: Path, options: bytes) -> None:
    model = analyse(tmp_path, build_model([Op(CUSTOM, custom="Mine", options=options)]))
    (shown,) = model.ops()[0].options
    assert shown == options.hex() or isinstance(shown, dict | list)


def test_unknown_dimensions_are_minus_one(tmp_path: Path) -> None:
    def dynamic(model: object) -> None:
        model.subgraphs[0].tensors[0].shapeSignature = [-1, 4]  # type: ignore[attr-defined]

    model = analyse(tmp_path, build_model(change=dynamic))
    assert model.subgraphs[0].tensors[0].shape == (-1, 4)


def test_an_unknown_dtype(tmp_path: Path, registry: Registry) -> None:
    model = analyse(tmp_path, build_model([Op(ADD, dtypes=(99, FLOAT32))]))
    (problem,) = [p for p in registry.problems(model) if p.kind == "dtype"]
    assert "99" in problem.message
    assert "'t0'" in problem.message


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"", "m.tflite", "is empty"),
        (b"abc", "m.tflite", "not a .tflite file"),
        (b"\x1c\0\0\0TFL2" + bytes(30), "m.tflite", "outdated schema TFL2"),
        (b"\x08\x07\x12\x0cbackend-test", "m.onnx", "ONNX model"),
        (b"\x08\x07\x12\x04onnx.....", "model.bin", "ONNX model"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "m.h5", "Keras HDF5"),
        (b"PK\x03\x04" + bytes(20), "m.keras", "Keras archive"),
        (b"PK\x03\x04" + bytes(20), "m.pt", "PyTorch"),
        (b"\n\x05input" + bytes(20), "frozen.pb", "TensorFlow graph"),
        (b"#!/bin/sh\n", "m.sh", "not a .tflite file"),
    ],
)
def test_other_formats_are_recognised(tmp_path: Path, content: bytes, name: str, expected: str) -> None:
    with pytest.raises(ModelError, match=expected) as caught:
        analyse(tmp_path, content, name)
    assert name in caught.value.message
    assert caught.value.next_step
    assert caught.value.exit_code == 2


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model file"):
        contents.analyse(tmp_path / "none.tflite")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        contents.analyse(tmp_path)


def test_a_saved_model(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ModelError, match="is a SavedModel") as caught:
        contents.analyse(tmp_path)
    assert "TFLiteConverter" in caught.value.next_step


def test_another_schema_version(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="schema version 4"):
        analyse(tmp_path, build_model(version=4))


def _alter(**changes: object):
    def change(model: object) -> None:
        for path, value in changes.items():
            place = model
            *parents, last = path.split("__")
            for part in parents:
                place = place[int(part)] if part.isdigit() else getattr(place, part)  # type: ignore[index]
            setattr(place, last, value)

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_alter(subgraphs__0__operators__0__opcodeIndex=7), "operator code 7 of 1"),
        (_alter(subgraphs__0__operators__0__inputs=[50]), "uses tensor 50 of 2"),
        (_alter(subgraphs__0__operators__0__outputs=[-2]), "uses tensor -2 of 2"),
        (_alter(subgraphs__0__inputs=[9]), "is tensor 9 of 2"),
        (_alter(subgraphs__0__outputs=[-1]), "is tensor -1 of 2"),
        (_alter(subgraphs__0__tensors__0__buffer=3), "buffer 3 of 1"),
        (_alter(subgraphs__0__tensors__0__shape=[-7, 2]), r"shape \[-7, 2\]"),
        (_alter(subgraphs=[]), "no subgraph"),
    ],
)
def test_contradictions_in_a_file_are_errors(tmp_path: Path, change: object, expected: str) -> None:
    with pytest.raises(ModelError, match=expected) as caught:
        analyse(tmp_path, build_model(change=change))
    assert "is damaged" in caught.value.message


@pytest.mark.parametrize("name", ["det", "gesture"])
def test_every_truncation_is_refused_or_analysed(tmp_path: Path, name: str) -> None:
    data = (EXAMPLES / f"{name}.tflite").read_bytes()
    refused = 0
    for size in range(0, len(data), max(1, len(data) // 300)):
        try:
            analyse(tmp_path, data[:size])
        except ModelError:
            refused += 1
    assert refused > 250


def test_an_input_with_constant_data_is_damaged(tmp_path: Path) -> None:
    def constant(model: object) -> None:
        data = schema.BufferT()
        data.data = list(bytes(16))
        model.buffers.append(data)  # type: ignore[attr-defined]
        model.subgraphs[0].tensors[0].buffer = 1  # type: ignore[attr-defined]

    with pytest.raises(ModelError, match="the input 't0' of the model has constant data"):
        analyse(tmp_path, build_model(change=constant))


def test_the_allocated_shape_is_the_stored_shape(tmp_path: Path) -> None:
    change = _alter(subgraphs__0__tensors__0__shapeSignature=[-1, 4])
    tensor = analyse(tmp_path, build_model(change=change)).subgraphs[0].tensors[0]
    assert (tensor.shape, tensor.allocated_shape) == ((-1, 4), (1, 4))


def test_a_path_that_is_not_utf8() -> None:
    from litesmith.base.errors import UsageError
    from litesmith.model import model_file

    with pytest.raises(UsageError, match="not valid UTF-8"):
        model_file.open_model("a\udcff.tflite")
