"""One inference of a program → its outputs beside the expected ones, and its nodes where that is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from litesmith.base.errors import LitesmithError
from litesmith.measure.verify import repro, sensitivity
from litesmith.measure.verify.cases import Case
from litesmith.measure.verify.comparison import INCOMPARABLE, error_of
from litesmith.measure.verify.node_check import NodeReport, WrongNode, check_nodes, overflowed
from litesmith.measure.verify.program_under_test import ProgramUnderTest
from litesmith.measure.verify.tolerance import ANOTHER_SIZE, Tolerance, drift_tolerance, tolerance_of
from litesmith.measure.verify.verdict import ComparedNode, Output
from litesmith.model.model_file import Model
from litesmith.model.tensors import Array


class NodePrograms(Protocol):
    """Programs that can run single nodes, built when they are needed.

    Both raise a ``LitesmithError`` if they cannot be built.
    """

    def checked(self) -> Path:
        """The program under verification, with the mode for single nodes."""

    def unpruned(self) -> Path:
        """The same model with upstream's kernels, unpruned."""


@dataclass(frozen=True, kw_only=True)
class ComparedOutput:
    """An output of a case beside the expected one; the unit of ``error`` is that of :func:`error_of`.

    ``actual`` is None for an output of another size.
    """

    case: Case
    position: int
    error: float
    tolerance: Tolerance
    actual: Array | None = field(repr=False, compare=False)

    @property
    def is_wrong(self) -> bool:
        """Whether the error is larger than accepted."""
        return self.error > self.tolerance.value

    def badness(self) -> tuple[bool, float]:
        """The key by which the worst output is found."""
        return self.is_wrong, self.error

    def record(self) -> Output:
        """What a verdict says of it."""
        tensor = self.case.part.outputs[self.position]
        return Output(
            sample=self.case.label,
            output=self.position,
            name=tensor.name,
            dtype=tensor.dtype,
            error=self.error,
            tolerance=self.tolerance.value,
            reason=self.tolerance.reason,
        )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What was found for one case.

    ``nodes`` is the number of nodes' outputs that were compared, 0 where only the outputs of the model were;
    ``uncompared`` names tensors of nodes that could not be given or compared.  ``reasons`` says why nodes
    that differ are right.  ``wrong`` is the first wrong node.  ``obstacle`` says why nodes could not be
    looked at.
    """

    outputs: tuple[ComparedOutput, ...]
    nodes: int = 0
    uncompared: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    wrong: ComparedNode | None = None
    obstacle: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether the program is."""
        return self.wrong is not None or any(output.is_wrong for output in self.outputs)


def compare_case(program: ProgramUnderTest, case: Case) -> tuple[ComparedOutput, ...]:
    """Runs the program on one case and compares each of its outputs.

    Raises:
        VerificationError: the program failed.
    """
    outputs = program.run(case)
    found = []
    for position, (expected, actual) in enumerate(zip(case.expected, outputs, strict=True)):
        written = case.written(position)
        error = INCOMPARABLE if actual is None else error_of(expected[written], actual[written])
        tolerance = ANOTHER_SIZE if actual is None else tolerance_of(expected)
        found.append(
            ComparedOutput(case=case, position=position, error=error, tolerance=tolerance, actual=actual)
        )
    return tuple(found)


def judge(program: ProgramUnderTest, model: Model, case: Case, nodes: NodePrograms | None) -> Judgement:
    """Compares the outputs, and all nodes one by one where the outputs alone do not show that they are right.

    Raises:
        VerificationError: the program failed.
    """
    outputs = compare_case(program, case)
    found = _kept(outputs)
    if nodes is None or not any(output.is_wrong for output in outputs):
        return Judgement(outputs=found)
    try:
        with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
            return _by_nodes(
                replace(program, path=str(nodes.checked())), model, outputs, nodes, Path(scratch)
            )
    except LitesmithError as error:
        return Judgement(outputs=found, obstacle=str(error))


def _by_nodes(
    program: ProgramUnderTest,
    model: Model,
    outputs: Sequence[ComparedOutput],
    nodes: NodePrograms,
    scratch: Path,
) -> Judgement:
    case = outputs[0].case
    report = check_nodes(program, model, case, scratch)
    found = Judgement(
        outputs=_kept(outputs),
        nodes=report.compared,
        uncompared=report.skipped,
        reasons=report.reasons,
    )
    if report.wrong:
        return replace(found, wrong=_described(program, model, case, report, nodes, scratch))
    if report.overflows:
        outputs = [_without_overflows(output) for output in outputs]
    try:
        enough = [one.error / sensitivity.FACTOR if one.is_wrong else 0.0 for one in outputs]
        moved = sensitivity.drift(model, case, report.roundings, enough)
        obstacle = ""
    except ValueError as error:
        moved, obstacle = (0.0,) * len(outputs), f"the reference's own drift is not known: {error}"
    judged = (
        replace(output, tolerance=drift_tolerance(case.expected[output.position], moved[output.position]))
        if output.tolerance is not ANOTHER_SIZE
        else output
        for output in outputs
    )
    return replace(found, outputs=_kept(judged), obstacle=obstacle)


def _kept(outputs: Iterable[ComparedOutput]) -> tuple[ComparedOutput, ...]:
    """What a verdict keeps of all cases: without the arrays, which would fill the memory."""
    return tuple(replace(output, actual=None) for output in outputs)


def _without_overflows(output: ComparedOutput) -> ComparedOutput:
    """The output with its error where infinity counts as the largest finite number."""
    if output.actual is None:
        return output
    expected, written = output.case.expected[output.position], output.case.written(output.position)
    actual = np.where(overflowed(output.actual, expected), expected, output.actual)
    return replace(output, error=error_of(expected[written], actual[written]))


def _described(
    program: ProgramUnderTest,
    model: Model,
    case: Case,
    report: NodeReport,
    nodes: NodePrograms,
    scratch: Path,
) -> ComparedNode:
    """The first wrong node for the verdict, with its inputs on disk and upstream's own answer."""
    wrong = report.wrong[0]
    return ComparedNode(
        sample=case.label,
        node=wrong.index,
        op=wrong.op,
        tensor=wrong.tensor,
        name=wrong.name,
        dtype=wrong.dtype,
        error=min(wrong.error, INCOMPARABLE),
        limit=wrong.limit,
        reason=wrong.reason,
        line=wrong.line(),
        inputs=str(repro.keep(model, case, wrong, scratch)),
        upstream=_upstream(program, model, case, wrong, nodes),
    )


def _upstream(
    program: ProgramUnderTest, model: Model, case: Case, wrong: WrongNode, nodes: NodePrograms
) -> str:
    """Whether upstream's own kernels, of the same version, answer in the same way: they are run."""
    try:
        report = check_nodes(replace(program, path=str(nodes.unpruned())), model, case)
    except LitesmithError as error:
        return f"upstream's own build could not be asked: {error}"
    same = next((one for one in report.wrong if one.tensor == wrong.tensor), None)
    if same is None:
        return "upstream's own build of this version is right"
    if same.actual is not None and wrong.actual is not None:
        equal_nan = wrong.actual.dtype.kind in "fc"
        if np.array_equal(same.actual, wrong.actual, equal_nan=equal_nan):
            return "as upstream's own build of this version does"
    return "upstream's own build of this version differs, too, in another way"
