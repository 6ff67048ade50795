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
  "a;rm -rf": {host: "::1", user: x, password_env: LITESMITH_BENCH_PASSWORD, target: armv7}
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
        # Where it is sent to is the inventory's choice, so no other variable may be named.
        ("host: h, user: u, password_env: AWS_SECRET_ACCESS_KEY, target: armv7", "the prefix LITESMITH_"),
        ("host: h, user: u, password_env: LITESMITH_, target: armv7", "the prefix LITESMITH_"),
        ("host: h, user: u, password_env: litesmith_x, target: armv7", "the prefix LITESMITH_"),
        (f"{BOARD}, folder: /.", "an absolute folder other than /"),
        (f"{BOARD}, folder: /./", "an absolute folder other than /"),
        (f"{BOARD}, folder: //", "an absolute folder other than /"),
        (f"{BOARD}, folder: /a/..", "an absolute folder other than /"),
        (f"{BOARD}, folder: /a/../b", "an absolute folder other than /"),
        (f'{BOARD}, folder: "/a\\e[2J"', "without line breaks and control characters"),
        (f'{BOARD}, folder: "/a\\u009b2J"', "without line breaks and control characters"),
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


@pytest.mark.parametrize(
    ("written", "meant"),
    [("/opt/x/", "/opt/x"), ("//opt//x", "/opt/x"), ("/opt/./x/.", "/opt/x"), ("/opt/..x", "/opt/..x")],
)
def test_folders_are_normal(tmp_path: Path, written: str, meant: str) -> None:
    found = inventory.load(write(tmp_path, f"boards: {{b: {{{BOARD}, folder: {written}}}}}"))
    assert found.boards["b"].folder == meant  # type: ignore[union-attr]


def test_host_keys_are_beside_the_inventory_or_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inventory cannot make a line be added to any other file, whatever leads there."""
    home, folder = tmp_path / "home", tmp_path / "home/work"
    monkeypatch.setenv("HOME", str(home))
    (home / ".ssh").mkdir(parents=True)
    (folder / ".ssh").mkdir(parents=True)
    (folder / "link").symlink_to(home / ".ssh/authorized_keys")
    (folder / "ssh").symlink_to(home / ".ssh")
    (folder / "mine").symlink_to(folder / "hosts")

    def load(file: str, place: Path, policy: str = "accept-new") -> inventory.Inventory:
        entry = f"{BOARD}, known_hosts: {{policy: {policy}, file: {file}}}"
        return inventory.load(write(place, f"boards: {{b: {{{entry}}}}}"))

    for file in ("hosts", "new/hosts", "mine", "./hosts", "~/.ssh/known_hosts", str(folder / "hosts")):
        assert load(file, folder).boards["b"].known_hosts.file  # type: ignore[union-attr]
    assert load("~/.ssh/known_hosts", home).boards["b"].known_hosts.file  # type: ignore[union-attr]
    outside = ("~/.ssh/authorized_keys", "../.bashrc", "link", "ssh/authorized_keys", "ssh/known_hosts")
    inside = (".ssh/authorized_keys", ".bashrc", ".", "/etc/hosts")
    for file in (*outside, *inside):
        for policy in ("accept-new", "strict"):
            with pytest.raises(UsageError, match="keep the file next to the inventory"):
                load(file, folder, policy)
    with pytest.raises(UsageError, match=r"boards\.b\.known_hosts\.file: \.ssh/authorized_keys is neither"):
        load(".ssh/authorized_keys", home)


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
