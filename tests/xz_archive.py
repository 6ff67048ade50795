"""Makes ``.xz`` files of several blocks, as Debian's tools do; Python's lzma writes one block only."""

from __future__ import annotations

import lzma
import zlib

_HEADER, _FOOTER = 12, 12


def of_blocks(data: bytes, size: int) -> bytes:
    """Compresses data in blocks of ``size`` bytes (https://tukaani.org/xz/xz-file-format.txt)."""
    header, body, records = b"", b"", b""
    count = 0
    for start in range(0, len(data), size):
        part = data[start : start + size]
        whole = lzma.compress(part, preset=0)
        header, footer = whole[:_HEADER], whole[-_FOOTER:]
        index_size = 4 * (int.from_bytes(footer[4:8], "little") + 1)
        index = whole[-_FOOTER - index_size : -_FOOTER]
        # The index of one block: 0, the number of blocks, then its two sizes.
        unpadded, rest = _number(index[2:])
        content, _ = _number(rest)
        assert content == len(part)
        body += whole[_HEADER : -_FOOTER - index_size]
        records += _encoded(unpadded) + _encoded(content)
        count += 1
    index = b"\0" + _encoded(count) + records
    index += b"\0" * (-len(index) % 4)
    index += zlib.crc32(index).to_bytes(4, "little")
    end = (len(index) // 4 - 1).to_bytes(4, "little") + header[6:8]
    return header + body + index + zlib.crc32(end).to_bytes(4, "little") + end + b"YZ"


def _number(data: bytes) -> tuple[int, bytes]:
    value = 0
    for position, byte in enumerate(data):
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value, data[position + 1 :]
    raise ValueError("no end")


def _encoded(value: int) -> bytes:
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])
