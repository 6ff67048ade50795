"""Ten architectures of ``keras.applications``, converted in float32 and int8, built and verified for Arm."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from litesmith.workflow.convert import conversion, conversion_request
from litesmith.workflow.convert.conversion_report import Conversion
from tests.integration.conftest import Build, Make
from tests.keras_applications import ARCHITECTURES

FORMS = ("none", "int8")
TARGETS = ("armv7", "aarch64")

# The smallest and one of the largest, both forms, and both targets.
FULL = {
    ("MobileNet", "none", "armv7"),
    ("MobileNet", "int8", "aarch64"),
    ("InceptionV3", "int8", "armv7"),
}

Converted = Callable[[str, str], tuple[Path, Conversion]]


@pytest.fixture(scope="module")
def converted(make_models: Make, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Makes and converts an architecture, once for all targets."""
    made = functools.cache(lambda name: make_models("keras_applications.py", name))

    @functools.cache
    def run(name: str, quantize: str) -> tuple[Path, Conversion]:
        out = tmp_path_factory.mktemp(name) / f"{name}-{quantize}.tflite"
        wanted = conversion_request.check(
            source=str(made(name) / f"{name}.keras"),
            quantize=quantize,
            io="int8" if quantize == "int8" else "float",
            representative=str(made(name) / f"{name}.npz"),
            out=str(out),
        )
        return out, conversion.run(wanted, "armv7")

    return run


@pytest.mark.parametrize(
    ("name", "quantize", "target"),
    [
        pytest.param(*one, marks=() if one in FULL else pytest.mark.exhaustive)
        for one in ((n, q, t) for n in ARCHITECTURES for q in FORMS for t in TARGETS)
    ],
)
def test_an_architecture(converted: Converted, build: Build, name: str, quantize: str, target: str) -> None:
    path, found = converted(name, quantize)
    (output,) = found.comparison.outputs
    assert (output.not_finite, output.reshaped) == (0, "")
    # Not one value for every picture, with which any program would agree.
    assert output.range is not None
    assert output.range[1] - output.range[0] > 0.01
    dtypes = {dtype for op in found.ops for dtype in op.dtypes}
    assert ("int8" in dtypes) == (quantize == "int8")
    # The build fixture fails unless the program answers like the reference.
    (verdict,) = build(target, path).json("verify.json")["verdicts"]
    assert verdict["status"] == "verified"
    # Four pictures, zeros, and three random inputs.
    assert verdict["samples"] == 8
