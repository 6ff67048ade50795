from __future__ import annotations

import io
import itertools
import lzma
import os
import random
import tarfile
from pathlib import Path

import pytest

from litesmith.runtime import xz_blocks
from tests.xz_archive import of_blocks

DATA = random.Random(1).randbytes(3000) + b"zero" * 2500 + random.Random(2).randbytes(777)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "data.xz"
    path.write_bytes(of_blocks(DATA, 1000))
    # What liblzma itself reads, other readers may read.
    assert lzma.decompress(path.read_bytes()) == DATA
    return path


def test_the_blocks_of_a_file(packed: Path) -> None:
    blocks = xz_blocks.blocks_of(packed)
    assert len(blocks) == 14
    assert [block.content_offset for block in blocks] == [1000 * n for n in range(14)]
    assert blocks[-1].content_size == len(DATA) - 13000
    assert all(one.offset + one.size == two.offset for one, two in itertools.pairwise(blocks))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_reading_and_seeking(packed: Path, workers: int) -> None:
    with xz_blocks.opened(packed, workers) as reader:
        assert reader is not None
        assert reader.read() == DATA
        assert reader.read(1) == b""
        assert reader.compressed_position < packed.stat().st_size
        for start, size in [(0, 1), (999, 2), (5000, 4321), (13700, 5000), (998, 3003), (12345, 0)]:
            assert reader.seek(start) == reader.tell() == start
            assert reader.read(size) == DATA[start : start + size]
        assert reader.seek(-7, os.SEEK_END) == len(DATA) - 7
        assert reader.read() == DATA[-7:]


def test_tar_archives(tmp_path: Path) -> None:
    content = {f"{'long/' * 40}{n}": random.Random(n).randbytes(37 * n) for n in range(50)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    path = tmp_path / "t.tar.xz"
    path.write_bytes(of_blocks(packed.getvalue(), 3333))
    with xz_blocks.opened(path) as reader, tarfile.open(fileobj=reader, mode="r:") as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    assert found == content


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK" * 100,
        lzma.compress(b"one block"),
        of_blocks(DATA, 1000) + lzma.compress(b"another stream"),
        of_blocks(DATA, 1000) + bytes(8),
        of_blocks(DATA, 1000)[:-1],
        lzma.compress(DATA, format=lzma.FORMAT_ALONE),
    ],
    ids=["empty", "zip", "one block", "two streams", "padding", "cut off", "lzma"],
)
def test_other_files_are_left_to_other_readers(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "data").write_bytes(data)
    with xz_blocks.opened(tmp_path / "data") as reader:
        assert reader is None


@pytest.mark.parametrize("position", [20, 500, 2000])
def test_damage_in_a_block_is_found(packed: Path, position: int) -> None:
    data = bytearray(packed.read_bytes())
    data[position] ^= 1
    packed.write_bytes(data)
    with xz_blocks.opened(packed) as reader:
        assert reader is not None
        with pytest.raises(lzma.LZMAError):
            reader.read()
