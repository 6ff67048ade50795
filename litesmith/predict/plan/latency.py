"""Work and board → milliseconds: a range from the CPU's peak, or a value from a measured throughput.

The range follows the 2017 talk "Developing Vision Applications Using Deep Learning and TensorFlow": real
programs reach between a fifth and a tenth of the peak, which is clock x MACs per cycle x cores.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from litesmith.base.errors import UsageError
from litesmith.predict.work import Work
from litesmith.target.profiles import Arithmetic, Profile, Throughput

PEAK_SHARE = (5.0, 10.0)
"""The peak is divided by these, for an optimised and for a plain program."""

_FLOPS_PER_MAC = 2
_NARROW = frozenset({"int4", "int8", "uint8", "int16"})


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one inference, from the best to the worst case, and the basis of the prediction."""

    low: float
    high: float
    basis: str

    @property
    def frames_per_second(self) -> tuple[float, float]:
        """From the worst to the best case."""
        return 1000 / self.high if self.high else 0.0, 1000 / self.low if self.low else 0.0


def of_work(work: Work, profile: Profile, flops: float | None = None) -> Latency:
    """The latency on a profile's board, from FLOP/s, from a measured throughput, or from the peak.

    Raises:
        UsageError: the profile lacks the numbers for that.
    """
    if flops is not None:
        milliseconds = 1000 * _FLOPS_PER_MAC * work.macs / flops
        return Latency(low=milliseconds, high=milliseconds, basis=f"{flops / 1e6:g} MFLOP/s")
    if profile.throughput is not None:
        return _measured(work, profile.throughput)
    resources = profile.resources
    seconds = 0.0
    for kind, macs in _by_kind(work).items():
        per_cycle = resources.macs_per_cycle.get(kind)
        if per_cycle is None:
            raise UsageError(
                f"the profile {profile.name} does not say resources.macs_per_cycle.{kind}",
                "add it (MACs that one core finishes in one cycle), or measure it: calibrate",
            )
        seconds += macs / (resources.clock * per_cycle * resources.cores)
    low, high = (1000 * seconds * share for share in PEAK_SHARE)
    cores = "1 core" if resources.cores == 1 else f"{resources.cores} cores"
    return Latency(
        low=low,
        high=high,
        basis=f"a fifth to a tenth of the peak: {resources.clock / 1e6:g} MHz, {cores}, "
        + ", ".join(f"{n:g} MACs per cycle in {kind}" for kind, n in resources.macs_per_cycle.items()),
    )


def kind_of(dtype: str) -> Arithmetic:
    """The arithmetic of a dtype: ``int8`` for narrow integers, else ``float32``."""
    return "int8" if dtype in _NARROW else "float32"


def _by_kind(work: Work) -> Mapping[Arithmetic, int]:
    found: dict[Arithmetic, int] = defaultdict(int)
    for node in work.nodes:
        if node.macs:
            found[kind_of(node.kind)] += node.macs
    return found


def seconds_of(work: Work, throughput: Throughput) -> float:
    """Seconds of one inference at a throughput."""
    seconds = 0.0
    for node in work.nodes:
        rates, kind = throughput.macs if node.macs else throughput.elements, kind_of(node.kind)
        rate = _rate(rates, node.op, kind)
        if rate is not None:
            seconds += (node.macs or node.elements) / rate
    return seconds


def _measured(work: Work, throughput: Throughput) -> Latency:
    milliseconds = 1000 * seconds_of(work, throughput)
    return Latency(
        low=milliseconds / (1 + throughput.error),
        high=milliseconds * (1 + throughput.error),
        basis=f"measured on {throughput.measured_on}, within {100 * throughput.error:.0f} %",
    )


def _rate(rates: Mapping[str, Mapping[Arithmetic, float]], op: str, kind: Arithmetic) -> float | None:
    """The rate of the op in that arithmetic, else the op's slowest, else the median of the arithmetic."""
    own = rates.get(op, {})
    if own:
        return own.get(kind) or min(own.values())
    same_kind = [of_op[kind] for of_op in rates.values() if kind in of_op]
    return statistics.median(same_kind) if same_kind else None
