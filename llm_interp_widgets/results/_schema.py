"""What a saved result may say: every value is checked before anything is made of it.

What comes in: what JSON or an archive gave. What goes out: the same values, strictly typed.

Guarantees: a check returns a value of the type it names or raises ``Wrong``, with the way to the
field; ``True`` is no number, a number is finite, a text is Unicode, a name that a class does not
know is refused, and so is one that is missing unless the class has a default for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

from llm_interp_widgets.results.describe import UNIT_NAMES
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy import ndarray

Check: TypeAlias = Callable[[Any, str], Any]
LARGEST = 1e30  # of any number: no score is as large, and float32 still holds sums of such
_WHOLE = 1 << 63
_DEPTH = 4  # of lists in a parameter


class Wrong(ValueError):  # noqa: N818 - reads as "this is wrong: …"
    """A field is not what it should be."""


def parsed(raw: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return what strict JSON says: no name twice, no NaN, no number out of range.

    Raises:
        Wrong: It is not strict JSON, or nested too deep.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Wrong("a name stands twice")
        return found

    def finite(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise Wrong(f"{digits} is out of range")
        return value

    def refused(name: str) -> NoReturn:
        raise Wrong(f"{name} is no number")

    try:
        return json.loads(
            raw.decode(), object_pairs_hook=once, parse_float=finite, parse_constant=refused
        )
    except RecursionError as error:
        raise Wrong("it is nested too deep") from error


# ── single values ─────────────────────────────────────────────────────────────


def text(value: Any, at: str) -> str:  # noqa: ANN401 - checked here
    """Return a text without lone surrogates."""
    if type(value) is not str:
        raise Wrong(f"{at} is no text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Wrong(f"{at} holds a lone surrogate") from error
    return value


def flag(value: Any, at: str) -> bool:  # noqa: ANN401 - checked here
    """Return true or false."""
    if type(value) is not bool:
        raise Wrong(f"{at} is neither true nor false")
    return value


def whole(least: int = 0, most: int = _WHOLE) -> Check:
    """Return a check for whole numbers from ``least`` up to, not including, ``most``."""

    def check(value: Any, at: str) -> int:  # noqa: ANN401
        if type(value) is not int or not least <= value < most:
            raise Wrong(f"{at} is no whole number of {least} and above, or too large")
        return value

    return check


def real(value: Any, at: str) -> float:  # noqa: ANN401 - checked here
    """Return a finite number of a size that can be counted with."""
    if type(value) not in (int, float) or not abs(value) <= LARGEST:
        raise Wrong(f"{at} is no number, or out of range")
    return float(value)


def choice(*known: str) -> Check:
    """Return a check for one of some words."""

    def check(value: Any, at: str) -> str:  # noqa: ANN401
        if type(value) is not str or value not in known:
            raise Wrong(f"{at} is none of {', '.join(known)}")
        return value

    return check


def optional(inner: Check) -> Check:
    """Return a check that lets null pass."""
    return lambda value, at: None if value is None else inner(value, at)


def listed(inner: Check) -> Check:
    """Return a check for a list; it gives a tuple."""

    def check(value: Any, at: str) -> tuple[Any, ...]:  # noqa: ANN401
        if type(value) is not list:
            raise Wrong(f"{at} is no list")
        return tuple(inner(one, f"{at}[{i}]") for i, one in enumerate(value))

    return check


def settings(value: Any, at: str) -> dict[str, Any]:  # noqa: ANN401 - checked here
    """Return a method's parameters: names to plain values, or lists of these."""
    if type(value) is not dict:
        raise Wrong(f"{at} are no parameters")
    return {text(name, f"a name in {at}"): _setting(one, f"{at}.{name}", 0)
            for name, one in value.items()}  # fmt: skip


def _setting(value: Any, at: str, depth: int) -> Any:  # noqa: ANN401 - checked here
    if type(value) is list and depth < _DEPTH:
        return [_setting(one, at, depth + 1) for one in value]
    if type(value) is str:
        return text(value, at)
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return whole(-_WHOLE)(value, at)
    if type(value) is float:  # finite: ``parsed`` saw to it
        return value
    raise Wrong(f"{at} is no plain value")


# ── small classes ─────────────────────────────────────────────────────────────


def made(kind: type, **checks: Check) -> Check:
    """Return a check for the fields of a dataclass; it gives one."""
    return lambda value, at: kind(**checked(kind, value, at, checks))


def checked(kind: type, value: Any, at: str, checks: Mapping[str, Check]) -> dict[str, Any]:  # noqa: ANN401
    """Return the checked fields of a dataclass, those that have a default only where given.

    Args:
        kind: The dataclass.
        value: What should be its fields by name.
        at: Where it stands.
        checks: One for each field that a file holds.

    Raises:
        Wrong: A field is missing, unknown, or not what it should be.
    """
    if type(value) is not dict:
        raise Wrong(f"{at} has no fields")
    for name in value.keys() - checks.keys():
        raise Wrong(f"{at} has an unknown field {name!r:.40}")
    found = {name: check(value[name], f"{at}.{name}") for name, check in checks.items()
             if name in value}  # fmt: skip
    for field in fields(kind):
        given = field.name in found or field.name not in checks
        if not given and field.default is MISSING and field.default_factory is MISSING:
            raise Wrong(f"{at} lacks {field.name}")
    return found


TOKEN = made(
    Token,
    text=text,
    id=whole(-1),
    start=whole(),
    end=whole(),
    special=flag,
    role=optional(text),
    position=whole(),
    size=whole(1),
)
UNIT = choice(*UNIT_NAMES)


def within(tokens: Sequence[Token], prompt: str, at: str = "inputs") -> None:
    """Raise ``Wrong`` unless all spans are in the text and end where or after they begin."""
    for i, token in enumerate(tokens):
        if not token.start <= token.end <= len(prompt):
            raise Wrong(f"{at}[{i}] covers no part of the text")


# ── arrays ────────────────────────────────────────────────────────────────────


def numbers(array: ndarray, dtype: str, at: str, *, absent: bool = True) -> ndarray:
    """Return an array of one type whose numbers can be counted with.

    Args:
        array: As it was read.
        dtype: Which it must have.
        at: Its name.
        absent: NaN may stand for what is not known.

    Raises:
        Wrong: It has another type, or holds infinity or numbers beyond any score.
    """
    if array.dtype != np.dtype(dtype):
        raise Wrong(f"{at} holds {array.dtype}, not {np.dtype(dtype)}")
    if array.dtype.kind == "f":
        most = min(LARGEST, float(np.finfo(array.dtype).max))
        with np.errstate(all="ignore"):  # a NaN may be of the kind that signals
            unknown = np.isnan(array)
            fine = np.abs(np.where(unknown, 0, array)) <= most
        if not fine.all() or (unknown.any() and not absent):
            raise Wrong(f"{at} holds infinity, or numbers beyond any score")
        array[unknown] = np.nan
    return array


def taken(
    arrays: dict[str, ndarray], dtypes: Mapping[str, str], optional: Sequence[str] = ()
) -> dict[str, ndarray]:
    """Take arrays out of those that were read, checked by ``numbers``.

    Raises:
        Wrong: One is missing or wrong, or one is left over.
    """
    for name in arrays.keys() - dtypes.keys():
        raise Wrong(f"it has an unknown part {name!r:.40}")
    for name in dtypes.keys() - arrays.keys() - set(optional):
        raise Wrong(f"it lacks {name}")
    return {name: numbers(array, dtypes[name], name) for name, array in arrays.items()}
