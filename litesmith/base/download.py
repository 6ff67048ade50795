"""Downloads that continue where they were cut off: in the same run, and in the next one.

A server is not trusted: a transfer that is slower than a floor is given up, no more bytes are taken than are
expected, and content is taken as it is sent, never decompressed.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from litesmith.base import files

if TYPE_CHECKING:
    import requests

_CONNECT_SECONDS = 5
_STALLED_SECONDS = 30
_RESOLVE_SECONDS = 8
_CHUNK = 1 << 16
"""The most bytes that are written at a time; an attempt that brings fewer in all brought nothing."""
_SLOWEST = 2000
"""Bytes in a second that a transfer must bring, on average over ``_STALLED_SECONDS``."""
_MOST_BYTES = 8 << 30
"""The longest file, where no length is expected."""
_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each new attempt; an attempt that brought a chunk starts them again."""
_TOO_SLOW = "too slow"
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class UnreachableError(Exception):
    """The address does not answer, does not have the file, or kept cutting the transfer off."""


class StoppedError(Exception):
    """The download was told to stop."""


@dataclass(frozen=True, kw_only=True)
class _Validator:
    """What says whether the rest of a file still belongs to the part that is there (RFC 9110, 13.1.5)."""

    address: str
    value: str


@dataclass(frozen=True, kw_only=True)
class _Expected:
    """What is known of a file: its length in bytes, or 0, and whether its digest is."""

    size: int
    digest_decides: bool

    def require(self, whole: int | None) -> None:
        """Raises UnreachableError if a server's file has another length."""
        if (self.size and whole not in (None, self.size)) or (whole or 0) > _MOST_BYTES:
            raise UnreachableError(f"its file has {whole} bytes, and {self.size or _MOST_BYTES} are expected")


class Downloader:
    """Downloads of one run; it remembers hosts that do not answer, and asks each of them only once."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._silent: dict[str, str] = {}

    def fetch(
        self,
        address: str,
        target: Path,
        *,
        sha256: str,
        begin: Callable[[int | None], Callable[[int], None]],
        size: int = 0,
    ) -> str:
        """Downloads a file to ``target``, and returns its SHA-256 in hexadecimal digits.

        Until the file is complete its bytes are in ``<target>.partial``, which a later call continues: with
        the validator that the server gave for the part that is there, or, if ``sha256`` is not empty, without
        one.  A continued file with another SHA-256 is downloaded again from its beginning.

        ``begin`` is called with the number of bytes, or None, and returns what is called with the number of
        bytes so far.  ``size`` is the length of the file in bytes, if it is known: a server that has another
        one does not have the file.

        Raises:
            UnreachableError: see there.
            StoppedError: the stop event was set.
            OSError: the disk is full, or the folder is not writable.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        expected = _Expected(size=size, digest_decides=bool(sha256))
        continued = self._transfer(address, partial, expected, begin)
        digest = files.sha256(partial)
        if continued and sha256 and digest != sha256:
            _discard(partial)
            self._transfer(address, partial, _Expected(size=size, digest_decides=False), begin)
            digest = files.sha256(partial)
        partial.replace(target)
        _validator_file(partial).unlink(missing_ok=True)
        return digest

    def is_silent(self, address: str) -> bool:
        """Whether the host of an address has not answered."""
        with self._lock:
            return urlsplit(address).netloc in self._silent

    def _transfer(
        self,
        address: str,
        partial: Path,
        expected: _Expected,
        begin: Callable[[int | None], Callable[[int], None]],
    ) -> bool:
        """Brings the whole file to ``partial``; whether a part of it was there before."""
        import requests

        continued = partial.exists()
        self._require_host(address)
        pauses, refused = iter(_PAUSES), False
        at: Callable[[int], None] | None = None
        while True:
            before = partial.stat().st_size if partial.exists() else 0
            try:
                for done, total in self._attempt(address, partial, expected):
                    at = at or begin(total)
                    at(done)
                return continued
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
            ) as error:
                now = partial.stat().st_size if partial.exists() else 0
                if at is None and (refused or isinstance(error, requests.Timeout)):
                    # It has not answered at all: the other files of this host are not tried either.
                    reason = "no answer" if isinstance(error, requests.Timeout) else type(error).__name__
                    self._set_silent(address, reason)
                    raise UnreachableError(reason) from error
                refused = at is None
                continued = continued or now > before
                if now >= before + _CHUNK:
                    pauses = iter(_PAUSES)
                pause = next(pauses, None)
                if pause is None:
                    reason = _TOO_SLOW if str(error) == _TOO_SLOW else "cut off"
                    raise UnreachableError(f"{reason} after {now} bytes") from error
            except requests.HTTPError as error:
                status = error.response.status_code
                pause = next(pauses, None) if status in _TRY_AGAIN else None
                if pause is None:
                    raise UnreachableError(f"HTTP {status}") from error
            except requests.RequestException as error:
                raise UnreachableError(type(error).__name__) from error
            if self._stop.wait(pause):
                raise StoppedError

    def _attempt(self, address: str, partial: Path, expected: _Expected) -> Iterator[tuple[int, int | None]]:
        """One request; yields the bytes so far and in all, first before the first byte."""
        import requests

        headers, start = {"Accept-Encoding": "identity"}, 0
        if partial.exists():
            validator = _read_validator(partial, address)
            if validator or expected.digest_decides:
                start = partial.stat().st_size
                headers["Range"] = f"bytes={start}-"
                headers |= {"If-Range": validator} if validator else {}
        timeout = (_CONNECT_SECONDS, _STALLED_SECONDS)
        with requests.get(address, headers=headers, stream=True, timeout=timeout) as response:
            whole = _range_of(response, start)
            if response.status_code == requests.codes.requested_range_not_satisfiable and whole == start:
                yield start, start
                return
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                _discard(partial)
                raise requests.exceptions.ChunkedEncodingError("the server's file has another length")
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content or whole is None:
                start, whole = 0, _length(response)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise UnreachableError("the server sends it encoded")
            expected.require(whole)
            _write_validator(partial, address, response)
            yield start, whole
            yield from self._write(response, partial, start, whole or expected.size or None)

    def _write(
        self, response: requests.Response, partial: Path, start: int, whole: int | None
    ) -> Iterator[tuple[int, int | None]]:
        import requests

        done = start
        try:
            with partial.open("r+b" if start else "wb") as file:
                file.seek(start)
                for chunk in _chunks(response):
                    if self._stop.is_set():
                        raise StoppedError
                    done += len(chunk)
                    if done > (_MOST_BYTES if whole is None else whole):
                        _discard(partial)
                        raise UnreachableError("it is longer than expected")
                    file.write(chunk)
                    yield done, whole
        except OSError as error:
            if not isinstance(error, requests.RequestException):
                # A full disk: the part must not stay in the way.
                _discard(partial)
            raise
        if whole is not None and done != whole:
            raise requests.exceptions.ChunkedEncodingError("cut off")

    def _require_host(self, address: str) -> None:
        """Raises UnreachableError if the host has not answered before, or if its name cannot be resolved."""
        import requests

        place = urlsplit(address)
        with self._lock:
            if (reason := self._silent.get(place.netloc)) is not None:
                raise UnreachableError(reason)
        if requests.utils.get_environ_proxies(address) or _resolves(place.hostname or ""):
            return
        self._set_silent(address, "its name cannot be resolved")
        raise UnreachableError("its name cannot be resolved")

    def _set_silent(self, address: str, reason: str) -> None:
        with self._lock:
            self._silent[urlsplit(address).netloc] = reason


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The content as it arrives; the errors are those of requests."""
    import requests
    import urllib3

    begin, count = time.monotonic(), 0
    try:
        # Without waiting for a whole chunk: a byte now and then would never be one.
        while chunk := response.raw.read1(_CHUNK, decode_content=False):
            yield chunk
            count += len(chunk)
            seconds = time.monotonic() - begin
            if seconds >= _STALLED_SECONDS:
                if count < _SLOWEST * seconds:
                    raise requests.exceptions.ChunkedEncodingError(_TOO_SLOW)
                begin, count = time.monotonic(), 0
    except (urllib3.exceptions.ReadTimeoutError, TimeoutError) as error:
        raise requests.ConnectionError(str(error)) from error
    except (urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise requests.exceptions.ChunkedEncodingError(str(error)) from error


def _resolves(host: str) -> bool:
    """Whether a name can be resolved in a few seconds; the resolver's own limit can be minutes."""
    import socket

    found: list[Any] = []

    def resolve() -> None:
        try:
            found.extend(socket.getaddrinfo(host, None))
        except OSError:
            return

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(_RESOLVE_SECONDS)
    return bool(found)


def _range_of(response: requests.Response, start: int) -> int | None:
    """The length of the whole file, from the answer to a request for the bytes from ``start``."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
    if match is None or (match[1] is not None and int(match[1]) != start):
        return None
    return int(match[2])


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and "Content-Encoding" not in response.headers else None


def _validator_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _write_validator(partial: Path, address: str, response: requests.Response) -> None:
    tag = response.headers.get("ETag", "")
    value = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    if value:
        known = _Validator(address=address, value=value)
        files.write_atomically(_validator_file(partial), files.to_json(asdict(known)))
    else:
        _validator_file(partial).unlink(missing_ok=True)


def _read_validator(partial: Path, address: str) -> str:
    """The validator of the part that is there; empty if it is unknown, or of another address."""
    try:
        known = _Validator(**json.loads(_validator_file(partial).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return ""
    return known.value if known.address == address else ""


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _validator_file(partial).unlink(missing_ok=True)
