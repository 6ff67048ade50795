from __future__ import annotations

import dataclasses

import pytest

from litesmith.base.errors import UsageError
from litesmith.runtime.op_registry import Op, Registry
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.study import what_if
from tests.unit.test_anatomy import selected


@pytest.fixture
def known(registry: Registry) -> dict[str, Op]:
    return {op.name: op for op in (*registry.builtins.values(), *registry.customs.values())}


def op(name: str, *dtypes: str) -> SelectedOp:
    return dataclasses.replace(selected(name, f"{name.lower()}.cc"), dtypes=dtypes)


def chosen(*ops: SelectedOp) -> Selection:
    return Selection(models=(), ops=ops, sparse=False)


def dtypes_of(selection: Selection) -> dict[str, tuple[str, ...]]:
    return {one.name: one.dtypes for one in selection.ops}


def test_int8_only(known: dict[str, Op]) -> None:
    notes: list[str] = []
    start = chosen(
        op("CONV_2D", "float32"),
        op("RESHAPE", "float32", "int32"),
        op("QUANTIZE", "float32", "int8"),
        op("DEQUANTIZE", "float16", "float32"),
        op("TFLite_Detection_PostProcess", "float32"),
        op("GATHER", "int32"),
    )
    found = what_if._int8_only(start, known, notes)
    assert dtypes_of(found) == {
        "CONV_2D": ("int32", "int8"),
        "RESHAPE": ("int32", "int8"),
        "TFLite_Detection_PostProcess": ("float32",),
        "GATHER": ("int32",),
    }
    assert notes == [
        "QUANTIZE is gone: nothing is float any more",
        "DEQUANTIZE is gone: nothing is float any more",
        "TFLite_Detection_PostProcess stays as it is: it has no kernel for int8",
    ]


def test_a_requantization_stays(known: dict[str, Op]) -> None:
    start = chosen(op("QUANTIZE", "int8", "uint8"))
    assert what_if._int8_only(start, known, []) == start


@pytest.mark.parametrize(
    ("name", "program", "expected"),
    [
        ("ADD", [op("CONV_2D", "int32", "int8"), op("RESHAPE", "int8", "int32")], ("int8",)),
        ("ADD", [op("CONV_2D", "float32")], ("float32",)),
        # All dtypes that it has together, also those that the program does not have.
        ("RFFT2D", [op("CONV_2D", "float32")], ("complex64", "float32", "int32")),
        ("LOGICAL_AND", [op("CONV_2D", "float32")], ("bool",)),
    ],
)
def test_dtypes_of_an_op_that_is_added(
    registry: Registry, known: dict[str, Op], name: str, program: list[SelectedOp], expected: tuple[str, ...]
) -> None:
    assert what_if._dtypes_like(known[name], chosen(*program), registry) == expected


def test_every_op_can_be_added(registry: Registry, known: dict[str, Op]) -> None:
    start = chosen(op("Mine", "float32"))
    for name in known:
        notes: list[str] = []
        more = what_if._adding_op(name, known, registry, notes)(start)
        assert name in dtypes_of(more)
        assert notes[0].startswith(f"{name} was added with the dtypes")


def test_what_is_there_gets_more_dtypes(registry: Registry, known: dict[str, Op]) -> None:
    start = chosen(op("ADD", "float32"))
    more = what_if._adding_op("ADD:int8", known, registry, [])(start)
    assert dtypes_of(more) == {"ADD": ("float32", "int8")}


def test_what_is_there_already_is_said(registry: Registry, known: dict[str, Op]) -> None:
    notes: list[str] = []
    start = chosen(op("ADD", "float32", "int8"))
    assert dtypes_of(what_if._adding_op("add", known, registry, notes)(start)) == dtypes_of(start)
    assert notes == ["add was taken for ADD", "ADD is there already, with the dtypes float32, int8"]


def test_dtypes_are_decided_once(registry: Registry, known: dict[str, Op]) -> None:
    """By itself and together with other changes the same op is added."""
    add = what_if._adding_op("ADD", known, registry, [])
    assert dtypes_of(add(chosen(op("CONV_2D", "int8", "int32"))))["ADD"] == ("int8",)
    assert dtypes_of(add(chosen(op("CONV_2D", "float32"))))["ADD"] == ("int8",)


def test_rows_of_an_added_depthwise_convolution_are_unknown(registry: Registry, known: dict[str, Op]) -> None:
    more = what_if._adding_op("DEPTHWISE_CONV_2D", known, registry, [])(chosen(op("ADD", "int8")))
    (added,) = [one for one in more.ops if one.name == "DEPTHWISE_CONV_2D"]
    assert [row.known for row in added.depthwise] == [False]


def test_ops_are_in_the_order_of_their_codes(registry: Registry, known: dict[str, Op]) -> None:
    start = chosen(dataclasses.replace(op("SOFTMAX", "int8"), code=25))
    more = what_if._adding_op("ADD", known, registry, [])(start)
    assert [one.code for one in more.ops] == [0, 25]


def test_an_op_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="the program has no op SOFTMAKS; perhaps you meant 'SOFTMAX'"):
        what_if._dropping("SOFTMAKS", [])(chosen(op("SOFTMAX", "int8")))


def test_a_part_of_one_name_is_enough(registry: Registry, known: dict[str, Op]) -> None:
    notes: list[str] = []
    more = what_if._adding_op("FFT", known, registry, notes)(chosen(op("CONV_2D", "float32")))
    assert "RFFT2D" in dtypes_of(more)
    assert notes[0] == "FFT was taken for RFFT2D"
    assert what_if._dropping("softmax", notes)(chosen(op("SOFTMAX", "int8"))).ops == ()
    # Of several names none is taken.
    with pytest.raises(UsageError, match="there is no op CONV_; perhaps you meant"):
        what_if._adding_op("CONV_", known, registry, notes)


def test_names() -> None:
    assert what_if.parse_names(["A,B", " C ", ""]) == ("A", "B", "C")
    assert what_if.parse_names([]) == ()
    assert not what_if.Changes().any()
    assert what_if.Changes(int8_only=True).any()
