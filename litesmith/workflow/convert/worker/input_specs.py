"""Inputs of a model: name, dtype and shape, and the fixed shape that each of them gets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from litesmith.workflow.convert.worker.errors import RefusedError


@dataclass(frozen=True)
class Spec:
    """An input: its name, its dtype, and its shape with -1 for unknown dimensions.

    ``shape`` is None if even the number of dimensions is unknown.  ``argument`` is a name that differs from
    those of the other inputs, where :func:`safe_name` would give the same.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    argument: str = ""

    @property
    def safe(self) -> str:
        """The name as an argument of a TensorFlow function."""
        return self.argument or safe_name(self.name)


def safe_name(name: str) -> str:
    """A tensor's name in the characters that names of arguments and outputs may have."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name).lstrip("_") or "tensor"


def safe_names(names: Sequence[str]) -> list[str]:
    """A safe name for each of several tensors, all different: ``a/b`` is ``a_b_2`` beside ``a_b``."""
    taken = {name for name in names if safe_name(name) == name}
    made = []
    for name in names:
        chosen = safe = safe_name(name)
        number = 1
        while chosen != name and chosen in taken:
            number += 1
            chosen = f"{safe}_{number}"
        taken.add(chosen)
        made.append(chosen)
    return made


def distinct(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """The inputs with different arguments."""
    arguments = safe_names([spec.name for spec in specs])
    return tuple(replace(spec, argument=name) for spec, name in zip(specs, arguments, strict=True))


def dimensions(shape: Any) -> tuple[int, ...] | None:
    """A shape of Keras or TensorFlow in the form of :attr:`Spec.shape`."""
    try:
        return tuple(-1 if dimension is None else int(dimension) for dimension in shape)
    except ValueError:  # TensorFlow's shape of unknown rank
        return None


def shape_text(shape: Sequence[int] | None) -> str:
    """A shape for messages: ``?x224x224x3``, ``()`` for a scalar, ``?`` for an unknown rank."""
    if shape is None:
        return "?"
    return "x".join("?" if dimension == -1 else str(dimension) for dimension in shape) or "()"


def fixed_shape(spec: Spec, asked: Mapping[str, Sequence[int]], shown: str) -> tuple[int, ...]:
    """The shape of an input in the converted model: the requested one, else its own with a batch of one.

    Raises:
        RefusedError: a dimension is unknown, or the requested shape does not fit.
    """
    for name in (spec.name, spec.safe):
        if name in asked:
            shape = tuple(asked[name])
            known = spec.shape
            if known is not None and (
                len(shape) != len(known) or any(d not in (-1, s) for d, s in zip(known, shape, strict=True))
            ):
                raise RefusedError(
                    f"{shown}: the input {spec.name!r} has the shape {shape_text(known)}, "
                    f"not {shape_text(shape)}",
                    "correct --input-shape",
                )
            return shape
    if spec.shape is not None and -1 not in spec.shape[1:]:
        return tuple(1 if dimension == -1 else dimension for dimension in spec.shape)
    raise RefusedError(
        f"{shown}: the input {spec.name!r} has the shape {shape_text(spec.shape)}, with unknown dimensions",
        f"give them with --input-shape {spec.name}=1x224x224x3",
    )


def require_names(asked: Mapping[str, Any], specs: Sequence[Spec], shown: str) -> None:
    """Refuses shapes of inputs that do not exist."""
    known = {name for spec in specs for name in (spec.name, spec.safe)}
    for name in asked:
        if name not in known:
            raise RefusedError(
                f"{shown} has no input {name!r} for --input-shape",
                f"the inputs are {', '.join(spec.name for spec in specs) or 'none'}",
            )
