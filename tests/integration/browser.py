"""Loads a page in a headless browser and records its network requests."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path


def load_page(chromium: str, made: Path, folder: Path) -> tuple[str, set[str]]:
    """The content of a page after its scripts have run, and all network requests."""
    log = folder / "net.json"
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    done = subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *(*quiet, f"--user-data-dir={folder / 'profile'}", "--window-size=1200,900"),
            *(f"--log-net-log={log}", "--dump-dom", f"file://{made}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    asked = set(re.findall(r'"url":"((?:http|ws|ftp)[^"]+)"', log.read_text()))
    # The browser's own requests for updates, time and accounts; its switches do not turn off all of them.
    own = re.compile(r"https?://[\w.-]+\.(google|googleapis|gvt1)\.com[/:]")
    return done.stdout, {url for url in asked if not own.match(url)}
