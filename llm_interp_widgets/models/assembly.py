"""Assembly: calls of one pass, sorted into stacks, each of which becomes a record.

Guarantees: every call is in one stack, in the order in which the model made them; calls of a
stack have the same heads and sizes.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from llm_interp_widgets.errors import UnsupportedModelError
from llm_interp_widgets.models.capture import stack_of
from llm_interp_widgets.models.record import AttentionRecord
from llm_interp_widgets.models.tally import repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llm_interp_widgets.models.heads import Call
    from llm_interp_widgets.text.tokens import Token

_MAIN = ("self", "decoder", "text", "encoder", "vision", "cross")


def assemble(
    calls: Iterable[Call],
    tokens_of: Callable[[str, int, int], tuple[tuple[Token, ...], tuple[Token, ...]]],
    shared: dict[str, Any],
) -> AttentionRecord:
    """Sort calls into stacks and return the main one.

    Args:
        calls: In the order in which the model made them.
        tokens_of: Queries and keys of a stack, from its name and sizes.
        shared: Fields of every stack's record.

    Raises:
        UnsupportedModelError: There is no call.
    """
    sorted_calls: dict[str, list[Call]] = {}
    for call in calls:
        sorted_calls.setdefault(stack_of(call.module, *call.shape), []).append(call)
    if not sorted_calls:
        raise UnsupportedModelError("This model made no call of attention.")
    stacks: dict[str, AttentionRecord] = {}
    for name, found in sorted_calls.items():
        runs = [tuple(run) for _, run in groupby(found, lambda c: (c.heads, c.shape))]
        for number, run in enumerate(runs, 1):
            full = name if len(runs) == 1 else f"{name} {number}"
            queries, keys = tokens_of(name, *run[0].shape)
            same = queries == keys
            repeat = repeated([t.id for t in keys], [t.special for t in keys]) if same else None
            told = shared | {"note": " ".join(filter(None, (shared.get("note"), _numbers(run))))}
            stacks[full] = AttentionRecord(
                keys, queries, run, full, repeat=repeat, stacks=stacks, **told
            )
    order = {name: i for i, name in enumerate(_MAIN)}
    return stacks[min(stacks, key=lambda name: order.get(name.split()[0], len(order)))]


def _numbers(run: tuple[Call, ...]) -> str:
    """Return which layer of the model is which, where some layers have no such attention."""
    found = [re.search(r"\d+", call.module) for call in run]
    own = [int(one[0]) if one else n for n, one in enumerate(found)]
    if own == [*range(len(own))] or any(call.time for call in run):
        return ""
    pairs = ", ".join(f"{n} is {call.module}" for n, call in enumerate(run[:4]))
    return f"Layers are counted by calls of attention: {pairs}{', …' if len(run) > 4 else ''}."
