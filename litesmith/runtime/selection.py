"""Analyses + registry → :class:`Selection`: the ops, versions, dtypes and sources to build."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litesmith.model import option_meanings, optional_tensors
from litesmith.model.analysis import DepthwiseRow, ModelAnalysis, dtype_numbers
from litesmith.runtime.op_registry import UPSTREAM, Op, Options, Registry, require_supported


@dataclass(frozen=True, kw_only=True)
class SelectedOp:
    """One op of the program.

    ``versions`` and ``dtypes`` are those that the models really use, ``count`` is the number of nodes in all
    models.  ``sources`` are ``component/path`` names, ``depthwise`` the distinct row shapes of the nodes.
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

    @classmethod
    def of(
        cls,
        op: Op,
        *,
        dtypes: Iterable[str],
        versions: tuple[int, int] | None = None,
        count: int = 1,
        depthwise: Iterable[DepthwiseRow] = (),
    ) -> SelectedOp:
        """An op of the registry, as it is used; by default with all versions that its kernel supports."""
        return cls(
            name=op.name,
            code=op.code,
            custom=op.custom,
            versions=versions or op.versions,
            count=count,
            dtypes=tuple(sorted(set(dtypes))),
            registration=op.registration,
            sources=op.sources,
            options=op.options,
            depthwise=tuple(sorted(set(depthwise))),
        )

    def joined(self, other: SelectedOp) -> SelectedOp:
        """The same op with the uses of both."""
        return dataclasses.replace(
            self,
            versions=(min(self.versions[0], other.versions[0]), max(self.versions[1], other.versions[1])),
            count=self.count + other.count,
            dtypes=tuple(sorted({*self.dtypes, *other.dtypes})),
            depthwise=tuple(sorted({*self.depthwise, *other.depthwise})),
        )

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
            **({"depthwise": [dataclasses.asdict(row) for row in self.depthwise]} if self.depthwise else {}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], registry: Registry) -> SelectedOp:
        """The op of an entry of ``selection.json``, with its kernel from the registry.

        Raises:
            KeyError: the registry does not have the op.
        """
        op = registry.customs[content["name"]] if content["custom"] else registry.builtins[content["code"]]
        lowest, highest = content["versions"]
        return cls.of(
            op,
            dtypes=content["dtypes"],
            versions=(lowest, highest),
            count=content["count"],
            depthwise=(DepthwiseRow(**row) for row in content.get("depthwise", ())),
        )

    @property
    def dtype_mask(self) -> int:
        """Bit n is set for ``TensorType`` n."""
        return sum(1 << dtype_numbers()[dtype] for dtype in self.dtypes)

    @property
    def of_upstream(self) -> bool:
        """Whether the kernel is upstream's, not a user's."""
        return self.registration.startswith(UPSTREAM)

    @property
    def optional_input_mask(self) -> int:
        """Bit n is set for an input that may be left out; a user's kernel may allow it for every input."""
        if not self.of_upstream:
            return (1 << 64) - 1
        return sum(1 << position for position in optional_tensors.OPTIONAL_INPUTS.get(self.name, ()))

    @property
    def optional_outputs(self) -> bool:
        """Whether outputs may be left out."""
        return not self.of_upstream or self.name in optional_tensors.OPTIONAL_OUTPUTS

    @property
    def options_checks(self) -> str:
        """What is checked of the options (:func:`.option_meanings.checks`)."""
        return "" if self.custom else option_meanings.checks(self.name)

    @property
    def calls_subgraphs(self) -> bool:
        """Whether its nodes call other subgraphs."""
        return self.name in option_meanings.CALLS

    @property
    def options_are_a_map(self) -> bool:
        """Whether the kernel reads a map of numbers in FlexBuffers."""
        return self.of_upstream and self.name in optional_tensors.OPTIONS_ARE_A_MAP


@dataclass(frozen=True, kw_only=True)
class SelectedModel:
    """A model that the program is built for."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Everything about the models that determines the content of a program.

    ``sparse`` says whether a model has weights in the sparse format.
    """

    models: tuple[SelectedModel, ...]
    ops: tuple[SelectedOp, ...]
    sparse: bool

    def without(self, op: str) -> Selection:
        """The same selection without one op, to measure the cost of that op."""
        return dataclasses.replace(self, ops=tuple(o for o in self.ops if o.name != op))

    def joined(self, other: Selection) -> Selection:
        """One program for the models and ops of both."""
        return Selection(
            models=(*self.models, *other.models),
            ops=_joined((*self.ops, *other.ops)),
            sparse=self.sparse or other.sparse,
        )

    def none(self) -> Selection:
        """The same selection without any op: the runtime alone."""
        return dataclasses.replace(self, ops=())

    def only(self, op: str) -> Selection:
        """The same selection with only one op."""
        return dataclasses.replace(self, ops=tuple(o for o in self.ops if o.name == op))

    def to_json(self) -> dict[str, Any]:
        """``selection.json``."""
        return {
            "models": [dataclasses.asdict(model) for model in self.models],
            "ops": [op.to_json() for op in self.ops],
            "sparse": self.sparse,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], registry: Registry) -> Selection:
        """The selection in a ``selection.json``; with the registry, it is all that a build needs to know.

        Raises:
            KeyError: the registry does not have one of the ops.
        """
        return cls(
            models=tuple(SelectedModel(**model) for model in content["models"]),
            ops=tuple(SelectedOp.from_json(op, registry) for op in content["ops"]),
            sparse=content["sparse"],
        )


def upstream_path(source: str) -> str:
    """``component/path`` in the form of upstream's includes: ``tensorflow/lite/kernels/conv.cc``."""
    component, _, rest = source.partition("/")
    return rest if rest.startswith(component + "/") else source


def select(analyses: Sequence[ModelAnalysis], registry: Registry) -> Selection:
    """Selects everything that one or more of the models need.

    All codes of the operator-code table count that the runtime has, not only those of nodes: upstream's
    interpreter resolves every code of the table, and converters leave unused ones in it.

    Raises:
        UnsupportedModelError: a model needs something that this runtime does not have.
    """
    used: list[SelectedOp] = []
    for model in analyses:
        require_supported(registry, model)
        for use in model.ops():
            op = registry.find(use)
            if op is None:  # require_supported has refused the others that a node uses
                continue
            lowest, highest = max(use.versions[0], op.versions[0]), min(use.versions[1], op.versions[1])
            if lowest <= highest:
                used.append(
                    SelectedOp.of(
                        op,
                        dtypes=use.dtypes,
                        versions=(lowest, highest),
                        count=use.count,
                        depthwise=use.depthwise,
                    )
                )
    return Selection(
        models=tuple(SelectedModel(path=m.path, sha256=m.sha256) for m in analyses),
        ops=_joined(used),
        sparse=any(t.sparse for m in analyses for subgraph in m.subgraphs for t in subgraph.tensors),
    )


def _joined(ops: Iterable[SelectedOp]) -> tuple[SelectedOp, ...]:
    """Each op once, in the order of codes and names."""
    found: dict[tuple[int, str], SelectedOp] = {}
    for op in ops:
        key = (op.code, op.name)
        found[key] = found[key].joined(op) if key in found else op
    return tuple(found[key] for key in sorted(found))
