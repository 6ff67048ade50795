from __future__ import annotations

import json
from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.board.deploy import inventory
from tests.conftest import Cli, one_error_line

GOOD = """
boards:
  bench-1: {host: 10.0.0.1, user: root, key: keys/id, target: armv7, tags: [lab, arm]}
  bench-2:
    host: board.local
    port: 2222
    user: dev
    agent: true
    target: aarch64
    tags: [lab]
    known_hosts: {policy: accept-new, file: hosts}
  "a;rm -rf": {host: "::1", user: x, password_env: BENCH_PASSWORD, target: armv7}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "boards.yaml"
    path.write_text(text)
    return path


def test_an_inventory(tmp_path: Path) -> None:
    found = inventory.load(write(tmp_path, GOOD))
    one = found.boards["bench-1"]
    assert (one.name, one.port, one.folder, one.keep) == ("bench-1", 22, "/opt/litesmith", 3)
    assert one.known_hosts.policy == "strict"
    # Relative to the inventory, not to the working folder.
    assert one.key == tmp_path / "keys/id"
    assert found.boards["bench-2"].known_hosts.file == tmp_path / "hosts"


def test_choosing_boards(tmp_path: Path) -> None:
    found = inventory.load(write(tmp_path, GOOD))

    def names(*boards: str, tags: tuple[str, ...] = ()) -> list[str]:
        return [board.name for board in found.choose(boards, tags)]

    assert names() == ["bench-1", "bench-2", "a;rm -rf"]
    assert names("bench-2") == ["bench-2"]
    assert names(tags=("lab",)) == ["bench-1", "bench-2"]
    assert names("a;rm -rf", tags=("arm",)) == ["bench-1", "a;rm -rf"]
    with pytest.raises(UsageError, match="there is no board 'bench-3'; perhaps you meant 'bench-"):
        names("bench-3")
    with pytest.raises(UsageError, match="no board has the tag 'lap'; perhaps you meant 'lab'"):
        names(tags=("lap",))


BOARD = "host: h, user: u, key: k, target: armv7"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("host: h, user: u, target: armv7", "give a way to log in: key, agent or password_env"),
        ("user: u, key: k, target: armv7", "the key 'boards.b.host' is missing"),
        (f"{BOARD}, password: secret", "the key 'boards.b.password' is unknown"),
        (f"{BOARD}, proxy_command: x", "is unknown"),
        (f"{BOARD}, port: 70000", "boards.b.port"),
        (f"{BOARD}, folder: opt", "an absolute folder other than /"),
        (f"{BOARD}, folder: /", "an absolute folder other than /"),
        (f"{BOARD}, folder: /a/../..", "an absolute folder other than /"),
        (f"{BOARD}, keep: 0", "boards.b.keep"),
        (f"{BOARD}, known_hosts: {{policy: off}}", "boards.b.known_hosts.policy"),
        (f"{BOARD}, timeout: 0", "boards.b.timeout"),
        ("host: -oProxyCommand=x, user: u, key: k, target: armv7", "a host name or an address"),
        ("host: 'a b', user: u, key: k, target: armv7", "a host name or an address"),
        ("host: '127.0.0.1:22', user: u, key: k, target: armv7", "give a port with 'port'"),
        (
            "host: h, user: u, password_env: 'my secret!', target: armv7",
            "the name of an environment variable",
        ),
    ],
)
def test_invalid_inventories(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        inventory.load(write(tmp_path, f"boards: {{b: {{{entry}}}}}"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "  ", "a\\nb", "a/b"])
def test_bad_board_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is empty, or has a slash or a control character"):
        inventory.load(write(tmp_path, f'boards: {{"{name}": {{{BOARD}}}}}'))


def test_a_missing_inventory(cli: Cli) -> None:
    done = cli("boards")
    assert (done.returncode, "there is no inventory boards.yaml" in one_error_line(done)) == (2, True)


def test_the_command_line(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    found = json.loads(cli("boards", "--tag", "lab", "--json").stdout)
    assert [board["name"] for board in found] == ["bench-1", "bench-2"]
    done = cli("deploy", "--target", "armv7", "--model", "m.tflite")
    assert (done.returncode, "no board is given" in one_error_line(done)) == (2, True)
    done = cli("rollback", "--all", "--board", "bench-1")
    assert (done.returncode, "--all means every board" in one_error_line(done)) == (2, True)
