"""What a value, a page or a saved file holds, however packed; and a result that has secrets."""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zipfile
import zlib

import numpy as np

import llm_interp_widgets as liw
from llm_interp_widgets.text.tokens import Token

TEXT = "The capital of France is Paris, and Zanzibar Hilton's key is qx7-41 of Japan"
FEW = {"evaluations": 40, "precision": None}


# ── everything that something holds, decoded ──────────────────────────────────


def contents(value):
    """Return all bytes in a value, at any depth and however packed, as one text."""
    return "\n".join(_texts(value))


def _texts(value, depth=0):
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one, depth)
    elif isinstance(value, bytes | bytearray | memoryview):
        yield from _bytes(bytes(value), depth)
    elif value is not None:
        yield str(value)
        yield from _hidden_in(str(value), depth)


def _hidden_in(text, depth):
    """What escapes and base64 in a text stand for."""
    if "\\u" in text:
        yield re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), text)
    for found in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", text) if depth < 3 else ():
        try:
            yield from _bytes(base64.b64decode(found + "=" * (-len(found) % 4)), depth + 1)
        except binascii.Error:
            continue


def _bytes(raw, depth):
    yield raw.decode("utf-8", "replace")
    yield raw.decode("utf-16-le", "replace")
    for unpack in (gzip.decompress, zlib.decompress, lambda data: zlib.decompress(data, -15)):
        try:
            yield from _texts(unpack(raw).decode("utf-8", "replace"), depth + 1)
        except (OSError, zlib.error, EOFError):
            continue


def page(path):
    """Return what a page holds: as it is written, and what its parts unpack to."""
    return contents(path.read_text(encoding="utf-8"))


def file(path):
    """Return what a saved file holds, members unpacked."""
    with zipfile.ZipFile(path) as archive:
        return contents({one.filename: archive.read(one) for one in archive.infolist()})


def made():
    from llm_interp_widgets.results.result import ModelInfo

    parts = re.findall(r"\s*\S+", TEXT)
    ends = np.cumsum([len(part) for part in parts])
    inputs = tuple(
        Token(part, 50 + i, int(end) - len(part), int(end), position=i)
        for i, (part, end) in enumerate(zip(parts, ends, strict=True))
    )
    return liw.Attribution(
        scores=np.linspace(-1, 1, len(parts))[None],
        inputs=inputs,
        outputs=(Token(" Zanzibar", 77, len(TEXT), len(TEXT) + 9, position=len(parts)),),
        base_values=np.zeros(1),
        output_values=np.zeros(1),
        completeness_gap=np.ones(1),
        method="shapley",
        off="“ key”",
        note="The target “Zanzibar” is long.",
        without=("Without “qx7-41” it would have said “Hilton's”.",),
        params={"filler": [" key", "_"], "evaluations": 7},
        target="“Zanzibar”",
        unit="log_prob",
        prompt=TEXT,
        model=ModelInfo("tiny", None, "float32", "cpu"),
        seed=0,
        seconds=0.0,
        evaluations=7,
    )
