"""One conversion, from the task to its files: reads, freezes, converts, compares, stores samples."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from litesmith.workflow.convert.worker import frozen_graph, keras_model, ops_header, quantisation, saved_model
from litesmith.workflow.convert.worker.comparison import Tally
from litesmith.workflow.convert.worker.errors import FAILED, RefusedError, one_line, some
from litesmith.workflow.convert.worker.freezing import Function, freeze
from litesmith.workflow.convert.worker.input_specs import (
    Spec,
    distinct,
    fixed_shape,
    require_names,
    safe_names,
)
from litesmith.workflow.convert.worker.quantisation import Quantisation, Report
from litesmith.workflow.convert.worker.samples import MARK, Array, Samples, random_samples, read_samples
from litesmith.workflow.convert.worker.source import Source
from litesmith.workflow.convert.worker.tflite_file import Model, has_custom_ops, in_order

STORED_SAMPLES = 4
MOST_COMPARED = 200


def run(task: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Performs a task and writes files into its folder; returns the fields of the ``result`` event.

    Raises:
        RefusedError: the model cannot be converted, or TensorFlow is missing.
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
    report("step", text=f"reading {shown} with TensorFlow {tf.__version__}")
    source = _read(task)
    inputs = distinct(source.inputs)
    require_names(task["shapes"], inputs, shown)
    specs = tuple(replace(spec, shape=fixed_shape(spec, task["shapes"], shown)) for spec in inputs)
    given = task["representative"]
    samples = read_samples(Path(given), specs, given) if given else random_samples(specs)
    notes = _write_ops_header(task, folder) if task["tf_header"] else []
    function = freeze(source, specs, shown, folder / "frozen")
    job = _Conversion(task, report, source, specs, function, samples)
    plain = job.convert(Quantisation("none", "float"))
    made = plain
    if task["quantize"] != "none":
        made = job.convert(Quantisation(task["quantize"], task["io"]))
    (folder / "float32.tflite").write_bytes(plain)
    (folder / "model.tflite").write_bytes(made)
    comparison = job.compare(made)
    if given:
        _store(folder / "inputs.npz", Model(made, specs, source.outputs), samples)
    return {
        "tensorflow": tf.__version__,
        "parameters": source.parameters or function.parameters,
        "inputs": [{"name": s.name, "dtype": s.dtype, "shape": s.shape} for s in specs],
        "outputs": list(source.outputs),
        "frozen": function.frozen,
        "comparison": comparison,
        "calibrated": len(samples) if task["quantize"] == "int8" else 0,
        "notes": notes,
    }


def _read(task: Mapping[str, Any]) -> Source:
    path, shown = Path(task["source"]), task["shown"]
    if task["kind"] == "keras":
        return keras_model.read(path, shown)
    if task["kind"] == "saved_model":
        return saved_model.read(path, shown, task["signature"], task["outputs"])
    return frozen_graph.read(path, shown, task["inputs"], task["outputs"])


def _write_ops_header(task: Mapping[str, Any], folder: Path) -> list[str]:
    """Writes TensorFlow's header; returns notes for the user."""
    header, missing = ops_header.generate(Path(task["source"]))
    (folder / "ops_to_register.h").write_text(header + "\n", encoding="utf-8")
    return [f"TensorFlow has no CPU kernel for {some(missing)}: not in its header"] if missing else []


@dataclass(frozen=True)
class _Conversion:
    """A model that was read, and how to convert it; ``specs`` have fixed shapes."""

    task: Mapping[str, Any]
    report: Report
    source: Source
    specs: tuple[Spec, ...]
    function: Function
    samples: Samples

    def convert(self, chosen: Quantisation) -> bytes:
        """The ``.tflite`` file, with inputs and outputs in the source's order.

        Ops whose int8 version is newer than the runtime stay in float32.
        """
        self.report("step", text=f"converting, {chosen.form if chosen.form != 'none' else 'float32'}")
        content = self._converted(chosen)
        if chosen.form == "int8" and (newer := quantisation.too_new(content, self.task["versions"])):
            self.report("step", text=f"converting again, with {', '.join(newer)} in float32: too new in int8")
            content = self._converted(replace(chosen, in_float=tuple(newer)))
        return in_order(content, Model(content, self.specs, self.source.outputs))

    def _converted(self, chosen: Quantisation) -> bytes:
        return quantisation.convert(
            self.function,
            self.specs,
            chosen,
            self.samples,
            self.report,
            shown=self.task["shown"],
            allow_custom_ops=self.task["allow_custom_ops"],
        )

    def compare(self, content: bytes) -> dict[str, Any]:
        """Compares the outputs of the file with those of TensorFlow, each output over all samples."""
        if has_custom_ops(content):
            return {"reason": "TensorFlow does not compute custom ops as the runtime does"}
        chosen = self.samples[:MOST_COMPARED]
        tallies = [Tally() for _ in self.source.outputs]
        self.report("step", text=f"comparing the outputs for {len(chosen)} samples with TensorFlow's")
        try:
            model = Model(content, self.specs, self.source.outputs)
            model.allocate()
            for number, values in enumerate(chosen):
                original = self._original(values)
                for tally, before, after in zip(tallies, original, model.run(values), strict=True):
                    tally.add(before, after)
                self.report("progress", what="comparing", done=number + 1, total=len(chosen))
        except (RuntimeError, ValueError, TypeError) as error:
            return {"reason": one_line(error)}
        names = self.source.outputs
        outputs = [{"name": n, **tally.result()} for n, tally in zip(names, tallies, strict=True)]
        return {"samples": len(chosen), "outputs": outputs}

    def _original(self, values: tuple[Array, ...]) -> list[Array]:
        import tensorflow as tf

        found = self.function.concrete(*(tf.constant(value) for value in values))
        return [found[name].numpy() for name in safe_names(self.source.outputs)]


def _store(path: Path, model: Model, samples: Samples) -> None:
    """Writes a few samples in the form that ``litesmith verify`` reads."""
    arrays: dict[str, Any] = {MARK: np.array("litesmith convert")}
    for number, values in enumerate(samples[:STORED_SAMPLES]):
        for position, value in enumerate(model.stored(values)):
            # NumPy would pickle an array of objects, and pickles are not loaded.
            arrays[f"{number}_{position}"] = value.astype("S") if value.dtype.kind == "O" else value
    np.savez_compressed(path, **arrays)
