from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as generated

from litesmith.model import schema, tables
from litesmith.model.schema import NotInSchemaError
from litesmith.model.tables import Table
from tests.models import CONV_2D, Op, build_model


def operator(options_type: int = generated.BuiltinOptions.Conv2DOptions) -> Table:
    """The operator of a model that has one convolution."""

    def change(model: Any) -> None:
        options = generated.Conv2DOptionsT()
        options.strideH, options.dilationWFactor, options.padding = 2, 3, generated.Padding.VALID
        (node,) = model.subgraphs[0].operators
        node.builtinOptions, node.builtinOptionsType = options, options_type

    (subgraph,) = tables.root(build_model([Op(CONV_2D)], change=change)).tables("subgraphs")
    (found,) = subgraph.tables("operators")
    return found


def test_fields_are_read_by_name() -> None:
    node = operator()
    assert node.integers("inputs") == (0,)
    options = node.union("builtin_options")
    assert options is not None
    assert options.kind == "Conv2DOptions"
    assert options.enum("padding") == "VALID"
    assert (options.integer("stride_h"), options.integer("dilation_w_factor")) == (2, 3)


def test_an_absent_field_has_the_default_of_the_schema() -> None:
    options = operator().union("builtin_options")
    assert options is not None
    assert (options.integer("stride_w"), options.integer("dilation_h_factor")) == (0, 1)


def test_an_absent_table_has_all_defaults() -> None:
    options = Table.absent("Conv2DOptions")
    assert not options.present
    assert (options.integer("stride_w"), options.integer("dilation_h_factor")) == (0, 1)
    assert options.enum("padding") == "SAME"
    assert Table.absent("BidirectionalSequenceLSTMOptions").boolean("time_major")
    assert Table.absent("LSTMOptions").enum("kernel_type") == "FULL"
    assert Table.absent("SoftmaxOptions").real("beta") == 0
    assert Table.absent("ReshapeOptions").integers("new_shape") == ()
    assert Table.absent("VarHandleOptions").text("container") == ""


def test_options_of_another_op_are_treated_as_absent() -> None:
    node = operator(generated.BuiltinOptions.Pool2DOptions)
    assert not node.union_as("builtin_options", "Conv2DOptions").present
    assert operator().union_as("builtin_options", "Conv2DOptions").integer("stride_h") == 2


@pytest.mark.parametrize("number", [0, 127])
def test_a_union_with_an_unknown_member(number: int) -> None:
    assert operator(number).union("builtin_options") is None


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda node: node.integer("opcode"), "Operator has no field opcode"),
        (lambda node: node.has("opcode"), "Operator has no field opcode"),
        (lambda node: node.boolean("opcode_index"), r"Operator\.opcode_index .* is declared as uint"),
        (lambda node: node.integer("inputs"), r"declared as \[int\]"),
        (lambda node: node.integers("opcode_index"), "declared as uint"),
        (lambda node: node.table("builtin_options"), "declared as BuiltinOptions"),
        (lambda node: node.tables("inputs"), r"declared as \[int\]"),
        (lambda node: node.span("inputs"), r"declared as \[int\]"),
        (lambda node: node.text("inputs"), r"declared as \[int\]"),
        (lambda node: node.enum("opcode_index"), "declared as uint"),
        (lambda node: node.union("opcode_index"), "declared as uint"),
        (lambda _: Table.absent().integer("stride_w"), "has no field stride_w"),
        (lambda _: Table.absent("Conv2DOption"), "no Conv2DOption among its tables"),
        (lambda _: schema.enum("Paddings"), "no Paddings among its enums"),
    ],
)  # fmt: skip
def test_a_wrong_name_or_type_is_a_distinct_error(read: Any, message: str) -> None:
    with pytest.raises(NotInSchemaError, match=message) as raised:
        read(operator())
    # It must not be mistaken for a damaged model, or for invalid shapes.
    assert not isinstance(raised.value, ArithmeticError | LookupError | TypeError | ValueError)


def test_slots_match_the_accessors_that_flatc_generates() -> None:
    # inspect.getsource of a class parses the whole module each time, which would take a minute in all.
    _, *parts = re.split(r"^class (\w+)", inspect.getsource(generated), flags=re.MULTILINE)
    sources = dict(zip(parts[::2], parts[1::2], strict=True))
    for name in (
        "Model",
        "SubGraph",
        "Operator",
        "Tensor",
        "DimensionMetadata",
        *schema.union("BuiltinOptions").values(),
    ):
        for field in schema.fields(name).values():
            accessor = "".join(word.capitalize() for word in field.name.split("_"))
            offset = re.search(rf"def {accessor}\(self.*?Offset\((\d+)\)", sources[name], re.DOTALL)
            assert offset is not None, (name, field.name)
            assert int(offset[1]) == 4 + 2 * field.slot, (name, field.name)
