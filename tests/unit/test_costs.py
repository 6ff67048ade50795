from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.model import contents
from litesmith.model.analysis import DepthwiseRow
from litesmith.predict.code_size import builtin_costs
from litesmith.predict.code_size.builtin_costs import BuiltinCosts, Entry, OpVariant
from litesmith.predict.code_size.estimate import Accuracy
from litesmith.runtime import selection
from litesmith.runtime.op_registry import Registry, Runtime
from litesmith.runtime.selection import Selection
from litesmith.study.code_costs import builtin
from litesmith.study.code_costs.symbol_classes import compress
from litesmith.target import profiles
from litesmith.toolchain.registry import load as load_toolchain
from tests.conftest import EXAMPLES, ROOT, Cli, one_error_line
from tests.unit.test_anatomy import selected

RUNTIME = Runtime(
    core=(),
    ruy=(),
    dispatching=("tensorflow/tensorflow/lite/kernels/both.cc",),
    row_kernels=((True, 0, 1), (True, 8, 1), (False, 8, 1), (True, 0, 2), (True, 4, 1)),
    defines=(),
)
ACCURACY = Accuracy(models=3, median=0.01, worst=0.05, worst_model="m", unseen_median=0.02, unseen=0.2)


def program(op: str, *dtypes: str) -> OpVariant:
    return OpVariant(op=op, dtypes=dtypes)


def made(*entries: Entry, classes: tuple[int, ...] = (100, 20, 3)) -> BuiltinCosts:
    return BuiltinCosts(
        key={}, made_with="test", base=1000, sparse=500, classes=classes, entries=entries, accuracy=ACCURACY
    )


def entry(op: str, dtypes: str, *classes: int, rest: int = 0, rows: builtin_costs.Rows = "") -> Entry:
    return Entry(op=op, dtypes=tuple(dtypes.split()), rows=rows, classes=classes, rest=rest)


def chosen(*ops: selection.SelectedOp, sparse: bool = False) -> Selection:
    return Selection(models=(), ops=ops, sparse=sparse)


def test_symbols_in_the_same_programs_form_one_class() -> None:
    add, mul = program("ADD", "int8"), program("MUL", "int8")
    base = {"core": 50}
    sizes, members = compress(
        base,
        {add: {"core": 50, "a": 10, "b": 5, "both": 7}, mul: {"core": 50, "m": 1, "both": 7}},
    )
    assert sorted(sizes) == [1, 7, 15]
    assert sum(sizes[i] for i in members[add]) == 22
    assert sum(sizes[i] for i in members[mul]) == 8
    assert sum(sizes[i] for i in {*members[add], *members[mul]}) == 23


def test_a_symbol_of_several_sizes_counts_with_the_largest() -> None:
    programs = {program("ADD", d): {"eval": size} for d, size in (("a", 10), ("b", 16), ("c", 30))}
    sizes, members = compress({"eval": 4}, programs)
    found = [sum(sizes[i] for i in members[p]) for p in programs]
    assert found == [6, 12, 26]
    assert sum(sizes[i] for i in set().union(*members.values())) == 26


def test_code_shared_by_ops_counts_once() -> None:
    known = made(entry("ADD", "float32", 0, 1), entry("MUL", "float32", 0, 2, rest=7))
    add, mul = selected("ADD", "add.cc"), selected("MUL", "mul.cc")
    found = builtin_costs.estimate(known, chosen(add, mul), RUNTIME)
    assert found.code == 1000 + 100 + 20 + 3 + 7
    assert found.ops == {"ADD": 20, "MUL": 3 + 7}
    assert (found.approximate, found.error, found.base) == ((), 0.05, 1000)
    assert builtin_costs.estimate(known, chosen(add, sparse=True), RUNTIME).code == 1000 + 120 + 500


def test_ops_of_one_file_see_each_others_dtypes() -> None:
    known = made(
        entry("ADD", "float32", 0), entry("ADD", "float32 int8", 0, 1), entry("MUL", "float32 int8", 2)
    )
    add = selected("ADD", "both.cc")
    mul = dataclasses.replace(selected("MUL", "both.cc"), dtypes=("int8",))
    assert builtin_costs.estimate(known, chosen(add), RUNTIME).code == 1100
    found = builtin_costs.estimate(known, chosen(add, mul), RUNTIME)
    assert (found.code, found.approximate) == (1123, ())


@pytest.mark.parametrize(
    ("dtypes", "code", "measured"),
    [
        (("float32",), 1100, True),
        # Together they have all dtypes.
        (("float32", "int8"), 1120, True),
        # The smallest entry that includes it.
        (("int16",), 1003, False),
        # No entry includes it: the nearest one.
        (("float32", "uint32"), 1100, False),
    ],
)
def test_dtypes_without_measurements(dtypes: tuple[str, ...], code: int, measured: bool) -> None:
    known = made(entry("ADD", "float32", 0), entry("ADD", "int8", 1), entry("ADD", "int16 int64", 2))
    op = dataclasses.replace(selected("ADD", "add.cc"), dtypes=dtypes)
    found = builtin_costs.estimate(known, chosen(op), RUNTIME)
    assert found.code == code
    assert (found.approximate, found.error) == (((), 0.05) if measured else (("ADD",), 0.2))


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        ([], 0),
        ([(1, 24, 1)], 0),
        ([(2, 8, 1)], 1 / 4),
        ([(1, 8, 1)], 2 / 4),
        ([(1, 8, 1), (1, 5, 2), (2, 4, 1)], 1),
        ([(1, -1, -1)], 1),
    ],
)
def test_row_kernels(rows: list[tuple[int, int, int]], share: float) -> None:
    known = made(entry("DW", "float32", 0, rows="usual"), entry("DW", "float32", 0, 1, rows="all"))
    op = dataclasses.replace(
        selected("DW", "dw.cc"),
        depthwise=tuple(DepthwiseRow(stride_width=s, input_depth=d, multiplier=m) for s, d, m in rows),
    )
    assert builtin_costs.estimate(known, chosen(op), RUNTIME).code == 1100 + round(20 * share)


def test_an_op_without_measurements() -> None:
    with pytest.raises(UsageError, match="no costs have been measured for the op Mine"):
        builtin_costs.estimate(made(), chosen(selected("Mine", "mine.cc")), RUNTIME)


def test_the_costs_file_round_trip() -> None:
    known = made(entry("ADD", "float32 int8", 0, 2, rest=-3), entry("DW", "", 1, rows="all"))
    assert builtin_costs.from_json(json.loads(builtin_costs.to_text(known))) == known
    assert len(builtin_costs.to_text(known).splitlines()) < 30


def test_mixed_programs_need_no_other_objects() -> None:
    """Each has ops of one set of dtypes, and none that changes how the kernels of others are compiled."""
    ops = [f"OP{number:02}" for number in range(33)]
    wanted = [program(op, "int8") for op in ops] + [program(op, "float32") for op in ops[:15]]
    wanted += [program("BATCH_MATMUL", "int8"), dataclasses.replace(program("CONV", "int8"), rows="all")]
    found = builtin.mixtures(wanted)
    assert sorted(found) == ["mixed:int8:0", "mixed:int8:1"]
    assert sorted(one.op for several in found.values() for one in several) == ops
    assert {one.dtypes for several in found.values() for one in several} == {("int8",)}


def test_entries_add_up_to_the_measured_size() -> None:
    """Bytes that the classes do not explain are the rest."""
    programs = {program("ADD", "a"): {"x": 10}, program("MUL", "a"): {"x": 10, "y": 5}}
    codes = {program("ADD", "a"): 1011, program("MUL", "a"): 1013}
    known = builtin.with_entries(made(), {}, programs, codes)
    for one in known.entries:
        code = known.base + one.rest + sum(known.classes[number] for number in one.classes)
        assert code == codes[program(one.op, *one.dtypes)]


COSTS = sorted((ROOT / "ops_registry/costs").glob("*.json"))


def test_there_are_costs_for_every_target() -> None:
    """With its first toolchain; gcc and docker build the same programs."""
    found = {path.name for path in COSTS}
    for name in profiles.available():
        profile, toolchain = profiles.load(name).choose(None)
        assert builtin_costs.path_of(profile, load_toolchain(toolchain)).name in found


@pytest.mark.parametrize("path", COSTS, ids=lambda path: path.stem)
def test_costs_in_the_repository(path: Path, registry: Registry) -> None:
    """They include every op, belong to the current profile, and give estimates of the required accuracy."""
    target, toolchain, linkage, _ = path.name.split(".")
    profile, name = profiles.load(target).choose(f"{toolchain}:{linkage}")
    known = builtin_costs.load(profile, load_toolchain(name))
    assert known.made_with.startswith(f"{target}, {toolchain} ")
    every = {op.name for op in (*registry.builtins.values(), *registry.customs.values())}
    assert set(known.by_op) == every
    assert known.accuracy is not None
    assert known.accuracy.models > 600
    assert known.accuracy.median <= 0.03
    assert known.accuracy.worst <= 0.10
    for one in known.entries:
        assert all(0 <= number < len(known.classes) for number in one.classes)


def test_docker_uses_the_costs_of_gcc() -> None:
    profile, name = profiles.load("armv7").choose("docker")
    other, gcc = profiles.load("armv7").choose("gcc")
    assert builtin_costs.key_of(profile, load_toolchain(name)) == builtin_costs.key_of(
        other, load_toolchain(gcc)
    )


def test_other_flags_have_no_costs(cli: Cli) -> None:
    done = cli("estimate", "--target", "armv7", "--model", EXAMPLES / "det.tflite", "--optimise", "speed")
    assert done.returncode == 2
    assert "no costs have been measured for armv7 with these flags and zig, static" in one_error_line(done)


def test_the_command_line(cli: Cli) -> None:
    command = ("estimate", "--target", "armv7", "--model", EXAMPLES / "det.tflite")
    found = json.loads(cli(*command, "--json").stdout)
    assert found["low"] < found["code"] < found["high"]
    assert found["without_ops"] < found["code"]
    embedded = json.loads(cli(*command, "--json", "--embed-model").stdout)
    assert embedded["code"] == found["code"] + (EXAMPLES / "det.tflite").stat().st_size
    assert "about " in cli(*command).stdout


def test_an_estimate_does_not_depend_on_paths(registry: Registry, tmp_path: Path) -> None:
    """The same model in another folder gives the same program."""
    copy = tmp_path / "other.tflite"
    copy.write_bytes((EXAMPLES / "det.tflite").read_bytes())
    profile, name = profiles.load("armv7").choose(None)
    known = builtin_costs.load(profile, load_toolchain(name))
    codes = {
        builtin_costs.estimate(
            known, selection.select([contents.analyse(path)], registry), registry.runtime
        ).code
        for path in (copy, EXAMPLES / "det.tflite")
    }
    assert len(codes) == 1
