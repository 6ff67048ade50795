"""Models of other forms → ``.tflite`` files that this runtime can run."""

from __future__ import annotations

from typing import Any

from invoke.context import Context

from litesmith.cli.commands.common import command, needed, print_json, words


@command(
    iterable=["input_shape"],
    help={
        "from": "a .keras or .h5 file, a SavedModel's folder, or a frozen graph (.pb)",
        "quantize": "none (float32), dynamic (int8 weights), float16 (weights), or int8 (everything)",
        "representative": "an .npz file with inputs: to find ranges for int8, and to compare the answers",
        "out": "file to write (default: <name>.tflite here)",
        "io": "with --quantize int8: float (default) or int8 inputs and outputs",
        "signature": "of a SavedModel (default: serving_default, or the only one)",
        "input-shape": "NAME=1x224x224x3: the shape of an input (default: its own, with a batch of one)",
        "inputs": "of a frozen graph, separated by commas (default: its placeholders)",
        "outputs": "of a frozen graph or SavedModel, in the order that they shall have (default: all)",
        "allow-custom-ops": "let the converter write ops that TensorFlow Lite does not have",
        "custom-ops": "YAML file with custom ops of your own, which the model may have, too",
        "tf-header": "of a frozen graph: also write TensorFlow's own ops_to_register.h to this file",
        "target": "the board that code sizes are for",
        "toolchain": "the toolchain that they are for, for example gcc:static (default: the profile's first)",
        "json": "print the report as JSON",
    },
)
def convert(
    ctx: Context,
    from_: str | None = None,
    quantize: str = "none",
    representative: str | None = None,
    out: str | None = None,
    io: str = "float",
    signature: str | None = None,
    input_shape: Any = None,
    inputs: str = "",
    outputs: str = "",
    allow_custom_ops: bool = False,
    custom_ops: str | None = None,
    tf_header: str | None = None,
    target: str = "armv7",
    toolchain: str | None = None,
    json: bool = False,
) -> None:
    """Convert a Keras model, a SavedModel or a frozen graph, and say what that brought."""
    from litesmith.cli.render import converting
    from litesmith.model import entry_points
    from litesmith.workflow.convert import conversion, conversion_request

    del ctx
    wanted = conversion_request.check(
        source=needed(from_, "--from", "model.keras"),
        quantize=quantize,
        io=io,
        representative=representative,
        out=out,
        signature=signature,
        shapes=entry_points.parse_shapes(input_shape or ()),
        inputs=words(inputs),
        outputs=words(outputs),
        allow_custom_ops=allow_custom_ops,
        custom_ops=custom_ops,
        header=tf_header,
    )
    found = conversion.run(wanted, target, toolchain)
    if json:
        print_json(found.to_json())
    else:
        converting.conversion(found)
