"""Program + reference → :class:`Verdict`: the program runs, and its answers are compared."""

from __future__ import annotations

import functools
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from litesmith.base import files, paths, process
from litesmith.base.errors import NoExecutorError, VerificationError
from litesmith.measure.verify import reference
from litesmith.measure.verify.executor import Executor, find_executor
from litesmith.measure.verify.reference import Question
from litesmith.model.contents import ModelAnalysis
from litesmith.model.entry_points import EVERYTHING, Choice, Part, parts
from litesmith.model.samples import Sample, samples
from litesmith.model.tensors import Array, from_bytes
from litesmith.target.profiles import Profile

FLOAT_TOLERANCE = 1e-5
"""Largest error of a float output, as a fraction of the output's range."""

HOPELESS = 1e9
"""Error of an output whose size or whose NaNs and infinities differ; JSON has no infinity."""

_MOST_ELEMENTS = 1 << 28

# Bump when samples, tolerances or the comparison change.
_FORMAT = 6


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The output that is farthest from the reference.

    ``error`` is in steps for integers and a fraction of the reference's range for floats.  ``tolerance`` is
    larger than usual where XNNPACK rounds quantised numbers in another way than the reference: as far as
    upstream's own program with XNNPACK is away from it for the same inputs.
    """

    sample: str
    output: int
    name: str
    dtype: str
    error: float
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What verification found.

    ``passed`` is None when the program could not be run here; ``reason`` says why, and where an answer is
    wrong what may explain it.
    """

    passed: bool | None
    reason: str
    model: str
    samples: int
    worst: Worst | None
    reference: str
    ran_with: str
    program_sha256: str

    def to_json(self) -> dict[str, Any]:
        """``verify.json``."""
        return asdict(self)

    def line(self) -> str:
        """The verdict in one line."""
        if self.passed is None:
            return f"{self.model}: not verified: {self.reason}"
        if self.worst is None:
            return f"{self.model}: verified, no outputs to compare"
        worst = self.worst
        unit = "" if worst.dtype.startswith("float") else " steps"
        return (
            f"{self.model}: {'verified' if self.passed else 'WRONG'}, {self.samples} inputs, "
            f"worst output {worst.output} ({worst.name}) on {worst.sample}: "
            f"error {worst.error:.3g}{unit}, tolerance {worst.tolerance:g}{unit}, ran with {self.ran_with}"
            f"{'; ' if self.reason else ''}{self.reason}"
        )


def compare(expected: Array, actual: Array) -> tuple[float, float]:
    """Error and tolerance of one output; see :class:`Worst` for the unit."""
    if expected.dtype.kind in "bO":
        return float(np.count_nonzero(expected != actual)), 0.0
    if expected.dtype.kind not in "fc":
        difference = (
            expected.astype(object) - actual.astype(object)
            if expected.dtype.itemsize == 8
            else (expected.astype(np.int64) - actual.astype(np.int64))
        )
        return float(np.abs(difference).max(initial=0)), 0.0
    finite = np.isfinite(expected)
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    if not bool(np.all(same | finite)) or not bool(np.all(np.isfinite(actual) | ~finite)):
        return HOPELESS, FLOAT_TOLERANCE
    # Outputs can be most of the memory: copies only where they are needed.
    values, others = (expected, actual) if bool(finite.all()) else (expected[finite], actual[finite])
    if values.size == 0:
        return 0.0, FLOAT_TOLERANCE
    is_complex = values.dtype.kind == "c"
    largest = float(np.abs(values).max())
    scale = (largest if is_complex else float(values.max() - values.min())) or largest or 1.0
    difference = np.subtract(values, others, dtype=np.complex128 if is_complex else np.float64)
    return float(np.abs(difference).max()) / scale, FLOAT_TOLERANCE


def verify(
    program: Path,
    profile: Profile,
    analysis: ModelAnalysis,
    model: Path,
    *,
    embedded: bool = False,
    cpu: str | None = None,
    sysroot: Path | None = None,
    choice: Choice = EVERYTHING,
) -> Verdict:
    """Runs the program on all samples and compares with the reference.

    ``cpu`` and ``sysroot`` are those of :func:`find_executor`.  A verdict is cached by the
    digests of everything that it depends on.

    Raises:
        VerificationError: the program failed to run.
        UsageError: the inputs beside the model do not fit it, or ``choice`` does not.
    """
    digest = files.sha256(program)
    chosen = parts(analysis, choice)
    try:
        executor = find_executor(profile, cpu, sysroot)
    except NoExecutorError as error:
        return _unverified(analysis, str(error), digest)
    obstacle = _not_comparable(analysis, chosen)
    if obstacle:
        return _unverified(analysis, obstacle, digest)
    inputs_file = model.with_suffix(".inputs.npz")
    key = files.digest_of(
        _FORMAT,
        digest,
        analysis.sha256,
        analysis.path,
        files.sha256(inputs_file) if inputs_file.is_file() else "",
        reference.describe(),
        executor.description,
        embedded,
        choice.signature,
        {name: list(shape) for name, shape in choice.shapes.items()},
    )
    cached = paths.cache_folder() / "verdicts" / f"{key}.json"
    if cached.is_file():
        return _from_json(cached)
    inside = None if embedded else str(model)
    verdict = _compare_all(str(program), executor, inside, analysis, model, chosen, digest)
    files.write_atomically(cached, files.to_json(verdict.to_json()))
    return verdict


def verify_with(
    executor: Executor,
    program: str,
    model_there: str,
    analysis: ModelAnalysis,
    model: Path,
    *,
    program_digest: str,
    choice: Choice = EVERYTHING,
) -> Verdict:
    """The same for a program that lies elsewhere: ``program`` and ``model_there`` are its paths.

    Raises:
        VerificationError: the program failed to run.
        UsageError: the inputs beside the model do not fit it, or ``choice`` does not.
    """
    chosen = parts(analysis, choice)
    obstacle = _not_comparable(analysis, chosen)
    if obstacle:
        return _unverified(analysis, obstacle, program_digest)
    return _compare_all(program, executor, model_there, analysis, model, chosen, program_digest)


def _unverified(analysis: ModelAnalysis, reason: str, digest: str) -> Verdict:
    return Verdict(
        passed=None,
        reason=reason,
        model=analysis.path,
        samples=0,
        worst=None,
        reference=reference.describe(),
        ran_with="",
        program_sha256=digest,
    )


def _compare_all(
    program: str,
    executor: Executor,
    model_there: str | None,
    analysis: ModelAnalysis,
    model: Path,
    chosen: Sequence[Part],
    digest: str,
) -> Verdict:
    tried = [samples(analysis, model, part) for part in chosen]
    answers = reference.answers(
        [
            Question(
                model=model,
                sha256=analysis.sha256,
                entry=part.entry,
                samples={name: s.inputs for name, s in found.items() if s.expected is None},
            )
            for part, found in zip(chosen, tried, strict=True)
        ]
    )
    worst: Worst | None = None
    asked: Question | None = None
    compared = 0
    first_error = ""
    delegated = _Delegated(analysis, model, chosen, tried)
    for number, (part, found, answered) in enumerate(zip(chosen, tried, answers, strict=True)):
        known = {
            name: outputs
            for name, sample in found.items()
            if (outputs := sample.expected or answered[name].outputs)
        }
        for name, sample in found.items():
            expected, error = sample.expected, ""
            if expected is None:
                expected, error = answered[name].outputs, answered[name].error
            first_error = first_error or error
            if error and name.startswith("real"):
                raise VerificationError(
                    f"{analysis.path}: the reference interpreter cannot run {name}: {error}",
                    "correct the inputs beside the model, or convert it again",
                )
            if error:
                # Zeros and random numbers need not make sense to a model: as a shape, as an axis.
                continue
            label = f"{part.signature}, {name}" if part.signature is not None else name
            try:
                result = verify_sample(
                    *(program, executor, model_there, part, label, sample.inputs, expected),
                    delegated=functools.partial(delegated.tolerance, number, name, known),
                )
            except VerificationError as failure:
                raise VerificationError(f"{analysis.path}: {failure.message}", failure.next_step) from None
            compared += 1
            if result is not None and (worst is None or _badness(result) > _badness(worst)):
                worst = result
                asked = Question(
                    model=model, sha256=analysis.sha256, entry=part.entry, samples={_EXACT: sample.inputs}
                )
    passed = None if compared == 0 else worst is None or worst.error <= worst.tolerance
    reason = f"the reference interpreter cannot run it: {first_error}" if compared == 0 else ""
    if worst is not None and asked is not None and passed is False:
        moved = moved_by_rounding(asked, worst.output)
        if moved > worst.tolerance:
            reason = f"the reference's own answer moves by {moved:.3g} when its inputs change by a rounding"
    return Verdict(
        passed=passed,
        reason=reason,
        model=analysis.path,
        samples=compared,
        worst=worst,
        reference=reference.describe(),
        ran_with=executor.description,
        program_sha256=digest,
    )


_EXACT, _ROUNDED = "exact", "rounded"


def moved_by_rounding(question: Question, output: int) -> float:
    """How far the reference's answer to a question moves when float inputs are the next floats, up or down.

    In the unit of :func:`compare`; 0 without float inputs.  Kernels that sum up in another order cannot be
    expected to come nearer.  ``question`` has one sample, called ``exact``.
    """
    exact = question.samples[_EXACT]
    rng = np.random.default_rng(0)
    rounded = [
        np.nextafter(value, np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf).astype(value.dtype))
        if value.dtype.kind == "f"
        else value
        for value in exact
    ]
    samples = {_EXACT: exact, _ROUNDED: rounded}
    (found,) = reference.answers([replace(question, samples=samples)])
    if any(answer.error for answer in found.values()):
        return 0.0
    one, other = (found[name].outputs[output] for name in (_EXACT, _ROUNDED))
    return compare(one, other)[0] if one.shape == other.shape and one.dtype.kind in "fiu" else 0.0


class _Delegated:
    """How far upstream's own program with XNNPACK is away from the reference, asked once it matters."""

    def __init__(
        self,
        analysis: ModelAnalysis,
        model: Path,
        chosen: Sequence[Part],
        tried: Sequence[Mapping[str, Sample]],
    ) -> None:
        self._quantised = any(
            tensor.dtype in _QUANTISED for subgraph in analysis.subgraphs for tensor in subgraph.tensors
        )
        self._questions = [
            Question(
                model=model,
                sha256=analysis.sha256,
                entry=part.entry,
                samples={name: sample.inputs for name, sample in found.items()},
                delegates=True,
            )
            for part, found in zip(chosen, tried, strict=True)
        ]
        self._counts = [_detections(analysis, part) for part in chosen]

    @functools.cached_property
    def _answers(self) -> list[dict[str, reference.Answer]]:
        return reference.answers(self._questions)

    def tolerance(
        self, part: int, sample: str, expected: Mapping[str, Sequence[Array]], position: int, actual: Array
    ) -> float:
        """In the unit of :func:`compare`; ``expected`` are the reference's answers by sample.

        Numbers that equal upstream's, each one, are right.  Else one step for integers, as each node of
        XNNPACK's rounds once where others round twice; more where upstream's program is farther away on
        any sample: what differs early can come to more later.
        """
        here = expected[sample][position]
        if not self._quantised or here.dtype.kind not in "iuf":
            return 0.0
        written = self._written(part, expected[sample], position)
        upstream = self._upstream(part, sample, position)
        ours, theirs = actual[written], here[written]
        if upstream is not None and upstream.shape == here.shape:
            other = upstream[written]
            nearest = np.where(_distance(ours, other) < _distance(ours, theirs), other, theirs)
            error, tolerance = compare(nearest, ours)
            if error <= tolerance:
                return compare(here, actual)[0]
        found = [1.0 if here.dtype.name in _QUANTISED else 0.0]
        for name, outputs in expected.items():
            answer, other = outputs[position], self._upstream(part, name, position)
            if other is not None and other.shape == answer.shape:
                told = self._written(part, outputs, position)
                found.append(compare(answer[told], other[told])[0])
        # Programs that differ by more than that say nothing of each other.
        most = max(one for one in found if one <= _MOST_DRIFT or here.dtype.kind != "f")
        return compare(here, actual)[0] if compare(theirs, ours)[0] <= most else most

    def _written(self, part: int, outputs: Sequence[Array], position: int) -> Any:
        """The index of what has been written to an output: behind the last detection is anything."""
        count = self._counts[part].get(position)
        return ... if count is None else (slice(None), slice(int(outputs[count].flat[0])))

    def _upstream(self, part: int, sample: str, position: int) -> Array | None:
        answer = self._answers[part][sample]
        return None if answer.error else answer.outputs[position]


_MOST_DRIFT = 0.1


def _detections(analysis: ModelAnalysis, part: Part) -> dict[int, int]:
    """Positions of outputs with a row for each detection, and of the output that says how many there are."""
    outputs = part.subgraph.outputs
    found: dict[int, int] = {}
    for node in part.subgraph.nodes:
        if analysis.operator_codes[node.opcode_index].name == "TFLite_Detection_PostProcess":
            *rows, count = node.outputs
            if count in outputs:
                found |= {outputs.index(row): outputs.index(count) for row in rows if row in outputs}
    return found


def _distance(one: Array, other: Array) -> Array:
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return np.where(np.isnan(difference), np.inf, difference)


_QUANTISED = frozenset({"int8", "uint8"})


def _not_comparable(analysis: ModelAnalysis, chosen: Sequence[Part]) -> str:
    """Why a model's answers cannot be held against a reference; empty when they can."""
    if any(node.random for subgraph in analysis.subgraphs for node in subgraph.nodes):
        return "the model draws random numbers without a seed, so no two answers are equal"
    for part in chosen:
        for position, tensor in enumerate(part.inputs):
            count = math.prod(part.shape(position))
            if count > _MOST_ELEMENTS:
                return f"the input {tensor.name!r} has {count} elements"
        for tensor in (*part.inputs, *part.outputs):
            if tensor.dtype in {"resource", "variant", "int4"}:
                return f"the tensor {tensor.name!r} has the dtype {tensor.dtype}, which is not compared"
    return ""


def _from_json(path: Path) -> Verdict:
    content = json.loads(path.read_text())
    worst = content.pop("worst")
    return Verdict(**content, worst=Worst(**worst) if worst else None)


def _runs_xnnpack(done: process.Completed) -> bool:
    """Whether a program says that XNNPACK ran some of its nodes."""
    try:
        return any(json.loads(done.stdout).get("delegated_nodes", ()))
    except ValueError:
        return False


def _complaint(done: process.Completed) -> str:
    """Why a program failed: the runtime's own words, which name the node, or else its last line."""
    lines = done.stderr.strip().splitlines() or ["it said nothing"]
    mark = "ERROR: "
    said = [line.removeprefix(mark).rstrip(".") for line in lines if line.startswith(mark)]
    return "; ".join(said) or lines[-1]


def _badness(worst: Worst) -> tuple[bool, float]:
    return worst.error > worst.tolerance, worst.error


def verify_sample(
    program: Path | str,
    executor: Executor,
    model: Path | str | None,
    part: Part,
    sample: str,
    inputs: Sequence[Array],
    expected: Sequence[Array],
    *,
    delegated: Callable[[int, Array], float] = lambda _position, _actual: 0.0,
) -> Worst | None:
    """Runs the program on one sample; the output that is farthest from ``expected``.

    ``model`` is None where it is inside of the program.  ``delegated`` says how far an output of a program
    whose nodes XNNPACK runs may be away.

    Raises:
        VerificationError: the program failed.
    """
    worst: Worst | None = None
    part = part.of_size(inputs)
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        folder = Path(scratch)
        arguments = [*([] if model is None else ["--model", str(model)]), *part.arguments(), "--json"]
        done = executor.run(str(program), arguments, inputs, folder)
        if done.code != 0:
            raise VerificationError(
                f"the program failed on {sample} with exit code {done.code}: {_complaint(done)}",
                f"it ran with {executor.description}; the program is {program}",
            )
        for position, (tensor, value) in enumerate(zip(part.outputs, expected, strict=True)):
            actual = from_bytes((folder / f"out{position}.bin").read_bytes(), value.dtype, value.shape)
            error, tolerance = (HOPELESS, 0.0) if actual is None else compare(value, actual)
            if error > tolerance and actual is not None and _runs_xnnpack(done):
                tolerance = max(tolerance, delegated(position, actual))
            found = Worst(
                sample=sample,
                output=position,
                name=tensor.name,
                dtype=tensor.dtype,
                error=error,
                tolerance=tolerance,
            )
            if worst is None or _badness(found) > _badness(worst):
                worst = found
    return worst
