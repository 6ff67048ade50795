"""Profile + toolchain → the costs of its ops, measured and written to ``ops_registry/``."""

from __future__ import annotations

from litesmith.study.code_costs import builtin, xnnpack
from litesmith.study.code_costs.report import CostsReport
from litesmith.target import profiles


def measure(target: str, toolchain_name: str | None, kernels: str | None = None) -> CostsReport:
    """Measures all ops, writes the file, and compares estimates with models that are built.

    XNNPACK's costs are measured where ``kernels``, or else the profile, asks for XNNPACK.

    Raises:
        LitesmithError: a build failed, or the costs of the built-in kernels, which those of XNNPACK build on,
            have not been measured yet.
    """
    profile, name = profiles.load(target).choose(toolchain_name)
    if (kernels or profile.kernels) == "builtin":
        return builtin.measure(profile, name)
    return xnnpack.measure(profile.with_kernels("xnnpack"), name)
