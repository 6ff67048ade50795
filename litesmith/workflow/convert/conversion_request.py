"""What is to be converted and how → :class:`Wanted`, checked before TensorFlow starts."""

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
class Wanted:
    """One conversion.

    ``kind`` is ``keras``, ``saved_model`` or ``frozen``.  ``shapes`` are those of inputs by name;
    ``inputs`` and ``outputs`` are names of a frozen graph's nodes (outputs of a SavedModel's, too).
    ``custom_ops`` are ops of the user's own, by name.
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
        """Where a few samples go, for ``verify`` and ``deploy``."""
        return self.out.with_suffix(".inputs.npz")


def kind_of(path: Path) -> str:
    """``keras``, ``saved_model`` or ``frozen``, by content where that says it.

    Raises:
        UsageError: there is no such file, or it is something else, which is named.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file():
            return "saved_model"
        raise UsageError(
            f"{path} is a folder without saved_model.pb", "name a SavedModel's own folder, or a file"
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
        return "is an ONNX model, which onnx2tf makes a SavedModel of"
    if suffix in {".pt", ".pth", ".ckpt", ".safetensors"}:
        return "holds weights or a PyTorch model"
    if suffix in {".pbtxt", ".json"}:
        return "is text"
    if suffix in {".keras", ".h5", ".hdf5"}:
        return f"is no {'Keras archive' if suffix == '.keras' else 'HDF5 file'}: it is damaged or half copied"
    return "is no model that TensorFlow saves"


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
) -> Wanted:
    """The options as a conversion that makes sense, as far as that can be told without TensorFlow.

    Raises:
        UsageError: one of them makes no sense, or a file cannot be read or written.
    """
    _require("--quantize", quantize, QUANTIZE)
    _require("--io", io, IO)
    path = Path(source)
    kind = kind_of(path)
    if quantize == "int8" and representative is None:
        raise UsageError(
            "--quantize int8 needs inputs to find the ranges of activations",
            "give some with --representative data.npz",
        )
    if io == "int8" and quantize != "int8":
        raise UsageError(f"--io int8 makes no sense with --quantize {quantize}", "add --quantize int8")
    if signature is not None and kind != "saved_model":
        raise UsageError(f"{path} is no SavedModel and has no signatures", "leave out --signature")
    if inputs and kind != "frozen":
        raise UsageError(f"{path} is no frozen graph and says what its inputs are", "leave out --inputs")
    if outputs and kind == "keras":
        raise UsageError(f"{path} says what its outputs are", "leave out --outputs")
    if header is not None and kind != "frozen":
        raise UsageError(
            f"{path} is no frozen graph, and TensorFlow's header is made of one only", "leave out --tf-header"
        )
    data = Path(representative) if representative is not None else None
    if data is not None:
        _require_npz(data)
    made = Wanted(
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
    # ".." and "." have names, too, when they are resolved.
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
        raise UsageError(f"{path} is no .npz file", "save the arrays with numpy.savez")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if not names or not all(name.endswith(".npy") for name in names):
        raise UsageError(f"{path} holds no NumPy arrays", "save the arrays with numpy.savez")


def _require_places(wanted: Wanted) -> None:
    """Where things are written: looked at before a minute is spent."""
    places = {"--out": wanted.out, "--tf-header": wanted.header}
    for option, path in places.items():
        if path is None:
            continue
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            what = "is a folder" if path.is_dir() else "cannot be written"
            raise UsageError(f"{path} {what}", f"name a file with {option}")
    read = {"--from": wanted.source, "--representative": wanted.representative}
    written = [wanted.out, wanted.samples, *([wanted.header] if wanted.header else [])]
    for option, source in read.items():
        for path in written:
            if source is not None and source.resolve() == path.resolve():
                raise UsageError(f"{path} would be written over what {option} names", "name another --out")
    if wanted.header is not None and wanted.header.resolve() in {p.resolve() for p in written[:2]}:
        raise UsageError(f"{wanted.header} would be written twice", "name another --tf-header")
