from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from flatbuffers import flexbuffers

from litesmith.base import paths
from litesmith.model import contents
from litesmith.model.analysis import DepthwiseRow
from litesmith.runtime import pruning, selection
from litesmith.runtime.edits.interpreter import INTERPRETER_PRUNING
from litesmith.runtime.edits.kernels import KERNEL_PRUNING
from litesmith.runtime.edits.patch import Patch
from litesmith.runtime.edits.planner import PLANNER_PRUNING
from litesmith.runtime.edits.ruy import RUY_PRUNING
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.selection import Selection
from tests.conftest import EXAMPLES
from tests.models import ADD, CONV_2D, CUSTOM, FLOAT32, GELU, INT8, INT32, RESHAPE, Op, build_model

KERNELS = "tensorflow/tensorflow/lite/kernels"
CONVERSIONS = "tensorflow/tensorflow/lite/core/api/flatbuffer_conversions.cc"


def select(tmp_path: Path, registry: Registry, *ops: Op) -> Selection:
    path = tmp_path / "m.tflite"
    path.write_bytes(build_model(ops))
    return selection.select([contents.analyse(path)], registry)


@pytest.fixture
def det(registry: Registry) -> Selection:
    return selection.select([contents.analyse(EXAMPLES / "det.tflite")], registry)


def test_a_file_keeps_the_dtypes_of_the_ops_that_use_it(tmp_path: Path, registry: Registry) -> None:
    chosen = select(tmp_path, registry, Op(CONV_2D, dtypes=(INT8, INT8, INT32, INT8)), Op(ADD))
    kept = pruning.kept_dtypes(chosen, registry.runtime.dispatching)
    assert kept[f"{KERNELS}/conv.cc"] == ("int32", "int8")
    assert kept[f"{KERNELS}/add.cc"] == ("float32",)
    made = pruning.prune(chosen, registry.runtime)
    # Bits are numbered by TfLiteType: kTfLiteFloat32 is 1, kTfLiteInt32 is 2, kTfLiteInt8 is 9.
    assert "LITESMITH_DTYPES=0x204" in made.by_source[f"{KERNELS}/conv.cc"]
    assert made.by_source[f"{KERNELS}/add.cc"] == ("LITESMITH_DTYPES=0x2",)


def test_ops_of_one_file_share_its_dtypes(tmp_path: Path, registry: Registry) -> None:
    hard_swish, logistic = 117, 14
    chosen = select(
        tmp_path, registry, Op(hard_swish, dtypes=(INT8, INT8)), Op(logistic, dtypes=(FLOAT32, FLOAT32))
    )
    kept = pruning.kept_dtypes(chosen, registry.runtime.dispatching)
    assert kept[f"{KERNELS}/activations.cc"] == ("float32", "int8")


def test_an_op_without_nodes_has_no_dtype(tmp_path: Path, registry: Registry) -> None:
    chosen = select(tmp_path, registry, Op(ADD), Op(CONV_2D, used=False))
    made = pruning.prune(chosen, registry.runtime)
    assert made.dtypes[f"{KERNELS}/conv.cc"] == ()
    assert "LITESMITH_DTYPES=0x1" in made.by_source[f"{KERNELS}/conv.cc"]


def test_only_selected_options_are_read(tmp_path: Path, registry: Registry) -> None:
    """The table of selected ops names the readers; upstream's switch keeps what only it reads."""
    renamed = "ParseOpData=ParseOpDataBySwitch"
    for ops, codes in (((Op(ADD), Op(RESHAPE)), "-1"), ((Op(ADD), Op(GELU)), str(GELU))):
        made = pruning.prune(select(tmp_path, registry, *ops), registry.runtime)
        assert made.by_source[CONVERSIONS] == (renamed, f"LITESMITH_OPS={codes}")
    nothing = pruning.prune(select(tmp_path, registry, Op(ADD)).none(), registry.runtime)
    assert nothing.by_source[CONVERSIONS] == (renamed, "LITESMITH_OPS=-1")


def test_row_kernels_of_depthwise_convolutions(registry: Registry, det: Selection) -> None:
    made = pruning.prune(det, registry.runtime)
    (rows,) = [d for d in made.by_source[f"{KERNELS}/depthwise_conv.cc"] if "ROWS" in d]
    assert rows.startswith("LITESMITH_DEPTHWISE_ROWS=1,24,1,")


def test_unknown_shapes_keep_every_row_kernel(registry: Registry, det: Selection) -> None:
    unknown = DepthwiseRow(stride_width=1, input_depth=-1, multiplier=-1)
    ops = tuple(
        dataclasses.replace(op, depthwise=(*op.depthwise, unknown)) if op.depthwise else op for op in det.ops
    )
    made = pruning.prune(dataclasses.replace(det, ops=ops), registry.runtime)
    assert not any("ROWS" in define for define in made.by_source[f"{KERNELS}/depthwise_conv.cc"])


def test_sparse_weights_are_supported_if_a_model_has_them(registry: Registry, det: Selection) -> None:
    builder = "tensorflow/tensorflow/lite/core/interpreter_builder.cc"
    assert "LITESMITH_DENSE" in pruning.prune(det, registry.runtime).by_source[builder]
    sparse = dataclasses.replace(det, sparse=True)
    assert builder not in pruning.prune(sparse, registry.runtime).by_source


def test_custom_ops_may_multiply_in_any_order(tmp_path: Path, registry: Registry, det: Selection) -> None:
    plain = select(tmp_path, registry, Op(ADD))
    assert "LITESMITH_ONE_ORDER" in pruning.prune(plain, registry.runtime).everywhere
    assert any(op.custom for op in det.ops)
    assert "LITESMITH_ONE_ORDER" in pruning.prune(det, registry.runtime).everywhere
    own = dataclasses.replace(det.ops[-1], sources=("custom/mine.cc",))
    foreign = dataclasses.replace(det, ops=(*det.ops, own))
    assert "LITESMITH_ONE_ORDER" not in pruning.prune(foreign, registry.runtime).everywhere
    batch_matmul = 126
    other = select(tmp_path, registry, Op(batch_matmul))
    assert "LITESMITH_ONE_ORDER" not in pruning.prune(other, registry.runtime).everywhere


@pytest.mark.parametrize(
    "name",
    [
        "if",
        "while",
        "call_once",
        "read_variable",
        "assign_variable",
        "hashtable_find",
        "kernel_util",
        "lstm_eval",
    ],
)
def test_files_that_see_tensors_of_other_nodes_are_not_pruned(registry: Registry, name: str) -> None:
    assert f"{KERNELS}/{name}.cc" not in registry.runtime.dispatching


@pytest.mark.parametrize(
    "name", ["conv", "depthwise_conv", "fully_connected", "add", "activations", "cast", "reshape", "lstm"]
)
def test_kernels_that_dispatch_by_dtype(registry: Registry, name: str) -> None:
    assert f"{KERNELS}/{name}.cc" in registry.runtime.dispatching


def test_a_custom_op_has_no_dtypes_of_its_own(tmp_path: Path, registry: Registry) -> None:
    options = bytes(flexbuffers.Dumps({"max_detections": 10}))
    chosen = select(tmp_path, registry, Op(CUSTOM, custom="TFLite_Detection_PostProcess", options=options))
    assert list(pruning.kept_dtypes(chosen, registry.runtime.dispatching)) == [
        f"{KERNELS}/detection_postprocess.cc"
    ]


@pytest.mark.parametrize(
    "patch",
    [*INTERPRETER_PRUNING, *PLANNER_PRUNING, *KERNEL_PRUNING, *RUY_PRUNING],
    ids=lambda p: f"{Path(p.path).name}-{p.find[:30]}",
)
def test_a_patch_does_not_affect_stock_builds(patch: Patch) -> None:
    """A patch changes code only behind a LITESMITH_ define, or expands to upstream's own text."""
    guarded = re.search(r"#if(def| defined\() ?LITESMITH_", patch.replace)
    macro = re.search(r"LITESMITH_\w+\(|LITESMITH_TENSOR_TYPE", patch.replace)
    include = patch.replace.startswith("#include") or '#include "litesmith/' in patch.replace
    assert guarded or macro or include or patch.replace.startswith("static ")


IN_ALL_PROGRAMS = {"dtypes_later.h", "planner_tables.h", "priority_queue.h", "sort.h"}
HEADERS = sorted((paths.data_folder("templates") / "pruning").iterdir())


@pytest.mark.parametrize(
    "header", [path for path in HEADERS if path.name not in IN_ALL_PROGRAMS], ids=lambda p: p.name
)
def test_headers_have_a_stock_form(header: Path) -> None:
    text = header.read_text()
    assert "#ifdef LITESMITH_" in text
    assert "#else" in text
