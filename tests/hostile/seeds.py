"""The models that are damaged: one for each kind of content that programs have to check."""

from __future__ import annotations

from pathlib import Path

from litesmith.model.analysis import dtype_numbers
from litesmith.model.model_file import open_model
from litesmith.study.op_models.writer import Graph, strings
from tests.conftest import EXAMPLES


def control_flow() -> Graph:
    """A loop whose body branches: WHILE, IF and what they call."""
    g = Graph()
    inputs = [g.input([], "int32"), g.input([2, 3])]
    outputs = [g.tensor([], "int32"), g.output("float32", [2, 3])]
    g.op("WHILE", inputs, outputs, "While", condSubgraphIndex=1, bodySubgraphIndex=2)
    g.signature("grow", 0, {"i": inputs[0], "x": inputs[1]}, {"y": outputs[1]})
    g.subgraph("condition")
    i, _ = g.input([], "int32"), g.input([2, 3])
    g.op("LESS", [i, g.const(4, "int32")], [g.output("bool", [])], "Less")
    g.subgraph("body")
    i, x = g.input([], "int32"), g.input([2, 3])
    g.op("ADD", [i, g.const(1, "int32")], [g.output("int32", [])], "Add")
    low = g.tensor([], "bool")
    g.op("LESS", [i, g.const(2, "int32")], [low], "Less")
    g.op("IF", [low, x], [g.output("float32", [2, 3])], "If", thenSubgraphIndex=3, elseSubgraphIndex=4)
    for name, op, table in (("then", "ADD", "Add"), ("else", "MUL", "Mul")):
        g.subgraph(name)
        x = g.input([2, 3])
        g.op(op, [x, g.const([[1.0, 2, 3]])], [g.output("float32", [2, 3])], table)
    return g


_WORDS = (b"disc", b"square", "ä".encode())


def string_ops() -> Graph:
    """Strings: from the input, from constants and from a hash table."""
    g = Graph()
    number = dtype_numbers()
    options = {"tableId": 1, "keyDtype": number["int64"], "valueDtype": number["string"]}
    g.op("CALL_ONCE", [], [], "CallOnce", initSubgraphIndex=1)
    table = g.tensor([], "resource")
    g.op("HASHTABLE", [], [table], "Hashtable", **options)
    keys = g.const([7, 5, -3], "int64")
    default = g.tensor([], "string", data=strings([b"none"]))
    found = g.tensor([3], "string")
    g.op("HASHTABLE_FIND", [table, keys, default], [found], "HashtableFind")
    x = g.input([3], "string")
    gathered = g.output("string", [2])
    g.op("GATHER", [x, g.const([2, 0], "int32")], [gathered], "Gather")
    g.op("EQUAL", [x, found], [g.output("bool", [3])], "Equal")
    tall = g.output("string", [3, 1])
    g.op("RESHAPE", [found, g.const([3, 1], "int32")], [tall], "Reshape", newShape=[3, 1])
    g.op("TILE", [x, g.const([2], "int32")], [g.output("string", [6])], "Tile")
    g.op("SLICE", [x, g.const([1], "int32"), g.const([2], "int32")], [g.output("string")], "Slice")
    g.subgraph("initialise")
    table = g.tensor([], "resource")
    g.op("HASHTABLE", [], [table], "Hashtable", **options)
    keys, values = g.const([7, -3, 1 << 40], "int64"), g.tensor([3], "string", data=strings(_WORDS))
    g.op("HASHTABLE_IMPORT", [table, keys, values], [], "HashtableImport")
    return g


def made(folder: Path) -> dict[str, Path]:
    """The seeds that are written here, as files in ``folder``, by name."""
    graphs = {"control": control_flow(), "strings": string_ops()}
    for name, graph in graphs.items():
        (folder / f"{name}.tflite").write_bytes(graph.content())
    return {name: folder / f"{name}.tflite" for name in graphs}


def written(folder: Path) -> dict[str, Path]:
    """All seeds as files, by name; those that are written here are put into ``folder``."""
    return {
        "det": EXAMPLES / "det.tflite",
        "kws": open_model("zoo:kws").path,
        "words": EXAMPLES / "words.tflite",
        **made(folder),
    }
