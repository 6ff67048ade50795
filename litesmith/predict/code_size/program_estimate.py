"""Profile, toolchain and models → :class:`~litesmith.predict.code_size.estimate.Estimate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from litesmith.model.entry_points import EVERYTHING, Choice
from litesmith.model.model_file import Model
from litesmith.predict.code_size import builtin_costs, xnnpack_costs
from litesmith.predict.code_size.estimate import Estimate
from litesmith.predict.xnnpack import kernel_choice
from litesmith.runtime import op_registry, selection
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain


def estimate_program(
    profile: Profile,
    toolchain: Toolchain,
    models: Sequence[Model],
    *,
    choice: Choice = EVERYTHING,
    embed_model: bool = False,
) -> Estimate:
    """The size of the program for these models, with the first one inside where it is embedded.

    Raises:
        UsageError: no costs have been measured for what the profile asks for.
        UnsupportedModelError: the runtime cannot run a model.
    """
    registry = op_registry.load()
    chosen = selection.select([model.analysis for model in models], registry)
    known = builtin_costs.load(profile, toolchain)
    kernels = kernel_choice.choose(profile, models, registry, choice)
    if kernels.delegated_ops is None:
        found = builtin_costs.estimate(known, chosen, registry.runtime)
    else:
        own = xnnpack_costs.load(profile, toolchain)
        found = xnnpack_costs.estimate(known, own, chosen, kernels.delegated_ops, registry.runtime)
    found = dataclasses.replace(found, kernels_reason=kernels.reason, notes=kernels.notes)
    if not embed_model:
        return found
    more = models[0].path.stat().st_size
    # The size of the model is exact: the error is that of the rest.
    code = found.code + more
    return dataclasses.replace(found, code=code, error=found.error * found.code / code)
