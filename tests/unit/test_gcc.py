from __future__ import annotations

import pytest

from litesmith.base.process import Completed
from litesmith.target import profiles
from litesmith.toolchain import compiler, gcc
from litesmith.toolchain.registry import load as load_toolchain


def completed(text: str, code: int = 0) -> Completed:
    return Completed(argv=("g++",), code=code, stdout=text.encode(), stderr="")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("arm-linux-gnueabihf-g++ (Debian 12.2.0-14) 12.2.0\nCopyright", "12.2.0 (Debian 12.2.0-14)"),
        ("g++ (GCC) 14.1.1 20240507\n", "14.1.1 (GCC)"),
        ("x-g++ (Arm GNU Toolchain 13.2.Rel1 (Build arm-13.7)) 13.2.1 20231009", "13.2.1"),
        ("clang version 19.1.0\n", None),
        ("", None),
    ],
)
def test_the_version_of_a_compiler(text: str, version: str | None) -> None:
    found = gcc._version(completed(text))
    assert found == version or (version and found and found.startswith(version))


def test_a_compiler_that_fails_has_no_version() -> None:
    assert gcc._version(completed("g++ (GCC) 14.1.1", code=1)) is None


@pytest.mark.parametrize(
    ("triple", "package"),
    [
        ("arm-linux-gnueabihf", "g++-arm-linux-gnueabihf"),
        ("aarch64-linux-gnu", "g++-aarch64-linux-gnu"),
        ("x86_64-linux-gnu", "g++"),
    ],
)
def test_the_debian_package_of_a_compiler(triple: str, package: str) -> None:
    assert gcc.package_of(triple) == package


@pytest.mark.parametrize(
    ("target", "flags"),
    [
        ("armv7", ("-mcpu=cortex-a7", "-mfloat-abi=hard")),
        ("aarch64", ("-mcpu=cortex-a53",)),
        ("riscv64", ("-march=rv64gc",)),
        ("x86_64", ("-march=x86-64-v2",)),
    ],
)
def test_flags_for_the_cpu(target: str, flags: tuple[str, ...]) -> None:
    found = load_toolchain("gcc").compile_flags(profiles.load(target))
    assert found.target == flags
    assert "-ffp-contract=off" in found.common
    assert "-fno-rtti" in found.for_language("tensorflow/x.cc")
    assert "-fno-rtti" not in found.for_language("fft2d/fftsg.c")


def test_thumb_and_neon_on_armv7() -> None:
    assert {"-mthumb", "-mfpu=neon-vfpv4"} <= set(
        load_toolchain("gcc").compile_flags(profiles.load("armv7")).common
    )


def test_gcc_and_docker_have_the_same_flags() -> None:
    for target in ("armv7", "aarch64", "riscv64", "x86_64"):
        profile = profiles.load(target)
        host, container = load_toolchain("gcc"), load_toolchain("docker")
        assert host.compile_flags(profile) == container.compile_flags(profile)
        assert host.link_flags(profile) == container.link_flags(profile)


def test_linkage_determines_flags_and_libraries() -> None:
    profile = profiles.load("armv7")
    toolchain = load_toolchain("gcc")
    static, _ = profile.choose("gcc:static")
    assert "-static" in toolchain.link_flags(static)
    assert "-static" not in toolchain.link_flags(profile)
    assert toolchain.sysroot(static) is None


def test_messages_of_refusals() -> None:
    wrong = compiler.refusal("a.cc does not compile", "a.cc:1:2: error: 'x' was not declared\nmore")
    assert wrong.message == "a.cc does not compile: a.cc:1:2: error: 'x' was not declared"
    undefined = compiler.refusal(
        "the program does not link", "x.o: in f\nx.o:(.text+1): undefined reference to `g'"
    )
    assert undefined.message.endswith("undefined reference to `g'")
    full = compiler.refusal("a.cc does not compile", "cc1plus: fatal error: /x: No space left on device")
    assert "no disk space" in full.message
    assert "LITESMITH_CACHE" in full.next_step
