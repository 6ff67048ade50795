"""Analyses + registry → :class:`Selection`: the ops, versions, dtypes and sources to build."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litesmith import analysis
from litesmith.analysis import DepthwiseRow, ModelAnalysis, OpUse
from litesmith.ops import Op, Options, Registry, require_supported

_DTYPE_NUMBERS = {name: number for number, name in analysis.DTYPES.items()}


@dataclass(frozen=True, kw_only=True)
class SelectedOp:
    """One op of the program.

    ``versions`` and ``dtypes`` are those that the models really use, ``count`` the nodes of all
    models.  ``sources`` are ``component/path`` names, ``depthwise`` the different rows of the nodes.
    """

    name: str
    code: int
    custom: bool
    versions: tuple[int, int]
    count: int
    dtypes: tuple[str, ...]
    registration: str
    sources: tuple[str, ...]
    options: Options | None
    depthwise: tuple[DepthwiseRow, ...]

    def to_json(self) -> dict[str, Any]:
        """An entry of ``selection.json``."""
        return {
            "name": self.name,
            "code": self.code,
            "custom": self.custom,
            "versions": self.versions,
            "count": self.count,
            "dtypes": self.dtypes,
            "registration": self.registration,
            "sources": [upstream_path(source) for source in self.sources],
        }

    @property
    def dtype_mask(self) -> int:
        """Bit n is set for ``TensorType`` n."""
        return sum(1 << _DTYPE_NUMBERS[dtype] for dtype in self.dtypes)


@dataclass(frozen=True, kw_only=True)
class SelectedModel:
    """A model that the program is built for."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Everything that decides what goes into the program.

    ``sparse`` says that a model has weights in the sparse format.
    """

    models: tuple[SelectedModel, ...]
    ops: tuple[SelectedOp, ...]
    sparse: bool

    def without(self, op: str) -> Selection:
        """The same selection less one op, to measure what it costs."""
        return dataclasses.replace(self, ops=tuple(o for o in self.ops if o.name != op))

    def none(self) -> Selection:
        """The same models' selection with no op at all: the runtime alone."""
        return dataclasses.replace(self, ops=())

    def only(self, op: str) -> Selection:
        """The same selection with nothing but one op."""
        return dataclasses.replace(self, ops=tuple(o for o in self.ops if o.name == op))

    def to_json(self) -> dict[str, Any]:
        """``selection.json``."""
        return {
            "models": [dataclasses.asdict(model) for model in self.models],
            "ops": [op.to_json() for op in self.ops],
        }


def upstream_path(source: str) -> str:
    """``component/path`` as upstream writes it in its includes: ``tensorflow/lite/kernels/conv.cc``."""
    component, _, rest = source.partition("/")
    return rest if rest.startswith(component + "/") else source


def select(analyses: Sequence[ModelAnalysis], registry: Registry) -> Selection:
    """The union of what the models need.

    The operator-code table decides, not only the nodes: upstream's interpreter resolves
    every code of the table, and converters leave unused ones behind.

    Raises:
        UnsupportedModelError: a model needs something that this runtime does not have.
    """
    uses: dict[tuple[int, str], list[OpUse]] = {}
    found: dict[tuple[int, str], Op] = {}
    for model in analyses:
        require_supported(registry, model)
        for use in model.ops():
            op = registry.find(use)
            if op is not None:  # require_supported has refused the others
                uses.setdefault((op.code, op.name), []).append(use)
                found[op.code, op.name] = op
    return Selection(
        models=tuple(SelectedModel(path=m.path, sha256=m.sha256) for m in analyses),
        ops=tuple(_merge(found[key], uses[key]) for key in sorted(uses)),
        sparse=any(t.sparse for m in analyses for subgraph in m.subgraphs for t in subgraph.tensors),
    )


def _merge(op: Op, uses: list[OpUse]) -> SelectedOp:
    return SelectedOp(
        name=op.name,
        code=op.code,
        custom=op.custom,
        versions=(min(u.versions[0] for u in uses), max(u.versions[1] for u in uses)),
        count=sum(u.count for u in uses),
        dtypes=tuple(sorted({dtype for u in uses for dtype in u.dtypes})),
        registration=op.registration,
        sources=op.sources,
        options=op.options,
        depthwise=tuple(sorted({row for u in uses for row in u.depthwise})),
    )
