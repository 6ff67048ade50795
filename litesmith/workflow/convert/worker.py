"""Converts one model with TensorFlow's converter: ``python -m litesmith.workflow.convert.worker TASK.json``.

It runs under the interpreter that has TensorFlow, with a copy of the few modules that it needs.
Standard output carries one JSON object for each event: ``step``, ``progress``, and at the end
``refused`` or ``result``.  What it makes lies in the task's folder: ``model.tflite``,
``float32.tflite``, ``inputs.npz``, ``ops_to_register.h``.

Every model becomes one function of fixed shapes with named inputs and outputs, whatever it was
saved as: a batch of one needs fewer ops than a batch of any size.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litesmith.workflow.convert import graphs
from litesmith.workflow.convert.comparison import Tally
from litesmith.workflow.convert.converter_inputs import (
    MARK,
    Array,
    Samples,
    Spec,
    fixed_shape,
    random_samples,
    read_samples,
    require_names,
    safe_name,
    shown_shape,
)
from litesmith.workflow.convert.graphs import Source
from litesmith.workflow.convert.refused import FAILED, UNSUPPORTED, RefusedError, one_line, some

STORED_SAMPLES = 4
MOST_COMPARED = 200

_KEY = "serving_default"


@dataclass(frozen=True)
class Function:
    """A model as one TensorFlow function of fixed shapes.

    ``folder`` and ``key`` are the SavedModel and the signature that go to the converter; ``frozen``
    says that it is ours, with constants instead of variables.
    """

    concrete: Any
    parameters: int
    folder: Path
    key: str
    frozen: bool


def function_of(source: Source, specs: Sequence[Spec], shown: str, scratch: Path) -> Function:
    """Traces a model with fixed shapes and makes constants of its variables.

    Raises:
        RefusedError: it cannot be traced, or it cannot be frozen and is no SavedModel.
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
            except Exception as error:  # tables, iterators, whatever else functions capture
                problem = one_line(error)
        if problem:
            return _as_saved(source, concrete, shown, problem)
        names = sorted(concrete.structured_outputs)
        graph = constants.graph.as_graph_def()

        def call(values: Sequence[Any]) -> Sequence[Any]:
            found = dict(zip(names, tf.nest.flatten(constants(*values)), strict=True))
            return [found[safe_name(name)] for name in source.outputs]

    frozen, module = _traced(call, source, specs, shown)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(scratch), signatures={_KEY: frozen}, options=options)
    return Function(frozen, _parameters(graph), scratch, _KEY, frozen=True)


def _unfreezable(graph: Any) -> str:
    """Why a function with variables cannot be frozen; nothing where it can."""
    functions = graph.library.function
    # Inlining would take away the names by which the converter knows them.
    if any("_implements" in function.attr for function in functions):
        return "some of its functions stand for custom ops"
    nodes = [*graph.node, *(node for function in functions for node in function.node_def)]
    return "it changes its variables" if any(node.op.startswith("Assign") for node in nodes) else ""


def _as_saved(source: Source, concrete: Any, shown: str, problem: str) -> Function:
    """A SavedModel that goes to the converter as it is."""
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

    names = [safe_name(name) for name in source.outputs]
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.safe) for spec in specs]

    def run(*values: Any) -> Any:
        return dict(zip(names, call(values), strict=True))

    module = tf.Module()
    module.run = tf.function(run, input_signature=signature)
    try:
        return module.run.get_concrete_function(), module
    except Exception as error:
        shapes = ", ".join(f"{spec.name} {shown_shape(spec.shape)}" for spec in specs)
        raise RefusedError(
            f"{shown} cannot take inputs of the shapes {shapes}: {one_line(error)}",
            "say others with --input-shape",
        ) from error


def _parameters(graph: Any) -> int:
    """Numbers in floating-point constants that are no scalars."""
    import tensorflow as tf

    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    shapes = [
        [d.size for d in node.attr["value"].tensor.tensor_shape.dim]
        for node in nodes
        if node.op == "Const" and tf.as_dtype(node.attr["dtype"].type).is_floating
    ]
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes if shape)


def converter_of(function: Function) -> Any:
    """TensorFlow's converter, told to write what the runtime that litesmith builds has."""
    import tensorflow as tf

    made = tf.lite.TFLiteConverter.from_saved_model(str(function.folder), signature_keys=[function.key])
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    # FULLY_CONNECTED 12, with a scale for each row, is newer than that.
    made._experimental_disable_per_channel_quantization_for_dense_layers = True
    return made


def quantise(
    converter: Any, quantize: str, io: str, samples: Callable[[], Iterator[dict[str, Array]]]
) -> None:
    """Tells the converter which numbers to use."""
    import tensorflow as tf

    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if io == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.int8


def quantised_but(calibrated: bytes, left: Sequence[str], io: str) -> bytes:
    """A calibrated model with all ops in int8 but those that are ``left``."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    ends = tf.int8 if io == "int8" else tf.float32
    return bytes(
        mlir_quantize(
            calibrated,
            denylisted_ops=set(left),
            disable_per_channel_for_dense_layers=True,
            input_data_type=ends,
            output_data_type=ends,
        )
    )


def too_new(content: bytes, versions: Mapping[str, tuple[str, int]]) -> list[str]:
    """Ops in a version that the runtime does not have; ``versions`` are names and the newest, by code."""
    from tensorflow.lite.tools import flatbuffer_utils

    codes = flatbuffer_utils.convert_bytearray_to_object(bytearray(content)).operatorCodes
    known = [(versions.get(str(code.builtinCode)), code.version) for code in codes]
    return sorted({op[0] for op, version in known if op is not None and version > op[1]})


def refusal(error: Exception, shown: str, quantize: str) -> RefusedError:
    """What the converter means by its pages of text."""
    text = str(error)
    missing = _listed(text, "TF Select ops") + _listed(text, "Custom ops")
    if missing:
        return RefusedError(
            f"{shown}: TensorFlow Lite has no op for {some(missing)}",
            "replace it by operations that have one, or write it as a custom op (--custom-ops)",
            UNSUPPORTED,
        )
    how = f"with --quantize {quantize}" if quantize != "none" else "to TensorFlow Lite"
    return RefusedError(
        f"{shown} cannot be converted {how}: {one_line(error)}",
        "run it again with --debug to see all that TensorFlow says",
        UNSUPPORTED,
    )


def _listed(text: str, head: str) -> list[str]:
    found = re.search(rf"^{head}: (.+)$", text, re.MULTILINE)
    return [name.strip() for name in found[1].split(",")] if found else []


class Model:
    """A ``.tflite`` file in TensorFlow's interpreter: built-in kernels, no delegates, one thread.

    ``inputs`` and ``outputs`` are positions in the file of the source's inputs and outputs.
    """

    def __init__(self, content: bytes, specs: Sequence[Spec], outputs: Sequence[str]) -> None:
        """Raises ValueError or RuntimeError where the interpreter cannot run it."""
        import tensorflow as tf

        kinds = tf.lite.experimental.OpResolverType
        self._interpreter = tf.lite.Interpreter(
            model_content=content,
            experimental_op_resolver_type=kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            num_threads=1,
        )
        self._details = (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        names = ([spec.safe for spec in specs], [safe_name(name) for name in outputs])
        signatures = list(self._interpreter._get_full_signature_list().values())
        self.inputs, self.outputs = (
            _positions(details, chosen, [signature[end] for signature in signatures])
            for details, chosen, end in zip(self._details, names, ("inputs", "outputs"), strict=True)
        )

    def start(self) -> None:
        """Raises RuntimeError where it has an op that TensorFlow's interpreter does not."""
        self._interpreter.allocate_tensors()

    def stored(self, values: Sequence[Array]) -> list[Array]:
        """A sample as the file's own inputs: in its order, quantised where they are."""
        order = dict(zip(self.inputs, values, strict=True))
        return [_quantised(order[i], detail) for i, detail in enumerate(self._details[0])]

    def run(self, values: Sequence[Array]) -> list[Array]:
        """The outputs in the source's order, as real numbers."""
        for detail, value in zip(self._details[0], self.stored(values), strict=True):
            self._interpreter.set_tensor(detail["index"], value)
        self._interpreter.invoke()
        details = [self._details[1][position] for position in self.outputs]
        return [_real(self._interpreter.get_tensor(detail["index"]), detail) for detail in details]


def _positions(
    details: Sequence[Mapping[str, Any]], names: Sequence[str], signatures: Sequence[Mapping[str, int]]
) -> list[int]:
    """Where in the file the tensors of names are: as its signature says, else in the same order."""
    if not signatures:
        return list(range(len(names)))
    indices = [detail["index"] for detail in details]
    return [indices.index(signatures[0][name]) for name in names]


def _quantised(value: Array, detail: Mapping[str, Any]) -> Array:
    scale, zero = detail["quantization"]
    if not scale or value.dtype.kind != "f" or np.dtype(detail["dtype"]).kind not in "iu":
        return value
    limits = np.iinfo(detail["dtype"])
    steps: Array = np.clip(np.round(value / scale + zero), limits.min, limits.max)
    return steps.astype(detail["dtype"])


def _real(value: Array, detail: Mapping[str, Any]) -> Array:
    scale, zero = detail["quantization"]
    if not scale or value.dtype.kind not in "iu":
        return value
    made: Array = (value.astype(np.float32) - zero) * np.float32(scale)
    return made


def in_order(content: bytes, model: Model) -> bytes:
    """The file with inputs and outputs in the source's order; a SavedModel has them by name."""
    from tensorflow.lite.tools import flatbuffer_utils

    if list(model.inputs) == sorted(model.inputs) and list(model.outputs) == sorted(model.outputs):
        return content
    unpacked = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    main = unpacked.subgraphs[0]
    main.inputs = [main.inputs[position] for position in model.inputs]
    main.outputs = [main.outputs[position] for position in model.outputs]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked))


def has_custom_ops(content: bytes) -> bool:
    """Whether a file has ops that only their names say what they are."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    return any(code.customCode for code in model.operatorCodes)


@dataclass(frozen=True)
class Work:
    """One conversion: the task, how progress is told, and the model that was read."""

    task: Mapping[str, Any]
    say: Callable[..., None]
    source: Source
    specs: tuple[Spec, ...]
    function: Function

    def convert(self, quantize: str, io: str, samples: Samples) -> bytes:
        """The ``.tflite`` file, with inputs and outputs in the source's order."""
        self.say("step", text=f"converting, {quantize if quantize != 'none' else 'float32'}")
        content = self._converted(quantize, io, samples)
        newer = too_new(content, self.task["versions"]) if quantize == "int8" else []
        if newer:
            self.say("step", text=f"converting again, with {', '.join(newer)} in float32: too new in int8")
            content = self._converted(quantize, io, samples, newer)
        return in_order(content, Model(content, self.specs, self.source.outputs))

    def _converted(self, quantize: str, io: str, samples: Samples, left: Sequence[str] = ()) -> bytes:
        """What the converter writes; ops that are ``left`` are not quantised."""

        def representative() -> Iterator[dict[str, Array]]:
            for number, values in enumerate(samples):
                self.say("progress", what="calibrating", done=number + 1, total=len(samples))
                yield {spec.safe: value for spec, value in zip(self.specs, values, strict=True)}

        converter = converter_of(self.function)
        converter.allow_custom_ops = self.task["allow_custom_ops"]
        quantise(converter, quantize, io, representative)
        try:
            if not left:
                return bytes(converter.convert())
            # The converter's own option for this is for debugging, and two steps.
            converter._experimental_calibrate_only = True
            return quantised_but(bytes(converter.convert()), left, io)
        except Exception as error:  # the converter's own, and those of whatever it calls
            raise refusal(error, self.task["shown"], quantize) from error

    def compare(self, content: bytes, samples: Samples) -> dict[str, Any]:
        """Outputs of the file beside those of TensorFlow, for each output over all samples."""
        if has_custom_ops(content):
            return {"reason": "TensorFlow does not compute custom ops as the runtime does"}
        chosen = samples[:MOST_COMPARED]
        tallies = [Tally() for _ in self.source.outputs]
        self.say("step", text=f"comparing the answers to {len(chosen)} samples with TensorFlow's")
        try:
            model = Model(content, self.specs, self.source.outputs)
            model.start()
            for number, values in enumerate(chosen):
                original = self._original(values)
                for tally, before, after in zip(tallies, original, model.run(values), strict=True):
                    tally.add(before, after)
                self.say("progress", what="comparing", done=number + 1, total=len(chosen))
        except (RuntimeError, ValueError, TypeError) as error:
            return {"reason": one_line(error)}
        names = self.source.outputs
        outputs = [{"name": n, **tally.result()} for n, tally in zip(names, tallies, strict=True)]
        return {"samples": len(chosen), "outputs": outputs}

    def _original(self, values: Sequence[Array]) -> list[Array]:
        import tensorflow as tf

        found = self.function.concrete(*(tf.constant(value) for value in values))
        return [found[safe_name(name)].numpy() for name in self.source.outputs]


def read(task: Mapping[str, Any]) -> Source:
    """The task's model."""
    path, shown = Path(task["source"]), task["shown"]
    if task["kind"] == "keras":
        return graphs.read_keras(path, shown)
    if task["kind"] == "saved_model":
        return graphs.read_saved_model(path, shown, task["signature"], task["outputs"])
    return graphs.read_frozen(path, shown, task["inputs"], task["outputs"])


def work(task: Mapping[str, Any], say: Callable[..., None]) -> dict[str, Any]:
    """Converts, compares, and writes files into the task's folder.

    Raises:
        RefusedError: what the user is told.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise RefusedError(
            f"{sys.executable} has no TensorFlow: {one_line(error)}",
            "name another Python in LITESMITH_CONVERTER, or unset it",
            FAILED,
        ) from error
    folder, shown = Path(task["folder"]), task["shown"]
    say("step", text=f"reading {shown} with TensorFlow {tf.__version__}")
    source = read(task)
    require_names(task["shapes"], source.inputs, shown)
    shapes = [fixed_shape(spec, task["shapes"], shown) for spec in source.inputs]
    specs = tuple(Spec(s.name, s.dtype, shape) for s, shape in zip(source.inputs, shapes, strict=True))
    given = task["representative"]
    samples = read_samples(Path(given), specs, given) if given else random_samples(specs)
    notes = []
    if task["tf_header"]:
        header, missing = graphs.tf_header(Path(task["source"]))
        (folder / "ops_to_register.h").write_text(header + "\n", encoding="utf-8")
        if missing:
            notes.append(f"TensorFlow has no CPU kernel for {some(missing)}: not in its header")
    job = Work(task, say, source, specs, function_of(source, specs, shown, folder / "frozen"))
    plain = job.convert("none", "float", samples)
    made = plain
    if task["quantize"] != "none":
        made = job.convert(task["quantize"], task["io"], samples)
    (folder / "float32.tflite").write_bytes(plain)
    (folder / "model.tflite").write_bytes(made)
    comparison = job.compare(made, samples)
    if given:
        _store(folder / "inputs.npz", Model(made, specs, source.outputs), samples)
    return {
        "tensorflow": tf.__version__,
        "parameters": source.parameters or job.function.parameters,
        "inputs": [{"name": s.name, "dtype": s.dtype, "shape": s.shape} for s in specs],
        "outputs": list(source.outputs),
        "frozen": job.function.frozen,
        "comparison": comparison,
        "calibrated": len(samples) if task["quantize"] == "int8" else 0,
        "notes": notes,
    }


def _store(path: Path, model: Model, samples: Samples) -> None:
    """A few samples as ``litesmith verify`` takes them."""
    arrays: dict[str, Any] = {MARK: np.array("litesmith convert")}
    for number, values in enumerate(samples[:STORED_SAMPLES]):
        for position, value in enumerate(model.stored(values)):
            # NumPy would pickle objects, and nobody loads those.
            arrays[f"{number}_{position}"] = value.astype("S") if value.dtype.kind == "O" else value
    np.savez_compressed(path, **arrays)


def main() -> None:
    """Does the task of the file that is named."""
    # Whatever libraries print is not for the one who reads our events.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(event: str, **fields: Any) -> None:
        events.write(json.dumps({"event": event, **fields}) + "\n")
        events.flush()

    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        say("result", **work(task, say))
    except RefusedError as error:
        traceback.print_exc()
        say("refused", message=error.message, next_step=error.next_step, code=error.code)


if __name__ == "__main__":
    main()
