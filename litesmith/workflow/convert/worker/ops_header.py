"""TensorFlow's header for selective registration, made by its own library."""

from __future__ import annotations

import sys
from pathlib import Path


def generate(path: Path) -> tuple[str, list[str]]:
    """TensorFlow's ``ops_to_register.h`` for a frozen graph, and the names of ops without a CPU kernel."""
    import tensorflow as tf
    from tensorflow.python.tools import selective_registration_header_lib as lib

    known = lib.get_ops_and_kernels("rawproto", [str(path)], "NoOp:NoOp,_Recv:RecvOp,_Send:SendOp")
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    missing = sorted({node.op for node in nodes} - {op for op, _ in known})
    # The header's first line names the program that wrote it.
    before, sys.argv[0] = sys.argv[0], "print_selective_registration_header.py"
    try:
        return lib.get_header_from_ops_and_kernels(known, False), missing
    finally:
        sys.argv[0] = before
