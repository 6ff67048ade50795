"""The op registry: ``ops_registry/`` → :class:`Registry`.

The files are generated from the pinned sources by ``litesmith.study.derive_ops`` and read here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from litesmith.base import paths
from litesmith.base.errors import UnsupportedModelError, UsageError, nearest
from litesmith.base.yaml_files import Strict, validate
from litesmith.model.analysis import ModelAnalysis, OperatorCode, OpUse, Tensor
from litesmith.runtime import kernel_limits


class Options(Strict):
    """The options table that an op reads: its number in a union, and a sign for each field.

    ``litesmith.model.options_schema`` names the unions and defines the signs.  ``reader`` is the upstream
    function that reads the table, or ``options_schema.SWITCH`` if the switch over all ops reads it.
    """

    union: Literal["BuiltinOptions", "BuiltinOptions2"]
    number: int
    fields: str
    reader: str


class Op(Strict):
    """One op of the runtime.

    ``code`` is its ``BuiltinOperator`` number, 32 for custom ops.  ``registration`` is the C++
    function that returns its ``TfLiteRegistration*``.  ``versions`` are the lowest and the highest that
    the kernel supports.  ``dtypes`` are those of any of its tensors that were compared with the
    reference.
    ``sources`` are the files that it needs in addition to the core runtime, as ``component/path``.
    ``options`` is absent for ops without options.
    """

    name: str
    code: int
    custom: bool
    registration: str
    versions: tuple[int, int]
    dtypes: tuple[str, ...] = ()
    options: Options | None = None
    sources: tuple[str, ...]


class PackedNames(Strict):
    """The names of ops in a program, by code from 0: bytes, each name ended by a zero.

    ``names`` has one character for each byte; one from 0x80 stands for one of the ``parts``, which are ASCII.
    ``longest`` is the number of characters of the longest name.
    """

    names: str
    parts: tuple[str, ...]
    longest: int


class Runtime(Strict):
    """The parts of every program: sources of the core and of ruy, and defines for all files.

    ``dispatching`` are the sources of ops that choose their code by the dtypes of their tensors.
    ``row_kernels`` describes the row kernels of depthwise convolutions: whether one supports any stride, its
    input depth (0 for any) and its depth multiplier.  ``op_names`` are those of all builtin ops,
    with the ones that this runtime lacks.
    """

    core: tuple[str, ...]
    ruy: tuple[str, ...]
    dispatching: tuple[str, ...] = ()
    row_kernels: tuple[tuple[bool, int, int], ...] = ()
    defines: tuple[str, ...]
    op_names: PackedNames = PackedNames(names="", parts=(), longest=0)


class BuiltinNames(Strict):
    """``BuiltinOperator`` numbers of the newest known schema, to name ops that this runtime lacks."""

    names: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A reason why this runtime cannot run a model.

    ``kind`` is ``flex``, ``custom``, ``builtin``, ``version``, ``dtype`` or ``kernel``.
    """

    kind: str
    op: str
    message: str
    next_step: str


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All ops that the pinned runtime can run, and the names of those that it cannot run."""

    builtins: Mapping[int, Op]
    customs: Mapping[str, Op]
    runtime: Runtime
    names: Mapping[int, str]

    def by_name(self) -> dict[str, Op]:
        """All ops, builtins first."""
        return {op.name: op for op in (*self.builtins.values(), *self.customs.values())}

    def name_of(self, use: OpUse | OperatorCode) -> str:
        """The name of an op in the schema (``CONV_2D``), or of a custom op in its model."""
        if use.name is not None:
            return use.name
        return self.names.get(use.code, f"BUILTIN_{use.code}")

    def find(self, use: OpUse) -> Op | None:
        """The registered op, or None if the runtime does not have it."""
        return self.customs.get(use.name or "") if use.custom else self.builtins.get(use.code)

    def problems(self, analysis: ModelAnalysis) -> tuple[Problem, ...]:
        """Everything in a model that this runtime cannot run."""
        found: list[Problem] = []
        for use in analysis.ops():
            found += self._problems_of(use)
        found += _unknown_dtypes(analysis)
        found += [
            Problem(kind="kernel", op=refusal.op, message=refusal.message, next_step=refusal.advice)
            for refusal in kernel_limits.refusals(analysis, self._upstream_name)
        ]
        return tuple(found)

    def _upstream_name(self, code: OperatorCode) -> str | None:
        """The name of an op whose kernel is upstream's, None for others."""
        op = self.customs.get(code.name or "") if code.custom else self.builtins.get(code.code)
        return op.name if op is not None and op.registration.startswith(UPSTREAM) else None

    def _problems_of(self, use: OpUse) -> Iterable[Problem]:
        if use.used_versions is None:
            return  # No node runs it: the runtime leaves it unresolved.
        lowest, highest = use.used_versions
        name = self.name_of(use)
        op = self.find(use)
        if op is None:
            yield self._missing(use, name)
        elif highest > op.versions[1]:
            yield Problem(
                kind="version",
                op=name,
                message=(f"{name} has version {highest}, this runtime supports at most {op.versions[1]}"),
                next_step=_VERSION_ADVICE,
            )
        elif lowest < op.versions[0]:
            yield Problem(
                kind="version",
                op=name,
                message=(f"{name} has version {lowest}, this runtime supports {op.versions[0]} and later"),
                next_step="convert the model again with TensorFlow 2",
            )

    def _missing(self, use: OpUse, name: str) -> Problem:
        if use.custom and name.startswith("Flex"):
            return Problem(
                kind="flex",
                op=name,
                message=f"{name} is a Flex op: it needs all of TensorFlow on the board",
                next_step=(
                    "convert without tf.lite.OpsSet.SELECT_TF_OPS and replace "
                    f"tf.{name.removeprefix('Flex')} by ops that convert to builtin ops, "
                    "or write it as a custom op (--custom-ops)"
                ),
            )
        if use.custom:
            close = nearest(name, list(self.customs))
            return Problem(
                kind="custom",
                op=name,
                message=f"{name} is a custom op that this runtime does not have",
                next_step=close
                or (
                    "describe your own in a file for --custom-ops (see examples/custom_op); "
                    f"this runtime has {', '.join(sorted(self.customs))}"
                ),
            )
        newest = max(self.builtins)
        return Problem(
            kind="builtin",
            op=name,
            message=(
                f"the builtin op {name} (code {use.code}) is newer than this runtime"
                if use.code > newest
                else f"the builtin op {name} (code {use.code}) has no kernel in this runtime"
            ),
            next_step=f"convert with ops that this runtime has (codes up to {newest}, see './inv ops')",
        )


UPSTREAM = "tflite::"

_VERSION_ADVICE = "convert with an older converter, which writes versions that this runtime supports"


def _unknown_dtypes(analysis: ModelAnalysis) -> Iterable[Problem]:
    for number, subgraph in enumerate(analysis.subgraphs):
        for tensor in subgraph.tensors:
            if tensor.dtype.startswith("dtype"):
                yield Problem(
                    kind="dtype",
                    op="",
                    message=(
                        f"tensor {tensor.name!r} of subgraph {number} has the dtype number "
                        f"{tensor.dtype.removeprefix('dtype')}, which this runtime does not know"
                    ),
                    next_step="convert with an older converter or without that dtype",
                )


def require_supported(registry: Registry, analysis: ModelAnalysis) -> None:
    """Refuses a model that this runtime cannot run.

    Raises:
        UnsupportedModelError: it cannot; the message has the first problem and counts the others.
    """
    problems = registry.problems(analysis)
    if problems:
        others = ", ".join(dict.fromkeys(p.op for p in problems[1:] if p.op))
        more = f" (and {len(problems) - 1} more: {others})" if len(problems) > 1 else ""
        raise UnsupportedModelError(f"{analysis.path}: {problems[0].message}{more}", problems[0].next_step)


def load(folder: Path | None = None) -> Registry:
    """Loads the built-in registry, or the one in ``folder``.

    Raises:
        UsageError: a file is damaged, or two files register the same op.
    """
    folder = folder or paths.data_folder("ops_registry")
    builtins: dict[int, Op] = {}
    customs: dict[str, Op] = {}
    for path in sorted((folder / "ops").glob("*.json")):
        op = _read(path, Op)
        if op.name in customs if op.custom else op.code in builtins:
            raise UsageError(f"{path}: the op {op.name} is registered twice", "remove one of the files")
        if op.custom:
            customs[op.name] = op
        else:
            builtins[op.code] = op
    names = _read(folder / "builtin_names.json", BuiltinNames).names
    return Registry(
        builtins=builtins,
        customs=customs,
        runtime=_read(folder / "runtime.json", Runtime),
        names={code: name for name, code in names.items()},
    )


def _read(path: Path, model: Any) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "run './inv ops.derive'") from None
    return validate(content, model, str(path))


def describe(analysis: ModelAnalysis, registry: Registry) -> dict[str, Any]:
    """The analysis in JSON's types, with the reasons why this runtime cannot run the model."""
    return {
        "path": analysis.path,
        "sha256": analysis.sha256,
        "bytes": analysis.size,
        "description": analysis.description,
        "metadata": list(analysis.metadata),
        "ops": [
            {
                "name": registry.name_of(use),
                "code": use.code,
                "custom": use.custom,
                "versions": list(use.versions),
                "count": use.count,
                "dtypes": list(use.dtypes),
                **({"options": list(use.options)} if use.custom else {}),
            }
            for use in analysis.ops()
        ],
        "subgraphs": [
            {
                "name": subgraph.name,
                "inputs": [_tensor_json(subgraph.tensors[i]) for i in subgraph.inputs],
                "outputs": [_tensor_json(subgraph.tensors[i]) for i in subgraph.outputs],
                "operators": len(subgraph.nodes),
                "tensors": [_tensor_json(tensor) for tensor in subgraph.tensors],
            }
            for subgraph in analysis.subgraphs
        ],
        "signatures": [
            {
                "key": signature.key,
                "subgraph": signature.subgraph,
                "inputs": dict(signature.inputs),
                "outputs": dict(signature.outputs),
            }
            for signature in analysis.signatures
        ],
        "weight_bytes": dict(analysis.weight_bytes),
        "problems": [
            {"kind": p.kind, "op": p.op, "message": p.message, "next_step": p.next_step}
            for p in registry.problems(analysis)
        ],
    }


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "weight_bytes": tensor.weight_bytes,
        "variable": tensor.variable,
        "sparse": tensor.sparse,
    }
