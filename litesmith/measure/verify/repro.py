"""A wrong node on disk: its inputs and outputs, and a model of it alone, which ``build`` takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from litesmith.base import files, paths
from litesmith.measure.verify import rewriting
from litesmith.measure.verify.cases import Case
from litesmith.measure.verify.intermediates import subgraph_of
from litesmith.measure.verify.node_check import WrongNode
from litesmith.measure.verify.tensor_values import TensorValues
from litesmith.model.model_file import Model
from litesmith.model.tensors import Array, to_bytes


def keep(model: Model, case: Case, wrong: WrongNode, scratch: Path) -> Path:
    """Writes ``node.tflite`` with ``node.inputs.npz``, and raw tensors; returns the folder.

    ``scratch`` has the reference's values, where :func:`~.node_check.check_nodes` kept them.
    """
    values = TensorValues(scratch / "tensors.bin")
    graph = case.part.subgraph
    node = graph.nodes[wrong.index]
    key = files.digest_of(model.analysis.sha256, case.label, wrong.index, wrong.tensor)
    folder = paths.cache_folder() / "wrong" / f"{model.path.stem}-node{wrong.index}-{key[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    given = [
        index
        for index in dict.fromkeys(node.inputs)
        if index >= 0 and not graph.tensors[index].weight_bytes and not graph.tensors[index].variable
    ]
    inputs = {index: value for index in given if (value := values.get(index)) is not None}
    for position, (index, value) in enumerate(inputs.items()):
        _write(folder / f"in{position}-tensor{index}.bin", value)
    expected = values.get(wrong.tensor)
    if expected is not None:
        _write(folder / "expected.bin", expected)
    if wrong.actual is not None:
        _write(folder / "actual.bin", wrong.actual)
    if len(inputs) == len(given):
        named = {
            f"node_{position}": value.astype("S") if value.dtype.kind == "O" else np.array(value)
            for position, value in enumerate(inputs.values())
        }
        subgraph = subgraph_of(model.analysis, case.part.signature)
        try:
            alone = rewriting.single_node(model.content, subgraph, wrong.index, given)
        except ValueError:
            return folder
        np.savez(folder / "node.inputs.npz", **named)  # type: ignore[arg-type]
        (folder / "node.tflite").write_bytes(alone)
    return folder


def _write(path: Path, value: Array) -> None:
    files.write_atomically(path, to_bytes(value))
