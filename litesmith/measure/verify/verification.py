"""Program + model → :class:`Verdict`: runs the program and compares its outputs with the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from litesmith.base import files, paths
from litesmith.base.errors import NoExecutorError, VerificationError
from litesmith.build import cache
from litesmith.measure.verify import reference
from litesmith.measure.verify.cases import cases_of
from litesmith.measure.verify.executor import find_executor
from litesmith.measure.verify.intermediates import NOT_IN_NUMPY
from litesmith.measure.verify.judgement import ComparedOutput, Judgement, NodePrograms, judge
from litesmith.measure.verify.program_under_test import ProgramUnderTest
from litesmith.measure.verify.tolerance import Tolerance
from litesmith.measure.verify.verdict import Verdict
from litesmith.model.entry_points import EVERYTHING, Choice, Part, parts
from litesmith.model.model_file import Model
from litesmith.target.profiles import Profile

_MOST_ELEMENTS = 1 << 28

# Bump when samples, tolerances or the comparison change.
_FORMAT = 9


def verify(
    program: Path,
    profile: Profile,
    model: Model,
    *,
    embedded: bool = False,
    cpu: str | None = None,
    sysroot: Path | None = None,
    choice: Choice = EVERYTHING,
    nodes: NodePrograms | None = None,
) -> Verdict:
    """Runs a program of this machine on all samples and compares its outputs with the reference.

    ``embedded`` says that the program contains the model.  ``cpu`` and ``sysroot`` are those of
    :func:`find_executor`.  ``nodes`` are programs that run single nodes, for a model whose outputs are not
    within their usual tolerances.  A verdict that is not ``wrong`` is cached by the digests of everything
    that it depends on.

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
        nodes is not None,
    )
    cached = paths.cache_folder() / "verdicts" / f"{key}.json"
    if cache.is_whole(cached):
        return Verdict.from_json(cached.read_text())
    under_test = ProgramUnderTest(
        executor=executor, path=str(program), model=None if embedded else str(model.path)
    )
    verdict = _compare(under_test, model, chosen, digest, nodes)
    if verdict.passed is not False:
        cache.store_text(files.to_json(verdict.to_json()), cached)
    return verdict


def verify_with(
    program: ProgramUnderTest,
    model: Model,
    *,
    program_digest: str,
    choice: Choice = EVERYTHING,
    earlier: Verdict | None = None,
) -> Verdict:
    """The same, uncached, for a program that need not be on this machine.

    ``earlier`` is the verdict on the same program on this machine: outputs may drift as far as was found
    right there, because the nodes of a program elsewhere cannot be looked at one by one.

    Raises:
        VerificationError: the program failed to run.
        UsageError: the inputs beside the model do not fit it, or ``choice`` does not.
    """
    chosen = parts(model.analysis, choice)
    obstacle = why_not_comparable(model, chosen)
    if obstacle:
        return _not_verified(model, obstacle, program_digest)
    return _compare(program, model, chosen, program_digest, None, earlier)


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
            if tensor.dtype in NOT_IN_NUMPY:
                return f"the tensor {tensor.name!r} has the dtype {tensor.dtype}, which is not compared"
    return ""


def _not_verified(
    model: Model, reason: str, digest: str, ran_with: str = "", *, refused: bool = False
) -> Verdict:
    return Verdict(
        passed=None,
        reason=reason,
        model=model.analysis.path,
        samples=0,
        worst=None,
        reference=reference.describe(),
        ran_with=ran_with,
        program_sha256=digest,
        refused=refused,
    )


def failed(model: Model, error: VerificationError, digest: str) -> Verdict:
    """The verdict on a program that failed to run."""
    return replace(_not_verified(model, error.message, digest), passed=False)


def _compare(
    program: ProgramUnderTest,
    model: Model,
    chosen: Sequence[Part],
    digest: str,
    nodes: NodePrograms | None,
    earlier: Verdict | None = None,
) -> Verdict:
    found = cases_of(model, chosen)
    ran_with = program.executor.description
    if not found.cases:
        reason = f"the reference interpreter cannot run it: {found.error}"
        return _not_verified(model, reason, digest, ran_with, refused=True)
    judged: list[Judgement] = []
    try:
        for case in found.cases:
            # The first wrong node is enough.
            known = any(one.wrong is not None for one in judged)
            judged.append(judge(program, model, case, None if known else nodes))
    except VerificationError as error:
        raise VerificationError(f"{model.analysis.path}: {error.message}", error.next_step) from None
    compared = [
        output if earlier is None else _as_earlier(output, earlier)
        for one in judged
        for output in one.outputs
    ]
    wrong_node = next((one.wrong for one in judged if one.wrong is not None), None)
    worst = max(compared, key=ComparedOutput.badness, default=None)
    wrong = wrong_node is not None or any(one.is_wrong for one in compared)
    return Verdict(
        passed=not wrong,
        reason=_reason(judged, worst) if wrong else "",
        model=model.analysis.path,
        samples=len(found.cases),
        worst=worst.record() if worst else None,
        reference=reference.describe(),
        ran_with=ran_with,
        program_sha256=digest,
        outputs=tuple(one.record() for one in _worst_of_each(compared)),
        nodes=max((one.nodes for one in judged), default=0),
        uncompared=tuple(dict.fromkeys(name for one in judged for name in one.uncompared)),
        wrong_node=wrong_node,
    )


def _as_earlier(output: ComparedOutput, earlier: Verdict) -> ComparedOutput:
    """The output with the tolerance of an earlier verdict, if that is larger."""
    name = output.case.part.outputs[output.position].name
    known = [one for one in earlier.outputs if (one.output, one.name) == (output.position, name)]
    if not earlier.passed or not known or known[0].tolerance <= output.tolerance.value:
        return output
    return replace(output, tolerance=Tolerance(value=known[0].tolerance, reason=known[0].reason))


def _worst_of_each(compared: Sequence[ComparedOutput]) -> list[ComparedOutput]:
    """For each output of each part, the case with the largest error, with the largest of its tolerances."""
    groups: dict[tuple[str | None, int], list[ComparedOutput]] = {}
    for one in compared:
        groups.setdefault((one.case.part.signature, one.position), []).append(one)
    return [
        replace(
            max(group, key=ComparedOutput.badness),
            tolerance=max((one.tolerance for one in group), key=lambda found: found.value),
        )
        for group in groups.values()
    ]


def _reason(judged: Sequence[Judgement], worst: ComparedOutput | None) -> str:
    """What is wrong: the first wrong node, or a drift that the nodes do not explain."""
    node = next((one.wrong for one in judged if one.wrong is not None), None)
    if node is not None:
        inputs = f"its inputs are in {node.inputs}"
        return f"{node.line}, on {node.sample}; {inputs}; {node.upstream}"
    suspect = next(one for one in judged if one.is_wrong)
    if suspect.obstacle:
        return f"its nodes were not looked at one by one: {suspect.obstacle}"
    if suspect.nodes:
        return "every node is right by itself: memory that nodes share, or their order, is not"
    assert worst is not None, "an output is wrong"  # noqa: S101
    return f"reason for the tolerance: {worst.tolerance.reason}"
