"""The options of custom ops: flexbuffers → plain values."""

from __future__ import annotations

from typing import Any

_MOST_OPTION_BYTES = 64 * 1024
_MOST_OPTION_VALUES = 2000


def decode_options(options: bytes) -> Any:
    """Custom options as plain values if they are a flexbuffer map or vector, else hexadecimal bytes."""
    from flatbuffers import flexbuffers

    if len(options) > _MOST_OPTION_BYTES:
        return f"{len(options)} bytes"
    left = _MOST_OPTION_VALUES

    def plain(ref: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("too many values")
        if ref.IsMap:
            # The key vector of a damaged map can have any length: check it before the loop.
            items = ref.AsMap
            if len(items) > left:
                raise ValueError("too many values")
            return {str(key.AsKey): plain(value) for key, value in zip(items.Keys, items.Values, strict=True)}
        if ref.IsTypedVector or ref.IsVector or ref.IsFixedTypedVector:
            vector = ref.AsTypedVector if ref.IsTypedVector else ref.AsVector
            if len(vector) > left:
                raise ValueError("too many values")
            return [plain(value) for value in vector]
        if ref.IsNull:
            return None
        if ref.IsBool:
            return ref.AsBool
        if ref.IsInt:
            return ref.AsInt
        if ref.IsFloat:
            return ref.AsFloat
        if ref.IsString:
            return ref.AsString
        raise ValueError("not a plain value")

    try:
        value = plain(flexbuffers.GetRoot(bytearray(options)))
    except Exception:  # the library raises various errors on damaged bytes
        return options.hex()
    return value if isinstance(value, dict | list) else options.hex()
