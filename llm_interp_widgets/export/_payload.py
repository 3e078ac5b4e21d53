"""The island of a page: views and their bundles in one deflated piece of text.

What comes in: models (JSON values and, at any depth, bytes) and the source texts of bundles.
What goes out: base64 without line breaks, which ``open`` in js/src/host.ts unpacks.

Guarantees: the text can stand in any HTML element, as it holds letters, digits, ``+``, ``/`` and
``=`` only; bytes travel as bytes, not as base64 inside; equal islands give equal texts; a lone
surrogate and a number that JSON does not know break nothing.

Unpacked, an island is the length of its JSON (uint32, little-endian), the JSON, and the bytes of
all buffers; a buffer's place is counted from the end of the JSON, in steps of eight bytes.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Path: TypeAlias = tuple[str | int, ...]
_STEP = 8
_HEAD = 4
_LEVEL = 9
_ISLAND = re.compile("<script [^>]*data-liw-island[^>]*>([A-Za-z0-9+/=]*)</script>")


def encode(
    models: Sequence[Mapping[str, Any]],
    bundles: Mapping[str, str],
    keys: Mapping[str, str] | None = None,
) -> str:
    """Pack an island.

    Args:
        models: Each with ``id``, ``bundle``, ``kernel`` and ``state``.
        bundles: Source texts by key.
        keys: The key of a bundle by its name, where the two differ.

    Raises:
        TypeError: A state holds something that is neither JSON nor bytes.
    """
    blocks: list[bytes] = []
    page = {
        "bundles": dict(bundles),
        "keys": dict(keys or {}),
        "models": [{**model, **_split(model["state"], blocks)} for model in models],
    }
    head = json.dumps(page, allow_nan=False, separators=(",", ":")).encode("ascii")
    head += b" " * (-(_HEAD + len(head)) % _STEP)
    whole = b"".join([len(head).to_bytes(_HEAD, "little"), head, *blocks])
    return base64.b64encode(zlib.compress(whole, _LEVEL)).decode("ascii")


def decode(text: str) -> dict[str, Any]:
    """Unpack an island, as a browser does: every buffer back in its place."""
    whole = zlib.decompress(base64.b64decode(text, validate=True))
    end = _HEAD + int.from_bytes(whole[:_HEAD], "little")
    page: dict[str, Any] = json.loads(whole[_HEAD:end])
    for model in page["models"]:
        for buffer in model.pop("buffers"):
            place = model["state"]
            for key in buffer["path"][:-1]:
                place = place[key]
            first = end + buffer["at"]
            place[buffer["path"][-1]] = whole[first : first + buffer["size"]]
    return page


def islands(html: str) -> list[dict[str, Any]]:
    """Return what the islands of a page or fragment hold."""
    return [decode(text) for text in _ISLAND.findall(html)]


def _split(state: Mapping[str, object], blocks: list[bytes]) -> dict[str, Any]:
    """Take the bytes out of a state: ``{"state": …, "buffers": [{"path", "at", "size"}]}``."""
    buffers: list[dict[str, object]] = []

    def visit(value: object, path: _Path) -> object:
        if isinstance(value, (bytes, bytearray, memoryview)):
            data = bytes(value)
            at = sum(map(len, blocks))
            buffers.append({"path": list(path), "at": at, "size": len(data)})
            blocks.append(data + bytes(-len(data) % _STEP))
            return None
        if isinstance(value, dict):
            return {str(key): visit(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [visit(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            return None  # JSON has no such number; scores travel as bytes
        return value

    return {"state": visit(dict(state), ()), "buffers": buffers}
