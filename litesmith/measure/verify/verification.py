"""Program + model → :class:`Verdict`: runs the program and compares its outputs with the reference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import files, paths
from litesmith.base.errors import NoExecutorError, VerificationError
from litesmith.measure.verify import reference
from litesmith.measure.verify.cases import Case, cases_of
from litesmith.measure.verify.comparison import INCOMPARABLE, error_of
from litesmith.measure.verify.executor import find_executor
from litesmith.measure.verify.explanation import explain
from litesmith.measure.verify.program_under_test import ProgramUnderTest
from litesmith.measure.verify.tolerance import ANOTHER_SIZE, Tolerance, tolerance_of, xnnpack_tolerance
from litesmith.measure.verify.verdict import Verdict, Worst
from litesmith.measure.verify.xnnpack_reference import XnnpackReference
from litesmith.model.entry_points import EVERYTHING, Choice, Part, parts
from litesmith.model.model_file import Model
from litesmith.model.tensors import Array
from litesmith.target.profiles import Profile

_MOST_ELEMENTS = 1 << 28

# Bump when samples, tolerances or the comparison change.
_FORMAT = 7


def verify(
    program: Path,
    profile: Profile,
    model: Model,
    *,
    embedded: bool = False,
    cpu: str | None = None,
    sysroot: Path | None = None,
    choice: Choice = EVERYTHING,
) -> Verdict:
    """Runs a program of this machine on all samples and compares its outputs with the reference.

    ``embedded`` says that the program contains the model.  ``cpu`` and ``sysroot`` are those of
    :func:`find_executor`.  A verdict is cached by the digests of everything that it depends on.

    Raises:
        VerificationError: the program failed to run.
        UsageError: the inputs beside the model do not fit it, or ``choice`` does not.
    """
    digest = files.sha256(program)
    chosen = parts(model.analysis, choice)
    try:
        executor = find_executor(profile, cpu, sysroot)
    except NoExecutorError as error:
        return _not_verified(model, str(error), digest)
    obstacle = why_not_comparable(model, chosen)
    if obstacle:
        return _not_verified(model, obstacle, digest)
    inputs_file = model.path.with_suffix(".inputs.npz")
    key = files.digest_of(
        _FORMAT,
        digest,
        model.analysis.sha256,
        model.analysis.path,
        files.sha256(inputs_file) if inputs_file.is_file() else "",
        reference.describe(),
        executor.description,
        embedded,
        choice.signature,
        {name: list(shape) for name, shape in choice.shapes.items()},
    )
    cached = paths.cache_folder() / "verdicts" / f"{key}.json"
    if cached.is_file():
        return Verdict.from_json(cached.read_text())
    under_test = ProgramUnderTest(
        executor=executor, path=str(program), model=None if embedded else str(model.path)
    )
    verdict = _compare(under_test, model, chosen, digest)
    files.write_atomically(cached, files.to_json(verdict.to_json()))
    return verdict


def verify_with(
    program: ProgramUnderTest, model: Model, *, program_digest: str, choice: Choice = EVERYTHING
) -> Verdict:
    """The same, uncached, for a program that need not be on this machine.

    Raises:
        VerificationError: the program failed to run.
        UsageError: the inputs beside the model do not fit it, or ``choice`` does not.
    """
    chosen = parts(model.analysis, choice)
    obstacle = why_not_comparable(model, chosen)
    if obstacle:
        return _not_verified(model, obstacle, program_digest)
    return _compare(program, model, chosen, program_digest)


_NOT_IN_NUMPY = frozenset({"resource", "variant", "bfloat16", "int4", "uint4", "int2"})


def why_not_comparable(model: Model, chosen: Sequence[Part]) -> str:
    """Why a model's outputs cannot be compared with a reference; empty when they can."""
    if any(node.random for subgraph in model.analysis.subgraphs for node in subgraph.nodes):
        return "the model draws random numbers without a seed, so that its outputs differ in each run"
    for part in chosen:
        for position, tensor in enumerate(part.inputs):
            count = math.prod(part.shape(position))
            if count > _MOST_ELEMENTS:
                return f"the input {tensor.name!r} has {count} elements"
        for tensor in (*part.inputs, *part.outputs):
            if tensor.dtype in _NOT_IN_NUMPY:
                return f"the tensor {tensor.name!r} has the dtype {tensor.dtype}, which is not compared"
    return ""


def _not_verified(model: Model, reason: str, digest: str, ran_with: str = "") -> Verdict:
    return Verdict(
        passed=None,
        reason=reason,
        model=model.analysis.path,
        samples=0,
        worst=None,
        reference=reference.describe(),
        ran_with=ran_with,
        program_sha256=digest,
    )


def _compare(program: ProgramUnderTest, model: Model, chosen: Sequence[Part], digest: str) -> Verdict:
    found = cases_of(model, chosen)
    ran_with = program.executor.description
    if not found.cases:
        return _not_verified(
            model, f"the reference interpreter cannot run it: {found.error}", digest, ran_with
        )
    xnnpack = XnnpackReference(model, found.cases)
    try:
        compared = [one for case in found.cases for one in compare_case(program, case, xnnpack)]
    except VerificationError as error:
        raise VerificationError(f"{model.analysis.path}: {error.message}", error.next_step) from None
    worst = max(compared, key=ComparedOutput.badness, default=None)
    wrong = worst is not None and worst.is_wrong
    return Verdict(
        passed=not wrong,
        reason=explain(model, worst.case, worst.position, worst.tolerance) if worst and wrong else "",
        model=model.analysis.path,
        samples=len(found.cases),
        worst=worst.record() if worst else None,
        reference=reference.describe(),
        ran_with=ran_with,
        program_sha256=digest,
    )


@dataclass(frozen=True, kw_only=True)
class ComparedOutput:
    """An output of a case beside the expected one; the unit of ``error`` is that of :func:`error_of`."""

    case: Case
    position: int
    error: float
    tolerance: Tolerance

    @property
    def is_wrong(self) -> bool:
        """Whether the error is larger than accepted."""
        return self.error > self.tolerance.value

    def badness(self) -> tuple[bool, float]:
        """The key by which the worst output is found."""
        return self.is_wrong, self.error

    def record(self) -> Worst:
        """What a verdict says of it."""
        tensor = self.case.part.outputs[self.position]
        return Worst(
            sample=self.case.label,
            output=self.position,
            name=tensor.name,
            dtype=tensor.dtype,
            error=self.error,
            tolerance=self.tolerance.value,
        )


def compare_case(
    program: ProgramUnderTest, case: Case, xnnpack: XnnpackReference | None = None
) -> Iterator[ComparedOutput]:
    """Runs the program on one case and compares each of its outputs.

    ``xnnpack`` widens the tolerances of a program whose nodes XNNPACK runs.

    Raises:
        VerificationError: the program failed.
    """
    outputs = program.run(case)
    for position, (expected, actual) in enumerate(zip(case.expected, outputs.arrays, strict=True)):
        written = case.written(position)
        error = INCOMPARABLE if actual is None else error_of(expected[written], actual[written])
        tolerance = _tolerance(case, position, actual, error, xnnpack if outputs.xnnpack else None)
        yield ComparedOutput(case=case, position=position, error=error, tolerance=tolerance)


def _tolerance(
    case: Case, position: int, actual: Array | None, error: float, xnnpack: XnnpackReference | None
) -> Tolerance:
    """The tolerance of one output: every choice between tolerances is made here."""
    expected = case.expected[position]
    if actual is None:
        return ANOTHER_SIZE
    usual = tolerance_of(expected)
    # Upstream's build with XNNPACK is run only where its outputs matter.
    if error <= usual.value or xnnpack is None or not xnnpack.quantised or expected.dtype.kind not in "iuf":
        return usual
    widened = xnnpack_tolerance(case.sample, xnnpack.outputs(case.part, position), actual)
    return max(usual, widened, key=lambda one: one.value)
