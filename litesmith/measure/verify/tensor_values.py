"""The values of a subgraph's tensors in one file, as ``templates/runtime/node_check.h`` describes it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from litesmith.model.tensors import Array, from_bytes, to_bytes

_ALIGNMENT = 64
_OTHER_SIZE = 1


@dataclass(frozen=True, kw_only=True)
class _Place:
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


class TensorValues:
    """Values by tensor index, read from the file when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        listed = json.loads(path.with_suffix(".json").read_text())
        self._places = {
            int(index): _Place(dtype=dtype, shape=tuple(shape), offset=offset, size=size)
            for index, (dtype, shape, offset, size) in listed.items()
        }

    def __contains__(self, index: int) -> bool:
        """Whether the value of a tensor is known."""
        return index in self._places

    def get(self, index: int) -> Array | None:
        """The value of a tensor; None where it is not known."""
        place = self._places.get(index)
        if place is None:
            return None
        dtype = np.dtype(place.dtype)
        if dtype.kind == "O":
            with self.path.open("rb") as file:
                file.seek(place.offset)
                return from_bytes(file.read(place.size), dtype, place.shape)
        if place.size == 0:
            return np.zeros(place.shape, dtype)
        # A view of the file: the values of a large model do not fit into memory together.
        return np.memmap(self.path, dtype, "r", place.offset, place.shape)


def write(path: Path, count: int, values: Iterable[tuple[int, Array]], most_bytes: int) -> bool:
    """Writes values of some of ``count`` tensors; False if they are more than ``most_bytes``."""
    places: dict[int, tuple[str, list[int], int, int]] = {}
    with path.open("wb") as file:
        file.write(bytes(8 + 16 * count))
        for index, value in values:
            raw = to_bytes(value)
            file.write(bytes(-file.tell() % _ALIGNMENT))
            places[index] = (value.dtype.str, list(value.shape), file.tell(), len(raw))
            if file.tell() + len(raw) > most_bytes:
                return False
            file.write(raw)
        file.seek(0)
        table = (places[i][2:] if i in places else (0, 0) for i in range(count))
        file.write(struct.pack("<q", count) + b"".join(struct.pack("<qq", *one) for one in table))
    path.with_suffix(".json").write_text(json.dumps(places))
    return True


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a program wrote of a tensor after it ran a node.

    ``value`` is None for an input that could not be given, because it has another size.
    """

    node: int
    tensor: int
    shape: tuple[int, ...]
    value: memoryview | None


def records(path: Path) -> Iterator[Record]:
    """What a program wrote, in the order in which its nodes ran; a record that is cut off is left out."""
    content = (
        np.memmap(path, np.uint8, "r") if path.is_file() and path.stat().st_size else np.zeros(0, np.uint8)
    )
    view = memoryview(content)  # type: ignore[arg-type]
    at = 0
    while at + 20 <= len(view):
        kind, node, tensor, _, rank = struct.unpack_from("<5i", view, at)
        at += 20
        if at + 4 * rank + 8 > len(view):
            return
        shape = struct.unpack_from(f"<{rank}i", view, at)
        (size,) = struct.unpack_from("<q", view, at + 4 * rank)
        at += 4 * rank + 8
        if at + size > len(view):
            return
        value = None if kind == _OTHER_SIZE else view[at : at + size]
        yield Record(node=node, tensor=tensor, shape=shape, value=value)
        at += size
