"""Damaged models in built programs: an answer, or exit 2, 3 or 4 with one line; never a signal or a hang.

The thousands run in programs with AddressSanitizer and UndefinedBehaviorSanitizer, which see what a program
without them survives by chance.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from litesmith.build.request import OFF, Request
from litesmith.workflow import build_and_verify
from tests.conftest import EXAMPLES
from tests.hostile import seeds
from tests.hostile.campaign import Outcome, attack_in_parallel, summary
from tests.hostile.cases import CASES, Case
from tests.hostile.commands import tracebacks
from tests.hostile.sanitised import sanitised_program
from tests.integration.conftest import Build, Built
from tests.models import CUSTOM, Op, build_model

SHORT, WHOLE = 100, 5000
"""Mutations of each seed, in every full run and in the tier ``hostile``."""

_COMMANDS = 25
"""How many times fewer models the commands get than the programs: each takes a fifth of a second."""

_FAULTS = {
    # The compiler must not see that these have no meaning.
    "segmentation fault": "volatile int* nowhere = nullptr; *nowhere = 1;",
    "division by zero": "volatile int zero = 0; volatile int quotient = 7 / zero; (void)quotient;",
    "stack overflow": "volatile int depth = 1; out[0] = Sink(&depth);",
    "abort": "abort();",
}
_KERNEL = """
#include <cstdlib>
#include "tensorflow/lite/kernels/internal/tensor_ctypes.h"
#include "tensorflow/lite/kernels/kernel_util.h"
namespace example {
int Sink(volatile int* depth) {
  volatile int more[256];
  more[0] = *depth + 1;
  return *depth > 0 ? Sink(more) + more[0] : 0;
}
TfLiteStatus Prepare(TfLiteContext*, TfLiteNode*) { return kTfLiteOk; }
TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  float* out = tflite::GetTensorData<float>(tflite::GetOutput(context, node, 0));
  (void)out;
  BODY
  return kTfLiteOk;
}
TfLiteRegistration* Register_FAULTY() {
  static TfLiteRegistration registration = {nullptr, nullptr, Prepare, Eval};
  return &registration;
}
}  // namespace example
"""
_DESCRIPTION = "ops: [{name: Faulty, registration: 'example::Register_FAULTY', sources: [faulty.cc]}]\n"


@pytest.fixture(scope="module")
def program(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Built:
    made = seeds.made(tmp_path_factory.mktemp("seeds"))
    return build("x86_64", EXAMPLES / "det.tflite", *made.values())


@pytest.mark.build
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_program_refuses_a_damaged_model(program: Built, tmp_path: Path, case: Case) -> None:
    (tmp_path / "m.tflite").write_bytes(case.content())
    done = program.run("--model", tmp_path / "m.tflite", "--output-dir", tmp_path)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the model is damaged: ")
    assert case.expected in line
    assert done.stdout == ""


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_fault_in_a_kernel_ends_with_one_line(tmp_path: Path, fault: str) -> None:
    """The kernel is a custom op of the test's, which commits the fault."""
    (tmp_path / "faulty.cc").write_text(_KERNEL.replace("BODY", _FAULTS[fault]))
    (tmp_path / "ops.yaml").write_text(_DESCRIPTION)
    (tmp_path / "m.tflite").write_bytes(build_model([Op(CUSTOM, custom="Faulty")]))
    built = build_and_verify.build(
        Request(
            target="x86_64",
            models=(str(tmp_path / "m.tflite"),),
            custom_ops=str(tmp_path / "ops.yaml"),
            out=str(tmp_path / "out"),
            verify=OFF,
        )
    )
    done = Built(folder=tmp_path, program=built.program, runner=()).run("--model", tmp_path / "m.tflite")
    assert done.returncode == 4
    assert done.stderr == (
        "error: a kernel stopped on a value that makes no sense; the model may be damaged\n"
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return seeds.written(tmp_path_factory.mktemp("written"))


def _attacked(models: dict[str, Path], count: int) -> dict[str, Outcome]:
    return attack_in_parallel(sanitised_program(list(models.values())), models, count)


@pytest.mark.parametrize("count", [SHORT, pytest.param(WHOLE, marks=pytest.mark.hostile)])
def test_no_mutation_is_a_fault(models: dict[str, Path], count: int) -> None:
    found = _attacked(models, count)
    print(summary(found))
    assert not any(one.faults for one in found.values()), summary(found)
    for seed, one in found.items():
        # Neither refuses the program everything, nor accepts it everything.
        assert one.codes[0] > count / 50, (seed, one.codes)
        assert one.codes[2] > count / 50, (seed, one.codes)


@pytest.mark.parametrize("count", [SHORT, pytest.param(WHOLE, marks=pytest.mark.hostile)])
@pytest.mark.parametrize("seed", ["det", "kws", "words", "control", "strings"])
def test_no_command_ends_in_a_traceback(models: dict[str, Path], seed: str, count: int) -> None:
    results, found = tracebacks(seed, models[seed].read_bytes(), range(count // _COMMANDS))
    assert not found, found[0]
    assert all(results.values()), results
