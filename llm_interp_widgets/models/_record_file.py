"""The file of an attention record: tensors as they are held, and all else that it says.

Guarantees: what ``results._file`` guarantees; every number is the same to the last bit, bfloat16
too; masks and biases that layers share are written once, and shared again.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from llm_interp_widgets.models.heads import Call
from llm_interp_widgets.models.masks import Bias, Mask
from llm_interp_widgets.results._file import read, write
from llm_interp_widgets.results.attention import SCORES
from llm_interp_widgets.results.attribution import ModelInfo

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeVar

    from numpy import ndarray
    from torch import Tensor

    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.text.tokens import Token

    R = TypeVar("R")

_KIND = "attention record"
_HELD = ("q", "k", "v", "sinks", "table", "slope")


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


def read_record(path: str | os.PathLike[str], build: Callable[..., R]) -> R:
    """Open a file and build a record from its fields."""
    return read(path, _KIND, lambda data: build(**_fields(data)))


def _taken_apart(calls: Sequence[Call]) -> tuple[list[dict[str, Any]], dict[str, ndarray]]:
    """Return what calls say in words and numbers, and arrays named ``layer:part:dtype``."""
    about: list[dict[str, Any]] = []
    arrays: dict[str, ndarray] = {}
    owners: dict[int, int] = {}
    for number, call in enumerate(calls):
        held = {name: getattr(call, name) for name in _HELD}
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


def _fields(data: dict[str, Any]) -> dict[str, Any]:
    tensors: dict[int, dict[str, Tensor]] = {}
    for key, array in data["calls"].items():
        number, name, kind = key.split(":")
        found = torch.from_numpy(array)
        found = found.view(torch.bfloat16) if kind == "bfloat16" else found
        tensors.setdefault(int(number), {})[name] = found
    shared: dict[tuple[str, int], Any] = {}
    calls = []
    for number, about in enumerate(data["about"]):
        held = tensors[number]
        if "first" in held:
            shared["mask", number] = Mask(held["first"], held["stop"], held.get("seen"))
        if "bias" in held:
            shared["bias", number] = Bias(held["bias"], int(about["queries"]))
        call = Call(
            module=about["module"],
            time=int(about["time"]),
            scale=float(about["scale"]),
            softcap=about["softcap"],
            mask=shared["mask", about["mask"]],
            bias=None if about["bias"] is None else shared["bias", about["bias"]],
            **{name: held.get(name) for name in _HELD},  # type: ignore[arg-type]
        )
        if call.shape != (len(data["outputs"]), len(data["inputs"])):
            raise ValueError("sizes do not agree")
        calls.append(call)
    if len({call.heads for call in calls}) != 1:
        raise ValueError("there are no layers, or they differ")
    return {
        "tokens": data["inputs"], "queries": data["outputs"], "calls": tuple(calls),
        "model": ModelInfo(**data["model"]),
        "known": {name: data["scores"][name].astype(np.float32) for name in SCORES},
        **{name: data[name] for name in ("name", "prompt", "target", "note")},
    }  # fmt: skip
