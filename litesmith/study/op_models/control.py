"""Ops that need several subgraphs or keep state: branches, loops, variables, hash tables."""

from __future__ import annotations

import numpy as np

from litesmith.model.analysis import dtype_numbers
from litesmith.study.op_models.writer import Graph, OpModels, strings


def branches_and_loops() -> OpModels:
    """IF with a sum and a product as branches, and WHILE that multiplies four times."""
    for dtype in ("float32", "int32"):
        yield "IF", dtype, _if(dtype)
        yield "WHILE", dtype, _while(dtype)


def _if(dtype: str) -> Graph:
    g = Graph()
    inputs = [g.input([], "bool"), g.input([2, 3], dtype)]
    g.op("IF", inputs, [g.output(dtype)], "If", thenSubgraphIndex=1, elseSubgraphIndex=2)
    for name, op, table in (("then", "ADD", "Add"), ("else", "MUL", "Mul")):
        g.subgraph(name)
        x = g.input([2, 3], dtype)
        g.op(op, [x, x], [g.output(dtype, [2, 3])], table)
    values = np.arange(6).reshape(2, 3).astype(dtype)
    g.sample("then", np.array(True), values)
    g.sample("else", np.array(False), values)
    return g


def _while(dtype: str) -> Graph:
    g = Graph()
    inputs = [g.input([], "int32"), g.input([3], dtype)]
    outputs = [g.output("int32"), g.output(dtype, [3])]
    g.op("WHILE", inputs, outputs, "While", condSubgraphIndex=1, bodySubgraphIndex=2)
    g.subgraph("condition")
    i, _ = g.input([], "int32"), g.input([3], dtype)
    g.op("LESS", [i, g.const(4, "int32")], [g.output("bool", [])], "Less")
    g.subgraph("body")
    i, x = g.input([], "int32"), g.input([3], dtype)
    g.op("ADD", [i, g.const(1, "int32")], [g.output("int32", [])], "Add")
    g.op("MUL", [x, g.const([2, 3, 1], dtype)], [g.output(dtype, [3])], "Mul")
    return g


def variables() -> OpModels:
    """Variables that one subgraph initialises once and that each inference reads and writes."""
    for dtype in ("float32", "int32", "int64", "int8", "bool"):
        g = Graph()
        x = g.input([2], dtype)
        g.op("CALL_ONCE", [], [], "CallOnce", initSubgraphIndex=1)
        handle = g.tensor([], "resource")
        g.op("VAR_HANDLE", [], [handle], "VarHandle", container="", sharedName="v")
        g.op("READ_VARIABLE", [handle], [g.output(dtype, [2])], "ReadVariable")
        g.op("ASSIGN_VARIABLE", [handle, x], [], "AssignVariable")
        g.op("READ_VARIABLE", [handle], [g.output(dtype, [2])], "ReadVariable")
        g.subgraph("initialise")
        inner = g.tensor([], "resource")
        g.op("VAR_HANDLE", [], [inner], "VarHandle", container="", sharedName="v")
        g.op("ASSIGN_VARIABLE", [inner, g.const([1, 0], dtype)], [], "AssignVariable")
        for op in ("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"):
            yield op, dtype, g


_STRINGS = (b"disc", b"square", "ä".encode())
_TABLE = {
    "string": strings(_STRINGS),
    "int64": np.array([7, -3, 1 << 40], np.int64).tobytes(),
}
_ASKED = {
    "string": strings([_STRINGS[2], b"nothing", _STRINGS[0]]),
    "int64": np.array([1 << 40, 5, 7], np.int64).tobytes(),
}
_DEFAULT = {"string": strings([b"none"]), "int64": np.int64(-1).tobytes()}
"""Keys or values in a hash table, keys that are looked up, and the value for keys that are missing."""


def hash_tables() -> OpModels:
    """From strings to numbers and back."""
    for key, value in (("string", "int64"), ("int64", "string")):
        g = Graph()
        numbers = dtype_numbers()
        options = {"tableId": 1, "keyDtype": numbers[key], "valueDtype": numbers[value]}
        g.op("CALL_ONCE", [], [], "CallOnce", initSubgraphIndex=1)
        table = g.tensor([], "resource")
        g.op("HASHTABLE", [], [table], "Hashtable", **options)
        keys, default = g.tensor([3], key, data=_ASKED[key]), g.tensor([], value, data=_DEFAULT[value])
        g.op("HASHTABLE_FIND", [table, keys, default], [g.output(value, [3])], "HashtableFind")
        g.op("HASHTABLE_SIZE", [table], [g.output("int64", [1])], "HashtableSize")
        g.subgraph("initialise")
        table = g.tensor([], "resource")
        g.op("HASHTABLE", [], [table], "Hashtable", **options)
        keys, values = g.tensor([3], key, data=_TABLE[key]), g.tensor([3], value, data=_TABLE[value])
        g.op("HASHTABLE_IMPORT", [table, keys, values], [], "HashtableImport")
        for op in ("HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_SIZE", "HASHTABLE_IMPORT"):
            yield op, f"{key} to {value}", g


FAMILY = (branches_and_loops, variables, hash_tables)
