"""What ``ops_registry/xnnpack/sources.json`` says of XNNPACK; ``litesmith ops.derive`` writes it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping

from litesmith.base import paths
from litesmith.base.yaml_files import Strict, validate
from litesmith.target.instruction_sets import Architecture


class Operator(Strict):
    """An operator: its file, and the configurations that it may ask for."""

    source: str
    configs: tuple[str, ...]


class SourceIndex(Strict):
    """How XNNPACK's files hang together.  Paths are relative to its folder.

    ``nodes`` are the operators that each file of ``src/subgraph`` may create.  ``configs`` says where each
    configuration is, ``hardware`` which symbols it names, by architecture and instruction set, and
    ``microkernels`` where those of them are that are micro-kernels.
    """

    nodes: Mapping[str, tuple[str, ...]]
    operators: Mapping[str, Operator]
    configs: Mapping[str, str]
    hardware: Mapping[Architecture, Mapping[str, Mapping[str, tuple[str, ...]]]]
    microkernels: Mapping[str, str]


@functools.cache
def load() -> SourceIndex:
    """What ``ops_registry/xnnpack/sources.json`` says."""
    path = paths.data_folder("ops_registry") / "xnnpack" / "sources.json"
    return validate(json.loads(path.read_text(encoding="utf-8")), SourceIndex, str(path))


DEFINES = (
    "XNN_LOG_LEVEL=0",
    "XNN_ENABLE_CPUINFO=0",
    "XNN_MAX_UARCH_TYPES=1",
    "XNN_ENABLE_ASSEMBLY=0",
    "XNN_ENABLE_MEMOPT=1",
    "XNN_ENABLE_SPARSE=0",
    "XNN_ENABLE_GEMM_M_SPECIALIZATION=0",
    "XNN_ENABLE_DWCONV_MULTIPASS=0",
    "XNN_ENABLE_KLEIDIAI=0",
    "XNN_ENABLE_HVX=0",
    "XNN_ENABLE_RISCV_VECTOR=0",
    "XNN_ENABLE_ARM_FP16_SCALAR=0",
    "XNN_ENABLE_ARM_FP16_VECTOR=0",
    "XNN_ENABLE_ARM_BF16=0",
    "XNN_ENABLE_ARM_DOTPROD=1",
    "XNN_ENABLE_ARM_I8MM=0",
    "XNN_ENABLE_ARM_SME=0",
    "XNN_ENABLE_ARM_SME2=0",
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
    "XNN_ENABLE_AVX512FP16=0",
    "XNN_ENABLE_VSX=0",
    # Nobody reads logs of a program that says itself what is wrong.
    "NDEBUG",
)
"""How XNNPACK is compiled: no half-precision arithmetic, no assembly, no logs."""

# Functions that stand where upstream's would ignore their arguments, which are tables of names: 4 KB.
FLAGS = (
    "-DXNN_LOG_ARGUMENTS_FORMAT=",
    *(f"-Dxnn_log_{it}_(...)=litesmith_log_{it}()" for it in ("debug", "info", "warning", "error", "fatal")),
)
"""Flags beside the defines: a macro with parameters is no definition to CMake."""


_UARCH = re.compile(r"\bcpuinfo_uarch_\w+")


def microarchitectures(text: str) -> str:
    """C for a configuration that asks the cpuinfo library which core it runs on: one that nobody knows.

    Kernels for single cores are left out; those for any core of the instruction set remain.
    """
    names = ["cpuinfo_uarch_unknown", *sorted({*_UARCH.findall(text)} - {"cpuinfo_uarch_unknown"})]
    names = [name for name in names if name != "cpuinfo_uarch_info"]
    if len(names) == 1 and "cpuinfo_" not in text:
        return ""
    return (
        f"enum {{ {', '.join(names)} }};\n"
        "struct litesmith_core { int uarch; };\n"
        "static const struct litesmith_core litesmith_core = {cpuinfo_uarch_unknown};\n"
        "#define cpuinfo_get_core(index) (&litesmith_core)\n"
        "#define cpuinfo_get_uarch(index) (&litesmith_core)\n"
    )
