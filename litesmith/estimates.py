"""A request → :class:`~litesmith.costs.Estimate`, from measured costs; nothing is compiled."""

from __future__ import annotations

import dataclasses

from litesmith import costs, ops, selection
from litesmith.costs import Estimate
from litesmith.session import Request, understand
from litesmith.xnnpack import choice
from litesmith.xnnpack import costs as xnnpack_costs


def of(request: Request) -> Estimate:
    """What the program of a request will weigh.

    Raises:
        UsageError: no costs were measured for what the profile asks for.
        UnsupportedModelError: the runtime cannot run a model.
    """
    question = understand(request)
    registry = ops.load()
    chosen = selection.select([model.analysis for model in question.models], registry)
    known = costs.load(question.profile, question.toolchain)
    delegates = choice.choose(question.profile, question.models, registry, request.choice).delegates
    if delegates is None:
        found = costs.estimate(known, chosen, registry.runtime)
    else:
        own = xnnpack_costs.load(question.profile, question.toolchain)
        found = xnnpack_costs.estimate(known, own, chosen, delegates, registry.runtime)
    if not request.embed_model:
        return found
    more = question.models[0].path.stat().st_size
    # The model's own bytes are exact: the error is of the rest.
    code = found.code + more
    return dataclasses.replace(found, code=code, error=found.error * found.code / code)
