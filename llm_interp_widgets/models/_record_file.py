"""The file of an attention record: tensors as they are held, and all else that it says.

Guarantees: what ``results._file`` and ``_record_check`` guarantee; every number is the same to the
last bit, bfloat16 too; masks and biases that layers share are written once, and shared again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from llm_interp_widgets.models._record_check import HELD, calls_of
from llm_interp_widgets.results._file import read, write
from llm_interp_widgets.results._saved import model
from llm_interp_widgets.results._schema import TOKEN, Wrong, checked, listed, taken, text
from llm_interp_widgets.results.attention import SCORES
from llm_interp_widgets.results.result import ModelInfo

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeVar

    from numpy import ndarray
    from torch import Tensor

    from llm_interp_widgets.models.heads import Call
    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.text.tokens import Token

    R = TypeVar("R")

_KIND = "attention record"
_NAME = re.compile(r"(self|encoder|decoder|cross|vision|text)( [1-9]\d{0,4})?")
_FIELDS = {
    "inputs": listed(TOKEN),
    "outputs": listed(TOKEN),
    "name": text,
    "prompt": text,
    "model": model(ModelInfo),
    "target": text,
    "note": text,
}


@dataclass(frozen=True, slots=True)
class _Saved:
    """Fields of a file; see ``results._file``."""

    inputs: tuple[Token, ...]
    outputs: tuple[Token, ...]
    name: str
    prompt: str
    model: ModelInfo
    target: str
    note: str
    about: tuple[dict[str, Any], ...]
    calls: SimpleNamespace
    scores: SimpleNamespace


def write_record(
    path: str | os.PathLike[str], record: AttentionRecord, scores: Mapping[str, ndarray]
) -> Path:
    """Write one stack."""
    about, arrays = _taken_apart(record.calls)
    saved = _Saved(
        inputs=record.tokens, outputs=record.queries, name=record.name, prompt=record.prompt,
        model=record.model, target=record.target, note=record.note, about=tuple(about),
        calls=SimpleNamespace(**arrays), scores=SimpleNamespace(**scores),
    )  # fmt: skip
    return write(path, saved, _KIND, (), {"calls": list(arrays), "scores": list(scores)})


def read_record(
    path: str | os.PathLike[str], build: Callable[..., R], limit: int | None = None
) -> R:
    """Open a file, whoever made it, and build a record from its fields."""
    return read(path, _KIND, lambda said, arrays: build(**_fields(said, arrays)), limit)


def _taken_apart(calls: Sequence[Call]) -> tuple[list[dict[str, Any]], dict[str, ndarray]]:
    """Return what calls say in words and numbers, and arrays named ``layer:part:dtype``."""
    about: list[dict[str, Any]] = []
    arrays: dict[str, ndarray] = {}
    owners: dict[int, int] = {}
    for number, call in enumerate(calls):
        held = {name: getattr(call, name) for name in HELD}
        of = owners.setdefault(id(call.mask), number)
        if of == number:
            held |= {"first": call.mask.first, "stop": call.mask.stop, "seen": call.mask.seen}
        biased = None if call.bias is None else owners.setdefault(id(call.bias), number)
        if call.bias is not None and biased == number:
            held["bias"] = call.bias.values
        about.append(
            {
                "module": call.module, "time": call.time, "scale": call.scale,
                "softcap": call.softcap, "mask": of, "bias": biased,
                "queries": None if call.bias is None else call.bias.queries,
            }
        )  # fmt: skip
        for name, tensor in held.items():
            if tensor is not None:
                kind = str(tensor.dtype).removeprefix("torch.")
                arrays[f"{number}:{name}:{kind}"] = _array(tensor)
    return about, arrays


def _array(tensor: Tensor) -> ndarray:
    raw = tensor.detach().cpu().contiguous()
    raw = raw.view(torch.int16) if tensor.dtype == torch.bfloat16 else raw
    found: ndarray = raw.numpy()
    return found


def _fields(said: dict[str, Any], arrays: dict[str, ndarray]) -> dict[str, Any]:
    about = said.pop("about", None)
    found = checked(_Saved, said, "it", _FIELDS)
    queries, tokens = found.pop("outputs"), found.pop("inputs")
    if not queries or not tokens or not _NAME.fullmatch(found["name"]):
        raise Wrong("it is of no text, or of no stack that is known")
    parts: dict[str, dict[str, ndarray]] = {"calls": {}, "scores": {}}
    for name, array in arrays.items():
        outer, _, inner = name.partition(".")
        if outer not in parts:
            raise Wrong(f"it has an unknown part {name!r:.40}")
        parts[outer][inner] = array
    calls = calls_of(about, parts["calls"], (len(queries), len(tokens)))
    known = taken(parts["scores"], dict.fromkeys(SCORES, "f4"))
    if {score.shape for score in known.values()} != {(len(calls), calls[0].heads)}:
        raise Wrong("scores are of other heads")
    return {"tokens": tokens, "queries": queries, "calls": calls, "known": known, **found}
