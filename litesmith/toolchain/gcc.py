"""GCC as cross-compiler: Debian's ``g++-<triple>`` packages, or any GCC of that name on the PATH.

A compiler is identified by content: its own programs, the linker, the target's libraries and headers.
A GCC with the same digest makes the same objects, on another machine or in a container.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import files, paths, process, templates, whole_folders
from litesmith.base.errors import ToolError
from litesmith.target.profiles import Profile, ToolchainName, ToolchainOptions
from litesmith.toolchain.compiler import COMPILE_SECONDS, ENVIRONMENT, first_error, refusal, run_compiler
from litesmith.toolchain.protocol import CompileFlags, License

_ASK_SECONDS = 60

_COMMON = (
    "-ffunction-sections",
    "-fdata-sections",
    "-fvisibility=hidden",
    "-fomit-frame-pointer",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-pie",
    # GCC contracts a * b + c by default, and rounds once where the reference rounds twice.
    "-ffp-contract=off",
    "-g0",
    "-w",
)
_NEON_V8 = ("-march=armv8-a", "-mfpu=neon-fp-armv8")
_CXX = ("-std=c++17", "-fno-exceptions", "-fno-rtti")
_LINK = (
    "-no-pie",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,--as-needed",
    "-Wl,--hash-style=gnu",
)

# RISC-V has no atomic instructions for single bytes; with the archive, boards need no shared library.
_LIBRARIES_AFTER = {"riscv64": ("-Wl,--push-state,-Bstatic", "-latomic", "-Wl,--pop-state")}

_PROGRAMS = ("cc1", "cc1plus", "as", "ld")
_LIBRARIES = (
    *("crt1.o", "crti.o", "crtn.o", "crtbegin.o", "crtbeginT.o", "crtend.o"),
    *("libc.a", "libc_nonshared.a", "libm.a", "libgcc.a", "libgcc_eh.a", "libstdc++.a", "libatomic.a"),
)
_SHARED_LIBRARIES = ("libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libatomic.so.1")
_HEADERS = (
    *("algorithm", "atomic", "cmath", "condition_variable", "cstdio", "cstring", "functional", "iostream"),
    *("limits", "map", "memory", "mutex", "random", "regex", "string", "thread", "unordered_map", "vector"),
    *("dlfcn.h", "fcntl.h", "pthread.h", "sys/auxv.h", "sys/mman.h", "sys/resource.h", "sys/stat.h"),
    *("time.h", "unistd.h"),
)
_INTRINSICS = {"armv7": ("arm_neon.h",), "aarch64": ("arm_neon.h",), "x86_64": ("cpuid.h", "immintrin.h")}

# Prints digests of files; for a linker script also those of its members, for a program also those of the
# libraries that do its work.
_SUMS = """
working='/\\S*/lib(bfd|opcodes|mpfr|mpc|gmp|isl)\\S*'
sum() { sha256sum <"$1" | cut -d" " -f1; }
for f; do
    sum "$f"
    case $(head -c 4 "$f" | tr -d '\\0') in
    "/* G") for m in $(grep -oE '/[^ )]+\\.(a|so[.0-9]*)' "$f"); do sum "$m"; done ;;
    ?ELF) for m in $(ldd "$f" 2>/dev/null | grep -oE "$working"); do sum "$m"; done ;;
    esac
    echo
done
"""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """An installed compiler.

    ``digest`` covers everything that affects a program.  ``loader`` is the path of the dynamic loader in
    programs; ``runtime`` maps its name and those of the shared libraries to their paths on this machine.
    ``packages`` maps Debian packages to versions, if there are any.  ``copyrights`` has the texts for the C
    library and for GCC's own libraries.
    """

    version: str
    digest: str
    loader: str
    runtime: Mapping[str, str]
    packages: Mapping[str, str]
    copyrights: tuple[str, str]

    def to_json(self) -> dict[str, Any]:
        """The content of a cache file."""
        return asdict(self)


class Gcc:
    """``<triple>-g++`` on the PATH of this machine."""

    name: ToolchainName = "gcc"
    family = "gcc"

    def __init__(self) -> None:
        self._installations: dict[str, Installation] = {}

    def _call(self, words: Sequence[str | Path], folder: Path, seconds: float) -> process.Completed:
        """Runs a command on the machine that has the compiler."""
        return process.run(words, cwd=folder, env={"LC_ALL": "C"}, inherit=ENVIRONMENT, timeout=seconds)

    def _ask(self, *words: str) -> process.Completed:
        return self._call(words, Path("/"), _ASK_SECONDS)

    def options(self, profile: Profile) -> ToolchainOptions:
        """The profile's settings for this toolchain."""
        return profile.toolchains[self.name]

    @contextmanager
    def session(self, readable: Sequence[Path], writable: Path) -> Iterator[None]:
        """Does nothing: the compiler can read and write everywhere."""
        del readable, writable
        yield

    def installation(self, profile: Profile) -> Installation:
        """The compiler, examined once.

        Raises:
            ToolError: it is not installed, or it is not GCC.
        """
        triple = self.options(profile).target
        if triple not in self._installations:
            self._installations[triple] = self._examine(triple, profile.architecture)
        return self._installations[triple]

    def _examine(self, triple: str, architecture: str) -> Installation:
        compiler = f"{triple}-g++"
        if self._ask("sh", "-c", 'command -v "$1"', "sh", compiler).code != 0:
            raise self._missing(compiler)
        version = _version(self._ask(compiler, "--version"))
        if version is None:
            raise ToolError(f"{compiler} is not GCC", "put GCC first on the PATH")
        loader = self._loader(compiler)
        found = self._paths(compiler, loader)
        sums = self._ask("sh", "-ec", _SUMS, "sh", *found.values())
        include = [
            word
            for header in (*_HEADERS, *_INTRINSICS.get(architecture, ()))
            for word in ("-include", header)
        ]
        neon = ("-mfpu=neon", "-march=armv7-a") if architecture == "armv7" else ()
        # Without -dD: macros that only the kernel's headers have differ between machines and do not
        # matter; those of the libraries change with the libraries.
        headers = self._ask(compiler, "-std=c++17", "-E", "-P", *neon, "-x", "c++", *include, "/dev/null")
        if sums.code != 0 or headers.code != 0:
            raise ToolError(
                f"{compiler} lacks parts of its C++ library: {first_error(sums.stderr + headers.stderr)}",
                f"install it again (Debian: apt-get install {package_of(triple)})",
            )
        digests = sums.stdout.decode().strip().split("\n\n")
        content = [version, *zip(found, digests, strict=True), hashlib.sha256(headers.stdout).hexdigest()]
        packages = self._packages(list(found.values()))
        return Installation(
            version=version,
            digest=files.digest_of(content),
            loader=loader,
            runtime={name: found[name] for name in (*_SHARED_LIBRARIES, Path(loader).name) if name in found},
            packages=packages,
            copyrights=(self._copyright(packages, "libc6-dev"), self._copyright(packages, "libgcc-")),
        )

    def _missing(self, compiler: str) -> ToolError:
        return ToolError(
            f"the compiler {compiler} is not installed",
            f"on Debian: apt-get install {package_of(compiler.removesuffix('-g++'))}; or build with "
            "--toolchain docker or zig",
        )

    def _loader(self, compiler: str) -> str:
        """The loader of dynamic programs, from the command that would link one."""
        done = self._ask(compiler, "-###", "-x", "c++", "/dev/null", "-o", "/dev/null")
        match = re.search(r"-dynamic-linker \"?(/[^\" ]+)", done.stderr)
        if match is None:
            raise ToolError(
                f"{compiler} does not build programs for Linux", "use a compiler with a -linux- triple"
            )
        return match[1]

    def _paths(self, compiler: str, loader: str) -> dict[str, str]:
        """The paths of the compiler's parts, by name; missing ones are left out."""
        wanted = {name: f"-print-prog-name={name}" for name in _PROGRAMS}
        libraries = (*_LIBRARIES, *_SHARED_LIBRARIES, Path(loader).name)
        wanted |= {name: f"-print-file-name={name}" for name in libraries}
        # One shell instead of twenty processes: in a container, each process takes a round trip.
        script = (
            'compiler=$1; shift; for o in "$@"; do p=$("$compiler" "$o"); case $p in /*) ;; '
            '*) p=$(command -v "$p" || echo /none) ;; esac; realpath -eq "$p" || echo; done'
        )
        done = self._ask("sh", "-c", script, "sh", compiler, *wanted.values())
        lines = done.stdout.decode().splitlines()
        return {name: line for name, line in zip(wanted, lines, strict=True) if line}

    def _packages(self, found: Sequence[str]) -> dict[str, str]:
        """Versions of the Debian packages that contain the files; empty on another system."""
        script = (
            'command -v dpkg-query >/dev/null || exit 0; dpkg-query -S "$@" 2>/dev/null | cut -d: -f1'
            " | sort -u | xargs -r dpkg-query -W -f '${Package} ${Version}\\n'"
        )
        # With a merged /usr, the path of a file that dpkg lists as /lib/x is /usr/lib/x.
        both = [*found, *(path.removeprefix("/usr") for path in found if path.startswith("/usr/lib"))]
        lines = self._ask("sh", "-c", script, "sh", *both).stdout.decode().splitlines()
        return dict(line.split(" ", 1) for line in lines if " " in line)

    def _copyright(self, packages: Mapping[str, str], prefix: str) -> str:
        package = next((name for name in packages if name.startswith(prefix)), None)
        if package is not None:
            done = self._ask("cat", f"/usr/share/doc/{package}/copyright")
            if done.code == 0:
                return done.stdout.decode(errors="replace")
        return "The text comes with the compiler's documentation.\n"

    def version(self, profile: Profile) -> str:
        """GCC's version, followed by the distributor's in brackets."""
        return self.installation(profile).version

    def compile_flags(self, profile: Profile) -> CompileFlags:
        """Flags for a profile."""
        options = self.options(profile)
        return CompileFlags(
            target=_target_flags(profile, options),
            common=(*profile.compile_flags, *_COMMON, *options.flags),
            cxx=_CXX,
            by_source=profile.flags_by_source,
            extensions={
                "neondot": ("-march=armv8.2-a+dotprod",),
                "neoni8mm": ("-march=armv8.2-a+dotprod+i8mm",),
                **({"neonv8": _NEON_V8} if profile.architecture == "armv7" else {}),
            },
        )

    def identity(self, profile: Profile) -> str:
        """The compiler by its content, so that it is the same on the host and in a container."""
        return f"gcc-{self.options(profile).target}-{self.installation(profile).digest}"

    def prepare(self, profile: Profile) -> None:
        """Does nothing: Debian's packages contain the target's libraries."""

    def compile(
        self, profile: Profile, source: str, flags: Sequence[str], output: Path, folder: Path
    ) -> None:
        """Compiles ``source``, relative to ``folder``.

        Raises:
            BuildError: the compiler failed; the message has its first error.
        """
        driver = "g++" if source.endswith(".cc") else "gcc"
        triple = self.options(profile).target
        words: list[str | Path] = [f"{triple}-{driver}", *flags, "-c", source, "-o", output]
        run_compiler(self._call, words, source, folder)

    def precompile(
        self, profile: Profile, header: Path, flags: Sequence[str], folder: Path
    ) -> tuple[str, ...]:
        """Compiles a C++ header ahead; GCC finds the result by the header's name.

        Raises:
            BuildError: the compiler failed; the message has its first error.
        """
        words: list[str | Path] = [f"{self.options(profile).target}-g++", *flags, "-x", "c++-header", header]
        run_compiler(self._call, [*words, "-o", f"{header}.gch"], header.name, folder)
        return ("-include", str(header))

    def link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags of ``g++`` for the link step."""
        static = ("-static",) if self.options(profile).linkage == "static" else ()
        return (*_LINK, *static, *_LIBRARIES_AFTER.get(profile.architecture, ()))

    def driver_link_flags(self, profile: Profile) -> tuple[str, ...]:
        """The flags of the link step, and one that strips symbols."""
        return (*self.link_flags(profile), "-Wl,--strip-all")

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
        """Links with GNU ld; removes all symbols with ``strip``, else only debug information.

        Raises:
            BuildError: the linker failed; the message has its first error.
        """
        words: list[str | Path] = [f"{self.options(profile).target}-g++"]
        words.append("-Wl,--strip-all" if strip else "-Wl,--strip-debug")
        words += [f"-Wl,--defsym={name}={other}" for name, other in (aliases or {}).items()]
        if map_file is not None:
            words += ["-Xlinker", f"-Map={map_file}"]
        # Flags come last: libraries among them must follow the objects that need them.
        words += ["-o", output, *objects, *self.link_flags(profile)]
        done = self._call(words, output.parent, COMPILE_SECONDS)
        if done.code != 0:
            raise refusal("the program does not link", done.stderr)

    def cmake_files(self, profile: Profile, values: Mapping[str, object]) -> dict[str, str]:
        """``toolchain.cmake``."""
        del profile
        return {"toolchain.cmake": templates.render("toolchain.gcc.cmake", values)}

    def cmake_requirement(self, profile: Profile) -> str:
        """The compiler."""
        return f". `{self.options(profile).target}-g++` {self.version(profile)} must be on the PATH."

    def sysroot(self, profile: Profile, digest: str | None = None) -> Path | None:
        """A folder with the loader and the shared libraries, copied once; None for static programs.

        ``digest`` is that of the compiler that linked the program, if it is known.

        Raises:
            ToolError: the program was linked with another compiler, whose libraries were not kept.
        """
        if self.options(profile).linkage == "static":
            return None
        if digest is not None and whole_folders.is_whole(kept := self._sysroot_folder(profile, digest)):
            return kept
        installation = self.installation(profile)
        if digest not in {None, installation.digest}:
            raise ToolError(
                "the program was not linked with the installed compiler",
                "build it again",
            )
        folder = self._sysroot_folder(profile, installation.digest)
        with files.locked(paths.cache_folder() / "locks" / folder.name):
            if not whole_folders.is_whole(folder):
                whole_folders.discard(folder)
                self._copy_sysroot(installation, folder)
        return folder

    def _sysroot_folder(self, profile: Profile, digest: str) -> Path:
        return paths.cache_folder() / "toolchains" / f"gcc-{self.options(profile).target}-{digest[:16]}"

    def _copy_sysroot(self, installation: Installation, folder: Path) -> None:
        with files.staging_folder(folder) as staged:
            library = staged / "root/lib"
            library.mkdir(parents=True)
            for soname, path in installation.runtime.items():
                done = self._ask("cat", path)
                if done.code != 0:
                    raise ToolError(f"{path} cannot be read: {done.stderr.strip()}")
                (library / soname).write_bytes(done.stdout)
                (library / soname).chmod(0o755)
            place = staged / "root" / Path(installation.loader).parent.relative_to("/")
            if place != library:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(library.relative_to(staged / "root"))
            whole_folders.publish(staged / "root", folder)

    def describe(self, profile: Profile) -> dict[str, Any]:
        """The compiler in ``manifest.json``."""
        options, installation = self.options(profile), self.installation(profile)
        return {
            "name": self.name,
            "version": installation.version,
            "linkage": options.linkage,
            "sha256": installation.digest,
            "packages": dict(installation.packages),
        }

    def licenses(self, profile: Profile) -> tuple[License, ...]:
        """Licences of the code that GCC links: its start files, and in static programs its libraries."""
        linked = "" if self.options(profile).linkage == "static" else " (start files and headers)"
        libc, gcc = self.installation(profile).copyrights
        return (
            License(component=f"GNU C library{linked}", spdx="LGPL-2.1-or-later", text=libc),
            License(
                component=f"GCC's libstdc++ and libgcc{linked}",
                spdx="GPL-3.0-or-later WITH GCC-exception-3.1",
                text=gcc,
            ),
        )


def _version(done: process.Completed) -> str | None:
    """``12.2.0 (Debian 12.2.0-14)`` from the first line of ``--version``; None if it is not GCC."""
    lines = done.stdout.decode(errors="replace").splitlines()
    match = re.match(r"\S*g\+\+\S* (\(.*\)) (\d+\.\d+\S*)", lines[0]) if lines and done.code == 0 else None
    return f"{match[2]} {match[1]}" if match else None


def package_of(triple: str) -> str:
    """The Debian package of a triple's C++ compiler."""
    return "g++" if triple.startswith("x86_64") else f"g++-{triple.replace('_', '-')}"


def _target_flags(profile: Profile, options: ToolchainOptions) -> tuple[str, ...]:
    """GCC names the CPU of Arm targets with -mcpu, the instruction set of others with -march."""
    if profile.architecture in {"armv6", "armv7"}:
        return (f"-mcpu={options.cpu}", f"-mfloat-abi={profile.float_abi}")
    return (f"-mcpu={options.cpu}",) if profile.architecture == "aarch64" else (f"-march={options.cpu}",)
