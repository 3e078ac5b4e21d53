"""The wire contract: golden files that vitest reads too, and the TypeScript twin in step."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from llm_interp_widgets import wire

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"

INPUTS = ["The", " capital", " of", " 👩‍💻", " 法国\n", "</script><img src=x onerror=alert(1)>"]
OUTPUTS = [" Paris", " London"]
SCORES = np.array(
    [[1.7, 3.7, 1.2, 6.9, -3.4, np.nan], [0.1, -0.2, 0.3, np.nan, 1e-7, -1e7]], dtype=np.float32
)
ERRORS = np.array([[0.4, 0.5, 0.7, 0.3, 0.4, np.nan], [0.1] * 6], dtype=np.float32)
TOTALS = np.array([[-16.9, -18.0], [-0.27, -7.5], [0.004, np.nan]], dtype=np.float32)


def tokens(texts: list[str]) -> list[wire.TokenInfo]:
    found: list[wire.TokenInfo] = []
    start = 0
    for position, text in enumerate(texts):
        found.append(
            {
                "text": text,
                "start": start,
                "end": start + len(text),
                "special": False,
                "role": "user" if position else None,
                "position": position,
                "size": 2 if "法" in text else 1,
            }
        )
        start += len(text)
    return found


def job_state(status: wire.Status, done: int, *, preview: bool) -> wire.JobState:
    return {
        "status": status,
        "preview": preview,
        "verdict": "converged" if status == "done" else "still moving",
        "done": done,
        "total": 512,
        "evaluations": done,
        "seconds": done / 128,
        "sentences": ["“</script>” pushed hardest."],
        "facts": [{"label": "completeness gap", "value": "7.4 %", "level": "warn"}],
        "error": None,
    }


def snapshot() -> wire.Snapshot:
    return {
        "protocol": wire.PROTOCOL,
        "job": "golden",
        "seq": 2,
        "subject": {
            "prompt": "".join(INPUTS),
            "inputs": tokens(INPUTS),
            "outputs": tokens(OUTPUTS),
            "target": "“ Paris”",
            "unit": "log_prob",
            "method": "shapley",
            "method_title": "Shapley values (sampled)",
            "caution": "",
        },
        "state": job_state("running", 64, preview=True),
        "scores": wire.pack(SCORES),
        "standard_error": wire.pack(None),
        "totals": wire.pack(TOTALS),
    }


def chunk() -> tuple[wire.Chunk, list[bytes]]:
    message: wire.Chunk = {
        "type": "chunk",
        "job": "golden",
        "seq": 3,
        "row": 1,
        "rows": 1,
        "state": job_state("done", 512, preview=False),
    }
    return message, [wire.pack(-SCORES[1:]), wire.pack(ERRORS[1:]), wire.pack(TOTALS)]


def golden_files() -> dict[str, bytes]:
    """Return every golden file by name: messages as JSON, their buffers beside them."""
    whole = dict(snapshot())
    buffers = {
        f"snapshot.{name}.bin": value
        for name, value in whole.items()
        if isinstance(value, bytes) and value
    }
    plain = {name: None if isinstance(value, bytes) else value for name, value in whole.items()}
    message, parts = chunk()
    buffers |= {f"chunk.{number}.bin": part for number, part in enumerate(parts)}
    as_json = {"snapshot.json": plain, "chunk.json": message}
    return buffers | {
        name: (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
        for name, value in as_json.items()
    }


@pytest.mark.parametrize("name", sorted(golden_files()))
def test_golden_file(name):
    content = golden_files()[name]
    if UPDATE:
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_bytes(content)
    assert (GOLDEN / name).read_bytes() == content, "run with UPDATE_GOLDEN=1 and look at the diff"


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == set(golden_files())


def test_typescript_is_in_step():
    generated = (ROOT / "js" / "src" / "protocol.gen.ts").read_text(encoding="utf-8")
    assert generated == wire.typescript(), "run `make protocol`"


def test_pack_is_little_endian_float32_and_keeps_nan():
    assert wire.pack([1.0, np.nan])[:4] == b"\x00\x00\x80\x3f"
    again = wire.unpack(wire.pack(SCORES), SCORES.shape)
    np.testing.assert_array_equal(again, SCORES)


def test_nothing_travels_as_no_bytes():
    assert wire.pack(None) == b""
    assert wire.unpack(b"", (2, 3)) is None


def test_unpack_refuses_another_shape():
    with pytest.raises(ValueError, match="reshape"):
        wire.unpack(wire.pack(SCORES), (3, 3))


def test_pack_makes_strided_values_contiguous():
    assert wire.pack(SCORES[:, ::2]) == wire.pack(SCORES[:, ::2].copy())
