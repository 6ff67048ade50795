"""The programs of a model with TensorFlow Lite's own kernels and with XNNPACK's."""

from __future__ import annotations

from pathlib import Path

from litesmith.base import files
from litesmith.build.request import Request
from litesmith.workflow import build_and_verify
from litesmith.workflow.build_and_verify import Outcome


def built_with_both(target: str, name: str, scratch: Path) -> dict[str, Outcome]:
    """The builds of a model for a target, in folders of ``scratch``, by choice of kernels.

    Raises:
        LitesmithError: a build failed.
    """
    folder = scratch / f"{target}-{files.digest_of(name)[:8]}"
    return {
        kernels: build_and_verify.build(
            Request(target=target, models=(name,), out=f"{folder}-{kernels}", kernels=kernels)
        )
        for kernels in ("builtin", "xnnpack")
    }
