"""What the browser may say: changes of traits and questions, checked before anything heeds them.

What comes in: whatever arrived. What goes out: what is valid of it.

Guarantees: never raises; no junk changes a trait to what its class would not take, nor one that is
the kernel's to say; a question that is let through has every field, of its type.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_interp_widgets import wire
    from llm_interp_widgets.widgets.page import PageWidget

_EXACT = 1 << 53  # beyond, the browser's numbers are not whole
_LONGEST = 200  # letters of a name
_MOST_WANTS, _MOST_EDGES = 256, 100_000
_WORDS, _NUMBERS, _EDGES = ("what", "how"), ("stack", "layer", "head", "a", "b"), ("rows", "cols")


def take(widget: PageWidget, changes: object, put: Callable[[dict[str, Any]], None]) -> list[str]:
    """Put valid changes of traits into a widget; return which traits the browser has wrong.

    Args:
        widget: Whose traits.
        changes: Values by name.
        put: Sets some of them together, or raises and sets none.
    """
    if not isinstance(changes, dict):
        return []
    given = {
        name: value
        for name, value in changes.items()
        if name in widget.browser_traits and name in widget.keys and _plain(value)
    }
    refused = {name for name in changes if name in widget.keys} - given.keys()
    if not _put(widget, given, put):  # one of them is invalid: which?
        refused |= {name for name, one in given.items() if not _put(widget, {name: one}, put)}
    return sorted(refused)


def _put(widget: PageWidget, some: dict[str, Any], put: Callable[[dict[str, Any]], None]) -> bool:
    """Set traits together; what raises leaves them as they were, which traitlets does not see to.

    It puts back what a validator refused, but not what another error left half done.
    """
    before = {name: getattr(widget, name) for name in some}
    try:
        put(some)
    except Exception:  # noqa: BLE001 - whatever junk makes a validator raise
        with widget.hold_trait_notifications():
            for name, value in before.items():
                widget.set_trait(name, value)
        return False
    return True


def _plain(value: object) -> bool:
    """Whether numbers, at any depth, are numbers of the browser; no trait it sets is a truth."""
    if isinstance(value, list):
        return all(_plain(one) for one in value)
    if isinstance(value, int):
        return _is_whole(value)
    return not isinstance(value, float) or math.isfinite(value)


def _is_whole(value: object) -> bool:
    return type(value) is int and abs(value) <= _EXACT


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def is_question(content: dict[str, Any]) -> TypeGuard[wire.AskHeads]:
    """Whether this asks something of heads; what is asked for may still not exist."""
    wants = content.get("wants")
    return (
        all(_is_name(content.get(name)) for name in ("view", "slot"))
        and _is_whole(content.get("id"))
        and isinstance(wants, list)
        and len(wants) <= _MOST_WANTS
        and all(_is_want(one) for one in wants)
    )


def _is_want(want: object) -> bool:
    return (
        isinstance(want, dict)
        and all(_is_name(want.get(name)) for name in _WORDS)
        and all(_is_whole(want.get(name)) for name in _NUMBERS)
        and all(_are_edges(want.get(name)) for name in _EDGES)
    )


def _are_edges(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_EDGES
        and all(_is_whole(one) for one in value)
    )
