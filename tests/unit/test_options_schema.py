from __future__ import annotations

import pytest

from litesmith.base.errors import SourceError
from litesmith.model import options_schema, schema_fbs
from litesmith.runtime.op_registry import Registry

FBS = """
enum Padding : byte { SAME, VALID }
enum Big : int32 { A = 0 }  // a comment; with a semicolon
union BuiltinOptions {
  AOptions,
  BOptions,  // two
  COptions,
}
union BuiltinOptions2{
  OldOptions (deprecated),
  DOptions,
}
enum Op : int32 { ONE = 1, TWO = 7 (deprecated), THREE }
table OldOptions (deprecated) { function:Padding; }
table DOptions { part:int32; }
table AOptions { padding:Padding; stride:int; big:Big; }
table BOptions {
  shape:[int];
  wide:[long];
  name:string;
  old:int (deprecated);
  flag:bool = false;
}
table COptions {
}
"""

CONVERSIONS = """
TfLiteStatus ParseA(const Operator* op) {
  if (const auto* a = op->builtin_options_as_AOptions()) {
  }
  return kTfLiteOk;
}
TfLiteStatus ParseOpDataTfLite(const Operator* op, BuiltinOperator op_type) {
  switch (op_type) {
    case BuiltinOperator_ONE: {
      return ParseA(op, error_reporter);
    }
    case BuiltinOperator_TWO:
    case BuiltinOperator_THREE: {
      if (auto* b = op->builtin_options_as_BOptions()) {}
      return kTfLiteOk;
    }
    case BuiltinOperator_FOUR:
      return kTfLiteOk;
    case BuiltinOperator_FIVE: {
      if (auto* d = op->builtin_options_2_as_DOptions()) {}
      return kTfLiteOk;
    }
  }
  return kTfLiteError;
}
"""


def test_fields_have_signs() -> None:
    found = options_schema.options_tables(schema_fbs.parse(FBS))
    assert {name: (table.union, table.number, table.fields) for name, table in found.items()} == {
        "AOptions": ("BuiltinOptions", 1, "144"),
        "BOptions": ("BuiltinOptions", 2, "dhs-1"),
        "COptions": ("BuiltinOptions", 3, ""),
        "OldOptions": ("BuiltinOptions2", 1, "1"),
        "DOptions": ("BuiltinOptions2", 2, "4"),
    }


def test_deprecated_values_keep_their_numbers() -> None:
    assert schema_fbs.parse(FBS).enums["Op"].values == {"ONE": 1, "TWO": 7, "THREE": 8}


def test_an_unknown_type_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"AOptions\.padding of schema\.fbs has the type Strange"):
        schema_fbs.parse(FBS.replace("padding:Padding", "padding:Strange"))


def test_a_schema_without_options_is_an_error() -> None:
    with pytest.raises(SourceError, match="no union BuiltinOptions"):
        options_schema.options_tables(schema_fbs.parse("table Model { version:uint; }"))


def test_readers_are_followed_and_labels_share_a_block() -> None:
    found = options_schema.readers_of_ops(CONVERSIONS)
    assert {name: (reader.tables, reader.function) for name, reader in found.items()} == {
        "ONE": (("AOptions",), "ParseA"),
        "TWO": (("BOptions",), options_schema.SWITCH),
        "THREE": (("BOptions",), options_schema.SWITCH),
        "FOUR": ((), ""),
        "FIVE": (("DOptions",), options_schema.SWITCH),
    }


def test_a_file_without_the_switch_is_an_error() -> None:
    with pytest.raises(SourceError, match="no ParseOpDataTfLite"):
        options_schema.readers_of_ops("int main() {}")


@pytest.mark.parametrize(
    ("name", "number", "fields"),
    [
        ("CONV_2D", 1, "1441441"),
        ("DEPTHWISE_CONV_2D", 2, "1444144"),
        ("RESHAPE", 17, "d"),
        ("FULLY_CONNECTED", 8, "11111"),
        ("VAR_HANDLE", 111, "ss"),
        ("BUCKETIZE", 115, "d"),
        ("CAST", 37, "11"),
    ],
)
def test_options_in_the_registry(registry: Registry, name: str, number: int, fields: str) -> None:
    (op,) = [op for op in registry.builtins.values() if op.name == name]
    assert op.options is not None
    assert (op.options.number, op.options.fields) == (number, fields)


@pytest.mark.parametrize("name", ["DEQUANTIZE", "QUANTIZE", "LOGISTIC", "PAD", "TILE"])
def test_ops_without_options(registry: Registry, name: str) -> None:
    (op,) = [op for op in registry.builtins.values() if op.name == name]
    assert op.options is None
