"""The LiteRT wheel for aarch64 under the emulator, in a Debian of its own: what it runs on several CPUs.

The wheel asks ``/proc/cpuinfo`` which core it runs on, which the emulator does not emulate: the Debian has
that file for each CPU.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from litesmith.base import apt, files, paths, process
from litesmith.base.errors import ToolError, VerificationError
from litesmith.model.tensors import Array
from litesmith.study.bench import instruction_count

_PACKAGES = ("ai-edge-litert", "numpy")
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")

# Debian packages of the Python that runs the wheels under the emulator.
_PYTHON = ("libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal")
_LIBRARIES = ("libexpat1", "libffi8", "libgcc-s1", "libgomp1", "libstdc++6", "zlib1g")
_SECONDS = 900
_INFERENCES = 3

_GETPRIORITY = 141
"""The number of the system call by which the script marks where the inferences begin and end."""

_SCRIPT = """
import os
import sys
sys.path.insert(0, {site!r})
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

model, inputs, outputs, runs, delegates = sys.argv[1:]
kinds = OpResolverType.BUILTIN, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
kind = kinds[0] if delegates == "delegates" else kinds[1]
interpreter = Interpreter(model, experimental_op_resolver_type=kind, num_threads=1)
interpreter.allocate_tensors()
with np.load(inputs) as given:
    for i, detail in enumerate(interpreter.get_input_details()):
        interpreter.set_tensor(detail["index"], given[str(i)])
interpreter.invoke()
os.getpriority(os.PRIO_PROCESS, 0)
for _ in range(int(runs) - 1):
    interpreter.invoke()
os.getpriority(os.PRIO_PROCESS, 0)
found = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
np.savez(outputs, **{{str(i): value for i, value in enumerate(found)}})
"""


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """A CPU as the emulator calls it, and the numbers by which ``/proc/cpuinfo`` names it."""

    name: str
    implementer: int
    part: int
    features: str

    @property
    def text(self) -> str:
        """The content of ``/proc/cpuinfo``."""
        return (
            "processor\t: 0\nBogoMIPS\t: 100.00\n"
            f"Features\t: {self.features}\n"
            f"CPU implementer\t: {self.implementer:#04x}\nCPU architecture: 8\n"
            f"CPU variant\t: 0x0\nCPU part\t: {self.part:#05x}\nCPU revision\t: 4\n"
        )


_BASE = "fp asimd aes pmull sha1 sha2 crc32"
CORTEX_A53 = Cpu(name="cortex-a53", implementer=0x41, part=0xD03, features=_BASE)
CPUS = (
    CORTEX_A53,
    Cpu(
        name="neoverse-n1",
        implementer=0x41,
        part=0xD0C,
        features=f"{_BASE} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
    # Everything that the emulator has but SME, which upstream's choice of kernels prefers to i8mm.  The wheel
    # crashes on a core that it does not know: this one is called a Neoverse N2.
    Cpu(
        name="max,sme=off",
        implementer=0x41,
        part=0xD49,
        features=f"{_BASE} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp sve sve2 i8mm bf16",
    ),
)
"""The CPUs on which programs are compared with the wheel: without dot product, with it, and with i8mm."""


@dataclass(frozen=True, kw_only=True)
class Aarch64Wheel:
    """The wheel, installed: ``root`` is the Debian, ``site`` the folder of the Python packages."""

    emulator: str
    root: Path
    site: Path

    def outputs(self, model: Path, inputs: Sequence[Array], cpu: Cpu = CORTEX_A53) -> list[Array]:
        """The outputs of the interpreter without delegates, after one inference.

        Raises:
            VerificationError: the interpreter failed.
        """
        found, _ = self._run((), model, inputs, cpu, 1, delegates=False)
        return found

    def instructions(self, model: Path, inputs: Sequence[Array], cpu: Cpu) -> int:
        """Instructions of one inference with the default delegates and one thread.

        They contain those of Python's call, a few thousand.

        Raises:
            ToolError: the emulator's plugin cannot be compiled.
            VerificationError: the interpreter failed.
        """
        plugin, path = instruction_count.plugin_arguments()
        marked = (plugin, f"{path},mark={_GETPRIORITY}")
        _, text = self._run(marked, model, inputs, cpu, 1 + _INFERENCES, delegates=True)
        before, after = (int(one) for one in re.findall(r"instructions at mark: (\d+)", text))
        return round((after - before) / _INFERENCES)

    def _run(
        self,
        options: Sequence[str],
        model: Path,
        inputs: Sequence[Array],
        cpu: Cpu,
        runs: int,
        *,
        delegates: bool,
    ) -> tuple[list[Array], str]:
        with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
            folder = Path(scratch)
            # The emulator looks for absolute paths in this folder first.
            system = folder / "root"
            system.mkdir()
            for entry in self.root.iterdir():
                if entry.name != "proc":
                    (system / entry.name).symlink_to(entry)
            (system / "proc").mkdir()
            (system / "proc" / "cpuinfo").write_text(cpu.text)
            given: dict[str, Any] = {str(i): value for i, value in enumerate(inputs)}
            np.savez(folder / "in.npz", **given)
            words = [
                *(self.emulator, *options, "-cpu", cpu.name, "-L", str(system)),
                *(str(self.root / "usr/bin/python3.11"), "-c", _SCRIPT.format(site=str(self.site))),
                *(str(model), str(folder / "in.npz"), str(folder / "out.npz"), str(runs)),
                "delegates" if delegates else "kernels",
            ]
            inherited = [name for name in os.environ if not name.startswith("PYTHON")]
            # The same order of sets in each run: the counts differ by inferences only.
            done = process.run(words, timeout=_SECONDS, env={"PYTHONHASHSEED": "0"}, inherit=inherited)
            if done.code != 0:
                (*_, reason) = done.stderr.strip().splitlines() or ["without a word"]
                raise VerificationError(f"{model.name}: the wheel for aarch64 failed on {cpu.name}: {reason}")
            with np.load(folder / "out.npz") as stored:
                return [stored[str(i)] for i in range(len(stored.files))], done.stderr


def missing() -> str | None:
    """What this machine needs to install the wheel, if anything is missing."""
    programs = [name for name in ("qemu-aarch64", "debootstrap") if shutil.which(name) is None]
    if not programs and os.getuid() == 0:
        return None
    return "the wheel for aarch64 needs root, debootstrap and qemu-user"


def install() -> Aarch64Wheel:
    """Installs the wheel into the cache, where it is not there yet: a Debian of 200 MB.

    Raises:
        ToolError: see :func:`missing`; or a package cannot be fetched.
    """
    reason = missing()
    if reason is not None:
        raise ToolError(reason, "on Debian, as root: apt-get install debootstrap qemu-user")
    wanted = "".join(_pinned(package) for package in _PACKAGES)
    folder = paths.cache_folder() / "emulator" / f"wheel-aarch64-{files.digest_of(wanted)[:12]}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with files.staging_folder(folder) as staged:
            _install(staged / "wheel", wanted)
            (staged / "wheel").rename(folder)
    emulator = shutil.which("qemu-aarch64") or ""
    return Aarch64Wheel(emulator=emulator, root=folder / "root", site=folder / "site")


def _install(folder: Path, wanted: str) -> None:
    root = folder / "root"
    root.mkdir(parents=True)
    suites = apt.debian_suites("bookworm")
    if not suites:
        raise ToolError("this machine knows no Debian mirror", "name one in LITESMITH_DEBIAN_MIRROR")
    mirror = suites[0].split()[0]
    names = ",".join((*_PYTHON, *_LIBRARIES))
    argv = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", f"--include={names}"]
    _checked([*argv, "bookworm", str(root), mirror])
    for name in (*_PYTHON, *_LIBRARIES):
        (package,) = (root / "var/cache/apt/archives").glob(f"{name}_*.deb")
        # Extracted by tar: dpkg would replace the link /lib with a folder.
        packed = folder / "package.tar"
        packed.write_bytes(_checked(["dpkg-deb", "--fsys-tarfile", str(package)]))
        _checked(["tar", "--extract", "--keep-directory-symlink", f"--directory={root}", f"--file={packed}"])
        packed.unlink()
    requirements = folder / "requirements.txt"
    requirements.write_text(wanted)
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    argv += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    argv += [f"--target={folder / 'site'}", *(f"--platform={name}" for name in _PLATFORMS)]
    _checked([*argv, "-r", str(requirements)])


def _checked(argv: Sequence[str]) -> bytes:
    done = process.run(argv, timeout=_SECONDS)
    if done.code != 0:
        (*_, reason) = done.stderr.strip().splitlines() or ["without a word"]
        raise ToolError(f"{Path(argv[0]).name} failed: {reason}")
    return done.stdout


def _pinned(package: str) -> str:
    """The lines about a package in the file that pins the reference, with the digests for all platforms."""
    text = (paths.data_folder("requirements") / "runtime.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{package}==.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ToolError(f"requirements/runtime.txt does not pin {package}")
    return re.sub(r"^\s+#.*\n", "", found[0], flags=re.MULTILINE)
