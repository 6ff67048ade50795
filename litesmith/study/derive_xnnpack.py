"""Pinned sources → ``ops_registry/xnnpack/sources.json``: which of XNNPACK's files need which others.

The sources show which operators a node of a subgraph may create, and which configurations these ask for.  The
micro-kernels that a configuration names on a CPU are read from object files: each configuration is compiled
for each instruction set as if the CPU were known, so that the compiler drops all other branches.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from litesmith.base import files, packages
from litesmith.base.errors import SourceError
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import narrow_gemm
from litesmith.runtime.xnnpack.defines import defines
from litesmith.runtime.xnnpack.wrappers import constant_hardware
from litesmith.target import instruction_sets, profiles
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain
from litesmith.toolchain.registry import load as load_toolchain

_NAME = "xnnpack/sources.json"
_FUNCTION = re.compile(r"^(?:\w[\w\s\*]*?)\b(\w+)\(", re.MULTILINE)
_KERNEL = re.compile(r"^(?:void|BEGIN_FUNCTION) (xnn_\w+_ukernel\w*)\s*[(\n]", re.MULTILINE)
_CREATE = re.compile(r"\bxnn_create_(\w+)\s*\(")
_CONFIG = re.compile(r"\bxnn_init_(\w+)_config\s*\(")
_STATIC_CONFIG = re.compile(r"^const struct \w+\* xnn_init_(\w+)_config\(", re.MULTILINE)

# Vectorisation would let the compiler keep the pointers of several branches together in a table.
_FLAGS = ("-O2", "-fno-vectorize", "-fno-slp-vectorize", "-ffunction-sections", "-w", "-std=gnu11")


def derive(tree: SourceTree) -> dict[str, Any]:
    """The content of ``ops_registry/xnnpack/sources.json``.

    Raises:
        SourceError: the sources do not have the expected form.
        BuildError: a configuration does not compile.
    """
    root = tree.root / tree.sources["xnnpack"].folder
    sources = {
        str(path.relative_to(root)): path.read_text(encoding="utf-8", errors="replace")
        for folder in ("subgraph", "operators", "configs")
        for path in sorted((root / "src" / folder).glob("*.c"))
    }
    operators = _operators(sources)
    configs = {
        name: path
        for path, text in sources.items()
        if path.startswith("src/configs/")
        for name in _STATIC_CONFIG.findall(text)
    }
    kernels = _kernels(root)
    hardware = {
        architecture: _hardware(tree, sources, architecture) for architecture in instruction_sets.KNOWN
    }
    used = {
        symbol
        for by_config in hardware.values()
        for by_set in by_config.values()
        for symbols in by_set.values()
        for symbol in symbols
    }
    missing = sorted(name for name in used if "_ukernel" in name and name not in kernels)
    if missing:
        raise SourceError(
            f"no file of XNNPACK defines {missing[0]}",
            "check which of its files are unpacked (runtime/pins.py)",
        )
    return {
        "nodes": {
            path: sorted(set(_CREATE.findall(text)) & set(operators))
            for path, text in sources.items()
            if path.startswith("src/subgraph/")
        },
        "operators": operators,
        "configs": dict(sorted(configs.items())),
        "hardware": hardware,
        "microkernels": {name: kernels[name] for name in sorted(used & set(kernels))},
    }


def _operators(sources: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, text in sources.items():
        if not path.startswith("src/operators/"):
            continue
        bodies = _bodies(text)
        for name in bodies:
            if match := re.fullmatch(r"xnn_create_(\w+)", name):
                reached = "".join(bodies[inner] for inner in _reachable(name, bodies))
                found[match[1]] = {"source": path, "configs": sorted(set(_CONFIG.findall(reached)))}
    return dict(sorted(found.items()))


def _bodies(text: str) -> dict[str, str]:
    """The top-level functions of a C file: name → body.  Their last brace is in the first column."""
    found = {}
    for part in re.split(r"(?<=^\})", text, flags=re.MULTILINE):
        head, brace, body = part.partition("{")
        names = _FUNCTION.findall(head)
        if brace and names:
            found[names[-1]] = body
    return found


def _reachable(root: str, bodies: Mapping[str, str]) -> set[str]:
    waiting, seen = [root], set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [other for other in set(re.findall(r"\w+", bodies[name])) if other in bodies]
    return seen


def _kernels(root: Path) -> dict[str, str]:
    return {
        name: str(path.relative_to(root))
        for path in sorted((root / "src").rglob("*.[cS]"))
        if path.parent.name not in ("operators", "subgraph", "configs")
        for name in _KERNEL.findall(path.read_text(encoding="utf-8", errors="replace"))
    }


def _hardware(
    tree: SourceTree, sources: Mapping[str, str], architecture: instruction_sets.Architecture
) -> dict[str, dict[str, list[str]]]:
    """The symbols that each configuration names, by configuration and instruction set."""
    profile, name = profiles.load(architecture).choose("zig")
    toolchain = load_toolchain(name)
    found: dict[str, dict[str, list[str]]] = {}
    paths = [path for path in sources if path.startswith("src/configs/") and "hardware" not in path]
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch, ThreadPoolExecutor() as pool:
        for one in instruction_sets.KNOWN[architecture]:
            folder = Path(scratch) / one.name
            folder.mkdir()
            members = tuple(
                constant_hardware(
                    instruction_sets.hardware(architecture, [one.name]),
                    instruction_sets.core(architecture, one.name),
                )
            )

            def read(
                path: str, folder: Path = folder, members: tuple[str, ...] = members
            ) -> dict[str, set[str]]:
                return _named_symbols(tree, toolchain, profile, (path, sources[path]), members, folder)

            for by_config in pool.map(read, paths):
                for config, symbols in by_config.items():
                    found.setdefault(config, {})[one.name] = sorted(symbols)
    found[narrow_gemm.NARROW] = {
        level: sorted(narrow_gemm.narrow_symbol(symbol, architecture) for symbol in symbols)
        for level, symbols in found[narrow_gemm.WIDE].items()
    }
    return dict(sorted(found.items()))


def _named_symbols(
    tree: SourceTree,
    toolchain: Toolchain,
    profile: Profile,
    source: tuple[str, str],
    hardware: Iterable[str],
    folder: Path,
) -> dict[str, set[str]]:
    path = source[0]
    wrapper = folder / Path(path).name
    wrapper.write_text(
        "\n".join(
            (
                '#include "src/xnnpack/hardware-config.h"',
                *hardware,
                "#define xnn_init_hardware_config() (&litesmith_hardware)",
                f'#include "{path}"',
                "",
            )
        )
    )
    output = wrapper.with_suffix(".o")
    include = [f"-I{tree.root / inner}" for inner in tree.include_folders("xnnpack")]
    constants = [f"-D{one}" for one in defines(profile.architecture)]
    words = [*toolchain.compile_flags(profile).target, *_FLAGS, *constants, *include]
    toolchain.compile(profile, str(wrapper), words, output, folder)
    return _relocations(output)


def _relocations(path: Path) -> dict[str, set[str]]:
    """The symbols that an object's functions ``init_…_config`` refer to, by configuration."""
    packages.require("derive")
    from elftools.elf.elffile import ELFFile
    from elftools.elf.relocation import RelocationSection

    found: dict[str, set[str]] = {}
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        for section in elf.iter_sections():
            match = re.fullmatch(r"\.rela?\.text\.init_(\w+)_config", section.name)
            if match is None or not isinstance(section, RelocationSection):
                continue
            symbols: Any = elf.get_section(section["sh_link"])
            names = {symbols.get_symbol(one["r_info_sym"]).name for one in section.iter_relocations()}
            found[match[1]] = {name for name in names if name.startswith("xnn_")}
    return found


def write(folder: Path, content: Mapping[str, Any]) -> bool:
    """Writes the file; returns whether its content has changed."""
    text = files.to_json(dict(content))
    target = folder / _NAME
    changed = not target.exists() or target.read_text(encoding="utf-8") != text
    if changed:
        target.write_text(text, encoding="utf-8")
    return changed
