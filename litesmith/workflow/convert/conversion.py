"""Runs a conversion: :class:`ConversionRequest` → TensorFlow's converter → checks → files."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

from litesmith.base import files
from litesmith.base.errors import LitesmithError, UnsupportedModelError
from litesmith.model import contents
from litesmith.model.analysis import ModelAnalysis
from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Problem, Registry
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from litesmith.workflow.convert import conversion_report, converter_process, environment
from litesmith.workflow.convert.conversion_report import Comparison, Conversion, Form, Output, Price
from litesmith.workflow.convert.conversion_request import ConversionRequest

_MARK = "made_by.npy"
"""The member of an ``.npz`` file that marks it as written by a conversion."""


def run(request: ConversionRequest, target: str, toolchain: str | None = None) -> Conversion:
    """Converts a model, checks that the runtime can run it, estimates the program, and writes the files.

    Raises:
        UsageError: the model, the data or an option cannot be used.
        UnsupportedModelError: TensorFlow Lite, or the pinned runtime, cannot run the model.
        ToolError: TensorFlow is missing or crashed.
    """
    profile, name = profiles.load(target).choose(toolchain)
    chosen = load_toolchain(name)
    registry = op_registry.load()
    python = environment.interpreter()
    with tempfile.TemporaryDirectory(prefix="litesmith-convert-") as scratch:
        folder = Path(scratch)
        result = converter_process.run(request, python, folder, registry)
        content = (folder / "model.tflite").read_bytes()
        made = contents.analyse_bytes(content, str(request.source))
        plain = contents.analyse_bytes((folder / "float32.tflite").read_bytes(), str(request.source))
        _require_supported(registry, made, request)
        if not result["frozen"]:
            _require_values(registry, made)
        notes = list(result["notes"])
        price: Price | None = None
        prices: dict[str, int] = {}
        try:
            price, prices = conversion_report.priced(made, plain, registry, profile, chosen)
        except LitesmithError as error:
            notes.append(f"no estimate of the program: {error.message}")
        used = conversion_report.used_ops(made, plain, registry, prices)
        if request.quantize == "int8" and (left := conversion_report.left_in_float(used)):
            notes.append(f"{', '.join(left)} stayed in float32: the runtime has no int8 version of it")
        written = _write(request, folder, content, notes)
    return Conversion(
        source=str(request.source),
        out=str(request.out),
        written=tuple(map(str, written)),
        quantize=request.quantize,
        io=request.io,
        tensorflow=result["tensorflow"],
        inputs=tuple(result["inputs"]),
        parameters=result["parameters"],
        source_bytes=_size(request.source),
        plain=Form.of(plain),
        made=Form.of(made),
        ops=used,
        price=price,
        comparison=_comparison(result["comparison"], request),
        notes=tuple(notes),
    )


def _size(path: Path) -> int:
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in found)


def _comparison(found: dict[str, Any], request: ConversionRequest) -> Comparison:
    return Comparison(
        samples=found.get("samples", 0),
        data=str(request.representative) if request.representative else "random",
        outputs=tuple(Output(**output) for output in found.get("outputs", ())),
        reason=found.get("reason", ""),
    )


# The result


def _require_supported(registry: Registry, made: ModelAnalysis, request: ConversionRequest) -> None:
    """Refuses a model that the pinned runtime, with the user's own custom ops, cannot run."""
    problems = [
        problem
        for problem in registry.problems(made)
        if not (problem.kind == "custom" and problem.op in request.custom_ops)
    ]
    if problems:
        first = problems[0]
        more = ", ".join(dict.fromkeys(p.message for p in problems[1:]))
        raise UnsupportedModelError(
            f"{request.source}, converted: {first.message}" + (f"; {more}" if more else ""), _advice(first)
        )


def _advice(problem: Problem) -> str:
    if problem.kind == "version":
        return "convert with an older TensorFlow, named in LITESMITH_CONVERTER"
    if problem.kind == "builtin":
        return "replace the operation with others, or convert with an older TensorFlow (LITESMITH_CONVERTER)"
    return problem.next_step


def _require_values(registry: Registry, made: ModelAnalysis) -> None:
    """Refuses a model whose variables have lost their values in the conversion: they would all be empty."""
    names = {registry.name_of(use) for use in made.ops()}
    if "READ_VARIABLE" in names and "CALL_ONCE" not in names:
        raise UnsupportedModelError(
            f"{made.path}: TensorFlow's converter has lost the values of its variables",
            "freeze them before saving the model (convert_variables_to_constants_v2)",
        )


def _write(request: ConversionRequest, folder: Path, content: bytes, notes: list[str]) -> list[Path]:
    """Writes all files, the model last: if it exists, the others are complete."""
    written = []
    if request.header is not None:
        files.write_atomically(request.header, (folder / "ops_to_register.h").read_bytes())
        written.append(request.header)
    if not _replaceable(request.samples):
        if request.representative is not None:
            notes.append(f"{request.samples} exists and was not written by a conversion: it stays as it is")
    elif request.representative is not None:
        files.write_atomically(request.samples, (folder / "inputs.npz").read_bytes())
        written.append(request.samples)
    else:
        # From an earlier conversion, whose inputs may have been different.
        request.samples.unlink(missing_ok=True)
    files.write_atomically(request.out, content)
    return [request.out, *written]


def _replaceable(path: Path) -> bool:
    """Whether a file of samples may be replaced: it does not exist, or a conversion wrote it."""
    if not path.exists():
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return _MARK in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
