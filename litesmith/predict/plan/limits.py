"""The limits that a model is planned for: from the command line, else from the profile."""

from __future__ import annotations

import math
from dataclasses import dataclass

from litesmith.base.errors import UsageError
from litesmith.base.units import parse_size
from litesmith.predict.plan import budget
from litesmith.predict.plan.budget import Line
from litesmith.predict.plan.latency import Latency
from litesmith.target.profiles import Profile


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits from the command line; None stands for the profile's value, or for no limit.

    ``flash`` and ``ram`` are bytes, ``fps`` frames per second.  ``flops`` are the FLOP/s that a program
    reaches on the board, in place of the profile's ``macs_per_cycle``.
    """

    flash: int | None = None
    ram: int | None = None
    fps: float | None = None
    flops: float | None = None


def parse_limits(*, fps: str | None, flash: str | None, ram: str | None, flops: str | None) -> Limits:
    """Limits as they are written: ``5``, ``1000KB``, ``512KiB``, ``500M``.

    Raises:
        UsageError: a value has none of these forms, or is not more than 0.
    """
    try:
        option, value = "--flash", flash
        bytes_of_flash = None if flash is None else int(str(parse_size(flash)))
        option, value = "--ram", ram
        bytes_of_ram = None if ram is None else int(str(parse_size(ram)))
        option, value = "--fps", fps
        rate = None if fps is None else float(fps)
        option, value = "--flops", flops
        reached = None if flops is None else _scaled(flops)
    except ValueError:
        examples = {"--flash": "1000KB", "--ram": "512KB", "--fps": "5", "--flops": "500M"}
        raise UsageError(
            f"{option} {value} is not a number", f"write, for example, {examples[option]}"
        ) from None
    limits = Limits(flash=bytes_of_flash, ram=bytes_of_ram, fps=rate, flops=reached)
    require_positive(limits)
    return limits


_SCALES = {"k": 1e3, "m": 1e6, "g": 1e9}


def _scaled(text: str) -> float:
    scale = _SCALES.get(text[-1:].lower())
    return float(text[:-1]) * scale if scale else float(text)


def require_positive(limits: Limits) -> None:
    """Refuses limits that are not positive numbers.

    Raises:
        UsageError: a limit is not; the message names its option.
    """
    given = {"--flash": limits.flash, "--ram": limits.ram, "--fps": limits.fps, "--flops": limits.flops}
    for option, value in given.items():
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{option} {value:g} leaves nothing to plan with", "give more than 0")


def budget_lines(
    profile: Profile,
    limits: Limits,
    expected: Latency,
    *,
    flash: tuple[int | None, float, int],
    ram: int | None,
) -> tuple[Line, ...]:
    """The lines of a budget.

    ``flash`` is the bytes of the program, the error of these as a share, and the bytes of the model; ``ram``
    the bytes that the model needs while it runs.
    """
    program, error, model = flash
    resources = profile.resources
    space = limits.flash or resources.flash
    if program is None:
        lines = [budget.at_least("flash", model, space)]
    else:
        need = program + model
        lines = [budget.fits_into("flash", need, error * program / need, space)]
    if ram is not None:
        lines.append(budget.fits_into("ram", ram, 0.0, limits.ram or resources.ram))
    if limits.fps is not None:
        lines.append(budget.fast_enough(expected.frames_per_second, limits.fps))
    return tuple(lines)
