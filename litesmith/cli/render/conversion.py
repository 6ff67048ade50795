"""Conversions as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.cli.render.table import add_row, table

if TYPE_CHECKING:
    from litesmith.workflow.convert.conversion_report import Comparison, Conversion, OpUse, Output, Price


def conversion(found: Conversion) -> None:
    """Sizes before and after, the ops and what they cost, and the error of the answers."""
    out = console.stdout()
    _sizes(found)
    _ops(found.ops, found.price)
    if found.price is not None:
        _program(found, found.price)
    _comparison(found.comparison)
    for line in found.notes:
        out.print(line, markup=False, soft_wrap=True)
    for path in found.written:
        out.print(f"wrote {path}", markup=False, soft_wrap=True)


def _sizes(found: Conversion) -> None:
    """Weights compared with the float32 source, files with the float32 conversion."""
    shown = table("form", "weights, bytes", "file, bytes")
    weights = 4 * found.parameters
    add_row(
        shown, f"{found.source}, {found.parameters:,} parameters", f"{weights:,}", f"{found.source_bytes:,}"
    )
    plain, made = found.plain, found.made
    add_row(shown, "float32 .tflite", _with_share(plain.weight_bytes, weights), f"{plain.file:,}")
    if found.quantize != "none":
        words = f"{found.quantize} .tflite" + (", int8 in and out" if found.io == "int8" else "")
        add_row(shown, words, _with_share(made.weight_bytes, weights), _with_share(made.file, plain.file))
    console.stdout().print(shown)


def _with_share(size: int, before: int) -> str:
    return f"{size:,} ({100 * (size / before - 1):+.1f} %)" if before else f"{size:,}"


def _ops(ops: tuple[OpUse, ...], price: Price | None) -> None:
    out = console.stdout()
    shown = table("op", "nodes", "dtypes", "new", f"bytes on {price.target}" if price else "bytes")
    for op in ops:
        cost = f"{op.bytes:,}" if op.bytes is not None else ""
        add_row(shown, op.name, str(op.count), " ".join(op.dtypes), "new" if op.new else "", cost)
    out.print(shown)


def _program(found: Conversion, price: Price) -> None:
    """What the program will weigh, and that of the float32 conversion."""
    changed = price.float_code is not None and price.float_code != price.code
    line = f"program on {price.target}: about {price.code:,} bytes of code (±{100 * price.error:.1f} %)"
    if changed:
        line += f", float32 {price.float_code:,}"
    if any(op.new for op in found.ops):
        line += f"; new ops {price.new_ops:,}"
    line += f"; with the model {price.code + found.made.file:,}"
    if changed and price.float_code is not None:
        line += f", float32 {price.float_code + found.plain.file:,}"
    console.stdout().print(f"{line}; measured with {price.made_with}", markup=False, soft_wrap=True)


def _comparison(found: Comparison) -> None:
    out = console.stdout()
    if found.reason:
        out.print(f"not compared with TensorFlow: {found.reason}", markup=False, soft_wrap=True)
        return
    shown = table("output", "range", "largest error", "mean error", "same top-1")
    for output in found.outputs:
        span = f"{output.range[0]:.4g} to {output.range[1]:.4g}" if output.range else ""
        largest = _error(output.largest, output.largest_of_range)
        mean = _error(output.mean, output.mean_of_range)
        top = f"{100 * output.top1:.1f} % of {output.rows}" if output.top1 is not None else ""
        add_row(shown, output.name, span, largest, mean, top)
    out.print(shown)
    for output in found.outputs:
        for line in _shape_and_value_warnings(output):
            out.print(f"{output.name}: {line}", markup=False, soft_wrap=True)
    whose = f"samples of {found.data}" if found.data != "random" else "random samples"
    advice = "" if found.data != "random" else "; real ones (--representative) say more"
    out.print(
        f"compared with TensorFlow's answers to {found.samples} {whose}{advice}", markup=False, soft_wrap=True
    )


def _error(size: float, share: float | None) -> str:
    return f"{size:.3g}" + (f" ({100 * share:.3g} % of range)" if share is not None else "")


def _shape_and_value_warnings(output: Output) -> list[str]:
    found = []
    if output.not_finite:
        found.append(f"{output.not_finite} elements are not finite in one of the two models")
    if output.reshaped:
        found.append(f"the shape {output.reshaped}")
    return found
