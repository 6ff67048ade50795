from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from litesmith.base.errors import ToolError, UsageError
from litesmith.build.request import Request, resolve
from litesmith.model import model_file
from litesmith.predict.code_size import builtin_costs, program_estimate, xnnpack_costs
from litesmith.predict.code_size.builtin_costs import BuiltinCosts, Entry, OpVariant
from litesmith.predict.code_size.estimate import Accuracy, Estimate
from litesmith.predict.code_size.xnnpack_costs import Atom, XnnpackCosts
from litesmith.predict.xnnpack import kernel_choice
from litesmith.runtime import op_registry, selection
from litesmith.runtime.op_registry import Registry, Runtime
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.runtime.xnnpack import source_index as xnnpack_registry
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.required import RequiredMicrokernels, Requirements
from litesmith.study.code_costs import atoms, measure, shared_code
from litesmith.study.code_costs.report import CostsReport
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from tests.conftest import EXAMPLES, ROOT, Cli, one_error_line
from tests.unit.test_anatomy import selected

RUNTIME = Runtime(core=(), ruy=(), dispatching=(), row_kernels=(), defines=())
ACCURACY = Accuracy(models=3, median=0.01, worst=0.02, worst_model="m", unseen_median=0.02, unseen=0.2)

MEASURED = ("x86_64", "aarch64", "armv7")


def estimated(request: Request) -> Estimate:
    resolved = resolve(request)
    return program_estimate.estimate_program(resolved.profile, resolved.toolchain, resolved.models)


def needs(*configs: str, kind: str = "") -> Requirements:
    return Requirements(
        microkernels=frozenset(RequiredMicrokernels(config=config, kind=kind) for config in configs)
    )


ADD, MUL, GEMM, IGEMM = (
    needs("f32_vadd"),
    needs("f32_vmul"),
    needs("g", kind="gemm"),
    needs("g", kind="igemm"),
)


def builtin() -> BuiltinCosts:
    """Built-in kernels of 100 bytes each, of which ADD and MUL share 40."""
    entries = [
        Entry(op=op, dtypes=("float32",), rows="", classes=classes, rest=0)
        for op, classes in (("ADD", (0, 1)), ("MUL", (0, 2)), ("ABS", (3,)))
    ]
    return BuiltinCosts(
        key={},
        made_with="builtin",
        base=1000,
        sparse=0,
        classes=(40, 60, 60, 100),
        entries=tuple(entries),
        accuracy=dataclasses.replace(ACCURACY, worst=0.01, unseen=0.3),
    )


def own() -> XnnpackCosts:
    """A delegate of 5000 bytes, 7 of which are also in the kernel of ABS."""
    return XnnpackCosts(
        key={},
        made_with="test",
        rest=-3,
        classes=(4993, 7, 300, 20, 1),
        atoms={
            Atom.of("ADD", ADD): (0, 1, 2),
            Atom.of("MUL", MUL): (0, 1, 3),
            Atom.of("CONV", GEMM): (0, 1, 4),
        },
        kernels={
            OpVariant(op="ABS", dtypes=("float32",)): (1,),
            OpVariant(op="ABS", dtypes=("float32", "int8")): (1,),
            OpVariant(op="ADD", dtypes=("float32",)): (),
        },
        accuracy=ACCURACY,
    )


def chosen(*names: str) -> Selection:
    made = tuple(
        dataclasses.replace(selected(name, f"{name}.cc"), dtypes=("float32",), depthwise=()) for name in names
    )
    return Selection(models=(), ops=made, sparse=False)


def delegated_ops(whole: bool = True, **kinds: Requirements | set[Requirements]) -> DelegatedOps:
    found = {op: frozenset([one] if isinstance(one, Requirements) else one) for op, one in kinds.items()}
    return DelegatedOps(requirements=found, fully_delegated=frozenset(found if whole else ()))


def estimate(names: Selection, found: DelegatedOps) -> Estimate:
    return xnnpack_costs.estimate(builtin(), own(), names, found, RUNTIME)


def test_an_atom_is_the_requirements_of_nodes() -> None:
    one = Requirements(
        files=frozenset({"src/subgraph/convolution-2d.c"}),
        operators=frozenset({"convolution2d_nhwc_f32"}),
        microkernels=frozenset(
            {RequiredMicrokernels(config="f32_gemm", kind="igemm1"), RequiredMicrokernels(config="f32_clamp")}
        ),
        references=frozenset({("unary", "elu", "int8")}),
    )
    assert Atom.of("CONV_2D", one) == Atom(
        op="CONV_2D", needs=("convolution2d_nhwc_f32", "f32_clamp", "f32_gemm.igemm1", "unary.elu.int8")
    )


@pytest.mark.parametrize(("size", "taps"), [(1, 3), (3, 3), (4, 4), (5, 9), (9, 9), (10, 25), (25, 25)])
def test_tap_counts_with_the_same_kernel_share_an_atom(size: int, taps: int) -> None:
    need = RequiredMicrokernels(config="f32_dwconv", kind="dwconv", taps=size)
    atom = Atom.of("DEPTHWISE_CONV_2D", Requirements(microkernels=frozenset({need})))
    assert atom.needs == (f"f32_dwconv.dwconv{taps}",)


def test_the_delegate_counts_once() -> None:
    found = estimate(chosen("ADD", "MUL"), delegated_ops(ADD=ADD, MUL=MUL))
    assert found.code == 1000 + 5000 - 3 + 300 + 20
    assert found.ops == {"ADD": 300, "MUL": 20}
    assert (found.approximate, found.error, found.base, found.kernels) == ((), 0.02, 1000, "xnnpack")


def test_the_only_delegated_op_has_the_cost_of_the_delegate() -> None:
    found = estimate(chosen("ABS", "ADD"), delegated_ops(ADD=ADD))
    assert found.ops["ADD"] == found.code - 1100


def test_code_shared_with_a_builtin_kernel_counts_once() -> None:
    assert estimate(chosen("ABS", "ADD"), delegated_ops(ADD=ADD)).code == 1000 + 100 + 4993 + 300 - 3
    # Without delegated nodes the size is that of the built-in kernels.
    assert estimate(chosen("ABS"), delegated_ops(ADD=ADD)).code == 1100


def test_a_partly_delegated_op_also_has_its_builtin_kernel() -> None:
    both = estimate(chosen("ADD"), delegated_ops(whole=False, ADD=ADD)).code
    assert both == estimate(chosen("ADD"), delegated_ops(ADD=ADD)).code + 100


def test_an_unmeasured_atom_has_the_cost_of_the_nearest() -> None:
    found = estimate(chosen("CONV"), delegated_ops(CONV=IGEMM))
    assert found.code == estimate(chosen("CONV"), delegated_ops(CONV=GEMM)).code
    assert (found.approximate, found.error) == (("CONV",), 0.2)


def test_approximate_builtin_kernels_add_to_the_error() -> None:
    add = dataclasses.replace(chosen("ABS").ops[0], dtypes=("int8",))
    found = estimate(
        Selection(models=(), ops=(add, *chosen("MUL").ops), sparse=False), delegated_ops(MUL=MUL)
    )
    assert found.approximate == ("ABS",)
    assert found.error == pytest.approx(0.3 * 1100 / found.code)


def test_an_op_without_measurements() -> None:
    with pytest.raises(UsageError, match="no costs of XNNPACK have been measured for the op NEG"):
        estimate(chosen("NEG"), delegated_ops(NEG=needs("f32_neg")))


def test_the_costs_file_round_trip() -> None:
    text = xnnpack_costs.to_text(own())
    assert xnnpack_costs.from_json(json.loads(text)) == own()
    assert len(text.splitlines()) < 40


def seen(*parts: int, others: dict[str, int] | None = None) -> tuple[dict[str, int], int]:
    """Symbols and code of a program whose ``visit`` has a part for each op, and 10 bytes of headers."""
    symbols = {"core": 50, "delegate": 500, "visit": 30 + sum(parts), **(others or {})}
    return symbols, sum(symbols.values()) + 10


def test_parts_for_each_op_add_up_and_tables_do_not() -> None:
    """A program of several ops has the larger of two tables, but all parts of a dispatching function."""
    base = {"core": 50}
    add, mul = Atom.of("ADD", ADD), Atom.of("MUL", MUL)
    alone = {add: seen(100, others={"table": 80}), mul: seen(40, others={"table": 120})}
    both = (frozenset({add, mul}), *seen(100, 40, others={"table": 120}))
    made = shared_code.costs_of(
        (base, 60), alone, {OpVariant(op="ABS", dtypes=()): {"table": 80, "abs": 70}}, [both]
    )
    bytes_of = {atom: sum(made.classes[number] for number in numbers) for atom, numbers in made.atoms.items()}
    assert bytes_of == {add: 500 + 130 + 80, mul: 500 + 70 + 120}
    everything = {number for numbers in made.atoms.values() for number in numbers}
    assert made.rest + sum(made.classes[number] for number in everything) == both[2] - 60
    assert [made.classes[number] for number in made.kernels[OpVariant(op="ABS", dtypes=())]] == [80]


def test_unpacking_counts_in_addition_to_the_consuming_op() -> None:
    densify, gemm = Atom(op="DENSIFY", needs=()), atoms.COMPANION
    alone = {gemm: seen(100, others={"gemm": 900}), densify: seen(120, others={"gemm": 900, "unpack": 70})}
    made = shared_code.costs_of(({"core": 50}, 60), alone, {}, [(frozenset(alone), *alone[densify])])
    assert sum(made.classes[number] for number in made.atoms[densify]) == 20 + 70
    assert not set(made.atoms[densify]) & set(made.atoms[gemm])


def test_code_that_is_smaller_with_other_ops_counts_as_the_smaller_size() -> None:
    add, mul = Atom.of("ADD", ADD), Atom.of("MUL", MUL)
    alone = {add: seen(others={"init": 300}), mul: seen(others={"init": 310})}
    both = (frozenset(alone), *seen(others={"init": 210}))
    made = shared_code.costs_of(({"core": 50}, 60), alone, {}, [both])
    assert sum(made.classes[number] for number in made.atoms[add]) == 500 + 30 + 210


def test_a_few_bytes_do_not_form_a_class() -> None:
    add, mul = Atom.of("ADD", ADD), Atom.of("MUL", MUL)
    alone = {add: seen(others={"padding": 3}), mul: seen(others={"padding": 9})}
    made = shared_code.costs_of(({"core": 50}, 60), alone, {}, [(frozenset(alone), *alone[mul])])
    assert made.classes == (533,)
    assert made.atoms == {add: (0,), mul: (0,)}
    assert made.rest == 6


def paths_of_costs() -> list[Path]:
    return sorted((ROOT / "ops_registry/xnnpack/costs").glob("*.json"))


def test_there_are_costs_for_every_target_with_vectors() -> None:
    names = {path.name for path in paths_of_costs()}
    for target in MEASURED:
        profile, toolchain = profiles.load(target).choose(None)
        assert xnnpack_costs.path_of(profile, load_toolchain(toolchain)).name in names


@pytest.fixture(scope="module")
def wanted() -> atoms.Atoms:
    profile, _ = profiles.load("armv7").with_kernels("xnnpack").choose(None)
    return atoms.all_atoms(profile, op_registry.load())


# Atoms come from the models of the zoo, too, which is downloaded.
@pytest.mark.build
@pytest.mark.parametrize("path", paths_of_costs(), ids=lambda path: path.stem)
def test_costs_in_the_repository(path: Path, registry: Registry, wanted: atoms.Atoms) -> None:
    """They are complete, belong to the current profile, and give estimates of the required accuracy."""
    target, toolchain, linkage, _ = path.name.split(".")
    profile, name = profiles.load(target).choose(f"{toolchain}:{linkage}")
    known = xnnpack_costs.load(profile, load_toolchain(name))
    assert known.made_with.startswith(f"{target}, {toolchain} ")
    assert set(wanted) <= set(known.atoms)
    every = {op.name for op in (*registry.builtins.values(), *registry.customs.values())}
    assert {program.op for program in known.kernels} == every
    assert known.accuracy is not None
    assert known.accuracy.models > 10
    assert known.accuracy.median <= 0.01
    assert known.accuracy.worst <= 0.03
    for classes in (*known.atoms.values(), *known.kernels.values()):
        assert all(0 <= number < len(known.classes) for number in classes)


@pytest.mark.build
def test_atoms_cover_other_models(wanted: atoms.Atoms) -> None:
    """Their requirements exist in XNNPACK, and none belongs to another dtype."""
    known = xnnpack_registry.load()
    configs = {config for kinds in known.hardware.values() for config in kinds}
    for atom, need in wanted.items():
        assert need.operators <= set(known.operators), atom
        assert {kernel.config for kernel in need.microkernels} <= configs, atom
    for op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        kinds = {word.partition(".")[2] for atom in wanted if atom.op == op for word in atom.needs}
        assert kinds >= {"gemm", "gemm1", "igemm", "igemm1", "dwconv3", "dwconv4", "dwconv9", "dwconv25"}
    activated = Atom(
        op="MUL", needs=("binary_elementwise_nd", "qs8_vmul", "s8_clamp", "unary_elementwise_nc")
    )
    assert activated in wanted
    assert Atom(op="DEQUANTIZE", needs=()) in wanted
    assert Atom(op="STRIDED_SLICE", needs=("slice_nd_x32",)) in wanted


@pytest.mark.parametrize("target", MEASURED)
def test_estimates_of_an_example(target: str, registry: Registry) -> None:
    profile, toolchain = profiles.load(target).choose(None)
    known, own_costs = (
        load(profile, load_toolchain(toolchain)) for load in (builtin_costs.load, xnnpack_costs.load)
    )
    assert isinstance(known, BuiltinCosts)
    assert isinstance(own_costs, XnnpackCosts)
    model = model_file.open_model(str(EXAMPLES / "det.tflite"))
    picked = selection.select([model.analysis], registry)
    found = kernel_choice.choose(profile.with_kernels("xnnpack"), [model], registry).delegated_ops
    assert found is not None
    made = xnnpack_costs.estimate(known, own_costs, picked, found, registry.runtime)
    assert made.approximate == ()
    assert set(made.ops) == {op.name for op in picked.ops}
    assert all(-500 < marginal < 60_000 for marginal in made.ops.values())


def test_a_request_chooses_the_kernels() -> None:
    model = str(EXAMPLES / "det.tflite")
    plain, xnnpack = (
        estimated(Request(target="armv7", models=(model,), kernels=kernels))
        for kernels in ("builtin", "xnnpack")
    )
    assert (plain.kernels, xnnpack.kernels) == ("builtin", "xnnpack")
    assert xnnpack.code > plain.code
    assert estimated(Request(target="armv7", models=(model,))) == plain


def test_the_command_line(cli: Cli) -> None:
    command = ("estimate", "--target", "armv7", "--model", EXAMPLES / "det.tflite", "--kernels", "xnnpack")
    found = json.loads(cli(*command, "--json").stdout)
    assert found["kernels"] == "xnnpack"
    assert found["low"] < found["code"] < found["high"]
    assert "about " in cli(*command).stdout


def test_other_toolchains_have_no_costs(cli: Cli) -> None:
    done = cli(
        *("estimate", "--target", "armv7", "--model", EXAMPLES / "det.tflite"),
        *("--kernels", "xnnpack", "--toolchain", "gcc"),
    )
    assert done.returncode == 2
    line = one_error_line(done)
    assert "no costs of XNNPACK have been measured for armv7" in line
    assert "gcc, dynamic, cortex-a7, cortex-a53" in line


def test_other_instruction_sets_have_no_costs(tmp_path: Path) -> None:
    path = tmp_path / "armv7.yaml"
    text = (ROOT / "targets/armv7.yaml").read_text()
    path.write_text(text.replace("xnnpack: [cortex-a7, cortex-a53]", "xnnpack: [neon]"))
    request = Request(target=str(path), models=(str(EXAMPLES / "det.tflite"),), kernels="xnnpack")
    with pytest.raises(UsageError, match="no costs of XNNPACK have been measured"):
        estimated(request)
    assert estimated(dataclasses.replace(request, kernels="builtin")).code > 0


class Installed:
    """A toolchain that is installed."""

    def version(self, _: profiles.Profile) -> str:
        return "1"


def test_all_targets_are_measured_with_their_toolchains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each with its default toolchain, and with GCC where the profile has it: armv6 does not."""

    def measured(profile: profiles.Profile, toolchain: str) -> CostsReport:
        return CostsReport(
            path=tmp_path, made_with=f"{profile.name} {toolchain}", accuracy=ACCURACY, models=()
        )

    monkeypatch.setattr(measure, "load_toolchain", lambda _: Installed())
    monkeypatch.setattr(measure.builtin, "measure", measured)
    assert [one.made_with for one in measure.measure("all", None)] == [
        *("aarch64 zig", "aarch64 gcc", "armv6 zig", "armv7 zig", "armv7 gcc"),
        *("riscv64 zig", "riscv64 gcc", "x86_64 zig", "x86_64 gcc"),
    ]


def test_no_target_is_measured_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def version(self, _: profiles.Profile) -> str:
            raise ToolError("the compiler is not installed")

    monkeypatch.setattr(measure, "load_toolchain", lambda name: Missing() if name == "gcc" else Installed())
    with pytest.raises(ToolError, match="not installed"):
        measure.measure("all", None)


def test_a_profile_with_xnnpack_is_measured_with_xnnpack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(measure, "load_toolchain", lambda _: Installed())

    def measured(profile: profiles.Profile, toolchain: str) -> CostsReport:
        asked.append((profile.kernels, toolchain))
        return CostsReport(path=tmp_path, made_with="test", accuracy=ACCURACY, models=())

    monkeypatch.setattr(measure.xnnpack, "measure", measured)
    path = tmp_path / "armv7.yaml"
    text = (ROOT / "targets/armv7.yaml").read_text()
    path.write_text(f"kernels: xnnpack\n{text}")
    assert [one.accuracy for one in measure.measure(str(path), None)] == [ACCURACY]
    assert [one.models for one in measure.measure("armv7", "gcc", "xnnpack")] == [()]
    assert asked == [("xnnpack", "zig"), ("xnnpack", "gcc")]


def test_an_op_without_a_kernel_costs_only_its_registration() -> None:
    """It shares its registration with all other ops that have no kernel."""
    one: SelectedOp = chosen("ADD").ops[0]
    assert delegated_ops(ADD=ADD).without_kernels(chosen("ADD")).ops[0] == dataclasses.replace(
        one, registration="litesmith::OnlyDelegated", sources=()
    )
