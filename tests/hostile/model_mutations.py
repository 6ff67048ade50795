"""Mutations of operator codes, subgraphs, buffers and signatures.  Each says in one line what it changed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.hostile.damage import FLOATS, INT32, UINT64, Damage


def _operator_code(d: Damage) -> str:
    index = d.rng.randrange(len(d.model.operatorCodes))
    code = d.model.operatorCodes[index]
    kind = d.rng.randrange(5)
    if kind == 0:
        code.version = d.rng.choice((0, 1, 2, 3, 5, 100, -1, (1 << 31) - 1))
    elif kind == 1:
        code.builtinCode = d.rng.choice((d.rng.randrange(210), 32, -1, 127, 1 << 20))
    elif kind == 2:
        code.deprecatedBuiltinCode = d.rng.choice((-128, -1, 0, 32, 127))
    elif kind == 3:
        code.customCode = d.rng.choice((None, b"", b"TFLite_Detection_PostProcess", b"Flex", b"\x1b[31m"))
    else:
        other = d.rng.choice(d.model.operatorCodes)
        code.builtinCode, code.deprecatedBuiltinCode = other.builtinCode, other.deprecatedBuiltinCode
    return f"operator code {index} {code.builtinCode} {code.deprecatedBuiltinCode} version {code.version}"


def _ends(d: Damage) -> str:
    field = d.rng.choice(("inputs", "outputs"))
    old = getattr(d.graph, field)
    indices = [int(index) for index in old] if old is not None else []
    kind = d.rng.randrange(5)
    if kind <= 1 and indices:
        indices[d.rng.randrange(len(indices))] = d.index(len(d.graph.tensors))
    elif kind == 2:
        indices.append(d.index(len(d.graph.tensors)))
    elif kind == 3 and indices:
        del indices[d.rng.randrange(len(indices))]
    else:
        indices = d.rng.choice(([], indices * 2, indices[::-1], [-1]))
    setattr(d.graph, field, indices)
    return f"subgraph {d.subgraph_index} {field} {indices}"


def _subgraphs(d: Damage) -> str:
    kind = d.rng.randrange(4)
    if kind == 0:
        d.model.subgraphs = d.rng.choice((None, [], d.model.subgraphs[:-1]))
        return "subgraphs removed"
    if kind == 1:
        d.model.subgraphs = [*d.model.subgraphs, d.graph]
        return f"subgraph {d.subgraph_index} twice"
    if kind == 2:
        d.model.subgraphs = d.model.subgraphs[::-1]
        return "subgraphs in reverse"
    d.graph.tensors = d.rng.choice((None, [], d.graph.tensors[:-1]))
    return f"subgraph {d.subgraph_index} tensors removed"


def _constant(d: Damage) -> str:
    filled = [i for i, b in enumerate(d.model.buffers) if b.data is not None and len(b.data)]
    if not filled:
        return "no constant to change"
    # Small constants say more than weights: shapes, axes, offsets.
    index = min(d.rng.sample(filled, min(3, len(filled))), key=lambda i: len(d.model.buffers[i].data))
    data = bytearray(bytes(bytearray(d.model.buffers[index].data)))
    kind = d.rng.randrange(6)
    if kind == 0:
        del data[d.rng.randrange(len(data)) :]
    elif kind == 1:
        data += d.rng.randbytes(d.rng.choice((1, 4, 16, 1000)))
    elif kind == 2:
        data = bytearray()
    else:
        words = (*(struct.pack("<i", v) for v in INT32), *(struct.pack("<f", v) for v in FLOATS))
        at = d.rng.randrange(max(1, len(data) // 4)) * 4
        word = d.rng.choice(words)
        data[at : at + 4] = word[: max(0, len(data) - at)]
    d.model.buffers[index].data = np.frombuffer(bytes(data), np.uint8)
    return f"buffer {index} now of {len(data)} bytes, changed"


def _buffer(d: Damage) -> str:
    index = d.rng.randrange(len(d.model.buffers))
    buffer = d.model.buffers[index]
    kind = d.rng.randrange(3)
    if kind == 0:
        d.model.buffers = d.rng.choice((None, [], d.model.buffers[:index], d.model.buffers[::-1]))
        return f"buffers cut at {index}, or reversed"
    if kind == 1:
        buffer.data = None
    buffer.offset, buffer.size = d.rng.choice(UINT64), d.rng.choice(UINT64)
    return f"buffer {index} offset {buffer.offset} size {buffer.size}"


def _signature(d: Damage) -> str:
    if not d.model.signatureDefs:
        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = (
            b"serving_default",
            d.index(len(d.model.subgraphs)) & 0xFFFFFFFF,
        )
        made.inputs, made.outputs = [], []
        d.model.signatureDefs = [made]
        return f"signature of subgraph {made.subgraphIndex}"
    signature = d.rng.choice(d.model.signatureDefs)
    kind = d.rng.randrange(6)
    if kind == 0:
        signature.subgraphIndex = d.index(len(d.model.subgraphs)) & 0xFFFFFFFF
        return f"signature of subgraph {signature.subgraphIndex}"
    if kind == 1:
        field = d.rng.choice(("inputs", "outputs", "signatureKey"))
        setattr(signature, field, None)
        return f"signature without {field}"
    if kind == 2:
        d.model.signatureDefs = [*d.model.signatureDefs, signature]
        return "signature twice"
    maps = signature.inputs if kind in (3, 4) else signature.outputs
    if not maps:
        signature.signatureKey = b"\x1b[2J"
        return "signature with an escape in its key"
    one = d.rng.choice(maps)
    if kind == 3:
        one.name = d.rng.choice((None, b"", b"x"))
        return f"signature names {one.name!r}"
    one.tensorIndex = d.index(len(d.graph.tensors)) & 0xFFFFFFFF
    return f"signature names tensor {one.tensorIndex}"


def _model(d: Damage) -> str:
    field = d.rng.choice(("version", "metadata", "metadataBuffer", "operatorCodes", "description"))
    if field == "version":
        d.model.version = d.rng.choice((0, 1, 2, 4, 1 << 31))
    elif field == "metadata":
        made = schema.MetadataT()
        made.name, made.buffer = d.rng.choice((None, b"min_runtime_version")), d.rng.choice((0, 1, 99999))
        d.model.metadata = [made]
    elif field == "metadataBuffer":
        d.model.metadataBuffer = [d.int32(), d.int32()]
    elif field == "operatorCodes":
        d.model.operatorCodes = d.rng.choice(
            (None, [], d.model.operatorCodes[:-1], d.model.operatorCodes[::-1])
        )
    else:
        d.model.description = d.rng.choice((None, b"", b"\x1b[31m" * 100))
    return f"model {field} changed"


MUTATIONS: Mapping[Callable[[Damage], str], int] = {
    _operator_code: 3,
    _ends: 5,
    _subgraphs: 2,
    _constant: 10,
    _buffer: 5,
    _signature: 4,
    _model: 1,
}
"""Mutations, and how often each is made."""
