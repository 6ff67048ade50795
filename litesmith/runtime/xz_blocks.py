"""Random access to ``.xz`` files of many blocks, which several threads decode ahead of the reader.

``xz -T`` and Debian's tools write such files.  Their index says where each block is, and what part of the
content it has (https://tukaani.org/xz/xz-file-format.txt, sections 2 to 4), so that blocks are independent:
Python's own reader decodes them one after the other, in one thread.
"""

from __future__ import annotations

import bisect
import io
import lzma
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_HEADER = 12
_FOOTER = 12
_MAGIC = b"\xfd7zXZ\x00"
_END_MAGIC = b"YZ"
_LARGEST_INDEX = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block: its place and size in the file, and those of its content, in bytes."""

    offset: int
    size: int
    content_offset: int
    content_size: int


def blocks_of(path: Path) -> tuple[Block, ...]:
    """The blocks of an ``.xz`` file of one stream; empty for any other file."""
    with path.open("rb") as file:
        total = file.seek(0, os.SEEK_END)
        if total < _HEADER + _FOOTER:
            return ()
        file.seek(0)
        header = file.read(_HEADER)
        file.seek(total - _FOOTER)
        footer = file.read(_FOOTER)
        size = 4 * (int.from_bytes(footer[4:8], "little") + 1)
        start = total - _FOOTER - size
        if header[:6] != _MAGIC or footer[10:] != _END_MAGIC or size > _LARGEST_INDEX or start < _HEADER:
            return ()
        file.seek(start)
        index = file.read(size)
    found, end = _parse(index)
    # Other streams before this one, or padding, would be between the last block and the index.
    return found if end == start else ()


def _parse(index: bytes) -> tuple[tuple[Block, ...], int]:
    """The blocks that an index lists, and where the last one ends."""
    numbers = _numbers(index[1:])
    found, offset, content_offset = [], _HEADER, 0
    for _ in range(next(numbers, 0)):
        unpadded, content_size = next(numbers, 0), next(numbers, 0)
        size = (unpadded + 3) // 4 * 4
        if not size or not content_size:
            return (), 0
        block = Block(offset=offset, size=size, content_offset=content_offset, content_size=content_size)
        found.append(block)
        offset, content_offset = offset + size, content_offset + content_size
    return tuple(found), offset


def _numbers(data: bytes) -> Iterator[int]:
    """Integers in seven bits per byte, the lowest first; the high bit says that more follow."""
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


class BlockReader(io.RawIOBase):
    """The content of an ``.xz`` file of several blocks, as a seekable file.

    Blocks that no read touches are decoded only if they are next to one that is read: a reader that seeks
    over large parts of the content skips them.
    """

    def __init__(self, path: Path, blocks: tuple[Block, ...], workers: int) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._header = self._file.read(_HEADER)
        self._blocks = blocks
        self._starts = [block.content_offset for block in blocks]
        self._size = blocks[-1].content_offset + blocks[-1].content_size
        self._pool = ThreadPoolExecutor(max_workers=workers)
        self._ahead = workers + 1
        self._decoded: dict[int, Future[bytes]] = {}
        self._lock = threading.Lock()
        self._position = 0

    @property
    def compressed_position(self) -> int:
        """How much of the file, in bytes, is before the block of the next read."""
        if self._position >= self._size:
            return self._blocks[-1].offset + self._blocks[-1].size
        return self._blocks[self._number(self._position)].offset

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; fewer only at the end of the content.

        Raises:
            lzma.LZMAError: a block is damaged.
        """
        end = self._size if size < 0 else min(self._position + size, self._size)
        parts = []
        while self._position < end:
            number = self._number(self._position)
            start = self._position - self._starts[number]
            part = self._content(number)[start : start + end - self._position]
            parts.append(part)
            self._position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        if not self.closed:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._file.close()
        super().close()

    def _number(self, position: int) -> int:
        return bisect.bisect_right(self._starts, position) - 1

    def _content(self, number: int) -> bytes:
        wanted = range(number, min(number + self._ahead, len(self._blocks)))
        # tarfile goes back by up to one byte, which may be in the block before.
        for old in [n for n in self._decoded if n not in wanted and n != number - 1]:
            self._decoded.pop(old).cancel()
        for one in wanted:
            if one not in self._decoded:
                self._decoded[one] = self._pool.submit(self._decode, self._blocks[one])
        return self._decoded[number].result()

    def _decode(self, block: Block) -> bytes:
        with self._lock:
            self._file.seek(block.offset)
            data = self._file.read(block.size)
        # A stream's header before a block makes the decoder check the block, too.
        content = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(self._header + data)
        if len(content) != block.content_size:
            raise lzma.LZMAError("a block does not have the length that the index says")
        return content


@contextmanager
def opened(path: Path, workers: int | None = None) -> Iterator[BlockReader | None]:
    """The reader of a file with several blocks, or None; ``workers`` is the number of threads."""
    blocks = blocks_of(path)
    if len(blocks) < 2:
        yield None
        return
    with BlockReader(path, blocks, workers or len(os.sched_getaffinity(0))) as reader:
        yield reader
