from __future__ import annotations

from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.base.yaml_files import validate
from litesmith.board.deploy import inventory
from litesmith.board.deploy.inventory import Board, FlashBoard
from litesmith.target import flash_tools, profiles
from litesmith.target.flash_tools import FlashTool
from tests.conftest import ROOT, Cli, one_error_line
from tests.flash_tools import OWN, profile_with

GIVEN = {
    "image": "program.elf",
    "script": "commands",
    "device": "/dev/ttyUSB0",
    "probe": "066AFF",
    "chip": "stm32f407vg",
    "address": "0x08000000",
    "remote": "127.0.0.1:3333",
    "config": "board/st_nucleo_f4.cfg",
}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "gdb-remote",
            [
                *("-nx", "-batch", "-iex", "set auto-load off", "-iex", "set sysroot"),
                *("-x", "commands", "program.elf"),
            ],
        ),
        (
            "openocd",
            [
                *("-f", "board/st_nucleo_f4.cfg", "-c", "gdb_port disabled", "-c", "tcl_port disabled"),
                *("-c", "telnet_port disabled", "-c", "adapter serial 066AFF"),
                *("-c", "program program.elf verify reset exit"),
            ],
        ),
        (
            "pyocd",
            [
                *("flash", "--no-config", "--no-wait", "--target", "stm32f407vg", "--probe", "066AFF"),
                "program.elf",
            ],
        ),
        (
            "stm32flash",
            ["-v", "-w", "program.elf", "-S", "0x08000000", "-g", "0x08000000", "/dev/ttyUSB0"],
        ),
        ("dfu-util", ["-a", "0", "-S", "066AFF", "-s", "0x08000000:leave", "-D", "program.elf"]),
        (
            "esptool",
            ["--chip", "stm32f407vg", "--port", "/dev/ttyUSB0", "write_flash", "0x08000000", "program.elf"],
        ),
    ],
)
def test_the_exact_command(name: str, line: list[str]) -> None:
    assert list(flash_tools.load(name).words(GIVEN)) == line


def test_the_command_of_every_flash_tool_is_tested() -> None:
    (mark,) = test_the_exact_command.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in mark.args[1]} == set(flash_tools.available())


def test_missing_values_are_left_out() -> None:
    words = flash_tools.load("openocd").words({"image": "program.elf", "config": "board/x.cfg"})
    assert not [word for word in words if "serial" in word]
    assert "-b" in flash_tools.load("stm32flash").words({**GIVEN, "baud": "9600"})


def test_a_script_stops_before_a_different_program_runs() -> None:
    script = flash_tools.load("gdb-remote").script_text(GIVEN).splitlines()
    assert "target remote tcp:127.0.0.1:3333" in script
    assert script[script.index("load") + 1].startswith("pipe compare-sections")
    assert script.index("quit 3") < script.index("continue")


def test_a_value_that_looks_like_a_placeholder() -> None:
    made = validate({**OWN, "arguments": ["{image}", "{chip}"]}, FlashTool, "test")
    assert made.words({"image": "{chip}", "chip": "c"}) == ("{chip}", "c")


HOSTILE: dict[str, list[object]] = {
    "remote": [
        "|touch PWNED",
        "127.0.0.1:1;shell touch PWNED",
        "127.0.0.1:1\nshell touch PWNED",
        "127.0.0.1:1\n",
        "| sh -c x:1",
        "/dev/ttyUSB0",
        "-x:1",
        "host",
        ":1234",
        "a b:1",
        "$(id):1",
        "[::1:1",
        True,
    ],
    "device": [
        "/dev/../etc/passwd",
        "/dev/ttyUSB0 -x",
        "/dev//x",
        "/dev/.hidden",
        "/etc/passwd",
        "ttyUSB0",
        "-w",
        "/dev/",
        "/dev/tty\n",
        ["/dev/ttyUSB0"],
    ],
    "baud": ["9600;x", "-9600", "0", 0, "fast", 1.5],
    "probe": [
        "-f evil.cfg",
        "066; exec touch PWNED",
        "[exec touch PWNED]",
        "$env(HOME)",
        "a b",
        "",
        "{x}",
        '"',
    ],
    "chip": ["-v", "../x", "a;b", "a b", "[exec x]", ""],
    "address": ["0x", "8000000h", "0x8000000:leave:force", "0x1 -e", "-1", -1, "1000", True],
    "config": [
        "evil.cfg",
        "board/../../evil.cfg",
        "/tmp/evil.cfg",
        "board/x",
        "board/.x.cfg",
        "board/a b.cfg",
        "board/[exec x].cfg",
        "-c",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in HOSTILE for value in HOSTILE[name]])
def test_hostile_values(name: str, value: object) -> None:
    entry = {"target": "armv7", "runner": "gdb-remote", name: value}
    with pytest.raises(UsageError, match=f"boards.b.{name}: .* is expected"):
        validate({"boards": {"b": entry}}, inventory.Inventory, "boards.yaml")


BY_ID = "/dev/serial/by-id/usb-STM_ST-Link_066A:B-if02"


def test_every_value_has_a_format_and_hostile_tests() -> None:
    assert set(HOSTILE) == set(flash_tools.FORMS) == set(flash_tools.PlaceholderValues.model_fields)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("remote", "board.local:3333", "board.local:3333"),
        ("remote", "[fe80::1]:2331", "[fe80::1]:2331"),
        ("device", BY_ID, BY_ID),
        ("address", 0x08000000, "0x08000000"),
        ("address", "0x10000", "0x10000"),
        ("baud", 115200, "115200"),
        ("probe", 12345678, "12345678"),
        ("config", "target/ti/k3.cfg", "target/ti/k3.cfg"),
    ],
)
def test_values(name: str, value: object, read: str) -> None:
    made = validate({"target": "armv7", "runner": "r", name: value}, FlashBoard, "test")
    assert made.given() == {name: read}


@pytest.mark.parametrize("name", ["./evil.yaml", "evil.yaml", "../x", "-x", "", "a b"])
def test_an_inventory_cannot_name_a_file_of_commands(name: str) -> None:
    """A profile may define runners, and so commands."""
    for entry in ({"target": name, "runner": "gdb-remote"}, {"target": "armv7", "runner": name}):
        with pytest.raises(UsageError, match="a name is expected, without a folder or suffix"):
            validate(entry, FlashBoard, "test")


def test_an_inventory_with_both_kinds_of_boards(tmp_path: Path) -> None:
    path = tmp_path / "boards.yaml"
    path.write_text(
        "boards:\n"
        "  Board: {target: armv7, runner: gdb-remote, remote: 'localhost:1', tags: [lab]}\n"
        "  ssh: {target: armv7, host: h, user: u, key: k, tags: [lab]}\n"
    )
    one, other = inventory.load(path).choose(tags=("lab",))
    assert isinstance(one, FlashBoard)
    assert isinstance(other, Board)
    assert (one.name, one.where(), other.key) == ("Board", "localhost:1", tmp_path / "k")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"runner": "x"}, "the key 'boards.Board.target' is missing"),
        (
            {"target": "armv7", "runner": "x", "remot": "a:1"},
            "'boards.Board.remot' is unknown; perhaps you meant 'remote'",
        ),
        ({"target": "armv7", "runner": "x", "host": "h"}, "the key 'boards.Board.host' is unknown"),
        ({"target": "armv7", "runner": "x", "timeout": 0}, "boards.Board.timeout"),
        (
            {"target": "armv7", "runner": "x", "arguments": ["-c", "x"]},
            "the key 'boards.Board.arguments' is unknown",
        ),
        ({"target": "armv7", "host": "h", "usr": "u"}, "'boards.Board.user' is missing"),
        (
            {"target": "armv7", "host": "h", "user": "u", "key": "k", "known_hosts": {"polcy": "strict"}},
            "'boards.Board.known_hosts.polcy' is unknown; perhaps you meant 'policy'",
        ),
    ],
)
def test_errors_name_the_key_in_the_file(entry: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        validate({"boards": {"Board": entry}}, inventory.Inventory, "boards.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arguments": ["{imag}"]}, "the placeholder {imag} is unknown; perhaps you meant 'image'"),
        ({"arguments": ["{remote}"]}, "no argument has the placeholder {image}"),
        ({"arguments": ["{image}", "{script}"]}, "'script' and the placeholder {script} need each other"),
        ({"script": ["load"]}, "'script' and the placeholder {script} need each other"),
        ({"capabilities": ["run"]}, "'capabilities' must contain flash"),
        ({"capabilities": ["fly"]}, "capabilities.0"),
        ({"capabilities": []}, "capabilities"),
        ({"evidence": {"run": "x"}}, "'evidence' names run, which is not among its capabilities"),
        ({"evidence": {"flash": "("}}, "'(' is not a regular expression"),
        ({"complaint": "["}, "'[' is not a regular expression"),
        ({"tools": ["../loader"]}, "neither the name of a program nor an absolute path"),
        ({"tools": []}, "tools"),
        ({"image": "hex"}, "image"),
        ({"timeout": 0}, "timeout"),
        ({"tool": "x"}, "the key 'tool' is unknown; perhaps you meant 'tools'"),
    ],
)
def test_an_invalid_definition(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        validate({**OWN, **change}, FlashTool, "test")
    assert message in str(caught.value)


def test_flash_tools_of_a_profile() -> None:
    profile = profile_with(**{"gdb-remote": None, "mine": OWN})
    assert profile.flash_tool("mine").name == "mine"
    assert profile.flash_tool("gdb-remote").image == "elf"
    with pytest.raises(UsageError, match=r"has no flash tool 'openocd'; add 'openocd:' under 'runners'"):
        profile.flash_tool("openocd")
    with pytest.raises(UsageError, match="has no flash tool 'mime'; perhaps you meant 'mine'"):
        profile.flash_tool("mime")
    with pytest.raises(
        UsageError, match="'opnocd' is unknown and not defined here; perhaps you meant 'openocd'"
    ):
        profile_with(opnocd=None)
    with pytest.raises(UsageError, match="'openocd' is built in: use another name"):
        profile_with(openocd=OWN)
    with pytest.raises(UsageError, match=r"the key 'runners\.mine\.tools' is missing"):
        profile_with(mine={key: value for key, value in OWN.items() if key != "tools"})


def test_a_profile_keeps_its_flash_tools() -> None:
    profile = profile_with(mine={**OWN, "arguments": [["-b", "{baud}"], "{image}"]})
    chosen, _ = profile.optimised("speed").choose("zig:static")
    assert chosen.runners == profile.runners


def test_flash_tools_are_not_targets() -> None:
    assert set(profiles.available()) == {"aarch64", "armv6", "armv7", "riscv64", "x86_64"}
    assert all("gdb-remote" in profiles.load(name).runners for name in profiles.available())
    assert {path.stem for path in (ROOT / "targets/runners").iterdir()} == set(flash_tools.available())


# --- commands that a board does not support


def test_rollback_is_not_supported(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "boards.yaml").write_text(
        "boards: {bench: {target: armv7, runner: dfu-util, address: 0x08000000}}"
    )
    done = cli("rollback", "--board", "bench")
    assert done.returncode == 1
    assert "bench, check: the flash tool dfu-util cannot roll back" in one_error_line(done)
    done = cli("bench.board", "--target", "armv7", "--model", "m.tflite", "--board", "bench")
    assert done.returncode == 1
    assert "bench, check: the flash tool dfu-util returns no outputs" in one_error_line(done)


def test_one_model_at_a_time(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "boards.yaml").write_text(
        "boards: {bench: {target: armv7, runner: gdb-remote, remote: 'h:1'}}"
    )
    done = cli("deploy", "--target", "armv7", "--model", "a.tflite", "--model", "b.tflite", "--all")
    assert (done.returncode, "bench: a flashed program contains one model" in one_error_line(done)) == (
        2,
        True,
    )
