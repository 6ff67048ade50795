"""Branches, loops, variables, tables: what needs several subgraphs or keeps state."""

from __future__ import annotations

import numpy as np

from litesmith.study.op_models.writer import Graph, OpModels, strings


def branches() -> OpModels:
    """IF and WHILE, with bodies that compute."""
    for dtype in ("float32", "int32"):
        g = Graph()
        g.op(
            "IF",
            [g.input([], "bool"), g.input([2, 3], dtype)],
            [g.output(dtype)],
            "If",
            thenSubgraphIndex=1,
            elseSubgraphIndex=2,
        )
        for name, op, kind in (("then", "ADD", "Add"), ("else", "MUL", "Mul")):
            g.subgraph(name)
            x = g.input([2, 3], dtype)
            g.op(op, [x, x], [g.output(dtype, [2, 3])], kind)
        g.sample("then", np.array(True), np.arange(6).reshape(2, 3).astype(dtype))
        g.sample("else", np.array(False), np.arange(6).reshape(2, 3).astype(dtype))
        yield "IF", dtype, g
        g = Graph()
        counter, x = g.input([], "int32"), g.input([3], dtype)
        g.op(
            "WHILE",
            [counter, x],
            [g.output("int32"), g.output(dtype, [3])],
            "While",
            condSubgraphIndex=1,
            bodySubgraphIndex=2,
        )
        g.subgraph("condition")
        i, _ = g.input([], "int32"), g.input([3], dtype)
        g.op("LESS", [i, g.const(4, "int32")], [g.output("bool", [])], "Less")
        g.subgraph("body")
        i, x = g.input([], "int32"), g.input([3], dtype)
        g.op("ADD", [i, g.const(1, "int32")], [g.output("int32", [])], "Add")
        g.op("MUL", [x, g.const([2, 3, 1], dtype)], [g.output(dtype, [3])], "Mul")
        yield "WHILE", dtype, g


def variables() -> OpModels:
    """Variables that an initialisation writes once, and that an inference reads and writes."""
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


def tables() -> OpModels:
    """Hash tables, from words to numbers and back."""
    words = [b"disc", b"square", "ä".encode()]
    numbers = np.array([7, -3, 1 << 40], np.int64)
    for label, key, value in (("string to int64", "string", "int64"), ("int64 to string", "int64", "string")):
        g = Graph()
        contents = {"string": strings(words), "int64": numbers.tobytes()}
        asked = {
            "string": strings([words[2], b"nothing", words[0]]),
            "int64": np.array([1 << 40, 5, 7], np.int64).tobytes(),
        }
        default = {"string": strings([b"none"]), "int64": np.int64(-1).tobytes()}
        g.op("CALL_ONCE", [], [], "CallOnce", initSubgraphIndex=1)
        table = g.tensor([], "resource")
        kinds = {"string": 5, "int64": 4}
        options = {"tableId": 1, "keyDtype": kinds[key], "valueDtype": kinds[value]}
        g.op("HASHTABLE", [], [table], "Hashtable", **options)
        keys, missing = g.tensor([3], key, data=asked[key]), g.tensor([], value, data=default[value])
        g.op("HASHTABLE_FIND", [table, keys, missing], [g.output(value, [3])], "HashtableFind")
        g.op("HASHTABLE_SIZE", [table], [g.output("int64", [1])], "HashtableSize")
        g.subgraph("initialise")
        table = g.tensor([], "resource")
        g.op("HASHTABLE", [], [table], "Hashtable", **options)
        keys, values = g.tensor([3], key, data=contents[key]), g.tensor([3], value, data=contents[value])
        g.op("HASHTABLE_IMPORT", [table, keys, values], [], "HashtableImport")
        for op in ("HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_SIZE", "HASHTABLE_IMPORT"):
            yield op, label, g


FAMILY = (branches, variables, tables)
