"""What the delegate requires of a node's tensors and options before it takes the node.

These are the ``Check…`` functions of ``delegates/xnnpack/xnnpack_delegate.cc`` with the
options that programs give it: signed and unsigned 8-bit quantisation, dynamic weights of FULLY_CONNECTED,
no variables, no float16.  The message of a failed check completes a sentence that begins "it stays because".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NoReturn

from litesmith.predict.xnnpack.quantization import blocks, is_normal, quantization
from litesmith.runtime.graph import Memory, RuntimeNode, RuntimeTensor

MOST_DIMENSIONS = 6
"""``XNN_MAX_TENSOR_DIMS``."""

_BLOCKS = 32
"""``XNN_MIN_BLOCKSIZE``: blocks of weights are multiples of it."""

_UNSUPPORTED_ACTIVATIONS = frozenset({"TANH", "SIGN_BIT"})
"""Values of ``ActivationFunctionType``."""


class NotTakenError(Exception):
    """The delegate leaves a node to TensorFlow Lite; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A tensor of a node, and its role.

    ``unpacked`` is true where the delegate unpacks the tensor's constant input while the model is loaded (a
    quasi-static tensor): it counts as a constant then.  Checks return the operand, so that they can be
    chained.
    """

    tensor: RuntimeTensor
    role: str
    unpacked: bool

    def refuse(self, what: str) -> NoReturn:
        """Leaves the node to TensorFlow Lite because of this tensor."""
        raise NotTakenError(f"its {self.role} {what}")

    def _refuse_dtype(self) -> NoReturn:
        self.refuse(f"has the dtype {self.tensor.dtype}")

    def _one_scale(self) -> Operand:
        """One scale for the whole tensor."""
        found = quantization(self.tensor)
        if found is None:
            self.refuse("has no scale")
        if found.dimension != 0 or len(found.scales) != 1:
            self.refuse("has one scale per channel")
        return self

    def scale(self) -> float:
        """The first scale; the tensor must have one."""
        return self.tensor.scales()[0]

    def scale_or_nan(self) -> float:
        """``GetTensorScaleOrDefault``."""
        found = quantization(self.tensor)
        one = found is not None and found.dimension == 0 and len(found.scales) == 1
        return found.scales[0] if found is not None and one and self.tensor.dtype != "float32" else math.nan

    def float32(self) -> Operand:
        """``CheckTensorFloat32Type``."""
        return self.dtype("float32")

    def dtype(self, *dtypes: str) -> Operand:
        """``CheckTensorType``, ``CheckTensorInt32OrInt64Type``."""
        if self.tensor.dtype not in dtypes:
            self._refuse_dtype()
        return self

    def float32_or_quantised(self) -> Operand:
        """``CheckTensorFloat32OrQUInt8Type``, which accepts int8, too."""
        return self if self.tensor.dtype == "float32" else self.quantised()

    def quantised(self) -> Operand:
        """``CheckTensorQInt8OrQUInt8Type``."""
        return self.dtype("int8", "uint8")._one_scale()

    def float32_or_int8(self) -> Operand:
        """``CheckTensorFloat32OrQInt8Type``."""
        return self if self.tensor.dtype == "float32" else self.dtype("int8")._one_scale()

    def weights(self, channels: int) -> Operand:
        """``CheckTensorFloat32OrQCInt8Type``: int8 may have scales along the dimension ``channels``."""
        if self.tensor.dtype != "int8":
            return self.float32_or_quantised()
        return self._channels(channels)._valid()

    def filter(self, channels: int) -> Operand:
        """``CheckTensorFilterType``: weights of FULLY_CONNECTED, also of 4 bits."""
        if self.tensor.dtype in {"int4", "int8"}:
            found = blocks(self.tensor)
            if found is None:
                return self._channels(channels)
            if found.size % _BLOCKS:
                self.refuse(f"has blocks of {found.size}")
            return self
        return self.float32_or_quantised()

    def _channels(self, channels: int) -> Operand:
        found = quantization(self.tensor)
        if found is None:
            self.refuse("has no scale")
        if len(found.scales) > 1 and found.dimension != channels:
            self.refuse(f"has scales along its dimension {found.dimension}")
        return self

    def _valid(self) -> Operand:
        """``xnn_validate_quantized_tensor`` and ``xnn_validate_channelwise_quantized_tensor``."""
        found = quantization(self.tensor)
        if found is None:
            self.refuse("has no scale")
        if not all(scale > 0 and is_normal(scale) for scale in found.scales):
            self.refuse("has a scale that is not positive")
        # Of several zero points only the first is looked at here.
        within = range(-128, 128) if self.tensor.dtype == "int8" and len(found.scales) == 1 else (0,)
        if found.zero_points[0] not in within:
            self.refuse("has a zero point")
        return self

    def bias(self) -> Operand:
        """``CheckTensorFloat32OrFloat16OrQCInt32Type``, without half precision."""
        if self.tensor.dtype == "float32":
            return self
        found = quantization(self.dtype("int32").tensor)
        if found is None:
            self.refuse("has no scale")
        if found.dimension != 0:
            self.refuse(f"has scales along its dimension {found.dimension}")
        return self._valid()

    def shaped(self, least: int, most: int | None = None) -> Operand:
        """``CheckTensorShape``: ``least`` to ``most`` dimensions, none of them 0."""
        rank = len(self.tensor.dims)
        if not least <= rank <= (least if most is None else most):
            self.refuse(f"has {rank} dimension{'' if rank == 1 else 's'}")
        if min(self.tensor.dims, default=1) <= 0:
            self.refuse("is empty")
        return self

    def vector(self) -> Operand:
        """``CheckShapeTensorShape`` without ``squeeze_dims``: one dimension."""
        if len(self.tensor.dims) != 1:
            self.refuse(f"has {len(self.tensor.dims)} dimensions")
        return self

    def sized(self) -> Operand:
        """``CheckTensorNonDynamicAllocation``: the size is known before the model runs."""
        if self.tensor.memory is Memory.HEAP:
            self.refuse("gets its size only when the model runs")
        return self

    def constant(self) -> Operand:
        """``CheckTensorStaticAllocation``: a constant of the file, not one that a kernel computes."""
        if self.tensor.memory is not Memory.CONSTANT:
            self.refuse("is not constant")
        return self

    def constant_or_unpacked(self) -> Operand:
        """A constant, or a tensor that the delegate unpacks."""
        return self if self.unpacked else self.constant()

    def integers(self) -> tuple[int, ...]:
        """The contents of a constant, flat."""
        if self.tensor.value is None:
            self.refuse("has no contents")
        return tuple(int(number) for number in self.tensor.value.ravel())


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A node that the delegate may take.

    ``version`` is the version of its op.  ``unpacked`` are the tensors that the delegate unpacks while the
    model is loaded.
    """

    node: RuntimeNode
    version: int
    unpacked: Collection[int]

    def counts(self, inputs: int | tuple[int, int], outputs: int | tuple[int, int] = 1) -> None:
        """``CheckNumInputsAndOutputs``: exact numbers, or the least and the most."""
        for have, wanted, what in (
            (len(self.node.inputs), inputs, "input"),
            (len(self.node.outputs), outputs, "output"),
        ):
            least, most = (wanted, wanted) if isinstance(wanted, int) else wanted
            if not least <= have <= most:
                raise NotTakenError(f"it has {have} {what}{'' if have == 1 else 's'}")

    def has(self, position: int) -> bool:
        """Whether the node has an input at a position."""
        return self.node.input(position) is not None

    def input(self, position: int, role: str = "input") -> Operand:
        """An input that must be there."""
        tensor = self.node.input(position)
        if tensor is None:
            raise NotTakenError(f"it has no {role}")
        return Operand(tensor=tensor, role=role, unpacked=self.node.inputs[position] in self.unpacked)

    def output(self, position: int = 0) -> Operand:
        """An output that must be there."""
        tensor = self.node.output(position)
        if tensor is None:
            raise NotTakenError("it has no output")
        return Operand(tensor=tensor, role="output", unpacked=False)

    def activation(self) -> None:
        """``ConvertActivationToOutputRange`` of the fused activation."""
        name = self.node.options.enum("fused_activation_function")
        if name in _UNSUPPORTED_ACTIVATIONS:
            raise NotTakenError(f"it has the activation {name}")

    def padding(self) -> None:
        """``CalculatePadding``; a node without options has no padding."""
        options = self.node.options
        if not options.present or options.enum("padding") not in {"SAME", "VALID"}:
            raise NotTakenError("it has no padding")

    def positive(self, *names: str) -> None:
        """Options that must be greater than 0."""
        for name in names:
            number = self.node.options.integer(name)
            if number <= 0:
                raise NotTakenError(f"its {name} is {number}")


Check = Callable[[Candidate], None]
"""Raises :class:`NotTakenError` where the delegate does not take a node."""
