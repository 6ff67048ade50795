"""The atoms that are measured: those of all models at hand, and those that other models may have.

An atom is one op whose nodes require one set of XNNPACK's operators and micro-kernels
(:class:`litesmith.predict.code_size.xnnpack_costs.Atom`).
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from litesmith.model.model_file import open_model
from litesmith.predict.code_size.xnnpack_costs import Atom
from litesmith.predict.xnnpack import kernel_choice
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.xnnpack import narrow_gemm, source_index
from litesmith.runtime.xnnpack.library import MATRIX_CONFIGS
from litesmith.runtime.xnnpack.required import RequiredMicrokernels, Requirements
from litesmith.study import op_models
from litesmith.study.code_costs.programs import real_models
from litesmith.target.profiles import Profile

Atoms = Mapping[Atom, Requirements]

COMPANION = Atom(op="FULLY_CONNECTED", needs=("f32_gemm.gemm", "fully_connected_nc_f32"))
"""Added to atoms whose nodes run only while the model is loaded: they need a node that uses the result."""

_CONFIGS = {"f32": "f32", "qs8": "qs8_qc8w", "qs8_qc8w": "qs8_qc8w", "qu8": "qu8"}
"""The beginning of a depthwise configuration's name, by the end of an operator's name."""

_MATRICES = {
    "CONV_2D": "convolution2d_nhwc",
    "DEPTHWISE_CONV_2D": "convolution2d_nhwc",
    "FULLY_CONNECTED": "fully_connected_nc",
    "TRANSPOSE_CONV": "deconvolution2d_nhwc",
}
"""The beginning of an operator's name, by the op that multiplies matrices with it."""

_TAPS = (3, 4, 9, 25)
_CLAMPS = {"f32": "f32_clamp", "qs8": "s8_clamp", "qu8": "u8_clamp"}
_WITH_ACTIVATION = ("ADD", "DIV", "MUL", "SUB")
_CLAMPING = ("RELU", "RELU6", "RELU_N1_TO_1")
_WHILE_LOADING = ("DENSIFY", "DEQUANTIZE")

# By the words in the names of an atom's operators, micro-kernels and references.
_ARITHMETICS = {"uint8": ("qu8_", "u8_", "uint8"), "int8": ("qs8_", "s8_", "x8", "int8"), "float32": ("",)}

_MIXTURES = 6
"""The number of mixtures of each arithmetic."""


def all_atoms(profile: Profile, known: Registry) -> Atoms:
    """All atoms that are measured."""
    found: dict[Atom, Requirements] = {}
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        written = [case.write(Path(scratch)) for case in op_models.all_cases()]
        for model in map(open_model, [*map(str, written), *real_models()]):
            delegated_ops = kernel_choice.choose(profile, [model], known).delegated_ops
            for op, kinds in (delegated_ops.requirements if delegated_ops else {}).items():
                for needs in kinds:
                    atom = Atom.of(op, needs)
                    found[atom] = found.get(atom, Requirements()) | needs
    existing = set(source_index.load().operators)
    for op, needs in list(_variants(found)):
        if needs.operators <= existing:
            found.setdefault(Atom.of(op, needs), needs)
    return dict(sorted(found.items()))


def _variants(found: Atoms) -> Iterator[tuple[str, Requirements]]:
    """What other models may require: other dtypes, other shapes, an activation."""
    nodes: dict[str, Requirements] = {}
    for atom, needs in found.items():
        nodes[atom.op] = nodes.get(atom.op, Requirements()) | needs
    for op, needs in nodes.items():
        for operators, kernels in _matrices(op):
            yield op, Requirements(files=needs.files, operators=operators, microkernels=frozenset(kernels))
        for operator in needs.operators:
            # Ops that move data exist for each width of values.
            for width in ("x8", "x32"):
                if operator.endswith(("_x8", "_x32")):
                    moved = f"{operator.rpartition('_')[0]}_{width}"
                    yield op, Requirements(files=needs.files, operators=frozenset({moved}))
    for atom, needs in found.items():
        if atom.op in _WITH_ACTIVATION:
            (dtype,) = {
                need.config.partition("_")[0] for need in needs.microkernels if "clamp" not in need.config
            }
            clamping = dataclasses.replace(nodes["RELU"], microkernels=frozenset())
            yield atom.op, needs | clamping | _kernel(_CLAMPS[dtype])
    for op in _CLAMPING:
        for number, dtype in (("qs8", "int8"), ("qu8", "uint8")):
            same = dataclasses.replace(nodes[op], microkernels=_kernel(_CLAMPS[number]).microkernels)
            yield op, same
            looked_up = Requirements(references=frozenset({("unary", "clamp", dtype)}))
            yield op, same | _kernel("x8_lut") | looked_up
    for op in _WHILE_LOADING:
        yield op, Requirements()


def _kernel(config: str) -> Requirements:
    return Requirements(microkernels=frozenset({RequiredMicrokernels(config=config)}))


def _matrices(op: str) -> Iterator[tuple[frozenset[str], list[RequiredMicrokernels]]]:
    """Operators and micro-kernels of an op that multiplies matrices."""
    if op not in _MATRICES:
        return
    for number, start in _CONFIGS.items():
        operator = f"{_MATRICES[op]}_{number}"
        gemm = {
            kind: RequiredMicrokernels(config=MATRIX_CONFIGS[operator][0], kind=kind)
            for kind in ("gemm", "gemm1", "igemm", "igemm1")
        }
        if op == "FULLY_CONNECTED":
            dynamic = {"dynamic_fully_connected_nc_f32"} if number == "f32" else set[str]()
            for kind in ("gemm", "gemm1"):
                yield frozenset({operator}), [gemm[kind]]
                yield frozenset({operator, *dynamic}), [gemm[kind]]
        elif op == "TRANSPOSE_CONV":
            yield frozenset({operator}), list(gemm.values())
        else:
            narrow = [
                RequiredMicrokernels(config=narrow_gemm.NARROW, kind=kind)
                for kind in gemm
                if start in narrow_gemm.NARROW
            ]
            rows = [
                RequiredMicrokernels(config=f"{start}_dwconv", kind="dwconv", taps=taps) for taps in _TAPS
            ]
            one_tap = [RequiredMicrokernels(config="f32_vmulcaddc")] if number == "f32" else []
            yield from (
                (frozenset({operator}), [need]) for need in (*gemm.values(), *narrow, *rows, *one_tap)
            )


def mixtures(wanted: Atoms) -> list[Atoms]:
    """Sets of atoms with the same arithmetic, which is all that they have in common, as in a model."""
    groups: dict[str, list[Atom]] = {name: [] for name in _ARITHMETICS}
    for atom in wanted:
        words = " ".join(atom.needs)
        name = next(name for name, marks in _ARITHMETICS.items() if any(mark in words for mark in marks))
        groups[name].append(atom)
    chosen = [group[start::_MIXTURES] for group in groups.values() for start in range(_MIXTURES)]
    return [{atom: wanted[atom] for atom in some} for some in chosen]
