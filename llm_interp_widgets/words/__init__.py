"""Words: what is said on the screen, in English or in the language in force.

What comes in: English templates with named places. What goes out: the same in the language that
``language`` chose, their places filled. One catalogue a language, ``<code>.json`` beside this
file, serves Python and the views: English template → translation, as in gettext.

Guarantees:

- What has no translation, or one with other places than the English, is said in English.
- Messages of exceptions, numbers, labels, tokens and names are never translated.
- What is kept (results, files) is kept in English: it is translated when it is shown.
"""

from __future__ import annotations

import json
import re
import weakref
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

from llm_interp_widgets.errors import ParameterError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ENGLISH = "en"
_PLACE = re.compile(r"\{(\w+)\}")


class Listener(Protocol):
    """Something on the screen that can say its words anew."""

    def retell(self) -> None:
        """Say everything again: the language is another one."""


class _Spoken:
    """The language in force, for the whole process."""

    def __init__(self) -> None:
        self.code = ENGLISH
        self.translations: Mapping[str, str] = {}
        self.listeners: weakref.WeakSet[Listener] = weakref.WeakSet()


_SPOKEN = _Spoken()


def language(code: str | None = None) -> str:
    """Choose the language of all views, live ones and exports too; return the one in force.

    Args:
        code: ``"en"`` or ``"zh"`` (简体中文), or a tag of one of them, such as ``"zh-CN"``;
            nothing asks only.

    Raises:
        ParameterError: There is no such language.

    Example:
        >>> language("zh")
        'zh'
        >>> language("en")
        'en'
    """
    if code is None:
        return _SPOKEN.code
    known, asked = available(), code
    code = str(asked).replace("_", "-").partition("-")[0].lower()
    if code not in known:
        raise ParameterError(f"There is no language {asked!r}. {nearest(str(asked), known)}")
    _SPOKEN.code, _SPOKEN.translations = code, catalogue(code)
    failures = []
    for listener in list(_SPOKEN.listeners):
        try:
            listener.retell()
        except Exception as error:  # noqa: BLE001 - the other views are told first
            failures.append(error)
    if failures:
        raise failures[0]
    return code


def available() -> tuple[str, ...]:
    """Return the codes of all languages."""
    names = (item.name for item in files(__name__).iterdir())
    return (ENGLISH, *sorted(name[:-5] for name in names if name.endswith(".json")))


@cache
def catalogue(code: str) -> dict[str, str]:
    """Return the translations into a language whose places are those of the English."""
    if code == ENGLISH:
        return {}
    text = files(__name__).joinpath(f"{code}.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return {english: said for english, said in found.items() if places(english) == places(said)}


def places(template: str) -> list[str]:
    """Return the names of a template's places, sorted."""
    return sorted(_PLACE.findall(template))


def follow(listener: Listener) -> None:
    """Let something on the screen hear of another language for as long as it lives."""
    _SPOKEN.listeners.add(listener)


def say(template: str, /, **values: object) -> str:
    """Return a template in the language in force, its places filled.

    A text without ``values`` comes back as it is or translated, whatever braces it holds.

    Example:
        >>> say("Why {target}?", target="“Paris”")
        'Why “Paris”?'
    """
    said = _SPOKEN.translations.get(template, template)
    if not values:
        return said
    return _PLACE.sub(lambda place: str(values.get(place[1], place[0])), said)


def retold(text: str, /, *templates: str, **tellers: Callable[[str], str]) -> str:
    """Return an English text that was kept, in the language in force.

    Args:
        text: What was kept.
        *templates: What it may have been made from; none of them where it never had places.
        **tellers: Retell what fills a place, where that is no name.

    Example:
        >>> retold("“_”, “ the”, averaged", "{fillers}, averaged")
        '“_”, “ the”, averaged'
    """
    if _SPOKEN.code == ENGLISH or text in _SPOKEN.translations:
        return say(text)
    for template in templates:
        found = _pattern(template).fullmatch(text)
        if found is not None:
            filled = found.groupdict()
            return say(template, **{n: tellers.get(n, str)(text) for n, text in filled.items()})
    return text


@cache
def _pattern(template: str) -> re.Pattern[str]:
    pieces = _PLACE.split(template)
    return re.compile(
        "".join(f"(?P<{s}>.*)" if i % 2 else re.escape(s) for i, s in enumerate(pieces)), re.DOTALL
    )


def translations(templates: Iterable[str]) -> dict[str, str]:
    """Return the language in force for some templates: what a view needs; empty for English."""
    known = _SPOKEN.translations
    return {template: known[template] for template in templates if template in known}
