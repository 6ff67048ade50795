"""Reads a frozen graph: a ``GraphDef`` without variables."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litesmith.workflow.convert.worker.errors import RefusedError, one_line, some
from litesmith.workflow.convert.worker.input_specs import Spec
from litesmith.workflow.convert.worker.source import Source

# Ops of nodes that no other node reads, and that are not outputs of the model.
_NO_OUTPUTS = frozenset({"Placeholder", "Const", "NoOp", "Assert"})
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})
_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})


def read(path: Path, shown: str, input_names: Sequence[str], output_names: Sequence[str]) -> Source:
    """Reads a graph from its inputs to its outputs.

    Without names, the inputs are the placeholders that the outputs need, and the outputs the nodes that no
    other node reads.

    Raises:
        RefusedError: the file is not a frozen graph, or the names do not fit it.
    """
    import tensorflow as tf

    graph = _parsed(path, shown)
    nodes = {node.name: node for node in graph.node}
    outputs = _outputs(nodes, output_names, shown)
    cut = {_find(name, nodes, shown, "--inputs").name: None for name in input_names}
    needed = _needed(nodes, outputs, cut)
    # The chosen outputs may leave some placeholders unused.
    inputs = list(cut) or [node.name for node in needed if node.op in _PLACEHOLDERS]
    if not inputs:
        raise RefusedError(f"{shown} has no placeholder that could be an input", "name inputs with --inputs")
    _require_bound(needed, inputs, outputs, shown)
    specs = tuple(_spec(nodes[name]) for name in inputs)
    graph = _with_placeholders(graph, needed, specs)
    try:
        tensors = _tensors(graph, outputs)
    except Exception as error:  # an op that TensorFlow does not have, or an inconsistent graph
        raise RefusedError(
            f"{shown} cannot be imported: {one_line(error)}", "check how it was written"
        ) from error
    if not tensors:
        raise RefusedError(
            f"{shown}: {', '.join(outputs)} have no output tensors", "name other nodes with --outputs"
        )

    def call(values: Sequence[Any]) -> Sequence[Any]:
        feeds = {f"{spec.name}:0": value for spec, value in zip(specs, values, strict=True)}
        return list(tf.graph_util.import_graph_def(graph, feeds, tensors, name=""))

    names = tuple(name.removesuffix(":0") for name in tensors)
    return Source(inputs=specs, outputs=names, call=call, keep=None, parameters=None)


def _parsed(path: Path, shown: str) -> Any:
    """The file's ``GraphDef``, which has nodes and no variables."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except DecodeError:
        raise RefusedError(
            f"{shown} is not a frozen graph: it does not contain a GraphDef", "check how it was written"
        ) from None
    if not graph.node or not all(node.op for node in graph.node):
        raise RefusedError(f"{shown} is not a frozen graph: it has no nodes", "check how it was written")
    variables = [node.name for node in graph.node if node.op in _VARIABLES]
    if variables:
        raise RefusedError(
            f"{shown} is not frozen: it has the variables {some(variables)}",
            "freeze it, or save it as a SavedModel",
        )
    return graph


def _outputs(nodes: Mapping[str, Any], names: Sequence[str], shown: str) -> list[str]:
    """The named outputs, else the nodes that no other node reads."""
    read_by_others = {_node_name(source) for node in nodes.values() for source in node.input}
    ends = [n.name for n in nodes.values() if n.name not in read_by_others and n.op not in _NO_OUTPUTS]
    outputs = list(names) or ends
    if not outputs:
        raise RefusedError(f"{shown} has no node that could be an output", "name outputs with --outputs")
    for name in outputs:
        _find(name, nodes, shown, "--outputs")
    return outputs


def _needed(nodes: Mapping[str, Any], outputs: Sequence[str], cut: Mapping[str, None]) -> list[Any]:
    """The nodes that the outputs depend on, up to those in ``cut``, in the graph's order."""
    found: set[str] = set()
    left = [_node_name(name) for name in outputs]
    while left:
        name = left.pop()
        if name in nodes and name not in found:
            found.add(name)
            left += [] if name in cut else map(_node_name, nodes[name].input)
    return [node for name, node in nodes.items() if name in found]


def _require_bound(needed: Sequence[Any], inputs: Sequence[str], outputs: Sequence[str], shown: str) -> None:
    """Refuses inputs that the outputs do not depend on, and placeholders that are not inputs."""
    ops = {node.name: node.op for node in needed}
    for name in inputs:
        if name not in ops:
            raise RefusedError(
                f"{shown}: the outputs {', '.join(outputs)} do not depend on {name}",
                "remove it from --inputs",
            )
    free = [name for name, op in ops.items() if op in _PLACEHOLDERS and name not in inputs]
    if free:
        raise RefusedError(
            f"{shown}: the outputs {', '.join(outputs)} also depend on {some(free)}", "add it to --inputs"
        )


def _with_placeholders(graph: Any, needed: Sequence[Any], specs: Sequence[Spec]) -> Any:
    """A graph of the needed nodes, with placeholders in place of the inputs."""
    import tensorflow as tf

    made = tf.compat.v1.GraphDef(versions=graph.versions, library=graph.library)
    inputs = {spec.name: spec for spec in specs}
    for node in needed:
        if node.name in inputs:
            placeholder = made.node.add(name=node.name, op="Placeholder")
            dtype = tf.as_dtype(inputs[node.name].dtype)
            placeholder.attr["dtype"].type = dtype.as_datatype_enum
        else:
            made.node.append(node)
    return made


def _tensors(graph: Any, names: Sequence[str]) -> list[str]:
    """The output tensors by name; of a node that is named without an index, all of its tensors."""
    import tensorflow as tf

    with tf.Graph().as_default() as made:
        tf.graph_util.import_graph_def(graph, name="")
        return [
            tensor.name
            for name in names
            for tensor in (
                [made.get_tensor_by_name(name)] if ":" in name else made.get_operation_by_name(name).outputs
            )
        ]


def _node_name(text: str) -> str:
    """The node of a tensor (``node:1``) or of a control input (``^node``)."""
    return text.removeprefix("^").partition(":")[0]


def _find(name: str, nodes: Mapping[str, Any], shown: str, option: str) -> Any:
    found = nodes.get(_node_name(name))
    if found is None:
        close = difflib.get_close_matches(name, list(nodes), n=1, cutoff=0.5)
        raise RefusedError(
            f"{shown} has no node {name!r} for {option}",
            f"perhaps you meant {close[0]!r}" if close else f"it has {some(nodes)}",
        )
    return found


def _spec(node: Any) -> Spec:
    import tensorflow as tf

    # Looked up first: reading node.attr["shape"] creates the attribute.
    has_shape = "shape" in node.attr
    shape = node.attr["shape"].shape
    known = has_shape and not shape.unknown_rank
    dtype = node.attr["dtype"].type or node.attr["T"].type or tf.float32.as_datatype_enum
    return Spec(
        name=node.name,
        dtype=tf.as_dtype(dtype).name,
        shape=tuple(int(d.size) for d in shape.dim) if known else None,
    )
