"""The instruction sets that XNNPACK's micro-kernels may use on an architecture, and their compiler flags.

A program with several of them chooses one when it starts.  Every CPU of the architecture's built-in profiles
has the first one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Architecture = Literal["armv6", "armv7", "aarch64", "riscv64", "x86_64"]


@dataclass(frozen=True, kw_only=True)
class InstructionSet:
    """An instruction set of an architecture.

    ``needs`` are the instruction sets that it builds on; ``hardware`` are the members of
    ``enum xnn_arch_flags`` (without ``xnn_arch_``) that it sets in addition to theirs.  ``core`` is a member
    of ``enum xnn_uarch`` (without ``xnn_uarch_``) where micro-kernels are written for a core.
    """

    name: str
    hardware: tuple[str, ...]
    needs: tuple[str, ...] = ()
    core: str = "unknown"


_X86_AVX2 = ("x86_avx", "x86_f16c", "x86_fma3", "x86_avx2")

KNOWN: Mapping[Architecture, tuple[InstructionSet, ...]] = {
    "x86_64": (
        InstructionSet(
            name="sse4.1",
            hardware=("x86_sse", "x86_sse2", "x86_ssse3", "x86_sse4_1"),
        ),
        InstructionSet(name="avx2", hardware=_X86_AVX2, needs=("sse4.1",)),
        InstructionSet(name="avxvnni", hardware=("x86_avxvnni",), needs=("avx2",)),
        InstructionSet(name="avx512", hardware=("x86_avx512f", "x86_avx512skx"), needs=("avx2",)),
        InstructionSet(name="avx512vnni", hardware=("x86_avx512vnni",), needs=("avx512",)),
    ),
    "aarch64": (
        InstructionSet(
            name="neon",
            hardware=(
                *("arm_vfpv3", "arm_neon", "arm_neon_fp16"),
                *("arm_neon_fma", "arm_neon_v8"),
            ),
        ),
        InstructionSet(name="cortex-a53", hardware=(), needs=("neon",), core="cortex_a53"),
        InstructionSet(name="cortex-a72", hardware=(), needs=("neon",), core="cortex_a72"),
        InstructionSet(name="dotprod", hardware=("arm_neon_dot",), needs=("neon",)),
        InstructionSet(name="cortex-a55", hardware=(), needs=("dotprod",), core="cortex_a55"),
        InstructionSet(name="cortex-a76", hardware=(), needs=("dotprod",), core="cortex_a76"),
        InstructionSet(name="i8mm", hardware=("arm_neon_i8mm",), needs=("dotprod",)),
        InstructionSet(name="fp16", hardware=("arm_fp16_arith", "arm_neon_fp16_arith"), needs=("neon",)),
    ),
    "armv7": (
        InstructionSet(
            name="neon",
            hardware=(
                "arm_v6",
                "arm_vfpv2",
                "arm_vfpv3",
                "arm_neon",
                "arm_neon_fp16",
            ),
        ),
        InstructionSet(name="vfpv4", hardware=("arm_neon_fma",), needs=("neon",)),
        InstructionSet(name="cortex-a7", hardware=(), needs=("vfpv4",), core="cortex_a7"),
        InstructionSet(name="neonv8", hardware=("arm_neon_v8",), needs=("vfpv4",)),
        InstructionSet(name="cortex-a53", hardware=(), needs=("neonv8",), core="cortex_a53"),
    ),
    "armv6": (InstructionSet(name="vfp", hardware=("arm_v6", "arm_vfpv2")),),
    "riscv64": (InstructionSet(name="scalar", hardware=()),),
}
"""By architecture, the weakest first."""


def closed(architecture: Architecture, names: Sequence[str]) -> tuple[InstructionSet, ...]:
    """The instruction sets with these names and those that they build on, the weakest first.

    Raises:
        ValueError: the architecture has no such instruction set.
    """
    known = {one.name: one for one in KNOWN[architecture]}
    wanted, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name not in known:
            raise ValueError(f"{architecture} has no instruction set {name!r}; it has {', '.join(known)}")
        if name not in wanted:
            wanted.add(name)
            waiting += known[name].needs
    return tuple(one for one in KNOWN[architecture] if one.name in wanted)


def hardware(architecture: Architecture, names: Sequence[str]) -> tuple[str, ...]:
    """Members of XNNPACK's ``enum xnn_arch_flags`` that are set on a CPU with these instruction sets."""
    return tuple(f"xnn_arch_{flag}" for one in closed(architecture, names) for flag in one.hardware)


def core(architecture: Architecture, name: str) -> str:
    """The member of XNNPACK's ``enum xnn_uarch`` that an instruction set stands for."""
    return next(f"xnn_uarch_{one.core}" for one in KNOWN[architecture] if one.name == name)


_AVX2 = ("-mavx", "-mf16c", "-mfma", "-mavx2")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512cd", "-mavx512bw", "-mavx512dq", "-mavx512vl")
_FLAGS: Mapping[str, tuple[str, ...]] = {
    "avx": ("-mavx",),
    "f16c": ("-mavx", "-mf16c"),
    "fma3": ("-mavx", "-mf16c", "-mfma"),
    "avx2": _AVX2,
    "avxvnni": (*_AVX2, "-mavxvnni", "-mgfni"),
    "avx512f": (*_AVX2, "-mavx512f"),
    "avx512skx": _AVX512,
    "avx512vnni": (*_AVX512, "-mavx512vnni"),
}


def instruction_set_of(source: str) -> str:
    """XNNPACK's name for the instruction set of a micro-kernel's file: ``avx2``, ``neondot``, ``scalar``."""
    words = Path(source).stem.split("-")
    known = {*_FLAGS, "sse", "sse2", "ssse3", "sse41", "scalar", "armsimd32", "aarch64"}
    known |= {"aarch32", "neon", "neonfp16", "neonfma", "neonv8", "neondot", "neoni8mm"}
    return next((word for word in reversed(words) if word in known), "scalar")


def flags_of(source: str, extensions: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Compiler flags that a micro-kernel's file needs beyond those of the target.

    ``extensions`` are the flags that differ between toolchains, by instruction set.  Those for x86 are the
    same for GCC and Clang.
    """
    name = instruction_set_of(source)
    return extensions.get(name) or _FLAGS.get(name, ())
