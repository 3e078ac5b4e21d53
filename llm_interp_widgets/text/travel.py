r"""Texts on a wire that takes Unicode only, and back: nothing is lost, nothing is refused.

What comes in: anything made of texts; Python's may hold lone surrogates, which Jupyter's messages,
notebook files and browsers' JSON cannot all carry. What goes out: the same in which each of them
stands as U+FDD0, which Unicode keeps for such uses, and a private character; U+FDD0 is doubled.

Guarantees: ``arrived`` undoes ``departed`` exactly, and leaves alone what never departed unless it
holds U+FDD0; what needs no change is the same object. ``js/src/travel.ts`` is the twin.
"""

from __future__ import annotations

import re
from operator import is_
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "\ufdd0"
_ODD = re.compile("[\ud800-\udfff\ufdd0]")
_MARKED = re.compile("\ufdd0([\ue000-\ue7ff\ufdd0])")
_SHIFT = 0xE000 - 0xD800
_BARE = frozenset((int, float, bool, bytes, type(None)))  # most of what travels


def departed(value: Any) -> Any:  # noqa: ANN401 - anything that travels
    r"""Return texts, at any depth and as names too, as they travel.

    Example:
        >>> departed({"text": "a\ud800"}) == {"text": "a\ufdd0\ue000"}
        True
    """
    return _changed(value, _ODD, _marked)


def arrived(value: Any) -> Any:  # noqa: ANN401 - anything that travelled
    r"""Return texts, at any depth and as names too, as they were before they departed.

    Example:
        >>> arrived("a\ufdd0\ue000b\ufdd0\ufdd0") == "a\ud800b\ufdd0"
        True
    """
    return _changed(value, _MARKED, _unmarked)


def _changed(value: Any, what: re.Pattern[str], into: Callable[[re.Match[str]], str]) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return value if value.isascii() else what.sub(into, value)
    if isinstance(value, dict):
        same, found = True, {}
        for key, item in value.items():
            name = _changed(key, what, into)
            new = item if type(item) in _BARE else _changed(item, what, into)
            same = same and name is key and new is item
            found[name] = new
        return value if same else found
    if isinstance(value, list | tuple):
        items = [_changed(item, what, into) for item in value]
        return value if all(map(is_, items, value)) else items
    return value


def _marked(found: re.Match[str]) -> str:
    letter = found[0]
    return _MARK + (letter if letter == _MARK else chr(ord(letter) + _SHIFT))


def _unmarked(found: re.Match[str]) -> str:
    letter = found[1]
    return letter if letter == _MARK else chr(ord(letter) - _SHIFT)
