from __future__ import annotations

import dataclasses

import pytest

from litesmith.base.errors import UsageError
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.study import what_if
from litesmith.study.selection_edits import adding_op, converting_to_int8, dropping_op
from tests.unit.test_anatomy import selected


def op(name: str, *dtypes: str) -> SelectedOp:
    return dataclasses.replace(selected(name, f"{name.lower()}.cc"), dtypes=dtypes)


def chosen(*ops: SelectedOp) -> Selection:
    return Selection(models=(), ops=ops, sparse=False)


def dtypes_of(selection: Selection) -> dict[str, tuple[str, ...]]:
    return {one.name: one.dtypes for one in selection.ops}


def test_int8_only(registry: Registry) -> None:
    start = chosen(
        op("CONV_2D", "float32"),
        op("RESHAPE", "float32", "int32"),
        op("QUANTIZE", "float32", "int8"),
        op("DEQUANTIZE", "float16", "float32"),
        op("TFLite_Detection_PostProcess", "float32"),
        op("GATHER", "int32"),
    )
    edited = converting_to_int8(registry)(start)
    assert dtypes_of(edited.selection) == {
        "CONV_2D": ("int32", "int8"),
        "RESHAPE": ("int32", "int8"),
        "TFLite_Detection_PostProcess": ("float32",),
        "GATHER": ("int32",),
    }
    assert edited.notes == (
        "QUANTIZE is dropped: no tensor is float any more",
        "DEQUANTIZE is dropped: no tensor is float any more",
        "TFLite_Detection_PostProcess stays as it is: it has no kernel for int8",
    )


def test_requantization_is_kept(registry: Registry) -> None:
    start = chosen(op("QUANTIZE", "int8", "uint8"))
    assert converting_to_int8(registry)(start).selection == start


@pytest.mark.parametrize(
    ("name", "program", "expected"),
    [
        ("ADD", [op("CONV_2D", "int32", "int8"), op("RESHAPE", "int8", "int32")], ("int8",)),
        ("ADD", [op("CONV_2D", "float32")], ("float32",)),
        # All dtypes of the op together, even those that are not in the program.
        ("RFFT2D", [op("CONV_2D", "float32")], ("complex64", "float32", "int32")),
        ("LOGICAL_AND", [op("CONV_2D", "float32")], ("bool",)),
    ],
)
def test_an_added_op_has_the_dtypes_of_the_program(
    registry: Registry, name: str, program: list[SelectedOp], expected: tuple[str, ...]
) -> None:
    start = chosen(*program)
    assert dtypes_of(adding_op(name, registry, start)(start).selection)[name] == expected


def test_every_op_can_be_added(registry: Registry) -> None:
    start = chosen(op("Mine", "float32"))
    for name in registry.by_name():
        edited = adding_op(name, registry, start)(start)
        assert name in dtypes_of(edited.selection)
        assert edited.notes[0].startswith(f"{name} was added with the dtypes")


def test_an_op_of_the_program_gets_more_dtypes(registry: Registry) -> None:
    start = chosen(op("ADD", "float32"))
    assert dtypes_of(adding_op("ADD:int8", registry, start)(start).selection) == {"ADD": ("float32", "int8")}


def test_adding_an_op_that_the_program_already_has(registry: Registry) -> None:
    start = chosen(op("ADD", "float32", "int8"))
    edited = adding_op("add", registry, start)(start)
    assert dtypes_of(edited.selection) == dtypes_of(start)
    assert edited.notes == (
        "add was taken for ADD",
        "the program already has ADD, with the dtypes float32, int8",
    )


def test_dtypes_do_not_depend_on_other_changes(registry: Registry) -> None:
    """The same op is added with and without other changes."""
    add = adding_op("ADD", registry, like=chosen(op("CONV_2D", "int8", "int32")))
    assert dtypes_of(add(chosen(op("CONV_2D", "float32"))).selection)["ADD"] == ("int8",)


def test_row_kernels_of_an_added_depthwise_convolution_are_unknown(registry: Registry) -> None:
    start = chosen(op("ADD", "int8"))
    edited = adding_op("DEPTHWISE_CONV_2D", registry, start)(start)
    (added,) = [one for one in edited.selection.ops if one.name == "DEPTHWISE_CONV_2D"]
    assert [row.known for row in added.depthwise] == [False]


def test_ops_are_in_the_order_of_their_codes(registry: Registry) -> None:
    start = chosen(dataclasses.replace(op("SOFTMAX", "int8"), code=25))
    edited = adding_op("ADD", registry, start)(start)
    assert [one.code for one in edited.selection.ops] == [0, 25]


def test_dropping_an_op_that_the_program_does_not_have() -> None:
    with pytest.raises(UsageError, match="the program has no op SOFTMAKS; perhaps you meant 'SOFTMAX'"):
        dropping_op("SOFTMAKS")(chosen(op("SOFTMAX", "int8")))


def test_a_unique_part_of_a_name_is_enough(registry: Registry) -> None:
    start = chosen(op("CONV_2D", "float32"))
    edited = adding_op("FFT", registry, start)(start)
    assert "RFFT2D" in dtypes_of(edited.selection)
    assert edited.notes[0] == "FFT was taken for RFFT2D"
    assert dropping_op("softmax")(chosen(op("SOFTMAX", "int8"))).selection.ops == ()
    # CONV_ is part of several names.
    with pytest.raises(UsageError, match="there is no op CONV_; perhaps you meant"):
        adding_op("CONV_", registry, start)


def test_names() -> None:
    assert what_if.parse_names(["A,B", " C ", ""]) == ("A", "B", "C")
    assert what_if.parse_names([]) == ()
    assert not what_if.Changes().any()
    assert what_if.Changes(int8_only=True).any()
