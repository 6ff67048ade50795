"""The runtime's own test models: those that upstream runs give the same outputs, the rest are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from litesmith.base.errors import LitesmithError
from litesmith.build.request import STRICT, Request
from litesmith.measure.verify import reference
from litesmith.runtime import source_tree
from litesmith.runtime.pins import XNNPACK_COMPONENTS
from litesmith.workflow import build_and_verify

# Chromium's copy of the newer sources has no test data.
TENSORFLOW_2_14 = next(component for component in XNNPACK_COMPONENTS if component.name == "xnnpack-delegate")
TEST_MODELS = dataclasses.replace(
    TENSORFLOW_2_14,
    name="test-models",
    digest="h1:FAC1lrBORTJHqGsnKq8krOBWrYgVXCDe2p03MEfdffw=",
    # Debian's archive leaves out files of unclear origin.
    origins=TENSORFLOW_2_14.origins[1:],
    keep=("tensorflow/lite/testdata/",),
    endings=(".bin",),
    drop=(),
)

RUN = (
    *("2_subgraphs", "2_subgraphs_dont_delegate_name", "add"),
    *("call_once_mul", "conv3d_huge_im2col", "conv_huge_im2col", "custom_lstm", "dynamic_shapes"),
    *("empty_model", "lstm", "multi_add", "multi_signatures", "multi_subgraphs_while", "nested_while"),
    *("string_input_model", "sub", "test_min_runtime", "test_model_redux_precision", "two_subgraphs"),
    *("unidirectional_sequence_lstm", "while_op_with_forwarding_input", "zero_size_constant"),
)
REFUSED = {
    "0_subgraphs": "it has no subgraph",
    "no_subgraphs": "it has no subgraph",
    # They add integers to floats: the kernel would read the integers as floats, past their end.
    "add_quantized": "is uint8, beside float32",
    "add_quantized_int8": "is int8, beside float32",
    "custom_sinh": "Sinh is a custom op",
    "double_flex": "FlexDouble is a Flex op",
    "multi_add_flex": "FlexAddV2 is a Flex op",
    "softplus_flex": "FlexSoftplus is a Flex op",
    "sparse_tensor": "the input 'sparse_tensor' of the model has constant data",
    "test_custom_node_with_init_data": "the input 'b' of the model has constant data",
    "test_model": "the input 'input0' of the model has constant data",
    "test_model_versioned_ops": "the input 'input0' of the model has constant data",
    "test_model_broken": "is not a .tflite file",
    "add_shared_tensors": "node 0 of subgraph 0, ADD, writes to tensor 1, which is an input",
    "segment_sum_invalid_buffer": "SEGMENT_SUM, reads tensor 2 before a node writes to it",
    "tensor_string_data_type": "input 0, 'a', is string",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    tree = source_tree.source_tree((TEST_MODELS,))
    return tree.root / tree.sources["test-models"].folder / "tensorflow/lite/testdata"


@pytest.fixture(autouse=True)
def _short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """With zeros as input, the loop in one of these models never ends."""
    monkeypatch.setattr(reference.answers, "__defaults__", (20,))


def request(path: Path, out: Path, verify: str = STRICT) -> Request:
    return Request(target="x86_64", models=(str(path),), out=str(out), verify=verify)


def test_every_model_is_in_one_of_the_lists(folder: Path) -> None:
    assert {path.stem for path in folder.glob("*.bin")} == {*RUN, *REFUSED}


@pytest.mark.parametrize("name", RUN)
def test_models_that_upstream_runs(folder: Path, tmp_path: Path, name: str) -> None:
    (verdict,) = build_and_verify.build(request(folder / f"{name}.bin", tmp_path / "out")).verdicts
    assert verdict.passed is True, verdict.line()


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(LitesmithError) as caught:
        build_and_verify.build(request(folder / f"{name}.bin", tmp_path / "out"))
    assert REFUSED[name] in caught.value.message
    assert caught.value.next_step
    assert not (tmp_path / "out").exists()
