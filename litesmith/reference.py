"""The reference: TensorFlow's interpreter with its built-in kernels and without delegates."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litesmith import files, paths
from litesmith.errors import VerificationError

Array = NDArray[Any]


def describe() -> str:
    """Which interpreter the reference outputs come from."""
    version = importlib.metadata.version("ai-edge-litert")
    return f"ai-edge-litert {version}, BUILTIN_WITHOUT_DEFAULT_DELEGATES, 1 thread"


def interpreter(model: Path, threads: int = 1, *, delegates: bool = False) -> Any:
    """LiteRT's interpreter for a model; ``delegates`` brings XNNPACK in."""
    # Its start-up messages are not for our users.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(str(model), experimental_op_resolver_type=kind, num_threads=threads)


def outputs(model: Path, sha256: str, inputs: Sequence[Array]) -> list[Array]:
    """Outputs of the reference for one set of inputs, in the order of the model's outputs.

    Cached by the digests of model and inputs and by the interpreter's version.

    Raises:
        VerificationError: the reference itself cannot run the model.
    """
    key = files.digest_of(describe(), sha256, [_digest(value) for value in inputs])
    cached = paths.cache_folder() / "reference" / f"{key}.npz"
    if cached.exists():
        with np.load(cached) as stored:
            return [stored[name] for name in sorted(stored.files, key=int)]
    result = _run(model, inputs)
    cached.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".npz", dir=cached.parent)
    os.close(handle)
    aside = Path(name)
    try:
        named: dict[str, Any] = {str(i): value for i, value in enumerate(result)}
        np.savez(aside, **named)
        aside.rename(cached)
    finally:
        aside.unlink(missing_ok=True)
    return result


def _digest(value: Array) -> list[object]:
    return [str(value.dtype), list(value.shape), files.digest_of(value.tobytes().hex())]


def _run(model: Path, inputs: Sequence[Array]) -> list[Array]:
    try:
        reference = interpreter(model)
        reference.allocate_tensors()
        for detail, value in zip(reference.get_input_details(), inputs, strict=True):
            reference.set_tensor(detail["index"], value)
        reference.invoke()
        return [np.array(reference.get_tensor(d["index"])) for d in reference.get_output_details()]
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise VerificationError(
            f"{model}: the reference interpreter cannot run it: {reason}",
            "the model itself is at fault; convert it again",
        ) from None
