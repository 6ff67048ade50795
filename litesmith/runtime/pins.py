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
    ONE_SOFTMAX,
    RUY_PRUNING,
    TENSORFLOW_PRUNING,
    UNPACK_ONLY_INT4,
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
        version="2026-05-18",
        origins=(
            _debian("tensorflow.tar", "88cc8eb860e561f11fa60882c1e80d3f471f8f33490da93041183e4fadc7eb44"),
        ),
        keep=(
            "LICENSE",
            "tensorflow/core/public/",
            "tensorflow/lite/",
            "tensorflow/compiler/mlir/lite/allocation",
            "tensorflow/compiler/mlir/lite/mmap_allocation",
            "tensorflow/compiler/mlir/lite/core/",
            "tensorflow/compiler/mlir/lite/experimental/remat/",
            "tensorflow/compiler/mlir/lite/kernels/internal/compatibility_macros.h",
            "tensorflow/compiler/mlir/lite/schema/",
            "tensorflow/compiler/mlir/lite/tools/versioning/",
            "tensorflow/compiler/mlir/lite/utils/",
            "third_party/xla/xla/tsl/framework/convolution/",
            "third_party/xla/xla/tsl/lib/random/",
            "third_party/fft2d/",
        ),
        license="Apache-2.0",
        license_file="LICENSE",
        drop=(
            "/g3doc/",
            "/java/",
            "/ios/",
            "/objc/",
            "/swift/",
            "/toco/",
            "/examples/",
            "/testdata/",
            "/delegates/gpu/",
            "/delegates/xnnpack/",
            "/delegates/coreml/",
            "/delegates/flex/",
            "/delegates/hexagon/",
            "/mlir/lite/tests/",
            "/mlir/lite/transforms/",
            "/mlir/lite/stablehlo/",
            "/mlir/lite/quantization/",
            "/mlir/lite/python",
            "_test.cc",
        ),
        also_include=("third_party/xla",),
        patches=(*NO_ABS_TEMPLATE, *ONE_SOFTMAX, *UNPACK_ONLY_INT4, *TENSORFLOW_PRUNING),
        headers="pruning",
    ),
    Component(
        name="ruy",
        version="1e6e508",
        origins=(_debian("ruy.tar", "e01a550b81084d71658e560c78a2eb163e52ef640e47dde7c0470e4d9724c9c9"),),
        keep=("LICENSE", "ruy/"),
        license="Apache-2.0",
        license_file="LICENSE",
        patches=(*ONE_ROUNDING, *RUY_PRUNING),
    ),
    Component(
        name="flatbuffers",
        version="a86afae",
        origins=(
            _debian("flatbuffers.tar", "c13f082779e82141745774f57e063cbf929c241877459055c71b6d947be19112"),
        ),
        keep=("LICENSE", "include/"),
        license="Apache-2.0",
        license_file="LICENSE",
        include="include",
        headers_only=True,
    ),
    Component(
        name="gemmlowp",
        version="16e8662",
        origins=(
            _debian("gemmlowp.tar", "f8748a9c439fb780e187ebfa9b7892988ef3ac23ac6fece30e2e1f261d8628bb"),
        ),
        keep=("LICENSE", "fixedpoint/", "internal/", "public/", "profiling/"),
        license="Apache-2.0",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="eigen",
        version="662ba79",
        origins=(_debian("eigen.tar", "67c1b56bfdec66cad22b62537355de7750234976ddffee51a3eb10d246eb7a3f"),),
        keep=("COPYING", "Eigen/", "unsupported/Eigen/"),
        license="MPL-2.0",
        license_file="COPYING.MPL2",
        headers_only=True,
    ),
    Component(
        name="farmhash",
        version="816a4ae",
        origins=(
            _debian("farmhash.tar", "c2b007b8270eb2a68875763143675fd9dd65d94e9eca3b6e2eb068250edfe6c4"),
        ),
        keep=("COPYING", "src/farmhash"),
        license="MIT",
        license_file="COPYING",
        include="src",
    ),
    Component(
        name="abseil",
        version="8fb4507",
        origins=(_debian("abseil.tar", "73ee0e4c91ce777991d181d2c7e4eb691a9d0aab8733e6e2d3f316a32810b27d"),),
        keep=("LICENSE", "absl/"),
        license="Apache-2.0",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="pthreadpool",
        version="0246058",
        origins=(
            _debian("pthreadpool.tar", "d441cdcadd2ccb1d26cf40aff7077cd89cb84e1585665fa02ffe960a9a4a9fdd"),
        ),
        keep=("LICENSE", "include/"),
        license="BSD-2-Clause",
        license_file="LICENSE",
        include="include",
    ),
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
        version="eb8b80b",
        origins=(
            _debian("neon2sse.tar", "67425ba9a5b7b68c798ac6e8e23a956e1687dd7c4a5636199ca358b65f089f9d"),
        ),
        keep=("LICENSE", "NEON_2_SSE.h"),
        license="BSD-2-Clause",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="fp16",
        version="3d2de18",
        origins=(_debian("fp16.tar", "caef3ca367a502f9163932f7055fe4189cf93eb7126967408dd55a68ef50e686"),),
        keep=("LICENSE", "include/"),
        license="MIT",
        license_file="LICENSE",
        include="include",
        headers_only=True,
    ),
)
"""The components that all programs need, in the order of the include path."""

XNNPACK_COMPONENTS: tuple[Component, ...] = (
    # The delegate that goes with this XNNPACK.
    Component(
        name="xnnpack-delegate",
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
        keep=("LICENSE", "tensorflow/lite/delegates/xnnpack/"),
        drop=("_test", "_tester"),
        group=XNNPACK,
        license="Apache-2.0",
        license_file="LICENSE",
    ),
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
