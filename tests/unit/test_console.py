"""What is printed is shown by a terminal and never obeyed, whoever wrote it."""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from rich.table import Table
from rich.text import Text

from litesmith.base import console
from litesmith.model.contents import analyse
from litesmith.model.file_format import ModelError
from litesmith.study.op_models.writer import Graph
from tests.conftest import EXAMPLES, Cli, one_error_line

ESCAPE = "\x1b]0;PWNED\x07\x1b[2J\x1b[31mEVIL\x1b[0m"
C1 = "\x9b2J\x9d0;PWNED\x9c"
OTHERS = "\r\x08\x7f\x0b\u202egpj.exe\u2066"


def obeyed(text: str) -> set[str]:
    """The control and format characters of a text, but tab, line feed and soft hyphen."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\t", "\n"}


@pytest.mark.parametrize("text", [ESCAPE, C1, OTHERS, "\udcff", "\u2028"])
def test_printable(text: str) -> None:
    shown = console.printable(f"a\tb\n{text}é漢😀")
    assert not obeyed(shown)
    assert shown.startswith("a\tb\n")
    assert shown.endswith("é漢😀")
    assert console.printable(shown) == shown


def test_json_keeps_its_values() -> None:
    value = {"name": ESCAPE + C1 + OTHERS + "\udcff \\u001b"}
    text = console.printable(json.dumps(value, ensure_ascii=False))
    assert not obeyed(text)
    assert json.loads(text) == value


def test_streams_are_filtered_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with console.filtered():
        print(ESCAPE, C1)
        sys.stdout.writelines([OTHERS, "\n"])
        console.note(ESCAPE)
        console.error_line(ESCAPE, C1)
        shown = Table(ESCAPE.replace("[", ""), title=Text(ESCAPE))
        shown.add_row(Text(ESCAPE + C1))
        shown.add_row(C1)
        console.stdout().print(shown)
        console.stdout().print(ESCAPE, markup=False)
    assert (sys.stdout, sys.stderr) == (out, err)
    assert "\\u001b]0;PWNED\\u0007\\u001b[2J\\u001b[31mEVIL" in out.getvalue()
    assert not obeyed(out.getvalue())
    assert not obeyed(err.getvalue())
    assert len(err.getvalue().splitlines()) == 2


def test_colours_of_tables_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, rich's own escapes pass; a name cannot have any."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with console.filtered():
        console.stdout().print(Text.assemble(("red", "red"), ESCAPE))
    assert "\x1b[31mred\x1b[0m" in out.getvalue()
    assert "\\u001b]0;PWNED" in out.getvalue()
    assert "\x1b]" not in out.getvalue()


def test_an_encoding_that_lacks_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    with console.filtered():
        print("µs…")
    assert raw.getvalue() == b"\\xb5s\\u2026\n"


def test_a_long_error_is_one_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.error_line("x" * 100_000, "try again")
    said = capsys.readouterr().err
    assert len(said) < 5000
    assert said.endswith("; try again\n")


def write(folder: Path, name: str, field: str) -> Path:
    """A model with this name in one of the fields that have names."""
    graph = Graph()
    x, y = graph.input((1,)), graph.output("float32", (1,))
    if field == "custom op":
        graph.custom_op(name, [x], [y])
    else:
        graph.op("ABS", [x], [y])
    graph.signature("serve", 0, {"x": x}, {"y": y})
    model = schema.ModelT.InitFromPackedBuf(graph.content(), 0)
    if field == "tensor":
        model.subgraphs[0].tensors[0].name = name
    if field == "subgraph":
        model.subgraphs[0].name = name
    if field == "signature":
        model.signatureDefs[0].signatureKey = name
    if field == "argument":
        model.signatureDefs[0].inputs[0].name = name
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = folder / "named.tflite"
    path.write_bytes(builder.Output())
    return path


@pytest.mark.parametrize("field", ["tensor", "subgraph", "signature", "argument", "custom op"])
@pytest.mark.parametrize("name", [ESCAPE, C1, "a\nb", "\x7f"])
def test_models_with_commands_for_terminals_are_damaged(tmp_path: Path, name: str, field: str) -> None:
    with pytest.raises(ModelError, match="has control characters") as caught:
        analyse(write(tmp_path, name, field))
    assert not obeyed(str(caught.value).replace("\u00ad", ""))


@pytest.mark.parametrize("name", ["serving default/x:0;y", "Größe", "漢字", "a b\u00a0c"])
def test_other_names_are_not(tmp_path: Path, name: str) -> None:
    assert analyse(write(tmp_path, name, "tensor")).subgraphs[0].tensors[0].name == name


def test_the_command_line(cli: Cli, tmp_path: Path) -> None:
    """Escapes in files, in their names and in arguments: none is printed."""
    model = tmp_path / f"m{ESCAPE.replace('/', '')}.tflite"
    model.write_bytes((EXAMPLES / "gesture.tflite").read_bytes())
    (tmp_path / "boards.yaml").write_text(
        'boards: {b: {host: h, user: "\\e[2Ju", key: k, target: armv7, tags: ["\\x9b2J"], "\\e[31m": 1}}'
    )
    named = write(tmp_path, ESCAPE, "tensor")
    for arguments, code in (
        (("analyse", "--model", model), 0),
        (("analyse", "--model", model, "--json"), 0),
        (("plan", "--model", model, "--target", "armv7"), 0),
        (("analyse", "--model", named), 2),
        (("analyse", "--model", ESCAPE), 2),
        (("boards",), 2),
        (("boards", "--boards", ESCAPE), 2),
        ((ESCAPE,), 2),
        (("build", "--target", ESCAPE, "--model", model), 2),
    ):
        done = cli(*arguments)
        assert done.returncode == code, done.stderr
        assert not obeyed(done.stdout + done.stderr), (arguments, done.stderr)
        if code:
            one_error_line(done)
