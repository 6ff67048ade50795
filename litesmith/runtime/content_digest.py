"""The digest of a set of files: that of Go's ``dirhash.Hash1``, over paths relative to a component's folder.

It is the SHA-256 of one line for each file, in the order of the paths' bytes: the file's SHA-256 in
hexadecimal digits, two spaces, the path, a line feed; in base64, after ``h1:``.  ``sha256sum`` and ``sort``
calculate the same::

    find . -type f | cut -c3- | LC_ALL=C sort | xargs -d'\\n' sha256sum | sha256sum | xxd -r -p | base64

The file's times, owners and permissions have no part in it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping


def content_digest(digests: Mapping[str, bytes]) -> str:
    """``h1:…`` of files, given as path → SHA-256 in 32 bytes."""
    total = hashlib.sha256()
    for path in sorted(digests, key=str.encode):
        total.update(f"{digests[path].hex()}  {path}\n".encode())
    return "h1:" + base64.b64encode(total.digest()).decode()
