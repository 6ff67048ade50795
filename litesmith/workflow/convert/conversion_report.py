"""The result of a conversion: sizes, ops and the code that they add, and errors of the outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litesmith.base.errors import LitesmithError
from litesmith.model.analysis import ModelAnalysis
from litesmith.predict.code_size import builtin_costs
from litesmith.predict.code_size.estimate import Estimate
from litesmith.runtime import selection
from litesmith.runtime.op_registry import Registry
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

FLOAT_BYTES = 4

_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})


@dataclass(frozen=True, kw_only=True)
class Form:
    """Sizes of a ``.tflite`` file in bytes: the whole file, and its weights by dtype."""

    file: int
    weights: Mapping[str, int]

    @classmethod
    def of(cls, analysis: ModelAnalysis) -> Form:
        """The sizes of an analysed file."""
        return cls(file=analysis.size, weights=dict(analysis.weight_bytes))

    @property
    def weight_bytes(self) -> int:
        """The sum over all dtypes."""
        return sum(self.weights.values())

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {"file": self.file, "weights": self.weight_bytes, "weights_by_dtype": dict(self.weights)}


@dataclass(frozen=True, kw_only=True)
class OpUse:
    """An op of the converted model.

    ``new`` says that the float32 conversion does not have it.  ``bytes`` is the code that it adds to the
    program, None if its cost has not been measured.
    """

    name: str
    version: int
    count: int
    dtypes: tuple[str, ...]
    new: bool
    bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Price:
    """Estimated bytes of code of the program on a target.

    ``float_code`` is the code of the float32 conversion's program, ``new_ops`` the code that all new ops add
    together, ``error`` the relative error of the estimate.
    """

    target: str
    made_with: str
    code: int
    float_code: int | None
    new_ops: int
    error: float


@dataclass(frozen=True, kw_only=True)
class Output:
    """Errors of an output; see :class:`litesmith.workflow.convert.worker.comparison.Tally`.

    ``largest`` and ``mean`` are absolute, ``…_of_range`` shares of the original's range.
    """

    name: str
    range: tuple[float, float] | None
    largest: float
    mean: float
    largest_of_range: float | None
    mean_of_range: float | None
    top1: float | None
    rows: int
    not_finite: int
    reshaped: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The outputs compared with the original's; ``reason`` says why they were not."""

    samples: int
    data: str
    outputs: tuple[Output, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A finished conversion.

    ``source_bytes`` is the size of the source's files, ``parameters`` the number of its weights; ``plain`` is
    the float32 conversion, ``made`` the requested one.
    """

    source: str
    out: str
    written: tuple[str, ...]
    quantize: str
    io: str
    tensorflow: str
    inputs: tuple[Mapping[str, Any], ...]
    parameters: int
    source_bytes: int
    plain: Form
    made: Form
    ops: tuple[OpUse, ...]
    price: Price | None
    comparison: Comparison
    notes: tuple[str, ...]

    @property
    def file_saved(self) -> float:
        """By what share the file is smaller than that of the float32 conversion."""
        return 1 - self.made.file / self.plain.file

    @property
    def saved(self) -> float:
        """By what share the weights are smaller than the source's in float32."""
        before = FLOAT_BYTES * self.parameters
        return 1 - self.made.weight_bytes / before if before else 0.0

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "source": self.source,
            "out": self.out,
            "written": self.written,
            "quantize": self.quantize,
            "io": self.io,
            "tensorflow": self.tensorflow,
            "inputs": self.inputs,
            "before": {
                "file": self.source_bytes,
                "parameters": self.parameters,
                "weights": FLOAT_BYTES * self.parameters,
            },
            "float32": self.plain.to_json(),
            "after": {**self.made.to_json(), "saved": self.saved, "file_saved": self.file_saved},
            "ops": [dataclasses.asdict(op) for op in self.ops],
            "price": dataclasses.asdict(self.price) if self.price else None,
            "comparison": dataclasses.asdict(self.comparison),
            "notes": self.notes,
        }


def used_ops(
    made: ModelAnalysis, plain: ModelAnalysis, registry: Registry, prices: Mapping[str, int]
) -> tuple[OpUse, ...]:
    """The ops of a converted model, compared with those of the float32 conversion."""
    before = {registry.name_of(use) for use in plain.ops()}
    return tuple(
        OpUse(
            name=registry.name_of(use),
            version=use.versions[1],
            count=use.count,
            dtypes=use.dtypes,
            new=registry.name_of(use) not in before,
            bytes=prices.get(registry.name_of(use)),
        )
        for use in made.ops()
    )


def left_in_float(ops: tuple[OpUse, ...]) -> list[str]:
    """Ops of an int8 model that compute in float32."""
    return [op.name for op in ops if "float32" in op.dtypes and op.name not in _CONVERSIONS]


def priced(
    made: ModelAnalysis, plain: ModelAnalysis, registry: Registry, profile: Profile, toolchain: Toolchain
) -> tuple[Price, dict[str, int]]:
    """The program's code, estimated from measured costs, and the part of each op by name.

    Raises:
        LitesmithError: no costs have been measured for the target, or for an op.
    """
    known = builtin_costs.load(profile, toolchain)

    def estimated(chosen: selection.Selection) -> Estimate:
        return builtin_costs.estimate(known, chosen, registry.runtime)

    chosen = selection.select([made], registry)
    whole, without = estimated(chosen), chosen
    before = {registry.name_of(use) for use in plain.ops()}
    for op in chosen.ops:
        if op.name not in before:
            without = without.without(op.name)
    try:
        float_code: int | None = estimated(selection.select([plain], registry)).code
    except LitesmithError:
        float_code = None
    price = Price(
        target=profile.name,
        made_with=whole.made_with,
        code=whole.code,
        float_code=float_code,
        new_ops=whole.code - estimated(without).code,
        error=whole.error,
    )
    return price, dict(whole.ops)
