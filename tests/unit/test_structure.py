"""The shape of the package: which stage may know which, and what start-up may cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "litesmith"

# From the ground up: a module may import modules of earlier lines, and of its own line nothing.
LAYERS = (
    ("__init__", "errors", "flatbuffer", "patches", "tensors", "xnnpack", "xnnpack.instruction_sets"),
    ("xnnpack.tiles",),
    ("components", "console", "paths", "schema", "validation"),
    ("files", "process", "runners"),
    ("analysis", "profiles", "revisions", "sources", "zoo"),
    ("ops", "toolchains", "models", "engine"),
    ("op_models.graph",),
    ("op_models.elementwise",),
    tuple(
        f"op_models.{name}" for name in ("control", "matrices", "others", "recurrent", "reductions", "shapes")
    ),
    ("op_models",),
    ("derive",),
    ("custom_ops",),
    ("toolchains.zig", "toolchains.gcc", "images", "selection", "reference"),
    ("toolchains.docker", "pruning", "arena", "arena.graph", "arena.ordering", "arena.padding"),
    ("arena.layout", "arena.shapes", "arena.values", "xnnpack.needs", "xnnpack.registry", "xnnpack.runtime"),
    ("xnnpack.selection", "xnnpack.derive", "xnnpack.memory"),
    ("xnnpack.wrappers",),
    ("xnnpack.program",),
    ("generate", "samples", "costs", "size", "size.elf", "size.linkmap"),
    ("verify", "size.anatomy", "xnnpack.costs"),
    ("arena.scratch",),
    ("arena.interpreter",),
    ("arena.prediction", "xnnpack.checks", "xnnpack.partition"),
    ("xnnpack.datatypes",),
    ("xnnpack.checks_convolutions", "xnnpack.checks_elementwise", "xnnpack.checks_shapes"),
    ("xnnpack.definitions",),
    ("xnnpack.delegation",),
    ("plan", "plan.work"),
    ("xnnpack.choice", "xnnpack.workspace"),
    ("build", "doctor", "size.report"),
    ("session", "size.snapshot"),
    ("estimates", "manifest", "size.diff", "what_if"),
    ("measure", "size.gate", "size.page"),
    ("plan.latency", "plan.budget"),
    ("plan.report",),
    ("plan.menu",),
    ("plan.plot",),
    ("plan.page",),
    ("convert", "convert.refused"),
    ("convert.inputs", "convert.comparison"),
    ("convert.graphs",),
    ("convert.environment", "convert.report", "convert.request", "convert.worker"),
    ("convert.conversion",),
    ("pipeline", "deploy", "deploy.inventory", "lab", "lab.emulation", "lab.rootfs"),
    ("deploy.package", "deploy.known_hosts", "lab.boards"),
    ("deploy.remote",),
    ("deploy.probe", "deploy.lock", "deploy.programs"),
    ("deploy.files",),
    ("deploy.deployer",),
    ("deploy.flashing", "deploy.fleet"),
    ("shipping",),
    ("bench.programs",),
    ("bench.xnnpack_costs",),
    ("bench", "bench.board", "bench.compare", "bench.op_costs", "bench.pruning", "demo", "kernels", "matrix"),
    ("bench.speed",),
    ("bench.kernels", "bench.optimise", "calibration"),
    ("render", "render.common"),
    tuple(f"render.{name}" for name in ("bench", "boards", "converting", "planning", "sizes", "tables")),
    ("commands.common",),
    tuple(
        f"commands.{name}"
        for name in (
            *("bench", "boards", "contributing", "converting", "lab", "lists", "planning", "programs"),
            "sizes",
        )
    ),
    ("commands",),
    ("__main__",),
)
LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}

# A Protocol's factory names its implementations lazily; results are drawn by type only.
LAZY = {("toolchains", f"toolchains.{name}") for name in ("zig", "gcc", "docker")}


def module_name(path: Path) -> str:
    name = str(path.relative_to(PACKAGE).with_suffix("")).replace("/", ".")
    return name.removesuffix(".__init__") if name != "__init__" else name


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "litesmith":
            inner = node.module.removeprefix("litesmith").lstrip(".")
            if inner:
                modules = {f"{inner}.{alias.name}" for alias in node.names} & set(LEVEL)
                found |= modules or {inner}
            else:
                found |= {alias.name for alias in node.names if alias.name in LEVEL}
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_knows_only_what_comes_before_it(path: Path) -> None:
    name = module_name(path)
    assert name in LEVEL, f"say in LAYERS where {name} stands"
    back = {other for other in imports(path) if LEVEL[other] >= LEVEL[name] and (name, other) not in LAZY}
    assert back == set()


def test_no_module_of_the_list_is_gone() -> None:
    assert set(LEVEL) == {module_name(path) for path in MODULES}


def test_listing_the_tasks_imports_nothing_heavy() -> None:
    code = (
        "import sys; import litesmith.commands as c; c.namespace(development=True); "
        "heavy = {'numpy', 'pydantic', 'jinja2', 'rich', 'requests', 'pooch', 'elftools', 'ai_edge_litert', "
        "'tensorflow', 'PIL'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_analysis_imports_no_interpreter() -> None:
    code = (
        "import sys; from litesmith import models, ops; "
        "models.open_model('examples/det.tflite'); ops.load(); "
        "heavy = {'ai_edge_litert', 'tensorflow', 'numpy', 'requests', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def tracked_files() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = done.stdout.splitlines() if done.returncode == 0 else []
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_lock_files_record_hashes_and_no_addresses() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text
        if path.name != "constraints.txt":
            pinned = re.findall(r"^[a-z0-9-]+==\S+", text, re.MULTILINE)
            assert len(pinned) > 10
            assert text.count("--hash=sha256:") >= len(pinned)


def test_no_registry_or_mirror_is_named() -> None:
    forbidden = re.compile(
        r"(deb|ftp|security)\.debian\.org|pypi\.org|pythonhosted|registry\.npmjs|/opt/pypi"
    )
    this = Path(__file__).resolve()
    for path in tracked_files():
        if path != this and path.suffix not in {".tflite", ".npz", ".png"}:
            assert not forbidden.search(path.read_text(errors="replace")), path


def test_shell_scripts_have_no_syntax_errors() -> None:
    for script in ("inv", "requirements/lock", ".ci/run"):
        subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
