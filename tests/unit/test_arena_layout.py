"""The placement rules of the arena, and of its planner."""

from __future__ import annotations

import pytest

from litesmith.predict.arena.layout import Arena, Planner
from litesmith.runtime.graph import Memory, RuntimeGraph, RuntimeNode, RuntimeTensor, byte_size


def test_tensors_with_overlapping_lifetimes_are_side_by_side_and_aligned() -> None:
    one = Arena()
    offsets = [one.allocate(size, 0, 2).offset for size in (10, 64, 100)]
    assert offsets == [0, 64, 128]
    one.commit()
    assert one.buffer_bytes == 228


def test_a_tensor_reuses_the_place_of_a_freed_one() -> None:
    one = Arena()
    one.allocate(1000, 0, 1)
    assert one.allocate(500, 2, 3).offset == 0
    assert one.allocate(100, 1, 2).offset == 1024


def test_the_smallest_gap_that_fits_is_taken() -> None:
    one = Arena()
    for size, last in ((256, 9), (256, 0), (64, 9), (128, 0), (64, 9)):
        one.allocate(size, 0, last)
    assert one.allocate(100, 1, 2).offset == 256 + 256 + 64
    assert one.allocate(200, 1, 2).offset == 256


def test_an_empty_tensor_takes_no_space() -> None:
    one = Arena()
    one.allocate(64, 0, 5)
    assert one.allocate(0, 0, 5).offset == 0
    one.commit()
    assert one.buffer_bytes == 64


def test_a_buffer_never_shrinks() -> None:
    one = Arena()
    one.allocate(640, 0, 5)
    one.commit()
    one.clear()
    one.commit()
    assert one.buffer_bytes == 640


@pytest.mark.parametrize(
    ("dtype", "dims", "size"),
    [
        ("float32", (2, 3), 24),
        ("int4", (3, 3), 5),
        ("int2", (3, 3), 3),
        ("uint4", (3,), 2),
        ("bfloat16", (3,), 6),
        ("int8", (), 1),
        ("string", (4,), 0),
        ("bool", (0, 7), 0),
    ],
)
def test_bytes_of_a_tensor(dtype: str, dims: tuple[int, ...], size: int) -> None:
    assert byte_size(dtype, dims) == size


# The planner.


def chain(
    ops: list[tuple[str, tuple[int, ...], tuple[int, ...]]], sizes: list[int], outputs: tuple[int, ...]
):
    """A planner for nodes by op, inputs and outputs; tensor 0 is the graph's input."""
    tensors = [
        RuntimeTensor(name=f"t{i}", dtype="int8", dims=(size,), memory=Memory.ARENA, bytes=size)
        for i, size in enumerate(sizes)
    ]
    nodes = [
        RuntimeNode(op=op, index=i, inputs=inputs, outputs=list(made), tensors=tensors)
        for i, (op, inputs, made) in enumerate(ops)
    ]
    planner = Planner(RuntimeGraph(name="", tensors=tensors, inputs=[0], outputs=outputs, nodes=nodes))
    planner.execute(0, len(nodes) - 1)
    return planner


def test_lifetimes() -> None:
    planner = chain([("ABS", (0,), (1,)), ("ABS", (1,), (2,)), ("NEG", (2,), (3,))], [8] * 4, (3,))
    assert planner.first_node == {0: 0, 1: 0, 2: 1, 3: 2}
    # The input and the output are never freed.
    assert planner.last_node == {1: 1, 2: 2}


def test_the_largest_are_placed_first_after_the_persistent_ones() -> None:
    planner = chain([("ABS", (0,), (1,)), ("ABS", (1,), (2,)), ("ABS", (2,), (3,))], [8, 64, 640, 8], (3,))
    offsets = {index: one.offset for index, one in planner.allocations.items()}
    assert offsets == {0: 0, 2: 64, 1: 64 + 640, 3: 64 + 640}


def test_an_output_shares_an_input_without_other_readers() -> None:
    planner = chain([("ABS", (0,), (1,)), ("ADD", (1, 1), (2,)), ("NEG", (2,), (3,))], [8] * 4, (3,))
    assert planner.shared == {}  # the sum reads it twice
    planner = chain([("ABS", (0,), (1,)), ("SOFTMAX", (1,), (2,)), ("NEG", (2,), (3,))], [8] * 4, (3,))
    assert planner.shared == {2: 1}
    assert planner.last_node == {1: 2}
    assert 2 not in planner.allocations


@pytest.mark.parametrize(
    ("ops", "sizes", "outputs"),
    [
        ([("SOFTMAX", (0,), (1,)), ("NEG", (1,), (2,))], [8] * 3, (2,)),
        ([("NEG", (0,), (1,)), ("SOFTMAX", (1,), (2,))], [8] * 3, (2,)),
        ([("NEG", (0,), (1,)), ("MUL", (1,), (2,)), ("NEG", (2,), (3,))], [8, 8, 16, 16], (3,)),
        ([("NEG", (0,), (1,)), ("SOFTMAX", (1,), (2,)), ("NEG", (2,), (3,))], [4] * 4, (3,)),
        ([("NEG", (0,), (1,)), ("LOG_SOFTMAX", (1,), (2,)), ("NEG", (2,), (3,))], [8] * 4, (3,)),
    ],
    ids=["graph's input", "graph's output", "broadcast", "scalar", "other op"],
)
def test_tensors_that_cannot_share(ops, sizes: list[int], outputs: tuple[int, ...]) -> None:
    assert chain(ops, sizes, outputs).shared == {}


def test_all_reshapes_of_a_tensor_share_it() -> None:
    ops = [("NEG", (0,), (1,)), ("RESHAPE", (1,), (2,)), ("SQUEEZE", (2,), (3,)), ("BITCAST", (1,), (4,))]
    planner = chain([*ops, ("MUL", (3, 4), (5,))], [64] * 6, (5,))
    assert planner.shared == {2: 1, 3: 1, 4: 1}
    assert planner.last_node[1] == 4


def test_equal_tensors_are_placed_in_the_order_of_their_indices() -> None:
    """Whatever order they are found in: one that a kernel adds comes after those of the file."""
    planner = chain([("SPLIT", (0,), (3, 1, 2)), ("PACK", (1, 2, 3), (4,))], [192, 64, 64, 64, 192], (4,))
    assert [planner.allocations[index].offset for index in (1, 2, 3)] == [384, 448, 512]
