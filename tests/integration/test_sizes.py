"""Sizes of real programs, compared with other tools and with programs built by hand."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from litesmith.build.artifact.program import write_project
from litesmith.build.cmake_project import cmake_files
from litesmith.build.project import Project, ProjectOptions
from litesmith.cli.render import size_page
from litesmith.measure.size import elf, snapshot
from litesmith.measure.size.anatomy import MODEL, UNATTRIBUTED
from litesmith.model.model_file import open_model
from litesmith.predict.code_size import builtin_costs
from litesmith.runtime import op_registry, selection, source_tree
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from tests.conftest import EXAMPLES, ROOT, Cli, one_error_line
from tests.integration.browser import load_page
from tests.integration.conftest import DET, Build, Built, build_by_hand, require_or_skip

DIGITS = EXAMPLES / "digits.tflite"
TARGETS = ("armv7", "aarch64", "riscv64", "x86_64")
BUILDS = [(target, tool) for tool in ("zig", "gcc") for target in TARGETS]
BUILDS += [("armv7", "gcc:static"), ("armv6", "zig")]


@pytest.fixture(scope="module")
def tool(cross_gcc: None) -> Build:
    """Binutils of a target: ``tool("armv7", "nm")``."""
    del cross_gcc

    def find(target: str, name: str) -> str:
        # There is no cross compiler for armv6; the tools for other Arm targets read its files.
        triple = profiles.load(target.replace("armv6", "armv7")).toolchains["gcc"].target
        found = shutil.which(f"{triple}-{name}")
        require_or_skip("" if found else f"{triple}-{name} is not installed")
        return str(found)

    return find  # type: ignore[return-value]


def output(*arguments: str | Path) -> str:
    return subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("target", "toolchain"), BUILDS)
def test_every_byte_has_an_owner(build: Build, target: str, toolchain: str, tool: Build) -> None:
    built = build(target, DIGITS, toolchain=toolchain)
    found = snapshot.read(built.folder)
    report, binary = found.report, found.report.binary
    assert sum(found.anatomy.buckets().values()) == binary.loaded
    assert sum(found.anatomy.buckets(loaded=False).values()) == binary.bss == sum(report.memory.values())
    attributed = sum(op.attributed for op in report.ops.values())
    assert report.core + attributed + sum(report.buckets.values()) == binary.loaded
    assert sum(report.shared.values()) == report.buckets["shared by ops"]
    assert binary.loaded - report.buckets["headers"] == binary.code
    assert report.buckets.get(UNATTRIBUTED, 0) < 0.01 * binary.loaded

    text, data, bss = map(int, output(tool(target, "size"), built.program).splitlines()[1].split()[:3])
    assert (text + data, bss) == (binary.code, binary.bss)
    segments = re.findall(r"^ +LOAD .*$", output(tool(target, "readelf"), "-lW", built.program), re.MULTILINE)
    assert sum(int(line.split()[4], 16) for line in segments) == binary.loaded


@pytest.mark.parametrize(("target", "toolchain"), BUILDS)
def test_symbols_match_those_of_nm(build: Build, target: str, toolchain: str, tool: Build) -> None:
    built = build(target, DIGITS, toolchain=toolchain)
    listed: dict[str, set[int]] = {}
    for line in output(tool(target, "nm"), "-S", f"{built.program}.debug").splitlines():
        fields = line.split()
        if len(fields) == 4:
            listed.setdefault(fields[3], set()).add(int(fields[1], 16))
    parts = [part for part in snapshot.read(built.folder).anatomy.parts if part.symbol in listed]
    # Local functions of the same name in several files are counted together.
    single = [part for part in parts if len(listed[part.symbol]) == 1 and "$" not in part.symbol]
    largest = [part for part in single if not part.symbol.startswith((".L", "_ZZ"))][:20]
    assert len(largest) == 20
    assert [part.size for part in largest] == [next(iter(listed[part.symbol])) for part in largest]
    assert {part.source for part in largest} >= {"main.cc"}


def test_marginal_costs_match_programs_built_by_hand(build: Build, tmp_path: Path, cross_gcc: None) -> None:
    """The generated project, written without an op and built with the command in its README."""
    del cross_gcc
    reported = build("armv7", DIGITS, toolchain="gcc").json("size.json")
    profile, name = profiles.load("armv7").choose("gcc")
    toolchain, tree, registry = load_toolchain(name), source_tree.source_tree(), op_registry.load()
    whole = selection.select([open_model(str(DIGITS)).analysis], registry)
    folder = tmp_path / "project"
    codes = {}
    for dropped in ("", "CONV_2D", "SOFTMAX", "FULLY_CONNECTED"):
        chosen = whole.without(dropped)
        project = Project.of(
            chosen, ProjectOptions(name="digits"), profile=profile, tree=tree, runtime=registry.runtime
        )
        # The same folder: CMake compiles only the differences.
        write_project(project, cmake_files(project, profile, toolchain, tree), folder)
        build_by_hand(folder)
        codes[dropped] = elf.program_size(folder / "out/digits").code
    assert codes.pop("") == reported["binary"]["code"]
    for op, code in codes.items():
        assert reported["ops"][op]["marginal"] == reported["binary"]["code"] - code


def test_an_embedded_model_is_a_bucket(build: Build) -> None:
    built = build("armv7", DIGITS, embed_model=True)
    assert built.json("size.json")["buckets"][MODEL] == DIGITS.stat().st_size


def test_bytes_of_a_custom_op(cli: Cli) -> None:
    folder = EXAMPLES / "custom_op"
    done = cli(
        *("size", "--json", "--target", "armv7", "--model", folder / "signed_sqrt.tflite"),
        *("--custom-ops", folder / "custom_ops.yaml"),
    )
    found = json.loads(done.stdout)
    assert 0 < found["ops"]["SignedSqrt"]["attributed"] <= found["ops"]["SignedSqrt"]["marginal"] + 200
    assert any("SignedSqrt" in row["name"] or "signed_sqrt" in row["source"] for row in found["symbols"])


def test_what_if_matches_the_actual_change(build: Build, cli: Cli, tmp_path: Path) -> None:
    both, alone = build("armv7", DIGITS, DET), build("armv7", DIGITS)
    ask = ("size.what-if", "--json", "--target", "armv7", "--model", DIGITS)
    found = json.loads(cli(*ask, "--add-model", DET).stdout)
    assert found["before"] == alone.json("size.json")["binary"]["code"]
    assert found["after"] == both.json("size.json")["binary"]["code"]
    found = json.loads(cli(*ask, "--drop-op", "SOFTMAX", "--add-op", "LOGISTIC:int8").stdout)
    assert found["steps"]["drop SOFTMAX"] == -alone.json("size.json")["ops"]["SOFTMAX"]["marginal"]
    assert found["steps"]["add LOGISTIC:int8"] > 0
    assert (found["ops"]["LOGISTIC"], "SOFTMAX" in found["ops"]) == (["int8"], False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([], "no changes were given"),
        (["--add-op", "SOFTMAKS"], "there is no op SOFTMAKS; perhaps you meant 'SOFTMAX'"),
        (["--add-op", "ADD:complex128"], "ADD has no kernel for the dtype complex128"),
        (["--add-op", "ADD:float31"], "ADD has no kernel for the dtype float31, which does not exist"),
        (["--drop-op", "ADD"], "the program has no op ADD"),
        (["--add-model", "none.tflite"], "none.tflite"),
    ],
)
def test_what_if_refuses_impossible_changes(cli: Cli, change: list[str], message: str) -> None:
    done = cli("size.what-if", "--target", "armv7", "--model", DIGITS, *change)
    assert done.returncode == 2
    assert message in one_error_line(done)


def test_int8_only(cli: Cli) -> None:
    gesture = EXAMPLES / "gesture.tflite"
    done = cli("size.what-if", "--json", "--target", "armv7", "--model", gesture, "--int8-only")
    found = json.loads(done.stdout)
    assert found["delta"] < -10_000
    assert all("float32" not in dtypes for dtypes in found["ops"].values())


def test_revisions_of_a_model(cli: Cli, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    for model in (DIGITS, DET):
        shutil.copy(model, tmp_path / "model.tflite")
        git("add", "model.tflite")
        git("commit", "-qm", model.stem)
    command = ("size.diff", "HEAD~1", "HEAD", "--target", "armv7", "--model", "model.tflite")
    found = json.loads(cli(*command, "--json").stdout)
    assert found["totals"][0]["delta"] == sum(
        row["delta"] for row in found["buckets"] if row["name"] != "headers"
    )
    assert {row["name"] for row in found["ops"] if row["before"] == 0} >= {"TFLite_Detection_PostProcess"}
    assert found["symbols"][0]["delta"] != 0
    text = cli(*command, "--markdown").stdout
    assert text.startswith("### Code size: ")
    assert "| `TFLite_Detection_PostProcess` | 0 |" in text
    done = cli("size.diff", "HEAD~7", "HEAD", "--target", "armv7", "--model", "model.tflite")
    assert (done.returncode, "cannot be read from git" in one_error_line(done)) == (2, True)


def test_folders_are_compared_without_building(build: Build, cli: Cli) -> None:
    before, after = build("armv7", DIGITS).folder, build("armv7", DET).folder
    env = {"LITESMITH_CACHE": "/nowhere"}
    found = json.loads(cli("size.diff", before, after, "--json", env=env).stdout)
    codes = [json.loads((folder / "size.json").read_text())["binary"]["code"] for folder in (before, after)]
    assert [found["totals"][0]["before"], found["totals"][0]["after"]] == codes
    other = build("armv7", DIGITS, toolchain="gcc").folder
    assert "toolchain: gcc, was zig" in cli("size.diff", before, other, env=env).stdout


def test_the_gate(cli: Cli, tmp_path: Path) -> None:
    gate = ("size.check", "--baseline", "b.json", "--target", "armv7", "--model")
    assert cli(*gate, DIGITS, "--accept", "--reason", "first").returncode == 0
    assert cli(*gate, DIGITS).returncode == 0
    done = cli(*gate, DET, "--max-growth", "2KiB")
    assert done.returncode == 3
    line = one_error_line(done)
    assert re.search(r"the code grew by [\d,]+ bytes, 2,048 are allowed; largest causes: ", line)
    assert line.split("largest causes: ")[1].split("; ")[0].count(" +") == 3
    done = cli(*gate, DIGITS, "--toolchain", "gcc")
    assert (done.returncode, "toolchain: gcc, was zig" in one_error_line(done)) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


# The other estimates were compared with 600 models each when the costs were measured.
ESTIMATED = ("armv7.zig", "armv7.gcc", "x86_64.zig")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.name.startswith(ESTIMATED) else pytest.mark.exhaustive)
        for path in sorted((ROOT / "ops_registry/costs").glob("*.json"))
    ],
    ids=lambda path: path.name.removesuffix(".json"),
)
def test_estimates(build: Build, cross_gcc: None, path: Path) -> None:
    """For models that were not measured, and for two models in one program."""
    del cross_gcc
    target, name, linkage, _ = path.name.split(".")
    profile, chosen = profiles.load(target).choose(f"{name}:{linkage}")
    known, registry = builtin_costs.load(profile, load_toolchain(chosen)), op_registry.load()
    several = [(DIGITS,), (DET,), (DIGITS, DET)] if target == "armv7" else [(DET,)]
    for models in several:
        code = build(target, *models, toolchain=f"{name}:{linkage}").json("size.json")["binary"]["code"]
        picked = selection.select([open_model(str(model)).analysis for model in models], registry)
        found = builtin_costs.estimate(known, picked, registry.runtime)
        assert abs(found.code - code) <= 0.03 * code


def page_with_search(made: Path, text: str) -> Path:
    """The page, with text entered into its search field."""
    script = (
        f"<script>addEventListener('load', () => {{ const f = document.getElementById('search');"
        f"f.value = {json.dumps(text)}; f.dispatchEvent(new Event('input')); }});</script></body>"
    )
    other = made.with_name("typed.html")
    other.write_text(made.read_text().replace("</body>", script))
    return other


def test_the_page_in_a_browser(
    chromium: str, cli: Cli, det_armv7: Built, build: Build, tmp_path: Path
) -> None:
    before = build("armv7", DIGITS).folder
    made = tmp_path / "page.html"
    done = cli("size", "--program", det_armv7.program, "--before", before, "--html", made)
    assert done.returncode == 0, done.stderr
    dom, requests = load_page(chromium, made, tmp_path)
    found = snapshot.read(det_armv7.folder)
    assert 'data-drawn="yes"' in dom
    assert f"{found.report.binary.code:,}" in dom
    # Every bucket is drawn, and contains symbols by their C++ names.
    assert dom.count('class="box bucket"') == len(found.anatomy.buckets())
    assert dom.count('class="box leaf"') > 300
    assert 'title="tflite::ops::builtin::conv::Prepare(' in dom
    for op, size in found.report.ops.items():
        assert f"<td>{op}</td><td>{size.attributed:,}</td>" in dom
    assert "Symbols that changed" in dom
    assert '<td class="more">+' in dom
    assert requests == set()

    dom, _ = load_page(chromium, page_with_search(made, "conv prepare"), tmp_path)
    hits = re.findall(
        r'class="box leaf hit"[^>]*title="([^"]*)"|title="([^"]*)"[^>]*class="box leaf hit"', dom
    )
    named = [first or second for first, second in hits]
    assert named
    assert all("conv" in name.lower() for name in named if "Prepare" in name)
    assert re.search(r'id="found"[^>]*>\d+ found, [\d,]+ bytes<', dom)


@pytest.mark.parametrize("policy", [True, False])
def test_the_page_cannot_send_requests(chromium: str, det_armv7: Built, tmp_path: Path, policy: bool) -> None:
    """Its policy blocks even an injected request; without the policy, the log shows that request."""
    url = "http://127.0.0.1:9/picture.png"
    text = size_page.render(snapshot.read(det_armv7.folder)).replace("<body>", f'<body><img src="{url}">')
    if not policy:
        text = text.replace("Content-Security-Policy", "x-none")
    (tmp_path / "page.html").write_text(text)
    assert load_page(chromium, tmp_path / "page.html", tmp_path)[1] == (set() if policy else {url})


def test_the_task_writes_a_page_and_json(cli: Cli, tmp_path: Path) -> None:
    done = cli("size", "--target", "armv7", "--model", DIGITS, "--html", "--json")
    found = json.loads(done.stdout)
    assert sum(row["size"] for row in found["symbols"] if row["loaded"]) == found["binary"]["loaded"]
    assert (tmp_path / "build/size/digits-armv7.html").is_file()


def test_a_report_is_not_changed_by_reading_it(det_armv7: Built) -> None:
    first, second = snapshot.read(det_armv7.folder), snapshot.read_program(det_armv7.program)
    assert dataclasses.replace(second, title=first.title) == first
