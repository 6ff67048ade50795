"""zig as cross-compiler: Clang, musl and libc++ for every target, from one PyPI package.

``zig c++`` compiles, and ``zig ld.lld`` links: zig's own linker driver rejects ``-Map`` and decides itself
what to strip.  The libraries that the driver would link, which zig builds once for each target, are taken
from the linker command that it prints.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litesmith.base import console, files, paths, process, templates, whole_folders
from litesmith.base.errors import BuildError, ToolError
from litesmith.target.profiles import Profile, ToolchainName
from litesmith.toolchain.compiler import COMPILE_SECONDS, ENVIRONMENT, first_error, refusal, run_compiler
from litesmith.toolchain.protocol import CompileFlags, License

_RUNTIME_SECONDS = 900

# Bump when the files kept for a target's runtime change.
_RUNTIME_FORMAT = 1

_COMMON = (
    "-ffunction-sections",
    "-fdata-sections",
    "-fvisibility=hidden",
    "-fomit-frame-pointer",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-g0",
    "-w",
)
_CXX = ("-std=c++17", "-fno-exceptions", "-fno-rtti")
_LINK = (
    "--gc-sections",
    "--build-id=none",
    "-z",
    "stack-size=1048576",
    "--no-dynamic-linker",
    "-static",
    # Merges functions with the same instructions, even if their addresses are taken.  The runtime
    # compares addresses only to find unresolved custom ops, and models with those are refused earlier.
    "--icf=all",
)
_SCRIPT = "no-unwind-tables.ld"

# The C++ library's functions for throwing.  Kernels are compiled without exceptions, so an exception would
# end the program anyway; without these functions, the unwinder is not linked.
_THROWING = (
    *("__cxa_throw", "__cxa_rethrow", "__cxa_allocate_exception", "__cxa_free_exception"),
    *("__cxa_begin_catch", "__cxa_end_catch", "__cxa_end_cleanup", "__cxa_pure_virtual"),
    *("__gxx_personality_v0", "_Unwind_Resume", "__abort_message"),
    *(f"__aeabi_unwind_cpp_pr{number}" for number in range(3)),
    # std::terminate(), std::unexpected(), std::__throw_system_error(int, char const*)
    *("_ZSt9terminatev", "_ZSt10unexpectedv", "_ZNSt3__120__throw_system_errorEiPKc"),
)

# A program that needs every library of the runtime.
_PROBE = """
#include <string>
#include <thread>
int main(int argc, char** argv) {
  std::string text(argv[0]);
  std::thread([&] { text += "x"; }).join();
  return static_cast<int>(text.size() + argc);
}
"""


class Zig:
    """The ``ziglang`` package of the Python environment that litesmith runs in."""

    name: ToolchainName = "zig"
    family = "zig"

    def version(self, profile: Profile) -> str:
        """Version of the ``ziglang`` package.

        Raises:
            ToolError: it is not installed.
        """
        del profile
        return self._version

    def describe(self, profile: Profile) -> dict[str, Any]:
        """The compiler in ``manifest.json``."""
        return {
            "name": self.name,
            "version": self._version,
            "linkage": profile.toolchains["zig"].linkage,
        }

    @contextmanager
    def session(self, readable: Sequence[Path], writable: Path) -> Iterator[None]:
        """Does nothing: zig can read and write everywhere."""
        del readable, writable
        yield

    @functools.cached_property
    def _version(self) -> str:
        try:
            return importlib.metadata.version("ziglang")
        except importlib.metadata.PackageNotFoundError:
            raise ToolError("the zig toolchain is not installed", "pip install ziglang") from None

    @functools.cached_property
    def _program(self) -> Path:
        spec = importlib.util.find_spec("ziglang")
        if spec is None or spec.origin is None:
            raise ToolError("the zig toolchain is not installed", "pip install ziglang")
        return Path(spec.origin).parent / "zig"

    @property
    def _home(self) -> Path:
        return paths.cache_folder() / "toolchains" / f"zig-{self._version}"

    def _call(self, words: Sequence[str | Path], folder: Path, seconds: float) -> process.Completed:
        cache = str(paths.cache_folder() / "zig")
        return process.run(
            [self._program, *words],
            cwd=folder,
            env={"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
            inherit=ENVIRONMENT,
            timeout=seconds,
        )

    def compile_flags(self, profile: Profile) -> CompileFlags:
        """Flags for a profile."""
        options = profile.toolchains["zig"]
        return CompileFlags(
            target=("-target", options.target, f"-mcpu={options.cpu}"),
            common=(*profile.compile_flags, *_COMMON, *options.flags),
            cxx=_CXX,
            by_source=profile.flags_by_source,
            extensions={
                "neondot": (f"-mcpu={options.cpu}+dotprod",),
                "neoni8mm": (f"-mcpu={options.cpu}+dotprod+i8mm",),
                **({"neonv8": ("-mcpu=cortex_a53",)} if profile.architecture == "armv7" else {}),
                # Every ARMv6 CPU has these instructions; Clang assigns them to a later version.
                "armsimd32": (f"-mcpu={options.cpu}+dsp",),
            },
        )

    def identity(self, profile: Profile) -> str:
        """Compiler and runtime that objects of this profile depend on."""
        options = profile.toolchains["zig"]
        return f"zig-{self._version}-{options.target}-{options.cpu}"

    def _runtime_folder(self, profile: Profile) -> Path:
        options = profile.toolchains["zig"]
        return self._home / f"{options.target}-{options.cpu}-{_RUNTIME_FORMAT}"

    def prepare(self, profile: Profile) -> None:
        """Builds libc++, musl and compiler_rt for the target, once; it takes a minute on two cores.

        Raises:
            BuildError: zig does not know the target or the CPU.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        # For builds by hand, with CMake.  Every environment's compiler of this version is the same.
        link = self._home / "zig"
        if not link.exists():
            files.link_atomically(link, self._program)
        folder = self._runtime_folder(profile)
        if whole_folders.is_whole(folder):
            return
        whole_folders.discard(folder)
        console.note(f"building zig's C and C++ libraries for {folder.name}, once: about a minute")
        options = profile.toolchains["zig"]
        with files.staging_folder(folder) as staged:
            (staged / "probe.cc").write_text(_PROBE)
            make = ["c++", "-target", options.target, f"-mcpu={options.cpu}", "-Os", "-g0", "-o", "probe"]
            # Run twice: the command printed while zig builds the libraries does not contain them.
            done = self._call([*make, "probe.cc"], staged, _RUNTIME_SECONDS)
            if done.code == 0:
                done = self._call([*make, "-DAGAIN", "--verbose", "probe.cc"], staged, _RUNTIME_SECONDS)
            line = next((x for x in done.stderr.splitlines() if x.startswith("ld.lld ")), None)
            if done.code != 0 or line is None:
                raise BuildError(
                    f"zig cannot build programs for {options.target} with CPU {options.cpu}: "
                    f"{first_error(done.stderr)}",
                    "see 'zig targets' for the names it knows",
                )
            words = shlex.split(line)
            # Relative paths in the command are relative to the folder in which zig ran.
            kept = [staged / word for word in words if word.endswith(("/crt1.o", ".a"))]
            missing = {"crt1.o", "libc.a", "libc++.a"} - {path.name for path in kept}
            if missing:
                raise BuildError(
                    f"zig's linker command has no {', '.join(sorted(missing))}", f"the command is: {line}"
                )
            for source in kept:
                shutil.copyfile(source, staged / source.name)
            emulation = words[words.index("-m") + 1]
            for leftover in ("probe", "probe.cc"):
                (staged / leftover).unlink(missing_ok=True)
            (staged / "link.json").write_text(
                files.to_json({"emulation": emulation, "files": [path.name for path in kept]})
            )
            whole_folders.publish(staged, folder)

    def compile(
        self, profile: Profile, source: str, flags: Sequence[str], output: Path, folder: Path
    ) -> None:
        """Compiles ``source``, relative to ``folder``.

        Raises:
            BuildError: the compiler failed; the message has its first error.
        """
        del profile
        driver = "c++" if source.endswith(".cc") else "cc"
        run_compiler(self._call, [driver, *flags, "-c", source, "-o", output], source, folder)

    def precompile(
        self, profile: Profile, header: Path, flags: Sequence[str], folder: Path
    ) -> tuple[str, ...]:
        """Compiles a C++ header ahead, with all templates that it instantiates, as that is most of the work.

        Raises:
            BuildError: the compiler failed; the message has its first error.
        """
        del profile
        output = header.with_suffix(".pch")
        words: list[str | Path] = ["c++", *flags, "-fpch-instantiate-templates"]
        run_compiler(self._call, [*words, "-x", "c++-header", header, "-o", output], header.name, folder)
        return ("-include-pch", str(output))

    def link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags of ``ld.lld``."""
        del profile
        return (*_LINK, "-T", _SCRIPT, *(f"--defsym={name}=abort" for name in _THROWING))

    def driver_link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags for zig's own linker driver."""
        return (self.compile_flags(profile).optimisation, "-s", "-Wl,--gc-sections")

    def link(
        self,
        profile: Profile,
        objects: Sequence[Path],
        output: Path,
        *,
        strip: bool,
        map_file: Path | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """Links with ``ld.lld``; removes all symbols with ``strip``, else only debug information.

        Raises:
            BuildError: the linker failed; the message has its first error.
        """
        runtime = self._runtime_folder(profile)
        recipe = json.loads((runtime / "link.json").read_text())
        start, *libraries = recipe["files"]
        words: list[str | Path] = ["ld.lld", "-L", paths.data_folder("templates") / "link"]
        words += [*self.link_flags(profile), "-m", recipe["emulation"]]
        words.append("--strip-all" if strip else "--strip-debug")
        words += [f"--defsym={name}={other}" for name, other in (aliases or {}).items()]
        if map_file is not None:
            words.append(f"-Map={map_file}")
        words += ["-o", output, runtime / start, *objects]
        words += ["--start-group", *(runtime / name for name in libraries), "--end-group"]
        done = self._call(words, output.parent, COMPILE_SECONDS)
        if done.code != 0:
            raise refusal("the program does not link", done.stderr)

    def cmake_files(self, profile: Profile, values: Mapping[str, object]) -> dict[str, str]:
        """``toolchain.cmake``."""
        del profile
        return {"toolchain.cmake": templates.render("toolchain.zig.cmake", values)}

    def cmake_requirement(self, profile: Profile) -> str:
        """zig."""
        del profile
        return f", and so is zig {self._version}; `ZIG` names another one."

    def sysroot(self, profile: Profile, digest: str | None = None) -> Path | None:
        """None: every program is static."""
        del profile, digest
        return None

    def licenses(self, profile: Profile) -> tuple[License, ...]:
        """Licences of the libraries that zig links statically."""
        del profile
        folder = self._program.parent

        def text(path: str) -> str:
            return (folder / path).read_text(encoding="utf-8", errors="replace")

        return (
            License(component="musl libc", spdx="MIT", text=text("lib/libc/musl/COPYRIGHT")),
            License(
                component="LLVM libc++, libc++abi and libunwind",
                spdx="Apache-2.0 WITH LLVM-exception",
                text=text("lib/libcxx/LICENSE.TXT"),
            ),
            License(component="zig compiler runtime", spdx="MIT", text=text("LICENSE")),
        )
