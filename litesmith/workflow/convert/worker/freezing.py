"""Traces a model with fixed shapes, and turns its variables into constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litesmith.workflow.convert.worker.errors import UNSUPPORTED, RefusedError, one_line
from litesmith.workflow.convert.worker.input_specs import Spec, safe_names, shape_text
from litesmith.workflow.convert.worker.source import Source

_KEY = "serving_default"


@dataclass(frozen=True)
class Function:
    """A model as one TensorFlow function of fixed shapes.

    ``folder`` and ``key`` are the SavedModel and the signature for the converter.  ``frozen`` says that this
    SavedModel was written here, with constants instead of variables.
    """

    concrete: Any
    parameters: int
    folder: Path
    key: str
    frozen: bool


def freeze(source: Source, specs: Sequence[Spec], shown: str, scratch: Path) -> Function:
    """Traces a model with fixed shapes, freezes it, and saves it in ``scratch``.

    A SavedModel whose variables cannot become constants is taken as it is.

    Raises:
        RefusedError: the model cannot be traced, or cannot be frozen and is not a SavedModel.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = _traced(source.call, source, specs, shown)[0]
    graph = concrete.graph.as_graph_def()
    call = source.call
    if concrete.captured_inputs:
        problem = _unfreezable(graph)
        if not problem:
            try:
                constants = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
                # What it captures besides variables are inputs of the frozen function.
                if len(constants.inputs) > len(specs):
                    problem = "it looks up values in tables"
            except Exception as error:  # functions may capture iterators and other resources
                problem = one_line(error)
        if problem:
            return _as_saved(source, concrete, shown, problem)
        names = sorted(concrete.structured_outputs)
        graph = constants.graph.as_graph_def()

        def call(values: Sequence[Any]) -> Sequence[Any]:
            found = dict(zip(names, tf.nest.flatten(constants(*values)), strict=True))
            return [found[name] for name in safe_names(source.outputs)]

    frozen, module = _traced(call, source, specs, shown)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(scratch), signatures={_KEY: frozen}, options=options)
    return Function(frozen, _parameters(graph), scratch, _KEY, frozen=True)


def _unfreezable(graph: Any) -> str:
    """Why a function with variables cannot be frozen; empty if it can."""
    functions = graph.library.function
    # Freezing inlines functions and so loses the name by which the converter knows a custom op.
    if any("_implements" in function.attr for function in functions):
        return "some of its functions stand for custom ops"
    return "it changes its variables" if any(n.op.startswith("Assign") for n in _nodes(graph)) else ""


def _nodes(graph: Any) -> list[Any]:
    """The nodes of a graph and of its functions."""
    return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]


def _as_saved(source: Source, concrete: Any, shown: str, problem: str) -> Function:
    """The original SavedModel."""
    if source.saved is None:
        raise RefusedError(
            f"{shown} cannot be frozen: {problem}", "export it as a SavedModel and convert that", UNSUPPORTED
        )
    folder, key = source.saved
    sizes = [int(np.prod(variable.shape, dtype=np.int64)) for variable in concrete.variables]
    return Function(concrete, sum(sizes), folder, key, frozen=False)


def _traced(
    call: Callable[[Sequence[Any]], Sequence[Any]], source: Source, specs: Sequence[Spec], shown: str
) -> tuple[Any, Any]:
    """A concrete function with named inputs and outputs, and the module that owns it."""
    import tensorflow as tf

    names = safe_names(source.outputs)
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.safe) for spec in specs]

    def run(*values: Any) -> Any:
        return dict(zip(names, call(values), strict=True))

    module = tf.Module()
    module.run = tf.function(run, input_signature=signature)
    try:
        return module.run.get_concrete_function(), module
    except Exception as error:
        shapes = ", ".join(f"{spec.name} {shape_text(spec.shape)}" for spec in specs)
        raise RefusedError(
            f"{shown} cannot take inputs of the shapes {shapes}: {one_line(error)}",
            "give other shapes with --input-shape",
        ) from error


def _parameters(graph: Any) -> int:
    """The number of elements of all floating-point constants but scalars."""
    import tensorflow as tf

    shapes = [
        [d.size for d in node.attr["value"].tensor.tensor_shape.dim]
        for node in _nodes(graph)
        if node.op == "Const" and tf.as_dtype(node.attr["dtype"].type).is_floating
    ]
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes if shape)
