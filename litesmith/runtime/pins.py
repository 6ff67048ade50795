"""The pinned sources: every component with its revision, the digest of its content, and its origins.

The sources themselves are not in the repository.  A component has up to two origins, tried in order: the
archive that the project's forge makes of the revision, then one of Debian's archives, from the mirror of this
machine's apt configuration.  Most components are in the sources of Debian's Chromium, whose
``*/third_party/*/README.chromium`` names their revisions; that archive is read once for all of them.
"""

from __future__ import annotations

from litesmith.runtime.components import Archive, Component, Origin
from litesmith.runtime.edits.correctness import (
    NO_ABS_TEMPLATE,
    ONE_4_BIT_LAYER,
    ONE_HARD_SWISH,
    ONE_ROUNDING,
    ONE_SCALING,
    ONE_SOFTMAX,
    UNPACK_ONLY_INT4,
    UNUSED_CODES,
    ZERO_DIVISOR,
)
from litesmith.runtime.edits.guards import GUARDS
from litesmith.runtime.edits.interpreter import INTERPRETER_PRUNING
from litesmith.runtime.edits.kernels import KERNEL_PRUNING
from litesmith.runtime.edits.patch import Patch
from litesmith.runtime.edits.planner import PLANNER_PRUNING
from litesmith.runtime.edits.ruy import RUY_PRUNING
from litesmith.runtime.edits.sort_order import SORT_ORDER, XNNPACK_SORT_ORDER
from litesmith.runtime.edits.xnnpack import XNNPACK_PRUNING

XNNPACK = "xnnpack"
"""The group of components that only programs with XNNPACK need."""

_C_FILES = (".h", ".cc", ".c", ".inc", ".fbs")


def _debian(path: str, sha256: str, size: int = 0) -> Archive:
    return Archive(kind="debian", location=f"pool/main/{path}", sha256=sha256, size=size)


CHROMIUM = _debian(
    "c/chromium/chromium_150.0.7871.100.orig.tar.xz",
    "2d39244586a0e28242ea082777dbfa877e9d374e62bf9f2d86a92b0a142118cd",
    941_208_512,
)


def _github(project: str, revision: str) -> Origin:
    location = f"https://github.com/{project}/archive/{revision}.tar.gz"
    return Origin(archive=Archive(kind="upstream", location=location))


def _gitlab(project: str, revision: str) -> Origin:
    name = project.rpartition("/")[2]
    location = f"https://gitlab.com/{project}/-/archive/{revision}/{name}-{revision}.tar.gz"
    return Origin(archive=Archive(kind="upstream", location=location))


def _chromium(folder: str, tar_block: int, reverts: tuple[Patch, ...] = ()) -> Origin:
    root = f"*/third_party/{folder}"
    return Origin(archive=CHROMIUM, root=root, tar_block=tar_block, reverts=reverts)


# What Chromium's third_party/abseil-cpp/patches changes in files that are kept.
_CHROMIUM_ABSEIL = (
    Patch(
        path="absl/base/options.h",
        find=r"#define ABSL_OPTION_HARDENED 1\n",
        replace="#define ABSL_OPTION_HARDENED 0\n",
    ),
    Patch(
        path="absl/base/macros.h",
        find=r"(?:// In chromium .*\n)(?://.*\n){2}(#define ABSL_DEPRECATE_AND_INLINE\(\)) ",
        replace=r"\1 [[deprecated]] ",
    ),
)

COMPONENTS: tuple[Component, ...] = (
    Component(
        name="tensorflow",
        version="2026-05-18",
        revision="999d49c10046e240cd5366d349d3a5f6af16a0d4",
        digest="h1:T8vZPjJ/K4NZQZUySfW/K6qCYPk39f/BEotFoLBSCF0=",
        origins=(
            _github("tensorflow/tensorflow", "999d49c10046e240cd5366d349d3a5f6af16a0d4"),
            _chromium("tflite/src", 9927007),
        ),
        keep=(
            "tensorflow/core/public/",
            "tensorflow/lite/*",
            "tensorflow/lite/c/",
            "tensorflow/lite/core/",
            "tensorflow/lite/experimental/resource/",
            "tensorflow/lite/internal/",
            "tensorflow/lite/kernels/",
            "tensorflow/lite/profiling/",
            "tensorflow/lite/schema/",
            "tensorflow/lite/tools/optimize/*",
            "tensorflow/lite/tools/versioning/",
            "tensorflow/lite/types/",
            "tensorflow/compiler/mlir/lite/allocation.",
            "tensorflow/compiler/mlir/lite/mmap_allocation",
            "tensorflow/compiler/mlir/lite/core/",
            "tensorflow/compiler/mlir/lite/experimental/remat/",
            "tensorflow/compiler/mlir/lite/kernels/internal/",
            "tensorflow/compiler/mlir/lite/schema/",
            "tensorflow/compiler/mlir/lite/tools/optimize/*",
            "tensorflow/compiler/mlir/lite/tools/versioning/",
            "tensorflow/compiler/mlir/lite/utils/",
            "third_party/fft2d/",
            "third_party/xla/xla/tsl/framework/convolution/",
            "third_party/xla/xla/tsl/lib/random/",
        ),
        endings=_C_FILES,
        drop=(
            "_test.",
            "_test_util",
            "_test_common",
            "test_util.",
            "/testing/",
            "/test_op/",
            "/acceleration/",
            "/jni/",
        ),
        license="Apache-2.0",
        license_file="LICENSE",
        also_include=("third_party/xla",),
        patches=(
            *NO_ABS_TEMPLATE,
            *ONE_SOFTMAX,
            *ONE_HARD_SWISH,
            *ONE_SCALING,
            *ONE_4_BIT_LAYER,
            *ZERO_DIVISOR,
            *UNPACK_ONLY_INT4,
            *UNUSED_CODES,
            *GUARDS,
            *SORT_ORDER,
            *INTERPRETER_PRUNING,
            *PLANNER_PRUNING,
            *KERNEL_PRUNING,
        ),
        headers="pruning",
    ),
    Component(
        name="ruy",
        version="1e6e508",
        revision="1e6e50872655a73b5250f954d7b9da9a87292fd3",
        digest="h1:aL50qPwdpeaLapvsWI6GfeD6zAPI3lPNiYwA1Kb3iV8=",
        origins=(
            _github("google/ruy", "1e6e50872655a73b5250f954d7b9da9a87292fd3"),
            _chromium("ruy/src", 8623334),
        ),
        keep=("ruy/",),
        endings=_C_FILES,
        drop=("test", "benchmark"),
        license="Apache-2.0",
        license_file="LICENSE",
        patches=(*ONE_ROUNDING, *RUY_PRUNING),
    ),
    Component(
        name="flatbuffers",
        version="a86afae",
        revision="a86afae9399bbe631d1ea0783f8816e780e236cc",
        digest="h1:O+lEbWrHWVpUiZuDduBZ/k5339gYIhpTpXCEOBIZOy8=",
        origins=(
            _github("google/flatbuffers", "a86afae9399bbe631d1ea0783f8816e780e236cc"),
            _chromium("flatbuffers/src", 6208724),
        ),
        keep=("include/flatbuffers/",),
        endings=_C_FILES,
        drop=("/pch/",),
        include="include",
        license="Apache-2.0",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="gemmlowp",
        version="16e8662",
        revision="16e8662c34917be0065110bfcd9cc27d30f52fdf",
        digest="h1:gjrYYD4iTuRr3g1UcPcWgTUTMG1zNy4UlkFwDbwX51A=",
        origins=(
            _github("google/gemmlowp", "16e8662c34917be0065110bfcd9cc27d30f52fdf"),
            _chromium("gemmlowp/src", 6246776),
        ),
        keep=("fixedpoint/", "internal/", "public/", "profiling/"),
        endings=_C_FILES,
        license="Apache-2.0",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="eigen",
        version="662ba79",
        revision="662ba79d796a2851b10cdafc6668e45b65b1120f",
        digest="h1:nrikWDiZxatqEsVIMQgHGPkpxWO53mSDweEsMiXg9rg=",
        origins=(
            _gitlab("libeigen/eigen", "662ba79d796a2851b10cdafc6668e45b65b1120f"),
            _chromium("eigen3/src", 5988259),
        ),
        keep=("COPYING.", "Eigen/", "unsupported/Eigen/"),
        drop=("CMakeLists.txt", ".md"),
        license="MPL-2.0",
        license_file="COPYING.MPL2",
        headers_only=True,
    ),
    Component(
        name="farmhash",
        version="816a4ae",
        revision="816a4ae622e964763ca0862d9dbd19324a1eaf45",
        digest="h1:HxXqXWzD9sUPjw3AlfsC2sVa5fw1hSQUwDuKaNnitww=",
        origins=(
            _github("google/farmhash", "816a4ae622e964763ca0862d9dbd19324a1eaf45"),
            _chromium("farmhash/src", 6025997),
        ),
        keep=("src/farmhash.",),
        include="src",
        license="MIT",
        license_file="COPYING",
    ),
    # absl/types/span.h, and what it includes.
    Component(
        name="abseil",
        version="8fb4507",
        revision="8fb4507d10a24a1204e98f77ad19c27c291e13e9",
        digest="h1:wk8Dlab+3t0gyzrJoBOf8d4fBGN1IsPYVssle5Kg9mM=",
        origins=(
            _github("abseil/abseil-cpp", "8fb4507d10a24a1204e98f77ad19c27c291e13e9"),
            _chromium("abseil-cpp", 3015456, _CHROMIUM_ABSEIL),
        ),
        keep=(
            "absl/algorithm/algorithm.h",
            "absl/base/attributes.h",
            "absl/base/config.h",
            "absl/base/internal/hardening.h",
            "absl/base/macros.h",
            "absl/base/nullability.h",
            "absl/base/optimization.h",
            "absl/base/options.h",
            "absl/base/policy_checks.h",
            "absl/base/port.h",
            "absl/base/throw_delegate.h",
            "absl/hash/internal/weakly_mixed_integer.h",
            "absl/meta/type_traits.h",
            "absl/types/internal/span.h",
            "absl/types/span.h",
        ),
        license="Apache-2.0",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="pthreadpool",
        version="0246058",
        revision="02460584c6092e527c8b89f7df4de143d70e801f",
        digest="h1:F+gkgrwdQE28xQw9sxm29wAykrxlM2wXiBbI26rfcnk=",
        origins=(
            _github("google/pthreadpool", "02460584c6092e527c8b89f7df4de143d70e801f"),
            _chromium("pthreadpool/src", 8145922),
        ),
        keep=("include/",),
        endings=_C_FILES,
        include="include",
        license="BSD-2-Clause",
        license_file="LICENSE",
    ),
    Component(
        name="fft2d",
        version="1.0",
        revision="v1.0",
        digest="h1:j1KDjphvs8fFjGSnUw0CF4vgXJnVao8YYrKLTgs1AZE=",
        origins=(
            Origin(
                archive=Archive(
                    kind="upstream",
                    location="https://github.com/petewarden/OouraFFT/archive/v1.0.tar.gz",
                    sha256="5f4dabc2ae21e1f537425d58a49cdca1c49ea11db0d6271e2a4b27e9697548eb",
                )
            ),
            Origin(
                archive=_debian(
                    "o/oourafft/oourafft_1.0.orig.tar.gz",
                    "5f4dabc2ae21e1f537425d58a49cdca1c49ea11db0d6271e2a4b27e9697548eb",
                )
            ),
        ),
        keep=("fftsg.c", "fftsg2d.c", "alloc.", "readme"),
        license="Ooura (free, with notice)",
        license_file="readme2d.txt",
    ),
    Component(
        name="neon2sse",
        version="eb8b80b",
        revision="eb8b80b28f956275e291ea04a7beb5ed8289e872",
        digest="h1:fPuOW48eUxPHYApTQnNLYAU1gugtmIFMPiS40AAmJl4=",
        origins=(
            _github("intel/ARM_NEON_2_x86_SSE", "eb8b80b28f956275e291ea04a7beb5ed8289e872"),
            _chromium("neon_2_sse/src", 7424404),
        ),
        keep=("NEON_2_SSE.h",),
        license="BSD-2-Clause",
        license_file="LICENSE",
        headers_only=True,
    ),
    Component(
        name="fp16",
        version="3d2de18",
        revision="3d2de1816307bac63c16a297e8c4dc501b4076df",
        digest="h1:yH/pcW/haQ6HT/aqHQy5xopAOkZtD76zGJe0Ulfc7IQ=",
        origins=(
            _github("Maratyszcza/FP16", "3d2de1816307bac63c16a297e8c4dc501b4076df"),
            _chromium("fp16/src", 6236809),
        ),
        keep=("include/",),
        endings=_C_FILES,
        include="include",
        license="MIT",
        license_file="LICENSE",
        headers_only=True,
    ),
)
"""The components that all programs need, in the order of the include path."""

XNNPACK_COMPONENTS: tuple[Component, ...] = (
    # Only programs with XNNPACK have the delegate.
    Component(
        name="xnnpack-delegate",
        version="2026-05-18",
        revision="999d49c10046e240cd5366d349d3a5f6af16a0d4",
        digest="h1:QZQmbcSrWIpH7z2MnHhaJUu/BhCAeEB1BBICzDNZ9k8=",
        origins=(
            _github("tensorflow/tensorflow", "999d49c10046e240cd5366d349d3a5f6af16a0d4"),
            _chromium("tflite/src", 9927007),
        ),
        keep=("tensorflow/lite/delegates/xnnpack/",),
        endings=_C_FILES,
        drop=("_test", "test_util"),
        group=XNNPACK,
        license="Apache-2.0",
        license_file="LICENSE",
    ),
    Component(
        name="xnnpack",
        version="56ac34b",
        revision="56ac34b3f45fae2eca1f32584f7f0b279be2cf1f",
        digest="h1:WFCEQAN/ns1DtltDEIYkoWm+tCdwPSd0Wa0Vj2ohSO4=",
        origins=(
            _github("google/XNNPACK", "56ac34b3f45fae2eca1f32584f7f0b279be2cf1f"),
            _chromium("xnnpack/src", 11263160),
        ),
        keep=("include/", "src/"),
        endings=(*_C_FILES, ".S"),
        # Code for CPUs that no profile has, which is half of the archive.
        drop=("wasm", "hvx", "hexagon", "rvv", "-vsx", "avx512amx", "avx512fp16", "avx512bf16"),
        also_include=("include",),
        patches=(*XNNPACK_PRUNING, *XNNPACK_SORT_ORDER),
        group=XNNPACK,
        license="BSD-3-Clause",
        license_file="LICENSE",
    ),
    # All programs see the same header; only programs with XNNPACK contain the code.
    Component(
        name="pthreadpool-sources",
        version="0246058",
        revision="02460584c6092e527c8b89f7df4de143d70e801f",
        digest="h1:Sr+Ajop25fKSO5xgTU1IjMV8ScUUoRIqOvM53XJYGv8=",
        origins=(
            _github("google/pthreadpool", "02460584c6092e527c8b89f7df4de143d70e801f"),
            _chromium("pthreadpool/src", 8145922),
        ),
        keep=("include/", "src/"),
        endings=_C_FILES,
        include="src",
        license="BSD-2-Clause",
        license_file="LICENSE",
        group=XNNPACK,
    ),
    Component(
        name="fxdiv",
        version="63058ef",
        revision="63058eff77e11aa15bf531df5dd34395ec3017c8",
        digest="h1:9UhfVjMajGme2BgqJU/3B2OZ3TfaY8pI8KUz1zHe1dc=",
        origins=(
            _github("Maratyszcza/FXdiv", "63058eff77e11aa15bf531df5dd34395ec3017c8"),
            _chromium("fxdiv/src", 6246629),
        ),
        keep=("include/",),
        endings=_C_FILES,
        include="include",
        license="MIT",
        license_file="LICENSE",
        headers_only=True,
        group=XNNPACK,
    ),
)
"""The components that only programs with XNNPACK need."""
