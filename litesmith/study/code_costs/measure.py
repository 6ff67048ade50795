"""Profile + toolchain → the costs of its ops, measured and written to ``ops_registry/``."""

from __future__ import annotations

from litesmith.base import console
from litesmith.study.code_costs import builtin, xnnpack
from litesmith.study.code_costs.report import CostsReport
from litesmith.target import profiles
from litesmith.target.profiles import Profile, ToolchainName
from litesmith.toolchain.registry import load as load_toolchain

ALL = "all"
"""The target that stands for all built-in ones."""

_CROSS_COMPILER: ToolchainName = "gcc"


def measure(target: str, toolchain_name: str | None, kernels: str | None = None) -> tuple[CostsReport, ...]:
    """Measures all ops, writes the file, and compares estimates with models that are built.

    For :data:`ALL` targets, each is measured with its default toolchain, and with GCC where the profile has
    it; or only with the named toolchain.  XNNPACK's costs are measured where ``kernels``, or else the
    profile, asks for XNNPACK.

    Raises:
        LitesmithError: a compiler is missing, a build failed, or the costs of the built-in kernels, which
            those of XNNPACK build on, have not been measured yet.
    """
    found = []
    wanted = _wanted(target, toolchain_name)
    for profile, name in wanted:
        # A missing compiler is found before anything is measured.
        load_toolchain(name).version(profile)
    for number, (profile, name) in enumerate(wanted, 1):
        if len(wanted) > 1:
            console.note(f"{profile.name} with {name}, {number} of {len(wanted)}")
        if (kernels or profile.kernels) == "builtin":
            found.append(builtin.measure(profile, name))
        else:
            found.append(xnnpack.measure(profile.with_kernels("xnnpack"), name))
    return tuple(found)


def _wanted(target: str, toolchain_name: str | None) -> list[tuple[Profile, ToolchainName]]:
    """Profiles and toolchains to measure."""
    if target != ALL:
        return [profiles.load(target).choose(toolchain_name)]
    found = []
    for name in profiles.available():
        profile = profiles.load(name)
        if toolchain_name is not None:
            found.append(profile.choose(toolchain_name))
            continue
        found.append(profile.choose(None))
        if _CROSS_COMPILER in profile.toolchains and profile.default_toolchain != _CROSS_COMPILER:
            found.append(profile.choose(_CROSS_COMPILER))
    return found
