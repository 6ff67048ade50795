"""Models that contradict themselves are refused by every command, with a line that says where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from litesmith.base.errors import LitesmithError, ModelError
from litesmith.model import contents
from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Registry
from tests.conftest import EXAMPLES
from tests.hostile import seeds
from tests.hostile.cases import CASES, Case
from tests.hostile.mutator import mutated, packed

DET = EXAMPLES / "det.tflite"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_damaged_model_is_refused(case: Case, registry: Registry) -> None:
    with pytest.raises(LitesmithError) as caught:
        op_registry.require_supported(registry, contents.analyse_bytes(case.content(), "m.tflite"))
    assert case.expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        # 255 channels in groups of 3 are 85 groups, of which 16 filters cannot be made.
        ("tensors 0 shape", [1, 96, 96, 255], "has 255 channels, input 1, "),
        ("operators 1 builtinOptions dilationHFactor", 65536, "its dilation_h_factor is 65536"),
    ],
)
def test_shapes_and_options_that_do_not_fit_each_other(
    registry: Registry, path: str, value: object, expected: str
) -> None:
    model = schema.ModelT.InitFromPackedBuf(DET.read_bytes(), 0)
    at = model.subgraphs[0]
    *steps, last = path.split()
    for step in steps:
        at = at[int(step)] if step.isdecimal() else getattr(at, step)
    setattr(at, last, value)
    analysis = contents.analyse_bytes(packed(model), "m.tflite")
    (problem,) = op_registry.describe(analysis, registry)["problems"]
    assert expected in str(problem)


def test_fewer_anchors_than_boxes(registry: Registry) -> None:
    model = schema.ModelT.InitFromPackedBuf(DET.read_bytes(), 0)
    anchors = model.subgraphs[0].tensors[model.subgraphs[0].operators[23].inputs[2]]
    anchors.shape = [1, 4]
    analysis = contents.analyse_bytes(packed(model), "m.tflite")
    (problem,) = op_registry.describe(analysis, registry)["problems"]
    assert "has 360 boxes" in str(problem)


def test_a_slice_of_another_size_than_its_input() -> None:
    """With ``offset``, ``end`` is the size of the output, and the kernel copies what the masks say."""
    model = schema.ModelT.InitFromPackedBuf(DET.read_bytes(), 0)
    model.subgraphs[0].operators[18].builtinOptions.offset = True
    with pytest.raises(ModelError, match="node 18 of subgraph 0, STRIDED_SLICE, asks for another size"):
        contents.analyse_bytes(packed(model), "m.tflite")


@pytest.mark.parametrize("more", [1, 3])
def test_a_constant_with_a_part_of_a_number(more: int) -> None:
    """The whole numbers count: the size is the same as without the rest."""
    model = schema.ModelT.InitFromPackedBuf(DET.read_bytes(), 0)
    node = model.subgraphs[0].operators[18]
    node.builtinOptions.offset = True
    buffer = model.buffers[model.subgraphs[0].tensors[node.inputs[1]].buffer]
    buffer.data = np.append(buffer.data, np.zeros(more, np.uint8))
    with pytest.raises(ModelError, match="node 18 of subgraph 0, STRIDED_SLICE, asks for another size"):
        contents.analyse_bytes(packed(model), "m.tflite")


def test_strings_that_do_not_fit_their_shape() -> None:
    model = schema.ModelT.InitFromPackedBuf(seeds.string_ops().content(), 0)
    tensor = next(t for t in model.subgraphs[1].tensors if t.type == schema.TensorType.STRING)
    model.buffers[tensor.buffer].data = np.frombuffer(b"\x03\0\0\0" + b"\xff" * 30, np.uint8)
    with pytest.raises(ModelError, match="tensor 2 of subgraph 1, t2, has strings that do not fit its shape"):
        contents.analyse_bytes(packed(model), "m.tflite")


def test_options_behind_the_flatbuffer() -> None:
    """``large_custom_options_offset``: the same options as those in the flatbuffer."""
    model = schema.ModelT.InitFromPackedBuf(DET.read_bytes(), 0)
    node = model.subgraphs[0].operators[23]
    options = bytes(bytearray(node.customOptions))
    node.customOptions = None
    # Values that are not the fields' defaults take the same place as the right ones.
    node.largeCustomOptionsOffset, node.largeCustomOptionsSize = 1 << 40, len(options)
    offset = len(packed(model))
    node.largeCustomOptionsOffset = offset
    analysis = contents.analyse_bytes(packed(model) + options, "m.tflite")
    assert analysis.subgraphs[0].nodes[23].custom_options == options
    assert analysis.ops() == contents.analyse(DET).ops()


def test_mutations_are_the_same_each_time(tmp_path: Path) -> None:
    for name, path in seeds.made(tmp_path).items():
        content = path.read_bytes()
        first = [mutated(content, name, number) for number in range(20)]
        assert first == [mutated(content, name, number) for number in range(20)]
        assert len({one.content for one in first}) > 15
        assert all("\n" not in one.change and one.change for one in first)
