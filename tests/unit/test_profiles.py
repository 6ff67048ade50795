from __future__ import annotations

from pathlib import Path

import pytest

from litesmith.base import units
from litesmith.base.errors import UsageError
from litesmith.target import profiles
from tests.conftest import ROOT

INVALID = sorted((Path(__file__).parent.parent / "data" / "invalid_profiles").glob("*.yaml"))


@pytest.mark.parametrize("name", ["armv6", "armv7", "aarch64", "riscv64", "x86_64"])
def test_a_built_in_target(name: str) -> None:
    profile = profiles.load(name)
    assert profile.name == profile.architecture == name
    assert profile.default_toolchain == "zig"
    assert (profile.emulator is None) == (name == "x86_64")
    assert profile.resources.flash > 1_000_000


def test_the_built_in_targets() -> None:
    assert set(profiles.available()) == {"armv6", "armv7", "aarch64", "riscv64", "x86_64"}


def test_thumb_is_selected_by_the_target() -> None:
    assert profiles.load("armv7").toolchains["zig"].target == "thumb-linux-musleabihf"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("armv8", "aarch64"),
        ("armv77", "armv7"),
        ("arm64", "aarch64"),
        ("x86-64", "x86_64"),
        ("rv64", "riscv64"),
    ],
)
def test_an_unknown_target_suggests_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(UsageError, match="unknown target") as caught:
        profiles.load(name)
    assert near in caught.value.next_step


def test_a_profile_by_path(tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text((ROOT / "targets/armv7.yaml").read_text())
    assert profiles.load(str(path)).name == "board"


def test_a_missing_profile_file() -> None:
    with pytest.raises(UsageError, match="no profile file"):
        profiles.load("boards/none.yaml")


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_an_invalid_profile_is_an_error(path: Path) -> None:
    """The first line of each file lists the parts that the error must contain, separated by |."""
    first = path.read_text().splitlines()[0]
    expected = [part.strip() for part in first.removeprefix("# error:").split("|")]
    with pytest.raises(UsageError) as caught:
        profiles.load(str(path))
    assert path.name in caught.value.message
    for part in expected:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_there_are_invalid_profiles() -> None:
    assert len(INVALID) >= 12


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512KB", 512_000),
        ("8MiB", 8 * 2**20),
        ("1 GiB", 2**30),
        ("100", 100),
        ("1.5 MB", 1_500_000),
        (7, 7),
        ("3b", 3),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KB", "12 XB", "-3KB", "1e3", "0x10"])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="a size such as"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("text", "hertz"), [("900MHz", 900_000_000), ("1.2GHz", 1_200_000_000), ("32 kHz", 32_000)]
)
def test_frequencies(text: str, hertz: int) -> None:
    assert units.parse_frequency(text) == hertz


def test_the_first_toolchain_is_the_default() -> None:
    profile = profiles.load("armv7")
    assert profile.choose(None) == (profile, "zig")
    assert profile.choose("docker") == (profile, "docker")


def test_a_toolchain_with_its_linkage() -> None:
    profile = profiles.load("armv7")
    assert profile.toolchains["gcc"].linkage == "dynamic"
    chosen, name = profile.choose("gcc:static")
    assert name == "gcc"
    assert chosen.toolchains["gcc"].linkage == "static"
    assert chosen.toolchains["docker"].linkage == "dynamic"
    assert chosen.name == "armv7"


@pytest.mark.parametrize(
    ("target", "toolchain", "parts"),
    [
        ("armv7", "gc", ["unknown toolchain 'gc'", "perhaps you meant 'gcc'"]),
        ("armv7", "msvc", ["unknown toolchain 'msvc'", "zig, gcc, docker"]),
        ("armv6", "gcc", ["armv6 has no toolchain 'gcc'", "it has zig"]),
        ("armv7", "gcc:shared", ["gcc:shared", "linkage"]),
        ("armv7", "zig:dynamic", ["zig links statically"]),
    ],
)
def test_an_unusable_toolchain(target: str, toolchain: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        profiles.load(target).choose(toolchain)
    for part in parts:
        assert part in str(caught.value)


def test_an_optimisation_is_a_level_and_flags_of_single_files() -> None:
    size, speed = (profiles.load("armv7").optimised(name) for name in ("size", "speed"))
    assert size.compile_flags == ("-Os",)
    assert speed.compile_flags == ("-O3",)
    assert speed.name == "armv7"


def test_flags_in_the_profile_override_those_of_a_file() -> None:
    profile = profiles.load("aarch64")
    assert set(profile.source_flags) <= set(profile.flags_by_source)
    assert all(profile.flags_by_source[name] == flags for name, flags in profile.source_flags.items())


def test_another_optimisation_replaces_a_level_among_the_flags(tmp_path: Path) -> None:
    text = (
        (ROOT / "targets/armv7.yaml").read_text().replace("optimise: size", "flags: [-O1, -fno-math-errno]")
    )
    path = tmp_path / "board.yaml"
    path.write_text(text)
    profile = profiles.load(str(path))
    assert profile.compile_flags == ("-O1", "-fno-math-errno")
    assert profile.optimised("speed").compile_flags == ("-O3", "-fno-math-errno")


def test_an_unknown_optimisation_suggests_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="unknown optimisation 'sped'") as caught:
        profiles.load("armv7").optimised("sped")
    assert "speed" in caught.value.next_step


def test_an_optimisation_has_flags_for_single_files() -> None:
    depthwise = "tensorflow/tensorflow/lite/kernels/depthwise_conv.cc"
    profile = profiles.load("x86_64")
    assert profile.optimised("size").flags_by_source[depthwise] == ("-O2",)
    assert depthwise not in profile.optimised("speed").flags_by_source
    assert profile.optimised("balanced").flags_by_source["ruy/*"] == ("-O2",)
    assert depthwise not in profiles.load("armv7").flags_by_source
