"""The defines that XNNPACK is compiled with."""

from __future__ import annotations

from litesmith.target.instruction_sets import Architecture

_DEFINES = (
    "XNN_LOG_LEVEL=0",
    "XNN_ENABLE_CPUINFO=0",
    "XNN_MAX_UARCH_TYPES=1",
    "XNN_ENABLE_SPARSE=0",
    "XNN_ENABLE_KLEIDIAI=0",
    "XNN_ENABLE_HVX=0",
    "XNN_ENABLE_RISCV_VECTOR=0",
    "XNN_ENABLE_RISCV_FP16_VECTOR=0",
    "XNN_ENABLE_ARM_FP16_SCALAR=0",
    "XNN_ENABLE_ARM_FP16_VECTOR=0",
    "XNN_ENABLE_ARM_BF16=0",
    "XNN_ENABLE_ARM_DOTPROD=1",
    "XNN_ENABLE_ARM_I8MM=1",
    "XNN_ENABLE_ARM_SME=0",
    "XNN_ENABLE_ARM_SME2=0",
    *(f"XNN_ENABLE_{it}=1" for it in ("SSE", "SSE2", "SSSE3", "SSE41", "AVX", "F16C", "FMA3", "AVX2")),
    "XNN_ENABLE_AVXVNNI=1",
    "XNN_ENABLE_AVXVNNIINT8=0",
    "XNN_ENABLE_AVX256SKX=0",
    "XNN_ENABLE_AVX256VNNI=0",
    "XNN_ENABLE_AVX256VNNIGFNI=0",
    "XNN_ENABLE_AVX512F=1",
    "XNN_ENABLE_AVX512SKX=1",
    "XNN_ENABLE_AVX512VBMI=0",
    "XNN_ENABLE_AVX512VNNI=1",
    "XNN_ENABLE_AVX512VNNIGFNI=0",
    "XNN_ENABLE_AVX512AMX=0",
    "XNN_ENABLE_AVX512BF16=0",
    "XNN_ENABLE_AVX512FP16=0",
    "XNN_ENABLE_VSX=0",
    # The program reports errors itself.
    "NDEBUG",
)

_IN_ASSEMBLY: frozenset[Architecture] = frozenset({"aarch64", "armv7"})


def defines(architecture: Architecture) -> tuple[str, ...]:
    """XNNPACK is compiled without half-precision arithmetic and logs, and with assembly on ARM."""
    return (*_DEFINES, f"XNN_ENABLE_ASSEMBLY={int(architecture in _IN_ASSEMBLY)}")


# Functions without arguments take the place of XNNPACK's log functions.  XNNPACK's would ignore their
# arguments, but these keep tables of names in the program: 4 KB.
FLAGS = (
    "-DXNN_LOG_ARGUMENTS_FORMAT=",
    *(f"-Dxnn_log_{it}_(...)=litesmith_log_{it}()" for it in ("debug", "info", "warning", "error", "fatal")),
)
"""Defines that are flags, because CMake has no definitions of macros with parameters."""
