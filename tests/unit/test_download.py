from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from litesmith.base import download
from litesmith.base.download import Downloader, StoppedError, UnreachableError

DATA = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(40_000))
CHUNK = download._CHUNK
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``DATA``, and does what a test asks for; ``requests`` are the Range headers it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = DATA
        self.tag: str | None = '"v1"'
        self.ranges = True
        self.cut_after: list[int] = []
        self.statuses: list[int] = []
        self.stall = threading.Event()
        self.stalled_after: int | None = None
        self.drip: float | None = None
        self.encoding = ""
        self.length: int | None = None
        self.requests: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/big.tar"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        # A client may close the connection in the middle.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        asked = self.server
        asked.requests.append(self.headers["Range"])
        if asked.statuses:
            self.send_error(asked.statuses.pop(0))
            return
        data, start = asked.data, 0
        match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if match and asked.ranges and self.headers.get("If-Range", asked.tag) == asked.tag:
            start = int(match[1])
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if asked.tag:
            self.send_header("ETag", asked.tag)
        if asked.encoding:
            self.send_header("Content-Encoding", asked.encoding)
        if asked.length is None:
            self.send_header("Content-Length", str(len(data) - start))
        elif asked.length:
            self.send_header("Content-Length", str(asked.length))
        self.end_headers()
        if asked.drip is not None:
            for byte in data[start:]:
                self.wfile.write(bytes([byte]))
                if asked.stall.wait(asked.drip):
                    return
        if asked.stalled_after is not None:
            self.wfile.write(data[start : start + asked.stalled_after])
            asked.stalled_after = None
            asked.stall.wait(20)
            return
        end = start + asked.cut_after.pop(0) if asked.cut_after else len(data)
        self.wfile.write(data[start:end])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "_PAUSES", (0.0, 0.0, 0.0))
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.stall.set()
    made.shutdown()
    made.server_close()
    thread.join()


def fetch(address: str, target: Path, sha256: str = SHA256) -> list[tuple[int, int | None]]:
    """Downloads to ``target``; returns the progress."""
    progress: list[tuple[int, int | None]] = []
    digest = Downloader(threading.Event()).fetch(
        address, target, sha256=sha256, begin=lambda total: lambda done: progress.append((done, total))
    )
    assert digest == hashlib.sha256(target.read_bytes()).hexdigest()
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return progress


def test_a_download_shows_its_progress(server: Server, tmp_path: Path) -> None:
    progress = fetch(server.address, tmp_path / "new/big.tar")
    assert (tmp_path / "new/big.tar").read_bytes() == DATA
    assert progress[0] == (0, len(DATA))
    assert progress[-1] == (len(DATA), len(DATA))
    assert sorted(progress) == progress


@pytest.mark.parametrize("sha256", [SHA256, ""], ids=["pinned", "not pinned"])
def test_it_continues_where_it_was_cut_off(server: Server, tmp_path: Path, sha256: str) -> None:
    server.cut_after = [4 * CHUNK + 7, 1, 5 * CHUNK]
    fetch(server.address, tmp_path / "big.tar", sha256)
    assert (tmp_path / "big.tar").read_bytes() == DATA
    assert server.requests == [
        None,
        *(f"bytes={start}-" for start in (4 * CHUNK + 7, 4 * CHUNK + 8, 9 * CHUNK + 8)),
    ]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cut_after = [4 * CHUNK]
    fetch(server.address, tmp_path / "big.tar")
    assert (tmp_path / "big.tar").read_bytes() == DATA


def test_another_file_at_the_address_starts_again(server: Server, tmp_path: Path) -> None:
    """Without a pinned digest the rest of the file is only taken if the validator is still the same."""
    with pytest.raises(UnreachableError, match="cut off"):
        _cut_off(server, tmp_path / "big.tar", "")
    server.tag, server.data = '"v2"', DATA[::-1]
    fetch(server.address, tmp_path / "big.tar", "")
    assert (tmp_path / "big.tar").read_bytes() == DATA[::-1]


def test_the_next_run_continues(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="cut off"):
        _cut_off(server, tmp_path / "big.tar", SHA256)
    assert (tmp_path / "big.tar.partial").read_bytes() == DATA[: 4 * CHUNK]
    server.requests.clear()
    fetch(server.address, tmp_path / "big.tar")
    assert server.requests == [f"bytes={4 * CHUNK}-"]


def _cut_off(server: Server, target: Path, sha256: str) -> None:
    server.cut_after = [4 * CHUNK, 0, 0, 0, 0]
    try:
        fetch(server.address, target, sha256)
    finally:
        server.cut_after = []


def test_another_mirror_continues_a_pinned_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "big.tar.partial").write_bytes(DATA[:500_000])
    fetch(server.address, tmp_path / "big.tar")
    assert server.requests == ["bytes=500000-"]


def test_a_part_of_another_file_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "big.tar.partial").write_bytes(b"x" * 500_000)
    fetch(server.address, tmp_path / "big.tar")
    assert (tmp_path / "big.tar").read_bytes() == DATA
    assert server.requests == ["bytes=500000-", None]


@pytest.mark.parametrize("length", [len(DATA), len(DATA) + 5])
def test_a_part_that_is_as_long_as_the_file_or_longer(server: Server, tmp_path: Path, length: int) -> None:
    (tmp_path / "big.tar.partial").write_bytes((DATA + b"12345")[:length])
    fetch(server.address, tmp_path / "big.tar")
    assert (tmp_path / "big.tar").read_bytes() == DATA


def test_a_part_without_a_digest_or_validator_is_not_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "big.tar.partial").write_bytes(DATA[:500_000])
    fetch(server.address, tmp_path / "big.tar", "")
    assert server.requests == [None]


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    fetch(server.address, tmp_path / "big.tar")
    assert len(server.requests) == 3


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 4)])
def test_a_server_without_the_file(server: Server, tmp_path: Path, status: int, requests: int) -> None:
    server.statuses = [status] * 10
    with pytest.raises(UnreachableError, match=f"HTTP {status}"):
        fetch(server.address, tmp_path / "big.tar")
    assert len(server.requests) == requests
    assert list(tmp_path.iterdir()) == []


def test_a_stalled_connection_is_given_up_and_continued(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_STALLED_SECONDS", 0.3)
    server.stalled_after = 6 * CHUNK
    fetch(server.address, tmp_path / "big.tar")
    assert server.requests == [None, f"bytes={6 * CHUNK}-"]


def test_a_host_that_does_not_answer_costs_seconds_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PAUSES", (0.0,))
    # It takes connections, and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(download, "_STALLED_SECONDS", 0.5)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        loader = Downloader(threading.Event())
        start = time.monotonic()
        for name in ("one", "two", "three"):
            with pytest.raises(UnreachableError, match="no answer"):
                loader.fetch(f"{address}/{name}", tmp_path / name, sha256="", begin=lambda _: lambda _: None)
        assert time.monotonic() - start < 1.2


def test_a_name_that_cannot_be_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnreachableError, match="cannot be resolved"):
        fetch("http://nowhere.example/big.tar", tmp_path / "big.tar")


def test_stopping(server: Server, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        Downloader(stop).fetch(
            server.address, tmp_path / "big.tar", sha256="", begin=lambda _: lambda _: None
        )
    assert not (tmp_path / "big.tar").exists()


def test_a_server_that_drips_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then is no progress: the next origin is tried, and continues."""
    monkeypatch.setattr(download, "_STALLED_SECONDS", 0.3)
    server.drip = 0.01
    start = time.monotonic()
    with pytest.raises(UnreachableError, match="too slow after"):
        fetch(server.address, tmp_path / "big.tar")
    assert time.monotonic() - start < 10
    assert len(server.requests) == 4
    server.drip = None
    fetch(server.address, tmp_path / "big.tar")
    assert server.requests[-1] != "bytes=0-"


def test_encoded_content_is_not_decoded(server: Server, tmp_path: Path) -> None:
    """Some kilobytes could become gigabytes."""
    server.encoding = "gzip"
    server.data = gzip.compress(bytes(50_000_000))
    with pytest.raises(UnreachableError, match="the server sends it encoded"):
        fetch(server.address, tmp_path / "big.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("announced", [None, 0, len(DATA) + 1])
def test_a_file_of_another_length(server: Server, tmp_path: Path, announced: int | None) -> None:
    """It is refused when its length is announced, and at the first byte too many when it is not."""
    server.length = announced
    server.data = DATA + b"more"
    with pytest.raises(UnreachableError, match=r"are expected|longer than expected"):
        Downloader(threading.Event()).fetch(
            server.address,
            tmp_path / "big.tar",
            sha256=SHA256,
            size=len(DATA),
            begin=lambda _: lambda _: None,
        )
    assert list(tmp_path.iterdir()) == []
