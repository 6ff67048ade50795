"""What a model needs and what a board has, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from litesmith.base.units import human_size

Verdict = Literal["fits", "perhaps", "does not fit"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a budget, in ``unit``.

    For bytes: what is needed, from ``least`` to ``most``, and what the board has.  For frames per second:
    what the board reaches, from ``least`` to ``most``, and ``have`` is the required rate.
    """

    name: str
    unit: str
    least: float
    most: float
    have: float
    verdict: Verdict

    def shown(self) -> tuple[str, str]:
        """What is needed and what is available, as text."""
        if self.unit == "B":
            sizes = (human_size(round(size)) for size in (self.least, self.most))
            return " to ".join(dict.fromkeys(sizes)), human_size(round(self.have))
        return f"{self.have:g}", span(self.least, self.most)

    def shortage(self) -> str:
        """Why it does not fit, as text."""
        if self.unit == "B":
            return f"{self.name}: {human_size(round(self.most))} of {human_size(round(self.have))}"
        return f"{span(self.least, self.most)} of {self.have:g} {self.name}"

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def span(low: float, high: float) -> str:
    """A range as text: ``1.23 to 4.56``, ``1,234``."""
    shown = [f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}" for value in (low, high)]
    return " to ".join(dict.fromkeys(shown))


_WHOLE = 100


def fits_into(name: str, need: float, error: float, have: float) -> Line:
    """Compares bytes with those of a board; ``error`` is the error of ``need`` as a share."""
    least, most = need * (1 - error), need * (1 + error)
    verdict: Verdict = "fits" if most <= have else "perhaps" if least <= have else "does not fit"
    return Line(name=name, unit="B", least=round(least), most=round(most), have=have, verdict=verdict)


def at_least(name: str, need: float, have: float) -> Line:
    """Compares bytes of which only ``need`` are known, so that the best verdict is ``perhaps``."""
    verdict: Verdict = "perhaps" if need < have else "does not fit"
    return Line(name=name, unit="B", least=need, most=need, have=have, verdict=verdict)


def fast_enough(rates: tuple[float, float], wanted: float) -> Line:
    """Compares frames per second, from the worst to the best case, with those that are required."""
    worst, best = rates
    verdict: Verdict = "fits" if worst >= wanted else "perhaps" if best >= wanted else "does not fit"
    return Line(name="frames per second", unit="1/s", least=worst, most=best, have=wanted, verdict=verdict)


def verdict_of(lines: Sequence[Line]) -> Verdict:
    """The worst verdict of all lines."""
    found = {line.verdict for line in lines}
    return "does not fit" if "does not fit" in found else "perhaps" if "perhaps" in found else "fits"
