"""The files of a build: their contents, reproducible builds, the project, use with upstream's resolver."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from litesmith.base import paths
from litesmith.build import builder as building
from litesmith.measure.size import elf
from litesmith.measure.verify import verification
from litesmith.model import model_file
from litesmith.runtime import op_registry, source_tree
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from tests.conftest import EXAMPLES, ROOT, Cli
from tests.integration.conftest import DET, Build, Built, build_by_hand, share

pytestmark = pytest.mark.build


def digest_tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_documented_files(det_armv7: Built) -> None:
    names = set(digest_tree(det_armv7.folder))
    assert {
        "bin/det",
        "bin/det.debug",
        "selection.json",
        "manifest.json",
        "size.json",
        "verify.json",
        "NOTICE",
        "project/registration.cc",
        "project/selected_ops.cc",
        "project/main.cc",
        "project/CMakeLists.txt",
        "project/toolchain.cmake",
        "project/README.md",
    } <= names


def test_the_manifest(det_armv7: Built) -> None:
    manifest = det_armv7.json("manifest.json")
    model = hashlib.sha256(DET.read_bytes()).hexdigest()
    assert manifest["models"] == [{"path": str(DET), "sha256": model}]
    assert manifest["toolchain"] == {
        "name": "zig",
        "version": load_toolchain("zig").version(profiles.load("armv7")),
        "linkage": "static",
    }
    assert manifest["binary"]["sha256"] == hashlib.sha256(det_armv7.program.read_bytes()).hexdigest()
    assert manifest["binary"]["sizes"] == det_armv7.json("size.json")["binary"]
    assert "-Os" in manifest["flags"]["common"]
    for name in ("tensorflow", "ruy", "flatbuffers", "eigen", "gemmlowp"):
        assert manifest["sources"][name]["origin"] in {"upstream", "debian"}
        assert len(manifest["sources"][name]["sha256"]) == 64
    assert "://" not in json.dumps([s for s in manifest["sources"].values() if s["origin"] == "debian"])


def test_no_path_of_this_machine_is_in_the_program(det_armv7: Built) -> None:
    for path in (det_armv7.program, det_armv7.folder / "bin/det.debug"):
        content = path.read_bytes()
        for forbidden in (str(Path.home()), str(ROOT), str(paths.cache_folder()), "/tmp/"):
            assert forbidden.encode() not in content


def test_the_notice_lists_licences(det_armv7: Built) -> None:
    notice = (det_armv7.folder / "NOTICE").read_text()
    for wanted in ("tensorflow 2026-05-18: Apache-2.0", "ruy", "eigen 662ba79: MPL-2.0", "musl", "libc++"):
        assert wanted in notice
    assert "farmhash" not in notice


def test_sizes_match_those_of_other_tools(det_armv7: Built) -> None:
    reported = det_armv7.json("size.json")["binary"]
    assert reported["file"] == det_armv7.program.stat().st_size
    assert reported["code"] == reported["text"] + reported["rodata"] + reported["data"]
    if (gnu := shutil.which("size")) is None:
        pytest.skip("GNU size is not installed")
    line = subprocess.run(
        [gnu, det_armv7.program], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1]
    text, data, bss = map(int, line.split()[:3])
    assert reported["code"] == text + data
    assert reported["bss"] == bss


def test_the_debug_program_has_the_same_code_and_symbols(det_armv7: Built) -> None:
    debug = det_armv7.folder / "bin/det.debug"
    stripped, full = elf.program_size(det_armv7.program), elf.program_size(debug)
    assert (stripped.text, stripped.rodata, stripped.data, stripped.bss) == (
        full.text,
        full.rodata,
        full.data,
        full.bss,
    )
    assert full.file > stripped.file
    assert b"RegisterSelectedOps" in debug.read_bytes()
    assert b"_Z19RegisterSelectedOps" not in det_armv7.program.read_bytes()


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("digits", "CONV_2D"),
        ("digits", "SOFTMAX"),
        ("det", "TFLite_Detection_PostProcess"),
        ("det", "RESHAPE"),
    ],
)
def test_a_marginal_cost_matches_a_program_built_without_the_op(build: Build, name: str, op: str) -> None:
    from litesmith.build.project import Project, ProjectOptions
    from litesmith.runtime import selection

    reported = build("armv7", EXAMPLES / f"{name}.tflite").json("size.json")
    profile, registry = profiles.load("armv7"), op_registry.load()
    toolchain, tree = load_toolchain("zig"), source_tree.source_tree()
    model = model_file.open_model(str(EXAMPLES / f"{name}.tflite"))
    # A project generated for the smaller selection.
    smaller = selection.select([model.analysis], registry).without(op)
    project = Project.of(
        smaller, ProjectOptions(name=name), profile=profile, tree=tree, runtime=registry.runtime
    )
    with building.workshop(profile, toolchain, tree) as builder:
        code = elf.program_size(builder.build(project).program).code
    assert reported["ops"][op]["marginal"] == reported["binary"]["code"] - code


@pytest.mark.parametrize("target", ["armv7", "x86_64"])
def test_two_builds_have_the_same_bytes(build: Build, target: str) -> None:
    assert digest_tree(build(target, DET).folder) == digest_tree(build(target, DET).folder)


@pytest.mark.full
def test_a_copy_of_the_project_elsewhere_builds_the_same_bytes(
    build: Build, tmp_path: Path, cli: Cli
) -> None:
    """Another folder and another cache of objects and programs, but the same sources and libraries."""
    clone = tmp_path / "another folder äöü"
    clone.mkdir()
    for name in ("litesmith", "targets", "templates", "ops_registry", "examples"):
        shutil.copytree(ROOT / name, clone / name)
    (clone / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    cache = tmp_path / "another cache"
    cache.mkdir()
    share(cache, "sources", "toolchains", "reference")
    done = cli(
        "build",
        "--target",
        "armv7",
        "--model",
        "examples/gesture.tflite",
        cwd=clone,
        env={"PYTHONPATH": str(clone), "LITESMITH_CACHE": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    assert list((cache / "objects").iterdir()), "the objects came from elsewhere"
    here = build("armv7", EXAMPLES / "gesture.tflite")
    there = clone / "build/armv7/gesture"
    for name in ("bin/gesture", "bin/gesture.debug", "size.json"):
        assert (there / name).read_bytes() == (here.folder / name).read_bytes(), name


@pytest.mark.full
def test_the_project_is_built_with_the_command_in_its_readme(det_armv7: Built, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(det_armv7.folder / "project", project)
    build_by_hand(project)
    by_hand = Built(folder=project, program=project / "out/det", runner=det_armv7.runner)
    result = by_hand.run("--model", DET, "--output-dir", tmp_path)
    assert result.returncode == 0, result.stderr
    (tmp_path / "direct").mkdir()
    det_armv7.run("--model", DET, "--output-dir", tmp_path / "direct")
    for name in ("out0.bin", "out1.bin", "out2.bin", "out3.bin"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "direct" / name).read_bytes()


def test_the_registration_works_in_upstreams_resolver(digits_x86: Built, tmp_path: Path) -> None:
    """TensorFlow Lite's create_op_resolver_with_selected_ops.cc with only the generated registration.cc."""
    tree = source_tree.source_tree()
    profile = profiles.load("x86_64")
    toolchain = load_toolchain("zig")
    flags = toolchain.compile_flags(profile)
    include = [f"-I{folder}" for folder in tree.include_folders()]
    defines = [f"-D{define}" for define in op_registry.load().runtime.defines]
    shutil.copy(digits_x86.folder / "project/registration.cc", tmp_path)
    upstream = tree.locate("tensorflow/tensorflow/lite/create_op_resolver_with_selected_ops.cc")
    compiled = []
    for source in (str(tmp_path / "registration.cc"), upstream):
        output = tmp_path / (Path(source).name + ".o")
        toolchain.compile(
            profile,
            source,
            [*flags.for_language(source), *flags.for_source(source), *defines, *include],
            output,
            tree.root,
        )
        compiled.append(output)
    symbols = [_symbols(path) for path in compiled]
    assert "_Z19RegisterSelectedOpsPN6tflite17MutableOpResolverE" in symbols[0]["defined"]
    assert "_Z19RegisterSelectedOpsPN6tflite17MutableOpResolverE" in symbols[1]["undefined"]


def _symbols(path: Path) -> dict[str, set[str]]:
    from elftools.elf.elffile import ELFFile

    found: dict[str, set[str]] = {"defined": set(), "undefined": set()}
    with path.open("rb") as stream:
        for symbol in ELFFile(stream).get_section_by_name(".symtab").iter_symbols():
            found["undefined" if symbol["st_shndx"] == "SHN_UNDEF" else "defined"].add(symbol.name)
    return found


def test_models_of_the_same_ops_share_all_but_their_row_kernels(build: Build) -> None:
    """kws and vww use the same ops, versions and dtypes, but different shapes."""
    kws, vww = build("armv7", "zoo:kws"), build("armv7", "zoo:vww")
    defines = [built.json("manifest.json")["pruning"]["defines"] for built in (kws, vww)]
    different = {source for source in defines[0] if defines[0][source] != defines[1][source]}
    assert different == {"tensorflow/lite/kernels/depthwise_conv.cc"}
    assert kws.json("selection.json")["models"] != vww.json("selection.json")["models"]


@pytest.mark.parametrize("target", ["x86_64", "armv7"])
def test_a_model_with_other_shapes_runs_the_general_kernels(build: Build, target: str) -> None:
    built, model, profile = build(target, "zoo:vww"), model_file.open_model("zoo:kws"), profiles.load(target)
    verdict = verification.verify(built.program, profile, model)
    assert verdict.passed
    assert verdict.worst is not None
    assert verdict.worst.error == 0


@pytest.mark.full
def test_the_registry_agrees_with_the_pinned_sources() -> None:
    from litesmith.study.derive_ops import Deriver

    derived = Deriver(source_tree.source_tree()).registry()
    folder = paths.data_folder("ops_registry")
    # Measured costs and the data derived for XNNPACK have their own tests.
    files = [p for p in folder.rglob("*.json") if not {"costs", "xnnpack"} & set(p.relative_to(folder).parts)]
    stored = {str(p.relative_to(folder)): json.loads(p.read_text()) for p in files}
    assert stored == derived


@pytest.mark.full
def test_a_wheel_installed_elsewhere_builds_the_same_program(tmp_path: Path, det_armv7: Built) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            f"--wheel-dir={tmp_path}",
            str(ROOT),
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("litesmith-*.whl")
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={target}", str(wheel)],
        check=True,
        capture_output=True,
    )
    assert (target / "bin/litesmith").exists()
    names = "from litesmith.container import toolchain_images; print(*toolchain_images.available())"
    listed = subprocess.run(
        [sys.executable, "-c", names],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() == ["amd64", "arm64", "armhf", "riscv64"]
    code = "import litesmith.__main__ as m; assert 'installed' in m.__file__; m.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "build", "--target", "armv7", "--model", str(DET)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    built = tmp_path / "build/armv7/det"
    assert (built / "bin/det").read_bytes() == det_armv7.program.read_bytes()
    assert (built / "manifest.json").read_bytes() == (det_armv7.folder / "manifest.json").read_bytes()
