"""Target profiles: ``targets/*.yaml`` or a user's own file → :class:`Profile`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from litesmith.base import paths
from litesmith.base.errors import UsageError, nearest
from litesmith.base.units import parse_frequency, parse_size
from litesmith.base.yaml_files import Strict, load_yaml, validate
from litesmith.target import flash_tools, instruction_sets
from litesmith.target.flash_tools import FlashTool
from litesmith.target.instruction_sets import Architecture

Bytes = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
Hertz = Annotated[int, BeforeValidator(parse_frequency), Field(gt=0)]


Optimise = Literal["size", "balanced", "speed"]
OPTIMISATIONS: tuple[Optimise, ...] = get_args(Optimise)

# Balanced: the code in which an inference spends its time is compiled for speed, the rest for size.
_LEVELS: Mapping[Optimise, str] = {"size": "-Os", "balanced": "-Os", "speed": "-O3"}
_FOR_SPEED = ("-O2",)
_LEVEL_SOURCES: Mapping[Optimise, Mapping[str, tuple[str, ...]]] = {
    "size": {},
    "balanced": {
        "tensorflow/tensorflow/lite/kernels/*": _FOR_SPEED,
        "ruy/*": _FOR_SPEED,
        "fft2d/*": _FOR_SPEED,
        "custom/*": _FOR_SPEED,
        # Its memory functions copy tensors.
        "libc_replacements.cc": _FOR_SPEED,
    },
    "speed": {},
}
_LEVEL_FLAG = re.compile(r"-O[123sz]")

Kernels = Literal["builtin", "xnnpack", "auto"]
KERNELS: tuple[Kernels, ...] = get_args(Kernels)

Linkage = Literal["static", "dynamic"]
ToolchainName = Literal["zig", "gcc", "docker"]
ALL_TOOLCHAINS: tuple[ToolchainName, ...] = get_args(ToolchainName)


class ToolchainOptions(Strict):
    """How one toolchain builds for the target.

    ``target`` and ``cpu`` are the toolchain's own names; ``flags`` are added to every compile.
    ``image`` is for the toolchain docker: the name of an image in ``docker/``, or the path of a Dockerfile.
    """

    target: str
    cpu: str
    linkage: Linkage = "static"
    flags: tuple[str, ...] = ()
    image: str | None = None


class Emulator(Strict):
    """The emulator that runs the target's programs here.  ``install`` is shown if it is missing."""

    program: str
    arguments: tuple[str, ...] = ()
    install: str


Arithmetic = Literal["float32", "int8"]
Rate = Annotated[float, Field(gt=0, lt=1e18)]


class Resources(Strict):
    """The resources of a board.

    ``flash`` and ``ram`` are in bytes, ``clock`` is in hertz.  ``macs_per_cycle`` is the peak of one core, by
    arithmetic; ``int8`` stands for all narrow integers.
    """

    flash: Bytes
    ram: Bytes
    clock: Hertz
    cores: int = Field(gt=0, le=1024)
    macs_per_cycle: Mapping[Arithmetic, Rate] = {}


class Throughput(Strict):
    """The measured throughput of a board, written by ``calibrate``.

    ``macs`` and ``elements`` are per second, by op and arithmetic: MACs for ops that have any, output
    elements for the others.  ``error`` is the largest relative error of a prediction for a model whose own
    measurements were left out.
    """

    measured_on: str
    macs: Mapping[str, Mapping[Arithmetic, Rate]]
    elements: Mapping[str, Mapping[Arithmetic, Rate]] = {}
    error: float = Field(ge=0, lt=1e3)


class Profile(Strict):
    """A board, or a class of boards, for which programs are built.

    ``optimise`` sets the optimisation level of all files and of single ones; a profile has either this key
    or an optimisation level among its ``flags``.  ``flags`` are added to every compile with every toolchain.
    ``source_flags`` maps patterns of source paths (``ruy/ruy/kernel_avx.cc``) to flags that these files get
    last; ``optimise_sources`` does the same for one optimisation.
    ``also_known_as`` lists other names of the board; the error for an unknown target suggests this profile.
    With ``model_check``, a program refuses a damaged model, and names an op that was not selected.
    Without ``error_strings``, the runtime's errors have no text; the program's own errors keep theirs.
    ``emulator`` is absent if the build machine runs the program directly.
    ``runners`` are the flash tools that write programs to boards without SSH: names of built-in
    ones, or definitions.
    ``throughput`` was measured on a board of this kind.
    ``kernels`` says which kernels run the nodes, ``xnnpack`` which instruction sets XNNPACK's micro-kernels
    may use: every CPU of the profile has the first one; programs choose among the others when they start.
    """

    name: str = ""
    also_known_as: tuple[str, ...] = ()
    description: str
    architecture: Architecture
    triple: str
    cpu: str
    float_abi: Literal["hard", "soft", "softfp"]
    toolchains: Mapping[ToolchainName, ToolchainOptions] = Field(min_length=1)
    optimise: Optimise | None = None
    flags: tuple[str, ...] = ()
    source_flags: Mapping[str, tuple[str, ...]] = {}
    optimise_sources: Mapping[Optimise, Mapping[str, tuple[str, ...]]] = {}
    emulator: Emulator | None = None
    model_check: bool = True
    error_strings: bool = True
    runners: Mapping[str, FlashTool | None] = {}
    resources: Resources
    throughput: Throughput | None = None
    kernels: Kernels = "builtin"
    xnnpack: tuple[str, ...] = ()

    @property
    def instruction_sets(self) -> tuple[str, ...]:
        """Instruction sets of XNNPACK's micro-kernels: ``xnnpack``, or the architecture's lowest."""
        return self.xnnpack or (instruction_sets.KNOWN[self.architecture][0].name,)

    @model_validator(mode="after")
    def _has_these_instructions(self) -> Profile:
        instruction_sets.closed(self.architecture, self.xnnpack)
        return self

    @field_validator("runners")
    @classmethod
    def _known_flash_tools(cls, value: Mapping[str, FlashTool | None]) -> Mapping[str, FlashTool | None]:
        known = flash_tools.available()
        for name, own in value.items():
            if own is None and name not in known:
                advice = nearest(name, list(known)) or f"known flash tools: {', '.join(known)}"
                raise ValueError(f"the flash tool {name!r} is unknown and not defined here; {advice}")
            if own is not None and name in known:
                raise ValueError(f"the flash tool {name!r} is built in: use another name")
        return value

    @field_validator("toolchains")
    @classmethod
    def _plain_words(cls, toolchains: Mapping[str, ToolchainOptions]) -> Mapping[str, ToolchainOptions]:
        for name, options in toolchains.items():
            for word in (options.target, options.cpu):
                if not re.fullmatch(r"[A-Za-z0-9_.+-]+", word):
                    raise ValueError(f"{name}: {word!r} is not a target or CPU name")
            if name == "docker" and not options.image:
                raise ValueError("docker: an image is missing, for example image: armhf")
            if name != "docker" and options.image:
                raise ValueError(f"{name}: only the toolchain docker takes an image")
        return toolchains

    @model_validator(mode="after")
    def _optimises_once(self) -> Profile:
        has_level = any(_LEVEL_FLAG.fullmatch(flag) for flag in self.flags)
        if self.optimise is None and not has_level:
            raise ValueError(f"optimise is missing: {', '.join(OPTIMISATIONS[:-1])} or {OPTIMISATIONS[-1]}")
        if self.optimise is not None and has_level:
            raise ValueError("optimise conflicts with a level among the flags: remove one of them")
        return self

    @property
    def compile_flags(self) -> tuple[str, ...]:
        """Flags of every file: the optimisation level, ``flags``, and those that other keys imply."""
        level = (_LEVELS[self.optimise],) if self.optimise else ()
        silence = () if self.error_strings else ("-DTF_LITE_STRIP_ERROR_STRINGS",)
        return (*level, *self.flags, *silence)

    @property
    def flags_by_source(self) -> Mapping[str, tuple[str, ...]]:
        """Flags of single files: those of the optimisation level, then ``source_flags``."""
        if self.optimise is None:
            return self.source_flags
        own = self.optimise_sources.get(self.optimise, {})
        return {**_LEVEL_SOURCES[self.optimise], **own, **self.source_flags}

    def optimised(self, optimise: str) -> Profile:
        """The same profile with another optimisation.

        Raises:
            UsageError: there is no such optimisation.
        """
        if optimise not in OPTIMISATIONS:
            advice = nearest(optimise, OPTIMISATIONS) or f"known optimisations: {', '.join(OPTIMISATIONS)}"
            raise UsageError(f"unknown optimisation {optimise!r}", advice)
        content = self.model_dump()
        content["flags"] = tuple(flag for flag in self.flags if not _LEVEL_FLAG.fullmatch(flag))
        content["optimise"] = optimise
        return validate(content, Profile, f"--optimise {optimise}, {self.name}")

    def with_kernels(self, kernels: str) -> Profile:
        """The same profile with other kernels.

        Raises:
            UsageError: there are no such kernels.
        """
        if kernels not in KERNELS:
            advice = nearest(kernels, KERNELS) or f"known kernels: {', '.join(KERNELS)}"
            raise UsageError(f"unknown kernels {kernels!r}", advice)
        return validate(
            {**self.model_dump(), "kernels": kernels}, Profile, f"--kernels {kernels}, {self.name}"
        )

    @model_validator(mode="after")
    def _zig_links_statically(self) -> Profile:
        zig = self.toolchains.get("zig")
        if zig is None:
            return self
        if zig.linkage != "static":
            raise ValueError("the toolchain zig links statically: write linkage: static")
        is_arm = zig.target.startswith(("arm", "thumb"))
        if is_arm and zig.target.endswith("hf") != (self.float_abi == "hard"):
            raise ValueError(
                f"float_abi {self.float_abi} conflicts with zig's target {zig.target}: change one of them"
            )
        return self

    @model_validator(mode="after")
    def _thumb_is_a_target(self) -> Profile:
        zig = self.toolchains.get("zig")
        if zig and "-mthumb" in (*self.flags, *zig.flags):
            raise ValueError("zig ignores -mthumb: write target: thumb-linux-musleabihf instead")
        return self

    def flash_tool(self, name: str) -> FlashTool:
        """The profile's flash tool with this name.

        Raises:
            UsageError: the profile has no such flash tool.
        """
        if name not in self.runners:
            if name in flash_tools.available():
                advice = f"add '{name}:' under 'runners' in a profile of your own"
            else:
                known = [*self.runners, *flash_tools.available()]
                advice = nearest(name, known) or f"it has {', '.join(self.runners) or 'none'}"
            raise UsageError(f"the profile {self.name} has no flash tool {name!r}", advice)
        own = self.runners[name]
        return flash_tools.load(name) if own is None else own.model_copy(update={"name": name})

    @property
    def default_toolchain(self) -> str:
        """The first toolchain that the profile lists."""
        return next(iter(self.toolchains))

    def choose(self, toolchain: str | None) -> tuple[Profile, ToolchainName]:
        """The profile with the requested linkage, and the name of the toolchain.

        ``toolchain`` is a name, or a name and a linkage such as ``gcc:static``; None means the first
        toolchain that the profile lists.

        Raises:
            UsageError: the profile has no such toolchain, or the toolchain does not support the linkage.
        """
        name, _, linkage = (toolchain or self.default_toolchain).partition(":")
        chosen = next((known for known in self.toolchains if known == name), None)
        if name not in ALL_TOOLCHAINS:
            advice = nearest(name, ALL_TOOLCHAINS) or f"known toolchains: {', '.join(ALL_TOOLCHAINS)}"
            raise UsageError(f"unknown toolchain {name!r}", advice)
        if chosen is None:
            raise UsageError(
                f"the profile {self.name} has no toolchain {name!r}",
                f"it has {', '.join(self.toolchains)}",
            )
        if not linkage:
            return self, chosen
        content = self.model_dump()
        content["toolchains"][chosen]["linkage"] = linkage
        return validate(content, Profile, f"--toolchain {toolchain}, {self.name}"), chosen


def available() -> dict[str, Path]:
    """The built-in profiles, by name."""
    return {path.stem: path for path in sorted(paths.data_folder("targets").glob("*.yaml"))}


def load(target: str) -> Profile:
    """Loads a profile by its built-in name or from a file.

    Raises:
        UsageError: the name is unknown (the message has the nearest), the file is missing, or the profile is
            invalid.
    """
    if target.endswith((".yaml", ".yml")) or "/" in target:
        path = Path(target)
        if not path.is_file():
            raise UsageError(
                f"there is no profile file {target}", "see './inv targets' for the built-in ones"
            )
    else:
        known = available()
        if target not in known:
            raise UsageError(f"unknown target {target!r}", _advice(target, known))
        path = known[target]
    profile = load_yaml(path, Profile)
    named = {"name": path.stem}
    docker = profile.toolchains.get("docker")
    if docker is None or docker.image is None or "/" not in docker.image:
        return profile.model_copy(update=named)
    # The path of a Dockerfile is relative to the profile, not to the current folder.
    docker = docker.model_copy(update={"image": str(path.parent / docker.image)})
    return profile.model_copy(update={**named, "toolchains": {**profile.toolchains, "docker": docker}})


def _advice(target: str, known: Mapping[str, Path]) -> str:
    aliases = {alias: name for name in known for alias in load_yaml(known[name], Profile).also_known_as}
    if target in aliases:
        return f"perhaps you meant {aliases[target]!r}"
    return nearest(target, list(known)) or f"known targets: {', '.join(known)}"
