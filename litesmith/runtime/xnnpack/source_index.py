"""``ops_registry/xnnpack/sources.json``: which of XNNPACK's files, operators and micro-kernels go together.

``litesmith ops.derive`` writes it (:mod:`litesmith.study.derive_xnnpack`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping

from litesmith.base import paths
from litesmith.base.yaml_files import Strict, validate
from litesmith.target.instruction_sets import Architecture


class Operator(Strict):
    """An operator: its file, and the configurations that it may ask for."""

    source: str
    configs: tuple[str, ...]


class SourceIndex(Strict):
    """The content of ``sources.json``.  Paths are relative to XNNPACK's folder.

    ``nodes`` maps each file of ``src/subgraph`` to the operators that it may create, ``configs`` each
    configuration to its file, and ``microkernels`` each micro-kernel's symbol to its file.  ``hardware`` has
    the symbols that a configuration names, by architecture, configuration and instruction set.
    """

    nodes: Mapping[str, tuple[str, ...]]
    operators: Mapping[str, Operator]
    configs: Mapping[str, str]
    hardware: Mapping[Architecture, Mapping[str, Mapping[str, tuple[str, ...]]]]
    microkernels: Mapping[str, str]


@functools.cache
def load() -> SourceIndex:
    """The index, read once."""
    path = paths.data_folder("ops_registry") / "xnnpack" / "sources.json"
    return validate(json.loads(path.read_text(encoding="utf-8")), SourceIndex, str(path))
