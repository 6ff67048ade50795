"""Lookups, strings, random numbers, sparse weights, and the custom ops that upstream registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from litesmith.study.op_models.tensor_types import TensorType
from litesmith.study.op_models.writer import Graph, OpModels, strings

# One stream of random numbers: the values depend on the order of the models and of their tensors.
_RNG = np.random.default_rng(3)


def embedding_lookups() -> OpModels:
    """Rows of a table by their numbers, and weighted sums of rows."""
    tables: dict[str, Callable[[Graph], int]] = {
        "hybrid uint8": lambda g: g.const(_RNG.integers(0, 256, (6, 4)), "uint8", quant=(0.01, 0)),
        "float32": lambda g: g.const(_RNG.uniform(-1, 1, (6, 4))),
        "hybrid": lambda g: g.const(_RNG.integers(-127, 128, (6, 4)), "int8", quant=(0.01, 0)),
    }
    for label, table in tables.items():
        g = Graph()
        rows = table(g)
        g.op("EMBEDDING_LOOKUP", [g.const([4, 0, 5], "int32"), rows], [g.output()])
        yield "EMBEDDING_LOOKUP", label, g
    for combiner in (schema.CombinerType.SUM, schema.CombinerType.MEAN, schema.CombinerType.SQRTN):
        g = Graph()
        ids, indices = g.const([1, 3, 0], "int32"), g.const([[0, 0], [2, 0], [2, 1]], "int32")
        shape, weights = g.const([3, 2], "int32"), g.const([1.0, 2.0, 4.0])
        rows = g.input([4, 3, 2])
        g.op(
            "EMBEDDING_LOOKUP_SPARSE",
            [ids, indices, shape, weights, rows],
            [g.output()],
            "EmbeddingLookupSparse",
            combiner=combiner,
        )
        yield "EMBEDDING_LOOKUP_SPARSE", f"float32 combiner {combiner}", g


def hash_lookups() -> OpModels:
    """Rows by key, from numbers and from strings; and locality-sensitive hashes."""
    tables: dict[str, Callable[[Graph], int]] = {
        "float32": lambda g: g.input([3, 2]),
        "string": lambda g: g.tensor([3], "string", data=strings([b"a", b"bcd", b"ef"])),
    }
    for label, table in tables.items():
        g = Graph()
        wanted, keys = g.const([40, -9, 7], "int32"), g.const([-11, 7, 40], "int32")
        inputs = [wanted, keys, table(g)]
        g.op("HASHTABLE_LOOKUP", inputs, [g.output(label), g.output("uint8")])
        yield "HASHTABLE_LOOKUP", label, g
    for label, kind in (
        ("dense", schema.LSHProjectionType.DENSE),
        ("sparse", schema.LSHProjectionType.SPARSE),
    ):
        g = Graph()
        hashes = g.const(_RNG.uniform(-1, 1, (3, 2)))
        inputs = [hashes, g.input([5], "int32"), g.const([1.0, 2.0, 0.5, 0.1, 1.0])]
        g.op("LSH_PROJECTION", inputs, [g.output("int32")], "LSHProjection", type=kind)
        yield "LSH_PROJECTION", label, g


_WORDS = np.array([b"a", "äöü".encode(), b"cc"], object)


def skip_grams() -> OpModels:
    """Groups of words that stand near each other in a sentence."""
    g = Graph()
    options = {"ngramSize": 3, "maxSkipSize": 2, "includeAllNgrams": True}
    g.op("SKIP_GRAM", [g.input([1], "string")], [g.output("string")], "SkipGram", **options)
    g.sample("sentence", np.array([b"The quick brown fox jumps over"], object))
    g.sample("nothing", np.array([b""], object))
    yield "SKIP_GRAM", "string", g


def strings_with_a_constant() -> OpModels:
    """Ops on strings whose second input is a constant: indices or a shape, or strings to compare with."""
    options: dict[str, Any]
    for op, value, table, options in (
        ("GATHER", [2, 0], "Gather", {}),
        ("EQUAL", None, "Equal", {}),
        ("NOT_EQUAL", None, "NotEqual", {}),
        ("RESHAPE", [3, 1], "Reshape", {"newShape": [3, 1]}),
        ("EXPAND_DIMS", [0], "ExpandDims", {}),
        ("TILE", [2], "Tile", {}),
        ("GATHER_ND", [[2], [1]], "GatherNd", {}),
    ):
        g = Graph()
        x = g.input([3], "string")
        if value is None:
            inputs = [x, g.tensor([3], "string", data=strings([b"a", b"", b"cc"]))]
            output = g.output("bool", [])
        else:
            inputs = [x, g.const(value, "int32")]
            output = g.output("string", [])
        g.op(op, inputs, [output], table, **options)
        g.sample("words", _WORDS)
        g.sample("empty", np.array([b"", b"", b""], object))
        yield op, "string", g


def strings_in_other_shapes() -> OpModels:
    """Parts and copies of string tensors."""
    for op, table, values in (
        ("SLICE", "Slice", ([1], [2])),
        ("STRIDED_SLICE", "StridedSlice", ([0], [3], [2])),
    ):
        g = Graph()
        inputs = [g.input([3], "string"), *(g.const(value, "int32") for value in values)]
        g.op(op, inputs, [g.output("string")], table)
        g.sample("words", _WORDS)
        yield op, "string", g
    g = Graph()
    g.op("SQUEEZE", [g.input([1, 3], "string")], [g.output("string")], "Squeeze", squeezeDims=[0])
    g.sample("words", _WORDS[None])
    yield "SQUEEZE", "string", g
    g = Graph()
    x, shape = g.input([], "string"), g.const([2, 2], "int32")
    g.op("FILL", [shape, x], [g.output("string")], "Fill")
    g.sample("word", np.array(b"word", object))
    yield "FILL", "string", g


def random() -> OpModels:
    """Random numbers with a seed, which makes them the same in each run."""
    for op in ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"):
        g = Graph()
        g.op(op, [g.const([3, 5], "int32")], [g.output()], "Random", seed=1234, seed2=5678)
        yield op, "float32", g
    for dtype in ("int32", "int64"):
        g = Graph()
        logits = g.const(np.log([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]))
        g.op("MULTINOMIAL", [logits, g.const(8, "int32")], [g.output(dtype)], "Random", seed=1234, seed2=5678)
        yield "MULTINOMIAL", dtype, g


def sparse() -> OpModels:
    """Sparse weights, which become dense when the model is loaded."""
    for dtype in ("float32", "int8"):
        g = Graph()
        weights = g.tensor([3, 4], dtype, data=np.array([1, 2, 3, 4], dtype))
        g.current.tensors[weights].sparsity = _compressed_rows(3, segments=[0, 1, 1, 4], columns=[2, 0, 1, 3])
        g.op("DENSIFY", [weights], [g.output(dtype, [3, 4])], "Densify")
        yield "DENSIFY", dtype, g


def sparse_layers() -> OpModels:
    """Layers that multiply with sparse weights: single values, or blocks of 4 or 16 in a row."""
    for label, block in (("float32", 1), ("float32", 4), ("int8", 16)):
        g = Graph()
        columns, dtype = 4 * block, label
        values = _RNG.integers(-9, 9, 4 * block).astype(dtype)
        quantised = dtype == "int8"
        source = TensorType(dtype, (0.02, 3) if quantised else None)
        target = TensorType(dtype, (0.1, -4) if quantised else None)
        weights = g.tensor([3, columns], dtype, quant=(0.02, 0) if quantised else None, data=values)
        g.current.tensors[weights].sparsity = _compressed_rows(
            3, segments=[0, 1, 1, 4], columns=[2, 0, 1, 3], block=block
        )
        bias = g.const([1, 2, 3], "int32", (0.0004, 0)) if quantised else g.const([1, 2, 3])
        inputs = [g.input([2, columns], source), weights, bias]
        g.op("FULLY_CONNECTED", inputs, [g.output(target)], "FullyConnected")
        yield "FULLY_CONNECTED", f"{label} sparse in blocks of {block}", g


def _compressed_rows(rows: int, *, segments: list[int], columns: list[int], block: int = 1) -> Any:
    """The sparsity of a matrix that stores, for each row, the columns of its values (CSR).

    With a ``block``, it stores that many values of a row together, and columns count blocks.
    """
    dense, compressed, inner = (schema.DimensionMetadataT() for _ in range(3))
    dense.format, dense.denseSize = schema.DimensionType.DENSE, rows
    inner.format, inner.denseSize = schema.DimensionType.DENSE, block
    compressed.format = schema.DimensionType.SPARSE_CSR
    compressed.arraySegmentsType = compressed.arrayIndicesType = schema.SparseIndexVector.Int32Vector
    compressed.arraySegments, compressed.arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
    compressed.arraySegments.values, compressed.arrayIndices.values = segments, columns
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder, sparsity.blockMap = ([0, 1], []) if block == 1 else ([0, 1, 2], [1])
    sparsity.dimMetadata = [dense, compressed] if block == 1 else [dense, compressed, inner]
    return sparsity


def _options(values: Mapping[str, bool | int | float]) -> bytes:
    """Options of a custom op, in the form that upstream's custom ops read."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in values.items():
            {bool: builder.Bool, int: builder.Int, float: builder.Float}[type(value)](key, value)
    return bytes(builder.Finish())


def audio() -> OpModels:
    """A spectrogram of samples, and cepstral coefficients of a spectrogram."""
    g = Graph()
    options = _options({"window_size": 64, "stride": 32, "magnitude_squared": True})
    g.custom_op("AudioSpectrogram", [g.input([256, 1])], [g.output()], options)
    yield "AudioSpectrogram", "float32", g
    g = Graph()
    options = _options(
        {
            "upper_frequency_limit": 4000.0,
            "lower_frequency_limit": 20.0,
            "filterbank_channel_count": 20,
            "dct_coefficient_count": 8,
        }
    )
    g.custom_op("Mfcc", [g.input([1, 4, 65]), g.const([16000], "int32")], [g.output()], options)
    g.sample("spectrum", _RNG.uniform(0, 3, (1, 4, 65)).astype(np.float32))
    yield "Mfcc", "float32", g


def numeric_verify() -> OpModels:
    """Differences between quantised and float values."""
    g = Graph()
    values = g.const([1.0, 2.0, 3.0])
    quantised = g.input([3], "int8", quant=(0.1, 0))
    options = _options({"tolerance": 5.0, "log_if_failed": False})
    g.custom_op("NumericVerify", [quantised, values], [g.output()], options)
    yield "NumericVerify", "int8*", g


def _detection(scores: list[list[float]], detections: int, classes: int) -> Graph:
    """``scores`` of three boxes: of the background, then of each class; ``classes`` of a box are detected."""
    g = Graph()
    options = _options(
        {
            "max_detections": detections,
            "max_classes_per_detection": classes,
            "detections_per_class": 2,
            "use_regular_nms": False,
            "nms_score_threshold": 0.1,
            "nms_iou_threshold": 0.5,
            "num_classes": len(scores[0]) - 1,
            "y_scale": 10.0,
            "x_scale": 10.0,
            "h_scale": 5.0,
            "w_scale": 5.0,
        }
    )
    anchors = g.const([[0.5, 0.5, 1.0, 1.0], [0.5, 10.5, 1.0, 1.0], [0.5, 100.5, 1.0, 1.0]])
    inputs = [g.input([1, 3, 4]), g.input([1, 3, len(scores[0])]), anchors]
    g.sample("boxes", _RNG.uniform(-1, 1, (1, 3, 4)).astype(np.float32), np.array([scores], np.float32))
    g.custom_op("TFLite_Detection_PostProcess", inputs, [g.output() for _ in range(4)], options)
    return g


def detections() -> OpModels:
    """Boxes from anchors and scores, without those that overlap."""
    op = "TFLite_Detection_PostProcess"
    yield op, "float32", _detection([[0.0, 0.9, 0.1], [0.0, 0.2, 0.8], [0.0, 0.6, 0.3]], 4, 1)
    # The order of equal scores is that of the reference's partial sort.
    alike = [
        [0.0, 0.6, 0.1, 0.3, 0.3, 0.6, 0.6, 0.3],
        [0.0, 0.4, 0.9, 0.4, 0.9, 0.4, 0.9, 0.9],
        [0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    ]
    yield op, "float32 with equal scores", _detection(alike, 6, 3)


def hadamard() -> OpModels:
    """Rotations of activations by a Hadamard matrix, with and without several of them in a row."""
    for size, shape in ((8, [3, 16]), (64, [2, 3, 64]), (128, [2, 256])):
        g = Graph()
        options = _options({"hadamard_size": size})
        g.custom_op("aeq.hadamard_rotation", [g.input(shape)], [g.output("float32", shape)], options)
        yield "aeq.hadamard_rotation", f"float32 {size}", g


FAMILY = (
    *(embedding_lookups, hash_lookups, skip_grams, strings_with_a_constant, strings_in_other_shapes),
    *(random, sparse, audio, numeric_verify, detections, hadamard, sparse_layers),
)
