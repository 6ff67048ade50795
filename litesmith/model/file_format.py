"""Whether a file is a ``.tflite`` model; what else it seems to be, and how to convert that."""

from __future__ import annotations

from pathlib import Path

from litesmith.base.errors import ModelError

_LARGEST = 2 * 1024**3
"""Bytes.  Offsets in a flatbuffer have 32 bits, of which one is a sign."""


def read_model_file(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        ModelError: there is no such file, or it is a folder, empty, or of another format, which is named.
    """
    if path.is_dir():
        if (path / "saved_model.pb").exists() or (path / "saved_model.pbtxt").exists():
            raise ModelError(
                f"{path} is a SavedModel, not a .tflite file",
                "convert it first: tf.lite.TFLiteConverter.from_saved_model(…).convert()",
            )
        raise ModelError(f"{path} is a folder, not a .tflite file", "name the file itself")
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelError(f"{path} is larger than 2 GiB", "the runtime cannot map such a file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"there is no model file {path}", "check the path given with --model") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", "check its permissions") from None
    if not data:
        raise ModelError(f"{path} is empty", "convert or copy the model again")
    if data[4:8] != b"TFL3":
        raise _not_tflite(path, data)
    return data


def _not_tflite(path: Path, data: bytes) -> ModelError:
    convert = "convert it with tf.lite.TFLiteConverter first"
    suffix = path.suffix.lower()
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return ModelError(f"{path} is a Keras HDF5 file, not a .tflite file", convert)
    if data[:4] == b"PK\x03\x04":
        kind = "Keras" if suffix == ".keras" else "PyTorch or Keras" if suffix in {".pt", ".pth"} else "zip"
        return ModelError(f"{path} is a {kind} archive, not a .tflite file", convert)
    if suffix == ".onnx" or (data[:1] == b"\x08" and b"onnx" in data[:256].lower()):
        return ModelError(
            f"{path} is an ONNX model, not a .tflite file",
            "convert it to a SavedModel (onnx2tf) and that with tf.lite.TFLiteConverter",
        )
    if suffix in {".pb", ".pbtxt"}:
        return ModelError(f"{path} is a TensorFlow graph, not a .tflite file", convert)
    if data[4:8] in {b"TFL1", b"TFL2"}:
        return ModelError(
            f"{path} has the outdated schema {data[4:8].decode()}", "convert it again with TensorFlow 2"
        )
    return ModelError(
        f"{path} is not a .tflite file: bytes 4 to 7 are {data[4:8]!r}, not b'TFL3'",
        "check that it was converted and copied completely",
    )
