from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from litesmith.build import cmake_project
from litesmith.build.compile_units import compile_units
from litesmith.build.project import Project, ProjectOptions
from litesmith.model import contents
from litesmith.runtime import op_registry, selection
from litesmith.runtime.engines.interpreter.glue import registration_variants
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.pins import COMPONENTS
from litesmith.runtime.selection import Selection
from litesmith.runtime.source_tree import Source, SourceTree
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from tests.conftest import EXAMPLES

GOLDEN = Path(__file__).parent.parent / "data" / "golden"


@pytest.fixture
def tree(tmp_path: Path) -> SourceTree:
    """A source tree with short folder names; no file in it is read."""
    return SourceTree(
        root=tmp_path,
        sources={
            c.name: Source(component=c, folder=f"{c.name}-x", archive=c.origins[0].archive)
            for c in COMPONENTS
        },
    )


@pytest.fixture
def det(registry: Registry) -> Selection:
    return selection.select([contents.analyse(EXAMPLES / "det.tflite", "examples/det.tflite")], registry)


def project(det: Selection, tree: SourceTree, target: str = "armv7", embedded: Path | None = None) -> Project:
    return Project.of(
        det,
        ProjectOptions(name="det", embedded=embedded),
        profile=profiles.load(target),
        tree=tree,
        runtime=op_registry.load().runtime,
    )


def files_of(made: Project, tree: SourceTree, target: str = "armv7") -> dict[str, str]:
    """All files of a project, including those for building it by hand."""
    profile, toolchain = profiles.load(target), load_toolchain("zig")
    return {**made.files, **cmake_project.cmake_files(made, profile, toolchain, tree)}


def setting(text: str, path: str, name: str) -> list[str]:
    """The values of a property that CMake sets for a file."""
    for files, values in re.findall(
        rf'set_source_files_properties\(\n([^)]*?)\n  PROPERTIES {name} "(.*)"\)', text
    ):
        if path in files.split():
            return values.split(";")
    return []


@pytest.mark.parametrize(
    "name", ["registration.cc", "selected_ops.cc", "toolchain.cmake", "README.md", "CMakeLists.txt"]
)
def test_generated_files_match_the_golden_files(det: Selection, tree: SourceTree, name: str) -> None:
    """After a deliberate change: write the new text into tests/data/golden and review the diff."""
    made = files_of(project(det, tree), tree)[name]
    assert made == (GOLDEN / name).read_text()


def test_files_of_a_project(det: Selection, tree: SourceTree) -> None:
    made = project(det, tree)
    assert {*made.own_sources, "selected_ops.h", "model_check.h"} <= set(made.files)
    assert made.sources[0].startswith("tensorflow/")
    assert len(set(made.sources)) == len(made.sources)


def test_a_project_contains_no_absolute_path(det: Selection, tree: SourceTree) -> None:
    for name, text in files_of(project(det, tree), tree).items():
        assert str(tree.root) not in text, name
        assert str(EXAMPLES.parent) not in text, name


def test_cmake_and_the_builder_use_the_same_defines_and_flags(det: Selection, tree: SourceTree) -> None:
    """CMake compiles each file with the same defines and flags as the builder."""
    profile, toolchain = profiles.load("armv7"), load_toolchain("zig")
    made = project(det, tree)
    text = files_of(made, tree)["CMakeLists.txt"]
    shared = re.search(r"target_compile_definitions\(\S+ PRIVATE (.*)\)", text)
    assert shared is not None
    for unit in compile_units(made, profile, toolchain, tree):
        path = unit.source if unit.own else f"${{SOURCES}}/{tree.locate(unit.source)}"
        given = {*shared[1].split(), *setting(text, path, "COMPILE_DEFINITIONS")}
        assert given == set(unit.defines), unit.source
        assert setting(text, path, "COMPILE_OPTIONS") == list(unit.flags), unit.source


def test_an_embedded_model_is_included_with_its_size(det: Selection, tree: SourceTree) -> None:
    made = project(det, tree, embedded=EXAMPLES / "det.tflite")
    size = (EXAMPLES / "det.tflite").stat().st_size
    assert f"kEmbeddedModelSize = {size};" in made.files["selected_ops.cc"]
    assert r".incbin \"model.tflite\"" in made.files["selected_ops.cc"]


def test_removing_an_op_removes_only_its_own_sources(det: Selection, tree: SourceTree) -> None:
    whole = project(det, tree)
    smaller = whole.reduced(det.without("CONV_2D"))
    gone = set(whole.sources) - set(smaller.sources)
    assert any(source.endswith("kernels/conv.cc") for source in gone)
    assert not any(source.endswith("tensor_utils.cc") for source in gone)
    assert '"CONV_2D"' in whole.files["selected_ops.cc"]
    assert '"CONV_2D"' not in smaller.files["selected_ops.cc"]
    assert whole.files["main.cc"] == smaller.files["main.cc"]


def test_registrations_of_fewer_ops(det: Selection) -> None:
    selections = {"one": det.only("CONV_2D"), "none": dataclasses.replace(det, ops=())}
    text, functions = registration_variants(selections)
    bodies = {
        name: text.partition(f"void {function}(")[2].partition("\n}")[0]
        for name, function in functions.items()
    }
    assert bodies["one"].count("AddBuiltin") == 1
    assert "BuiltinOperator_CONV_2D" in bodies["one"]
    assert "(void)resolver;" in bodies["none"]


def test_a_project_without_ops(det: Selection, tree: SourceTree) -> None:
    empty = project(dataclasses.replace(det, ops=()), tree)
    assert "kSelectedOpCount = 0;" in empty.files["selected_ops.cc"]
    assert "(void)resolver;" in empty.files["registration.cc"]


def test_x86_files_have_their_own_instruction_sets(det: Selection, tree: SourceTree) -> None:
    text = files_of(project(det, tree, "x86_64"), tree, "x86_64")["CMakeLists.txt"]
    for path, flags in (
        ("${SOURCES}/ruy-x/ruy/kernel_avx2_fma.cc", ["-O2", "-mavx2", "-mfma"]),
        ("${SOURCES}/ruy-x/ruy/kernel_avx.cc", ["-O2", "-mavx"]),
        ("libc_replacements.cc", ["-O2", "-fno-builtin"]),
    ):
        assert setting(text, path, "COMPILE_OPTIONS") == flags


def test_compile_flags_of_single_files() -> None:
    flags = load_toolchain("zig").compile_flags(profiles.load("x86_64"))
    assert flags.optimisation == "-Os"
    assert flags.for_source("tensorflow/tensorflow/lite/kernels/conv.cc") == ("-O2",)
    assert flags.for_source("tensorflow/tensorflow/lite/core/subgraph.cc") == ()
    assert flags.for_source("ruy/ruy/kernel_avx512.cc")[-1] == "-mavx512dq"
    assert "-std=c++17" in flags.for_language("tensorflow/x.cc")
    assert "-std=c++17" not in flags.for_language("fft2d/fftsg.c")
    assert flags.for_language("ruy/ruy/trmul.cc")[:3] == ("-target", "x86_64-linux-musl", "-mcpu=x86_64_v2")
