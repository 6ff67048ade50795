"""The pinned sources: every archive with its origins and digests.

The sources themselves are not in the repository.  Each component has up to two origins, tried in order:
the project's own archive, then Debian's archive, with the mirror from this machine's apt configuration.
Only the parts named in ``keep`` are unpacked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litesmith.runtime.edits import (
    NO_ABS_TEMPLATE,
    ONE_ROUNDING,
    RUY_PRUNING,
    TENSORFLOW_PRUNING,
    XNNPACK_PRUNING,
    Patch,
)

OriginKind = Literal["upstream", "debian"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One place from which an archive can be downloaded.

    ``location`` is a URL for ``upstream`` and a path below the mirror for ``debian``.
    ``root`` is the folder inside the archive that becomes the component's folder;
    ``*`` stands for one path segment.
    """

    kind: OriginKind
    location: str
    sha256: str
    root: str = "*"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One upstream project.

    ``keep`` lists the path prefixes (relative to ``root``) to unpack, ``drop`` lists fragments of paths to
    leave out.  ``include`` is the folder for the compiler's include path, ``also_include`` lists additional
    ones.  ``license`` names the licence and ``license_file`` its text.  ``headers_only`` marks code that gets
    into a program only through includes.  ``patches`` are applied when the component is unpacked; then the
    files of ``templates/<headers>`` are copied into its folder ``litesmith``.  Components with a ``group``
    are fetched only for programs that need the group, and only files of the group can include their headers.
    """

    name: str
    version: str
    origins: tuple[Origin, ...]
    keep: tuple[str, ...]
    drop: tuple[str, ...] = ()
    include: str = ""
    license: str
    license_file: str
    headers_only: bool = False
    patches: tuple[Patch, ...] = ()
    headers: str | None = None
    also_include: tuple[str, ...] = ()
    group: str = ""


def _github(
    project: str, reference: str, suffix: str, sha256: str, host: str = "https://github.com"
) -> Origin:
    return Origin(kind="upstream", location=f"{host}/{project}/archive/{reference}{suffix}", sha256=sha256)


def _debian(path: str, sha256: str, root: str = "*") -> Origin:
    return Origin(kind="debian", location=f"pool/main/{path}", sha256=sha256, root=root)


XNNPACK = "xnnpack"
"""The group of components that only programs with XNNPACK need."""


def _pthreadpool(name: str, keep: tuple[str, ...], include: str, group: str = "") -> Component:
    return Component(
        name=name,
        group=group,
        version="2024.06",
        origins=(
            _github(
                "Maratyszcza/pthreadpool",
                "b8374f80e42010941bda6c85b0e3f1a1bd77a1e0",
                ".zip",
                "b96413b10dd8edaa4f6c0a60c6cf5ef55eebeef78164d5d69294c8173457f0ec",
            ),
            _debian(
                "p/pthreadpool/pthreadpool_0.0~git20240616.560c60d.orig.tar.xz",
                "4cc3cbd933b28131d2a34edc54f76af9fb41bc490af5eae1a5bd3cd07ea90708",
            ),
        ),
        keep=("LICENSE", *keep),
        include=include,
        license="BSD-2-Clause",
        license_file="LICENSE",
    )


COMPONENTS: tuple[Component, ...] = (
    Component(
        name="tensorflow",
        version="2.14.1",
        origins=(
            _github(
                "tensorflow/tensorflow",
                "refs/tags/v2.14.1",
                ".tar.gz",
                "6b31ed347ed7a03c45b906aa41628ac91c3db7c84cb816971400d470e58ba494",
            ),
            _debian(
                "t/tensorflow/tensorflow_2.14.1+dfsg.orig.tar.xz",
                "9dfff0627def4e999f66a80d0fb57fd0651d12d525dcd67d6c24f1e9bca72b93",
            ),
        ),
        keep=(
            "LICENSE",
            "tensorflow/core/public/version.h",
            "tensorflow/lite/",
            "tensorflow/tsl/framework/convolution/",
            "tensorflow/tsl/lib/random/",
            "third_party/eigen3/",
            "third_party/fft2d/",
        ),
        drop=(
            "/g3doc/",
            "/java/",
            "/ios/",
            "/objc/",
            "/swift/",
            "/toco/",
            "/examples/",
            "/delegates/gpu/",
            "/delegates/coreml/",
            "/delegates/flex/",
            "/delegates/hexagon/",
            "_test.cc",
        ),
        patches=(*NO_ABS_TEMPLATE, *TENSORFLOW_PRUNING),
        headers="pruning",
        license="Apache-2.0",
        license_file="LICENSE",
    ),
    Component(
        name="ruy",
        version="3286a34",
        origins=(
            _github(
                "google/ruy",
                "3286a34cc8de6149ac6844107dfdffac91531e72",
                ".zip",
                "a22c42e80c7bb450db8492728e4742ee66f46d5458c45fe67ce2c9b61240630c",
            ),
            # Debian has no source package of ruy; the copy of Chromium in Qt contains it.
            _debian(
                "q/qt6-webengine/qt6-webengine_6.4.2-final+dfsg.orig.tar.xz",
                "49d655620cf295db88bd60d73218950fb28a964cd7fe283daf52832bbcfd635f",
                root="*/src/3rdparty/chromium/third_party/ruy/src",
            ),
        ),
        keep=("LICENSE", "ruy/"),
        patches=(*ONE_ROUNDING, *RUY_PRUNING),
        license="Apache-2.0",
        license_file="LICENSE",
    ),
    Component(
        name="flatbuffers",
        version="23.5.26",
        origins=(
            _github(
                "google/flatbuffers",
                "v23.5.26",
                ".tar.gz",
                "1cce06b17cddd896b6d73cc047e36a254fb8df4d7ea18a46acf16c4c0cd3f3f3",
            ),
            _debian(
                "f/flatbuffers/flatbuffers_23.5.26+dfsg.orig.tar.xz",
                "0d309fd2c47bbbebd450e68d1419c336d53d1b8f5ce47e1f1f7f28f452fc6f3b",
            ),
        ),
        keep=("LICENSE", "include/"),
        include="include",
        license="Apache-2.0",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="gemmlowp",
        version="e844ffd",
        origins=(
            _github(
                "google/gemmlowp",
                "e844ffd17118c1e17d94e1ba4354c075a4577b88",
                ".zip",
                "522b7a82d920ebd0c4408a5365866a40b81d1c0d60b2369011d315cca03c6476",
            ),
            _debian(
                "g/gemmlowp/gemmlowp_0.0~git20211220.e844ffd.orig.tar.xz",
                "b43ad962deaa41ba6727888a48ecf4dad181a70fcdd82505d9dbdcc8388a98e7",
            ),
        ),
        keep=("LICENSE", "fixedpoint/", "internal/", "public/", "profiling/"),
        license="Apache-2.0",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="eigen",
        version="3.4",
        origins=(
            _github(
                "libeigen/eigen/-",
                "0b51f763cbbd0ed08168f88972724329f0375498/eigen-0b51f763cbbd0ed08168f88972724329f0375498",
                ".tar.gz",
                "70a3b0e357fc037740002f5097a15dba1ea0dde28d37f5d9c86f76a06626f4fc",
                host="https://gitlab.com",
            ),
            _debian(
                "e/eigen3/eigen3_3.4.0.orig.tar.bz2",
                "b4c198460eba6f28d34894e3a5710998818515104d6e74e5cc331ce31e46e626",
            ),
        ),
        keep=("COPYING", "Eigen/", "unsupported/Eigen/"),
        license="MPL-2.0",
        license_file="COPYING.MPL2",
        headers_only=True,
    ),
    Component(
        name="farmhash",
        version="0d859a8",
        origins=(
            _github(
                "google/farmhash",
                "0d859a811870d10f53a594927d0d0b97573ad06d",
                ".tar.gz",
                "18392cf0736e1d62ecbb8d695c31496b6507859e8c75541d7ad0ba092dc52115",
            ),
            _debian(
                "f/farmhash/farmhash_0~git20190513.0d859a8.orig.tar.xz",
                "e2fc97337d22a598d1b35697c20a9a9c638abccff2793e2cab12d01eec5bc496",
            ),
        ),
        keep=("COPYING", "src/farmhash"),
        include="src",
        license="MIT",
        license_file="COPYING",
    ),
    _pthreadpool("pthreadpool", ("include/",), "include"),
    Component(
        name="fft2d",
        version="1.0",
        origins=(
            _github(
                "petewarden/OouraFFT",
                "v1.0",
                ".tar.gz",
                "5f4dabc2ae21e1f537425d58a49cdca1c49ea11db0d6271e2a4b27e9697548eb",
            ),
            _debian(
                "o/oourafft/oourafft_1.0.orig.tar.gz",
                "5f4dabc2ae21e1f537425d58a49cdca1c49ea11db0d6271e2a4b27e9697548eb",
            ),
        ),
        keep=("fftsg.c", "fftsg2d.c", "alloc.", "readme"),
        license="Ooura (free, with notice)",
        license_file="readme2d.txt",
    ),
    Component(
        name="neon2sse",
        version="2022.09",
        origins=(
            _github(
                "intel/ARM_NEON_2_x86_SSE",
                "a15b489e1222b2087007546b4912e21293ea86ff",
                ".tar.gz",
                "019fbc7ec25860070a1d90e12686fc160cfb33e22aa063c80f52b363f1361e9d",
            ),
            _debian(
                "n/neon-2-sse/neon-2-sse_0.0.0~git20220912.a15b489.orig.tar.xz",
                "3cfdcb2c40793a3194f9497062f64575e99783dfe15c23451c248946145695ee",
            ),
        ),
        keep=("LICENSE", "NEON_2_SSE.h"),
        license="BSD-2-Clause",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="fp16",
        version="4dfe081",
        origins=(
            _github(
                "Maratyszcza/FP16",
                "4dfe081cf6bcd15db339cf2680b9281b8451eeb3",
                ".zip",
                "d973501a40c55126b31accc2d9f08d931ec3cc190c0430309a5e341d3c0ce32a",
            ),
            _debian(
                "f/fp16/fp16_0.0~git20200514.4dfe081.orig.tar.xz",
                "7d7782b37b74136e0e12593a2a93ccbe7db831f4374cc408e44623d9b708b54e",
            ),
        ),
        keep=("LICENSE", "include/"),
        include="include",
        license="MIT",
        license_file="LICENSE",
        headers_only=True,
    ),
)
"""The components that all programs need, in the order of the include path."""

XNNPACK_COMPONENTS: tuple[Component, ...] = (
    Component(
        name="xnnpack",
        version="2024.11",
        # Only Debian's archive is pinned: the project publishes no archives with stable digests.
        origins=(
            _debian(
                "x/xnnpack/xnnpack_0.0~git20241108.4ea82e5.orig.tar.xz",
                "90bde2caef0f880f627bab0dc805a86c4b8070cd98e3243db3046ab3f3be1a99",
                root="",
            ),
        ),
        keep=("LICENSE", "include/", "src/"),
        # Code for CPUs that no profile has, which is half of the archive.
        drop=("wasm", "hvx", "hexagon", "rvv", "-vsx", "avx512amx", "avx512fp16"),
        include="include",
        also_include=("src",),
        patches=XNNPACK_PRUNING,
        group=XNNPACK,
        license="BSD-3-Clause",
        license_file="LICENSE",
    ),
    # All programs see the same header; only programs with XNNPACK contain the code.
    _pthreadpool("pthreadpool-sources", ("include/", "src/"), "src", XNNPACK),
    Component(
        name="fxdiv",
        group=XNNPACK,
        version="2020.04",
        origins=(
            _debian(
                "f/fxdiv/fxdiv_0.0~git20200417.b408327.orig.tar.xz",
                "7953482badaf4cb34026c3487c257b8e4ab2df061c019bd6fabbbc12ad52c44b",
            ),
        ),
        keep=("LICENSE", "include/"),
        include="include",
        license="MIT",
        license_file="LICENSE",
        headers_only=True,
    ),
)
"""The components that only programs with XNNPACK need."""
