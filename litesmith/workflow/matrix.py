"""Every model for every target with every toolchain: the cells of one table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import console, files
from litesmith.base.errors import LitesmithError, UsageError
from litesmith.build.manifest import Manifest
from litesmith.build.request import STRICT, Request
from litesmith.measure.verify.verdict import NOT_VERIFIED
from litesmith.workflow import build_and_verify


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One build.

    ``verdict`` is ``verified``, ``not verified``, ``wrong`` or ``failed``; ``reason`` says why it is not
    ``verified``.  ``code`` is ``binary.code`` of ``size.json``, ``file`` is the size of the stripped program,
    both in bytes; they are None if the build failed.
    """

    target: str
    toolchain: str
    model: str
    verdict: str
    reason: str
    exit_code: int
    code: int | None
    file: int | None
    seconds: float
    folder: str
    made_with: str


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """All cells, in the order in which they were built."""

    cells: tuple[Cell, ...]

    @property
    def exit_code(self) -> int:
        """0, or the exit code of the first cell that failed."""
        return next((cell.exit_code for cell in self.cells if cell.exit_code), 0)

    def to_json(self) -> dict[str, Any]:
        """``matrix.json``."""
        failed = sum(cell.exit_code != 0 for cell in self.cells)
        return {"cells": [asdict(cell) for cell in self.cells], "failed": failed}


def run(
    targets: Sequence[str],
    models: Sequence[str],
    toolchains: Sequence[str | None],
    out: Path,
    verify: str = STRICT,
) -> Matrix:
    """Builds all combinations into folders of ``out``, and writes ``matrix.json`` there.

    ``toolchains`` are names, with or without a linkage (``gcc:static``); None is a profile's first
    toolchain.  ``verify`` is that of a request.  A cell that fails does not stop the others.

    Raises:
        UsageError: there is nothing to build, or ``out`` is a file.
    """
    for option, given in (("--targets", targets), ("--models", models)):
        if not given:
            raise UsageError(f"{option} is empty", "separate several with commas")
    if out.exists() and not out.is_dir():
        raise UsageError(f"the output folder {out} is a file", "name another one with --out")
    wanted = [
        (target, toolchain, model)
        # The kernels of a target are compiled for its first model; the others use the cached objects.
        for target in dict.fromkeys(targets)
        for toolchain in dict.fromkeys(toolchains)
        for model in dict.fromkeys(models)
    ]
    cells: list[Cell] = []
    for target, toolchain, model in wanted:
        folder = _folder(out, target, toolchain, model, cells)
        request = Request(target=target, models=(model,), toolchain=toolchain, out=str(folder), verify=verify)
        cell = _build(request, folder)
        cells.append(cell)
        # Written after each cell: an interrupted matrix keeps its results.
        matrix = Matrix(cells=tuple(cells))
        files.write_atomically(out / "matrix.json", files.to_json(matrix.to_json()))
        result = f"{cell.code:,} bytes, {cell.verdict}" if cell.code else f"{cell.verdict}: {cell.reason}"
        place = f"[{len(cells)}/{len(wanted)}] {target}, {cell.toolchain}, {model}"
        console.note(f"{place}: {result}, {cell.seconds:.1f} s")
    return matrix


def _folder(out: Path, target: str, toolchain: str | None, model: str, before: Sequence[Cell]) -> Path:
    """The folder of a cell; it is unique even if two models have the same file name."""
    name = Path(model.removeprefix("zoo:")).stem
    place = out / Path(target).stem / (toolchain or "default").replace(":", "-")
    taken = {cell.folder for cell in before}
    candidates = (place / (name if n == 1 else f"{name}-{n}") for n in range(1, len(before) + 2))
    return next(path for path in candidates if str(path) not in taken)


def _build(request: Request, folder: Path) -> Cell:
    start = time.monotonic()
    code = file = None
    made_with = ""
    try:
        built = build_and_verify.build(request)
        verdict = next(iter(built.verdicts), None)
        word = NOT_VERIFIED if verdict is None else verdict.status
        reason = "" if verdict is None or verdict.passed else verdict.reason
        code, file, exit_code = built.size.binary.code, built.size.binary.file, 0
        made_with = _made_with(built.manifest)
    except LitesmithError as error:
        word = "wrong" if error.exit_code == 4 else "failed"
        reason, exit_code = str(error), error.exit_code
    except OSError as error:
        word, reason, exit_code = "failed", f"{error.filename or ''}: {error.strerror or error}", 1
    except (Exception, MemoryError) as error:
        word, reason, exit_code = "failed", f"internal error: {type(error).__name__}: {error}", 1
    return Cell(
        target=request.target,
        toolchain=request.toolchain or "default",
        model=request.models[0],
        verdict=word,
        reason=reason,
        exit_code=exit_code,
        code=code,
        file=file,
        seconds=round(time.monotonic() - start, 3),
        folder=str(folder),
        made_with=made_with,
    )


def _made_with(manifest: Manifest) -> str:
    """Compiler, linkage and flags of a build."""
    toolchain, flags = manifest.toolchain, manifest.flags
    words = " ".join((*flags["target"], *flags["common"]))
    return f"{toolchain['name']} {toolchain['version']}, {toolchain['linkage']}: {words}"
