"""Options of ``convert`` → :class:`ConversionRequest`, checked before TensorFlow starts."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from litesmith.base.errors import UsageError, nearest
from litesmith.base.yaml_files import load_yaml
from litesmith.runtime.custom_ops import CustomOps

QUANTIZE = ("none", "dynamic", "float16", "int8")
IO = ("float", "int8")

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 4096


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """A requested conversion.

    ``kind`` is ``keras``, ``saved_model`` or ``frozen``.  ``shapes`` are shapes of inputs by name;
    ``inputs`` are names of a frozen graph's nodes, ``outputs`` of a frozen graph's nodes or a SavedModel's
    outputs.  ``custom_ops`` are names of the user's own ops.
    """

    source: Path
    kind: str
    out: Path
    quantize: str = "none"
    io: str = "float"
    representative: Path | None = None
    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    allow_custom_ops: bool = False
    custom_ops: frozenset[str] = frozenset()
    header: Path | None = None

    @property
    def samples(self) -> Path:
        """The file for a few samples, which ``verify`` and ``deploy`` read."""
        return self.out.with_suffix(".inputs.npz")


def kind_of(path: Path) -> str:
    """``keras``, ``saved_model`` or ``frozen``: by content, or by suffix if the content does not tell.

    Raises:
        UsageError: there is no such file, or it is of another kind, which the message names.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file():
            return "saved_model"
        raise UsageError(
            f"{path} is a folder without saved_model.pb", "name the folder of a SavedModel, or a file"
        )
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError:
        raise UsageError(f"there is no model {path}", "check the path given with --from") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check its permissions") from None
    if not head:
        raise UsageError(f"{path} is empty", "save or copy the model again")
    if head.startswith(_HDF5):
        return "keras"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "config.json" in archive.namelist():
                return "keras"
    elif path.suffix.lower() == ".pb":
        if path.name == "saved_model.pb":
            raise UsageError(f"{path} is part of a SavedModel", f"name its folder: --from {path.parent}")
        return "frozen"
    raise UsageError(
        f"{path} {_otherwise(path, head)}", "convert a .keras or .h5 file, a SavedModel or a .pb"
    )


def _otherwise(path: Path, head: bytes) -> str:
    suffix = path.suffix.lower()
    if head[4:8] == b"TFL3":
        return "is a .tflite file already"
    if suffix == ".onnx" or (head[:1] == b"\x08" and b"onnx" in head.lower()):
        return "is an ONNX model, which onnx2tf turns into a SavedModel"
    if suffix in {".pt", ".pth", ".ckpt", ".safetensors"}:
        return "contains weights only, or a PyTorch model"
    if suffix in {".pbtxt", ".json"}:
        return "is text"
    if suffix in {".keras", ".h5", ".hdf5"}:
        kind = "a Keras archive" if suffix == ".keras" else "an HDF5 file"
        return f"is not {kind}: it is damaged or incomplete"
    return "is not a model in a format of TensorFlow"


def check(
    *,
    source: str,
    quantize: str,
    io: str = "float",
    representative: str | None = None,
    out: str | None = None,
    signature: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    allow_custom_ops: bool = False,
    custom_ops: str | None = None,
    header: str | None = None,
) -> ConversionRequest:
    """Checks the options as far as this is possible without TensorFlow.

    Raises:
        UsageError: an option is invalid, or a file cannot be read or written.
    """
    _require("--quantize", quantize, QUANTIZE)
    _require("--io", io, IO)
    path = Path(source)
    kind = kind_of(path)
    if quantize == "int8" and representative is None:
        raise UsageError(
            "--quantize int8 needs sample inputs to measure the ranges of activations",
            "provide them with --representative data.npz",
        )
    if io == "int8" and quantize != "int8":
        raise UsageError(f"--io int8 cannot be combined with --quantize {quantize}", "add --quantize int8")
    if signature is not None and kind != "saved_model":
        raise UsageError(f"{path} is not a SavedModel and has no signatures", "leave out --signature")
    if inputs and kind != "frozen":
        raise UsageError(f"{path} is not a frozen graph: its inputs are known", "leave out --inputs")
    if outputs and kind == "keras":
        raise UsageError(f"{path} is a Keras model: its outputs are known", "leave out --outputs")
    if header is not None and kind != "frozen":
        raise UsageError(
            f"{path} is not a frozen graph, and TensorFlow's header can only be made from one",
            "leave out --tf-header",
        )
    data = Path(representative) if representative is not None else None
    if data is not None:
        _require_npz(data)
    made = ConversionRequest(
        source=path,
        kind=kind,
        out=Path(out if out is not None else f"{_name(path)}.tflite"),
        quantize=quantize,
        io=io,
        representative=data,
        signature=signature,
        shapes=dict(shapes or {}),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        allow_custom_ops=allow_custom_ops or custom_ops is not None,
        custom_ops=_own_ops(custom_ops),
        header=Path(header) if header is not None else None,
    )
    _require_places(made)
    return made


def _own_ops(path: str | None) -> frozenset[str]:
    if path is None:
        return frozenset()
    return frozenset(op.name for op in load_yaml(Path(path), CustomOps).ops)


def _name(path: Path) -> str:
    # Resolved, because ".." and "." have no name of their own.
    whole = path.resolve()
    return whole.name if path.is_dir() else whole.stem


def _require(option: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise UsageError(f"{option} {word} is unknown", nearest(word, known) or f"known: {', '.join(known)}")


def _require_npz(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name an .npz file with --representative")
    if not path.exists():
        raise UsageError(f"there is no file {path}", "check the path given with --representative")
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path} is not an .npz file", "save the arrays with numpy.savez")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if not names or not all(name.endswith(".npy") for name in names):
        raise UsageError(f"{path} does not contain NumPy arrays", "save the arrays with numpy.savez")


def _require_places(request: ConversionRequest) -> None:
    """Refuses output files that cannot be written, before the conversion takes a minute."""
    places = {"--out": request.out, "--tf-header": request.header}
    for option, path in places.items():
        if path is None:
            continue
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            what = "is a folder" if path.is_dir() else "cannot be written"
            raise UsageError(f"{path} {what}", f"name a file with {option}")
    read = {"--from": request.source, "--representative": request.representative}
    written = [request.out, request.samples, *([request.header] if request.header else [])]
    for option, source in read.items():
        for path in written:
            if source is not None and source.resolve() == path.resolve():
                raise UsageError(f"{path} would overwrite the file that {option} names", "name another --out")
    if request.header is not None and request.header.resolve() in {p.resolve() for p in written[:2]}:
        raise UsageError(f"{request.header} would be written twice", "name another --tf-header")
