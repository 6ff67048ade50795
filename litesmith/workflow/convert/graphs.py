"""Models as they were saved → :class:`Source`: inputs, outputs, and how TensorFlow computes them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.workflow.convert.converter_inputs import Spec
from litesmith.workflow.convert.refused import RefusedError, one_line, some

# Nodes that say where a graph ends without giving anything.
_NO_OUTPUTS = frozenset({"Placeholder", "Const", "NoOp", "Assert"})
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})
_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})


@dataclass(frozen=True)
class Source:
    """A model that was read, whatever it was saved as.

    ``call`` takes tensors in the order of ``inputs`` and gives those of ``outputs``; ``keep``
    owns the variables.  ``parameters`` is None where they must be counted in the graph, ``saved``
    is the folder and the signature of a SavedModel.
    """

    inputs: tuple[Spec, ...]
    outputs: tuple[str, ...]
    call: Callable[[Sequence[Any]], Sequence[Any]]
    keep: Any
    parameters: int | None
    saved: tuple[Path, str] | None = None


def read_keras(path: Path, shown: str) -> Source:
    """A ``.keras`` archive or an HDF5 file with the whole model."""
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever the layers of a strange file raise
        raise RefusedError(
            f"{shown} cannot be loaded by Keras {keras.__version__}: {one_line(error)}",
            "save the whole model again (model.save), or export it as a SavedModel (model.export)",
        ) from error
    tensors = getattr(model, "inputs", None)
    if not tensors or not model.outputs:
        raise RefusedError(
            f"{shown} does not say what its inputs are", "export it as a SavedModel (model.export) instead"
        )

    def call(values: Sequence[Any]) -> Sequence[Any]:
        import tensorflow as tf

        found = model(list(values) if len(values) > 1 else values[0], training=False)
        return list(tf.nest.flatten(found))

    inputs = tuple(
        Spec(name=tensor.name, dtype=str(tensor.dtype), shape=_dimensions(tensor.shape)) for tensor in tensors
    )
    return Source(
        inputs=inputs,
        outputs=_different(list(model.output_names)),
        call=call,
        keep=model,
        parameters=model.count_params(),
    )


def _dimensions(shape: Any) -> tuple[int, ...] | None:
    try:
        return tuple(-1 if dimension is None else int(dimension) for dimension in shape)
    except ValueError:  # TensorFlow's shape of unknown rank
        return None


def _different(names: Sequence[str]) -> tuple[str, ...]:
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{name}_{number}" for number, name in enumerate(names))


def read_saved_model(path: Path, shown: str, key: str | None, wanted: Sequence[str]) -> Source:
    """A SavedModel: one of its signatures."""
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise RefusedError(f"{shown} cannot be loaded: {one_line(error)}", "save it again") from error
    signatures = dict(loaded.signatures)
    if not signatures:
        raise RefusedError(
            f"{shown} has no signature", "save it with tf.saved_model.save(…, signatures=…) or model.export"
        )
    if key is None and len(signatures) > 1 and "serving_default" in signatures:
        key = "serving_default"
    if key is None and len(signatures) == 1:
        (key,) = signatures
    if key is None or key not in signatures:
        what = f"has no signature {key!r}" if key else "has several signatures"
        raise RefusedError(f"{shown} {what}", f"name one with --signature: {', '.join(sorted(signatures))}")
    chosen = signatures[key]
    given = chosen.structured_input_signature[1]
    names = sorted(given)
    outputs = tuple(wanted or sorted(chosen.structured_outputs))
    for name in outputs:
        if name not in chosen.structured_outputs:
            raise RefusedError(
                f"{shown} has no output {name!r}", f"it has {', '.join(sorted(chosen.structured_outputs))}"
            )

    def call(values: Sequence[Any]) -> Sequence[Any]:
        found = chosen(**dict(zip(names, values, strict=True)))
        return [found[name] for name in outputs]

    inputs = tuple(
        Spec(name=name, dtype=given[name].dtype.name, shape=_dimensions(given[name].shape)) for name in names
    )
    return Source(inputs=inputs, outputs=outputs, call=call, keep=loaded, parameters=None, saved=(path, key))


def read_frozen(path: Path, shown: str, named: Sequence[str], wanted: Sequence[str]) -> Source:
    """A frozen graph: its placeholders, and nodes that no other node reads, or those that are named."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except DecodeError:
        raise RefusedError(
            f"{shown} is not a frozen graph: it is no GraphDef", "see how it was written"
        ) from None
    nodes = {node.name: node for node in graph.node}
    if not nodes or not all(node.op for node in graph.node):
        raise RefusedError(f"{shown} is not a frozen graph: it has no nodes", "see how it was written")
    variables = [node.name for node in graph.node if node.op in _VARIABLES]
    if variables:
        raise RefusedError(
            f"{shown} is not frozen: it has the variables {some(variables)}",
            "freeze it, or save it as a SavedModel",
        )
    read = {_node_name(source) for node in graph.node for source in node.input}
    ends = [n.name for n in graph.node if n.name not in read and n.op not in _NO_OUTPUTS]
    outputs = list(wanted) or ends
    if not outputs:
        raise RefusedError(f"{shown} has no node that could be an output", "name outputs with --outputs")
    for name in outputs:
        _node(name, nodes, shown, "--outputs")
    cut = {_node(name, nodes, shown, "--inputs").name: None for name in named}
    kept = _needed(nodes, outputs, cut)
    # Outputs that are named may leave some placeholders without use.
    inputs = list(cut) or [node.name for node in kept if node.op in _PLACEHOLDERS]
    if not inputs:
        raise RefusedError(f"{shown} has no placeholder that could be an input", "name inputs with --inputs")
    _require_bound(kept, inputs, outputs, shown)
    specs = tuple(_placeholder(nodes[name]) for name in inputs)
    graph = _with_placeholders(graph, kept, specs)
    try:
        tensors = _tensors(graph, outputs)
    except Exception as error:  # an op that TensorFlow does not have, a graph that is inconsistent
        raise RefusedError(
            f"{shown} cannot be imported: {one_line(error)}", "see how it was written"
        ) from error
    if not tensors:
        raise RefusedError(f"{shown}: {', '.join(outputs)} give nothing", "name other --outputs")

    def call(values: Sequence[Any]) -> Sequence[Any]:
        feeds = {f"{spec.name}:0": value for spec, value in zip(specs, values, strict=True)}
        return list(tf.graph_util.import_graph_def(graph, feeds, tensors, name=""))

    names = tuple(name.removesuffix(":0") for name in tensors)
    return Source(inputs=specs, outputs=names, call=call, keep=None, parameters=None)


def _needed(nodes: Mapping[str, Any], outputs: Sequence[str], cut: Mapping[str, None]) -> list[Any]:
    """The nodes that outputs need, not beyond those that are inputs; in the graph's order."""
    found: set[str] = set()
    left = [_node_name(name) for name in outputs]
    while left:
        name = left.pop()
        if name in nodes and name not in found:
            found.add(name)
            left += [] if name in cut else map(_node_name, nodes[name].input)
    return [node for name, node in nodes.items() if name in found]


def _require_bound(kept: Sequence[Any], inputs: Sequence[str], outputs: Sequence[str], shown: str) -> None:
    """Every input is needed, and no other placeholder is."""
    needed = {node.name: node.op for node in kept}
    for name in inputs:
        if name not in needed:
            raise RefusedError(
                f"{shown}: the outputs {', '.join(outputs)} do not need {name}", "leave it out of --inputs"
            )
    free = [name for name, op in needed.items() if op in _PLACEHOLDERS and name not in inputs]
    if free:
        raise RefusedError(
            f"{shown}: the outputs {', '.join(outputs)} need {some(free)}, too", "add it to --inputs"
        )


def _with_placeholders(graph: Any, kept: Sequence[Any], specs: Sequence[Spec]) -> Any:
    """A graph of some nodes, with placeholders where the inputs are."""
    import tensorflow as tf

    made = tf.compat.v1.GraphDef(versions=graph.versions, library=graph.library)
    inputs = {spec.name: spec for spec in specs}
    for node in kept:
        if node.name in inputs:
            placeholder = made.node.add(name=node.name, op="Placeholder")
            dtype = tf.as_dtype(inputs[node.name].dtype)
            placeholder.attr["dtype"].type = dtype.as_datatype_enum
        else:
            made.node.append(node)
    return made


def _tensors(graph: Any, names: Sequence[str]) -> list[str]:
    """The tensors of nodes that are to be outputs; all those of a node that is named without a number."""
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
    return text.removeprefix("^").partition(":")[0]


def _node(name: str, nodes: Mapping[str, Any], shown: str, option: str) -> Any:
    found = nodes.get(_node_name(name))
    if found is None:
        import difflib

        close = difflib.get_close_matches(name, list(nodes), n=1, cutoff=0.5)
        raise RefusedError(
            f"{shown} has no node {name!r} for {option}",
            f"perhaps you meant {close[0]!r}" if close else f"it has {some(nodes)}",
        )
    return found


def _placeholder(node: Any) -> Spec:
    import tensorflow as tf

    # Asking for an attribute makes one.
    has_shape = "shape" in node.attr
    shape = node.attr["shape"].shape
    known = has_shape and not shape.unknown_rank
    dtype = node.attr["dtype"].type or node.attr["T"].type or tf.float32.as_datatype_enum
    return Spec(
        name=node.name,
        dtype=tf.as_dtype(dtype).name,
        shape=tuple(int(d.size) for d in shape.dim) if known else None,
    )


def tf_header(path: Path) -> tuple[str, list[str]]:
    """TensorFlow's own ``ops_to_register.h`` for a frozen graph, and the ops that have no kernel."""
    import tensorflow as tf
    from tensorflow.python.tools import selective_registration_header_lib as lib

    known = lib.get_ops_and_kernels("rawproto", [str(path)], "NoOp:NoOp,_Recv:RecvOp,_Send:SendOp")
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    missing = sorted({node.op for node in nodes} - {op for op, _ in known})
    # The header's first line names the program that writes it.
    before, sys.argv[0] = sys.argv[0], "print_selective_registration_header.py"
    try:
        return lib.get_header_from_ops_and_kernels(known, False), missing
    finally:
        sys.argv[0] = before
