"""Program + reference → :class:`Verdict`: the program runs, and its answers are compared."""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litesmith import files, paths, process
from litesmith.analysis import ModelAnalysis, Tensor
from litesmith.errors import UsageError, VerificationError
from litesmith.profiles import Profile

FLOAT_TOLERANCE = 1e-5
"""Largest error of a float output, as a fraction of the output's range."""

HOPELESS = 1e9
"""Error of an output whose size or whose NaNs and infinities differ; JSON has no infinity."""

_RANDOM_SAMPLES = 3
_RUN_SECONDS = 300

_MOST_ELEMENTS = 1 << 28

# Bump when samples, tolerances or the comparison change.
_FORMAT = 2

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The output that is farthest from the reference.

    ``error`` is in steps for integers and a fraction of the reference's range for floats.
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

    ``passed`` is None when the program could not be run here; ``reason`` says why.
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
        )


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How programs of a profile are run on this machine."""

    argv: tuple[str, ...]
    description: str


def find_runner(profile: Profile, cpu: str | None = None, sysroot: Path | None = None) -> Runner | str:
    """The runner of a profile, or the line that says what to install.

    ``cpu`` replaces the emulated CPU of the profile.  ``sysroot`` has loader and shared
    libraries for programs that are linked dynamically.

    Raises:
        UsageError: ``cpu`` for a profile without an emulator.
    """
    if profile.emulator is None:
        if cpu is not None:
            raise UsageError(f"--cpu {cpu}: the profile {profile.name} has no emulator", "leave it out")
        return _native_runner(sysroot)
    emulator = profile.emulator
    program = shutil.which(emulator.program)
    if program is None:
        return f"{emulator.program} is not installed; {emulator.install}"
    arguments = list(emulator.arguments)
    if cpu is not None:
        if "-cpu" in arguments:
            arguments[arguments.index("-cpu") + 1] = cpu
        else:
            arguments += ["-cpu", cpu]
    version = process.run([program, "--version"], timeout=20).stdout.decode().splitlines()[0]
    description = " ".join([_short(version, emulator.program), *arguments])
    if sysroot is not None:
        arguments += ["-L", str(sysroot)]
        description += f" and {sysroot.name}"
    return Runner(argv=(program, *arguments), description=description)


def _native_runner(sysroot: Path | None) -> Runner:
    if sysroot is None:
        return Runner(argv=(), description="this machine")
    # The libraries that the program was linked with, not those that this machine has.
    (loader,) = (sysroot / "lib").glob("ld-linux*")
    argv = (str(loader), "--library-path", str(sysroot / "lib"))
    return Runner(argv=argv, description=f"this machine and {sysroot.name}")


def _short(version: str, program: str) -> str:
    words = version.split()
    number = next((w for w in words if w[:1].isdigit()), "")
    return f"{program} {number}".strip()


def samples(analysis: ModelAnalysis, model: Path) -> dict[str, list[Array]]:
    """Inputs to try, by name: real ones from ``<model>.inputs.npz``, zeros, and random ones.

    The file beside the model holds arrays named ``<sample>_<input index>``.

    Raises:
        UsageError: the file's arrays do not fit the model's inputs.
    """
    main = analysis.subgraphs[0]
    tensors = [main.tensors[index] for index in main.inputs]
    found = _real_samples(model.with_suffix(".inputs.npz"), tensors)
    found["zeros"] = [np.zeros(t.allocated_shape, _numpy_dtype(t)) for t in tensors]
    if tensors:
        # The same numbers for the same model, whatever its path.
        rng = np.random.default_rng(int(analysis.sha256[:8], 16))
        for number in range(_RANDOM_SAMPLES):
            found[f"random {number}"] = [_random(rng, t) for t in tensors]
    return found


def _real_samples(path: Path, tensors: Sequence[Tensor]) -> dict[str, list[Array]]:
    found: dict[str, list[Array]] = {}
    if not path.is_file():
        return found
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            names = sorted({name.rpartition("_")[0] for name in stored.files})
            for name in names:
                found[f"real {name}"] = [stored[f"{name}_{i}"] for i in range(len(tensors))]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be used as inputs: {error}", "remove or correct it") from None
    for name, values in found.items():
        for tensor, value in zip(tensors, values, strict=True):
            if value.shape != tensor.allocated_shape or value.dtype != _numpy_dtype(tensor):
                raise UsageError(
                    f"{path}, {name}: {value.dtype}{list(value.shape)} does not fit the input "
                    f"{tensor.name!r}, {tensor.dtype}{list(tensor.allocated_shape)}",
                    "remove or correct it",
                )
    return found


def _numpy_dtype(tensor: Tensor) -> np.dtype[Any]:
    try:
        return np.dtype(tensor.dtype)
    except TypeError:
        raise UsageError(
            f"the input {tensor.name!r} has the dtype {tensor.dtype}, for which there are no samples",
            "build with --no-verify",
        ) from None


def _random(rng: np.random.Generator, tensor: Tensor) -> Array:
    dtype, shape = _numpy_dtype(tensor), tensor.allocated_shape
    if dtype.kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    if dtype.kind == "c":
        return (rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape)).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if tensor.quantized or dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    # Plain integers are indices, lengths or axes more often than not.
    return rng.integers(0, 2, shape).astype(dtype)


def compare(expected: Array, actual: Array) -> tuple[float, float]:
    """Error and tolerance of one output; see :class:`Worst` for the unit."""
    if expected.dtype.kind not in "fc":
        if expected.dtype.kind in "b":
            return float(np.count_nonzero(expected != actual)), 0.0
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
    values = expected[finite]
    if values.size == 0:
        return 0.0, FLOAT_TOLERANCE
    magnitudes = np.abs(values)
    spread = float(magnitudes.max() if values.dtype.kind == "c" else values.max() - values.min())
    scale = spread or float(magnitudes.max()) or 1.0
    error = float(np.abs(values.astype(np.complex128) - actual[finite].astype(np.complex128)).max())
    return error / scale, FLOAT_TOLERANCE


def run_program(
    runner: Runner,
    program: Path,
    arguments: Sequence[str],
    inputs: Sequence[Array],
    outputs: Path,
) -> process.Completed:
    """Runs a program of ours on ``inputs``; its outputs land in the folder ``outputs``.

    Raises:
        ToolError: it did not end in time.
    """
    words = [*runner.argv, str(program), *arguments, "--output-dir", str(outputs)]
    for position, value in enumerate(inputs):
        path = outputs / f"in{position}.bin"
        path.write_bytes(np.ascontiguousarray(value).tobytes())
        words += ["--input", str(path)]
    return process.run(words, timeout=_RUN_SECONDS)


def verify(
    program: Path,
    profile: Profile,
    analysis: ModelAnalysis,
    model: Path,
    *,
    embedded: bool = False,
    cpu: str | None = None,
    sysroot: Path | None = None,
) -> Verdict:
    """Runs the program on all samples and compares with the reference.

    ``cpu`` and ``sysroot`` are those of :func:`find_runner`.  A verdict is
    cached by the digests of everything that it depends on.

    Raises:
        VerificationError: the program failed to run.
        UsageError: the inputs beside the model do not fit it.
    """
    from litesmith import reference

    digest = files.sha256(program)
    runner = find_runner(profile, cpu, sysroot)
    obstacle = runner if isinstance(runner, str) else _not_comparable(analysis)
    if isinstance(runner, str) or obstacle:
        return Verdict(
            passed=None,
            reason=obstacle,
            model=analysis.path,
            samples=0,
            worst=None,
            reference=reference.describe(),
            ran_with="",
            program_sha256=digest,
        )
    inputs_file = model.with_suffix(".inputs.npz")
    key = files.digest_of(
        _FORMAT,
        digest,
        analysis.sha256,
        analysis.path,
        files.sha256(inputs_file) if inputs_file.is_file() else "",
        reference.describe(),
        runner.description,
        embedded,
    )
    cached = paths.cache_folder() / "verdicts" / f"{key}.json"
    if cached.is_file():
        return _from_json(cached)
    tried = samples(analysis, model)
    expected = reference.answers(model, analysis.sha256, tried)
    worst: Worst | None = None
    compared = 0
    for name, inputs in tried.items():
        answer = expected[name]
        if answer.error and name.startswith("real"):
            raise VerificationError(
                f"{analysis.path}: the reference interpreter cannot run {name}: {answer.error}",
                "correct the inputs beside the model, or convert it again",
            )
        if answer.error:
            # Zeros and random numbers need not make sense to a model: as a shape, as an axis.
            continue
        found = _verify_sample(program, runner, analysis, model, name, inputs, answer.outputs, embedded)
        compared += 1
        if found is not None and (worst is None or _badness(found) > _badness(worst)):
            worst = found
    first_error = next((answer.error for answer in expected.values() if answer.error), "")
    verdict = Verdict(
        passed=None if compared == 0 else worst is None or worst.error <= worst.tolerance,
        reason=f"the reference interpreter cannot run it: {first_error}" if compared == 0 else "",
        model=analysis.path,
        samples=compared,
        worst=worst,
        reference=reference.describe(),
        ran_with=runner.description,
        program_sha256=digest,
    )
    files.write_atomically(cached, files.to_json(verdict.to_json()))
    return verdict


# RANDOM_STANDARD_NORMAL, RANDOM_UNIFORM, MULTINOMIAL
_RANDOM_CODES = frozenset({146, 148, 149})


def _not_comparable(analysis: ModelAnalysis) -> str:
    """Why a model's answers cannot be held against a reference; empty when they can."""
    if any(entry.code in _RANDOM_CODES for entry in analysis.operator_codes):
        return "the model draws random numbers, so no two answers are equal"
    main = analysis.subgraphs[0]
    for index in (*main.inputs, *main.outputs):
        tensor = main.tensors[index]
        if index in main.inputs and math.prod(tensor.allocated_shape) > _MOST_ELEMENTS:
            return f"the input {tensor.name!r} has {math.prod(tensor.allocated_shape)} elements"
        if tensor.dtype in {"string", "resource", "variant"}:
            return f"the tensor {tensor.name!r} has the dtype {tensor.dtype}, which is not compared yet"
    return ""


def _from_json(path: Path) -> Verdict:
    import json

    content = json.loads(path.read_text())
    worst = content.pop("worst")
    return Verdict(**content, worst=Worst(**worst) if worst else None)


def _badness(worst: Worst) -> tuple[bool, float]:
    return worst.error > worst.tolerance, worst.error


def _verify_sample(
    program: Path,
    runner: Runner,
    analysis: ModelAnalysis,
    model: Path,
    sample: str,
    inputs: Sequence[Array],
    expected: Sequence[Array],
    embedded: bool,
) -> Worst | None:
    main = analysis.subgraphs[0]
    worst: Worst | None = None
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        folder = Path(scratch)
        arguments = [] if embedded else ["--model", str(model)]
        done = run_program(runner, program, arguments, inputs, folder)
        if done.code != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.code}"]
            raise VerificationError(
                f"{analysis.path}: the program failed on {sample} with exit code {done.code}: {lines[-1]}",
                f"it ran with {runner.description}; the program is {program}",
            )
        for position, (index, value) in enumerate(zip(main.outputs, expected, strict=True)):
            raw = (folder / f"out{position}.bin").read_bytes()
            tensor = main.tensors[index]
            if len(raw) != value.nbytes:
                error, tolerance = HOPELESS, 0.0
            else:
                error, tolerance = compare(value, np.frombuffer(raw, value.dtype).reshape(value.shape))
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
