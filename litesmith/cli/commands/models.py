"""Tasks that look at models, convert them, and list the public ones."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from litesmith.cli.command import Result, command
from litesmith.cli.options import MODEL, comma_separated, required

if TYPE_CHECKING:
    from litesmith.model.zoo import ZooModel
    from litesmith.workflow.convert.conversion_report import Conversion

_UNSUPPORTED_MODEL = 3


@command(
    help={"model": f"{MODEL}; may be repeated"}, json="print the analysis as JSON", repeatable=("model",)
)
def analyse(model: tuple[str, ...]) -> Result[Any]:
    """Show what a model contains, and what this runtime cannot run."""
    from litesmith.cli.render import models as tables
    from litesmith.model import model_file
    from litesmith.runtime import op_registry

    registry = op_registry.load()
    names = required(model, "--model", "examples/det.tflite")
    analyses = [model_file.open_model(name).analysis for name in names]
    reports = [op_registry.describe(analysis, registry) for analysis in analyses]
    return Result(
        value=reports,
        show=lambda _: tables.analyses(analyses, registry),
        to_json=lambda found: found[0] if len(found) == 1 else found,
        exit_code=_UNSUPPORTED_MODEL if any(report["problems"] for report in reports) else 0,
    )


@command(
    help={
        "from": "a .keras or .h5 file, the folder of a SavedModel, or a frozen graph (.pb)",
        "quantize": "none (float32), dynamic (int8 weights), float16 (weights) or int8 (everything)",
        "representative": "an .npz file with inputs, to find ranges for int8 and to compare the answers",
        "out": "the file to write (default: <name>.tflite in this folder)",
        "io": "with --quantize int8: float (default) or int8 inputs and outputs",
        "signature": "of a SavedModel (default: serving_default, or the only one)",
        "input-shape": "NAME=1x224x224x3: use this shape for an input (default: its own, with a batch of 1)",
        "inputs": "of a frozen graph, separated by commas (default: its placeholders)",
        "outputs": "of a frozen graph or a SavedModel, in this order, separated by commas (default: all)",
        "allow-custom-ops": "let the converter write ops that TensorFlow Lite does not have",
        "custom-ops": "a YAML file that describes your own custom ops, which the model may use",
        "tf-header": "of a frozen graph: also write TensorFlow's own ops_to_register.h to this file",
        "target": "the target that code sizes are estimated for",
        "toolchain": "the toolchain that they are estimated for: gcc:static (default: the profile's first)",
    },
    json="print the report as JSON",
    repeatable=("input_shape",),
)
def convert(
    from_: str | None = None,
    quantize: str = "none",
    representative: str | None = None,
    out: str | None = None,
    io: str = "float",
    signature: str | None = None,
    input_shape: tuple[str, ...] = (),
    inputs: str = "",
    outputs: str = "",
    allow_custom_ops: bool = False,
    custom_ops: str | None = None,
    tf_header: str | None = None,
    target: str = "armv7",
    toolchain: str | None = None,
) -> Result[Conversion]:
    """Convert a Keras model, a SavedModel or a frozen graph, and report what changed."""
    from litesmith.cli.render import conversion as tables
    from litesmith.model import entry_points
    from litesmith.workflow.convert import conversion, conversion_request

    request = conversion_request.check(
        source=required(from_, "--from", "model.keras"),
        quantize=quantize,
        io=io,
        representative=representative,
        out=out,
        signature=signature,
        shapes=entry_points.parse_shapes(input_shape),
        inputs=comma_separated(inputs),
        outputs=comma_separated(outputs),
        allow_custom_ops=allow_custom_ops,
        custom_ops=custom_ops,
        header=tf_header,
    )
    return Result(value=conversion.run(request, target, toolchain), show=tables.conversion)


@command(help={"fetch": "download all models"}, json="print the zoo as JSON")
def zoo(fetch: bool = False) -> Result[list[ZooModel]]:
    """Show the public models that --model zoo:NAME fetches."""
    from litesmith.cli.render import models as tables
    from litesmith.model import zoo as models

    if fetch:
        for name in models.MODELS:
            models.fetch(name)
    return Result(
        value=list(models.MODELS.values()),
        show=tables.zoo,
        to_json=lambda found: [dataclasses.asdict(model) for model in found],
    )
