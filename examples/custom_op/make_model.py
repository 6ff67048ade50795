"""Writes signed_sqrt.tflite, and inputs with the outputs that NumPy gives: a model with a custom op.

Run it as ``python examples/custom_op/make_model.py`` in litesmith's own environment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from litesmith.study.op_models.writer import Graph

HERE = Path(__file__).parent


def main() -> None:
    """y = SignedSqrt(x) + x, on a vector of unknown length."""
    g = Graph()
    x = g.input([1, 8], signature=[-1, 8])
    root = g.tensor([1, 8], "float32", signature=[-1, 8])
    g.custom_op("SignedSqrt", [x], [root])
    g.op("ADD", [root, x], [g.output(shape=[1, 8], signature=[-1, 8])], "Add")
    (HERE / "signed_sqrt.tflite").write_bytes(g.content())
    rng = np.random.default_rng(5)
    stored = {}
    for name, rows in (("one", 1), ("three", 3)):
        value = rng.uniform(-4, 4, (rows, 8)).astype(np.float32)
        stored[f"{name}_0"] = value
        stored[f"{name}_out0"] = (np.sign(value) * np.sqrt(np.abs(value)) + value).astype(np.float32)
    np.savez(HERE / "signed_sqrt.inputs.npz", **stored)


if __name__ == "__main__":
    main()
