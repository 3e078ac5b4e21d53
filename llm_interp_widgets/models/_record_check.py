"""Calls of attention out of a file that anyone may have made.

What comes in: what a file says of each call, and its arrays. What goes out: calls whose parts fit
each other and whose numbers can be counted with.

Guarantees: every size is that of the same head, query or key everywhere; masks stay within the
keys; a mask or bias that is shared is one that stands in the file; a part that is not known is
refused. Whatever is wrong raises ``Wrong``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from llm_interp_widgets.models.heads import Call
from llm_interp_widgets.models.masks import Bias, Mask
from llm_interp_widgets.results._schema import Wrong, listed, optional, real, text, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy import ndarray
    from torch import Tensor

HELD = ("q", "k", "v", "sinks", "table", "slope")
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_KINDS = {
    **dict.fromkeys(HELD, _FLOATS),
    "bias": ("float32",),
    "first": ("int64",),
    "stop": ("int64",),
    "seen": ("bool",),
}
_KEY = re.compile(r"(0|[1-9]\d{0,5}):([a-z]+):([a-z]+\d*)")
_LARGEST = 1e9  # of queries and keys: their products stay well within float32
_STEEPEST = 1e6
_MOST_HEADS = 1 << 16  # of all layers; each has a picture
_SAID = {
    "module": text,
    "time": whole(),
    "scale": real,
    "softcap": optional(real),
    "mask": whole(),
    "bias": optional(whole()),
    "queries": optional(whole()),
}


def calls_of(
    about: object, arrays: Mapping[str, ndarray], shape: tuple[int, int]
) -> tuple[Call, ...]:
    """Return the calls of a stack.

    Args:
        about: What the file says of each.
        arrays: Named ``layer:part:dtype``.
        shape: (queries, keys) that its tokens ask for.

    Raises:
        Wrong: Anything is not as ``_record_file`` writes it.
    """
    said = listed(_call_fields)(about, "calls")
    held: list[dict[str, Tensor]] = [{} for _ in said]
    for key, array in arrays.items():
        found = _KEY.fullmatch(key)
        number, name, kind = found.groups() if found else ("", "", "")
        if kind not in _KINDS.get(name, ()) or int(number) >= len(said):
            raise Wrong(f"it has an unknown part {key!r:.40}")
        held[int(number)][name] = _tensor(array, name, kind)
    masks = {n: _mask(parts, shape) for n, parts in enumerate(held) if "first" in parts}
    biases = {
        n: Bias(parts["bias"], shape[0]) for n, parts in enumerate(held) if "bias" in parts
    }  # fmt: skip
    calls = []
    for words, parts in zip(said, held, strict=True):
        bias = None if words["bias"] is None else biases.get(words["bias"])
        if words["mask"] not in masks or (bias is None) != (words["bias"] is None):
            raise Wrong("a mask or bias is not in it")
        if bias is not None and words["queries"] != shape[0]:
            raise Wrong("a bias is of other queries")
        call = Call(
            module=words["module"],
            time=words["time"],
            scale=words["scale"],
            softcap=words["softcap"],
            mask=masks[words["mask"]],
            bias=bias,
            **{name: parts.get(name) for name in HELD},  # type: ignore[arg-type]
        )
        _check(call, shape)
        calls.append(call)
    if len({call.heads for call in calls}) != 1:
        raise Wrong("there are no layers, or they differ")
    if len(calls) * calls[0].heads > _MOST_HEADS:
        raise Wrong(f"it has more than {_MOST_HEADS:,} heads")
    return tuple(calls)


def _call_fields(value: Any, at: str) -> dict[str, Any]:  # noqa: ANN401 - checked here
    if type(value) is not dict or value.keys() != _SAID.keys():
        raise Wrong(f"{at} has other fields than a call of attention")
    found = {name: check(value[name], f"{at}.{name}") for name, check in _SAID.items()}
    if abs(found["scale"]) > _STEEPEST:
        raise Wrong(f"{at}.scale is out of range")
    if found["softcap"] is not None and not 1 / _STEEPEST <= found["softcap"] <= _LARGEST:
        raise Wrong(f"{at}.softcap is out of range")
    return found


def _tensor(array: ndarray, name: str, kind: str) -> Tensor:
    """Return an array as the tensor it was, if its numbers can be counted with."""
    stored = "int16" if kind == "bfloat16" else kind
    if array.dtype != np.dtype(stored):
        raise Wrong(f"{name} holds {array.dtype}, not {stored}")
    found = torch.from_numpy(np.ascontiguousarray(array))
    found = found.view(torch.bfloat16) if kind == "bfloat16" else found
    if kind in _FLOATS:
        if name == "bias":  # may all but hide a key
            fine = found.isfinite() & (found <= _LARGEST)
        elif name == "table":
            fine = (found >= 0) & (found <= 2)
        else:
            fine = found.abs() <= _LARGEST
        if not bool(fine.all()):
            raise Wrong(f"{name} holds numbers that are out of range")
    return found


def _mask(parts: dict[str, Tensor], shape: tuple[int, int]) -> Mask:
    queries, keys = shape
    first, stop, seen = (parts.get(name) for name in ("first", "stop", "seen"))
    if first is None or stop is None or not first.shape == stop.shape == (queries,):
        raise Wrong("a mask is of other queries")
    if not bool(((first >= 0) & (first <= stop) & (stop <= keys)).all()):
        raise Wrong("a mask goes beyond the keys")
    if seen is not None and seen.shape != shape:
        raise Wrong("a mask is of another text")
    return Mask(first, stop, seen)


def _check(call: Call, shape: tuple[int, int]) -> None:
    """Raise ``Wrong`` unless all parts of a call are of the same heads, queries and keys."""
    if call.q is None or call.k is None or call.q.ndim != 3 or call.k.ndim != 3:
        raise Wrong("queries or keys are missing")
    heads, (queries, keys) = call.heads, shape
    if call.table is not None:
        alone = call.v is None and call.slope is None
        if not heads or call.table.shape != (heads, *shape) or not alone:
            raise Wrong("a table is of another text, or not alone")
    else:
        width = call.q.shape[2]
        fit = call.q.shape == (heads, queries, width) and width
        if not fit or not _shared(call.k, heads, keys) or call.k.shape[2] != width:
            raise Wrong("queries and keys do not fit each other, or the tokens")
    if call.v is not None and not _shared(call.v, heads, keys):
        raise Wrong("values do not fit keys")
    if call.sinks is not None and call.sinks.shape != (heads,):
        raise Wrong("sinks are of other heads")
    _check_slope(call, heads, queries)
    if call.bias is not None:
        each, *rest = call.bias.values.shape or (0,)
        if each not in (1, heads) or rest not in ([queries + keys - 1], [queries, keys]):
            raise Wrong("a bias is of another text")


def _check_slope(call: Call, heads: int, queries: int) -> None:
    if call.slope is None:
        return
    wide = call.slope.shape[2:] if call.v is None else call.v.shape[2:]
    if call.slope.ndim != 3 or call.slope.shape != (queries, heads, *wide):
        raise Wrong("slopes do not fit queries and heads")


def _shared(tensor: Tensor, heads: int, keys: int) -> bool:
    """Whether these are keys or values that query heads can share."""
    return tensor.ndim == 3 and tensor.shape[1] == keys and bool(
        len(tensor) and heads and heads % len(tensor) == 0
    )  # fmt: skip
