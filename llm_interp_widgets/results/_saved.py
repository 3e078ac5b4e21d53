"""Which fields a file of a result holds, and what each may be.

What comes in: fields as JSON gave them. What goes out: the same, checked by ``_schema``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_interp_widgets.results._schema import (
    TOKEN,
    UNIT,
    Wrong,
    checked,
    choice,
    flag,
    listed,
    made,
    optional,
    real,
    settings,
    text,
    whole,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_interp_widgets.results._schema import Check

_RESULT: dict[str, Check] = {
    "inputs": listed(TOKEN),
    "outputs": listed(TOKEN),
    "off": text,
    "note": text,
    "params": settings,
    "granularity": choice("token", "word", "sentence", "turn", "spans"),
    "target": text,
    "unit": UNIT,
    "prompt": text,
    "seconds": real,
    "evaluations": whole(),
    "hidden": text,
}
ATTRIBUTION: dict[str, Check] = {
    "additive": flag,
    "effect": flag,
    "exact": flag,
    "converged": optional(flag),
    "method": text,
    "title": text,
    "caution": text,
    "without": listed(text),
    "seed": whole(most=10**300),
    "cancelled": flag,
    "preview": flag,
}
INTERACTIONS: dict[str, Check] = {"index": choice("k-SII", "SII", "STII")}


def model(info: type) -> Check:
    """Return the check for which model it was; it makes an ``info``."""
    return made(info, name=text, revision=optional(text), dtype=text, device=text)


def result(
    kind: type, info: type, said: dict[str, Any], own: Mapping[str, Check]
) -> dict[str, Any]:
    """Return the checked fields of a result, but for its arrays.

    Args:
        kind: Its class.
        info: The class that says which model it was.
        said: Fields as JSON gave them.
        own: Checks of the fields that this class has and others have not.

    Raises:
        Wrong: A field is missing, unknown, or not what it should be.
    """
    found = checked(kind, said, "it", _RESULT | {"model": model(info)} | dict(own))
    if not found["inputs"] or not found["outputs"]:
        raise Wrong("it is of no text, or explains nothing")
    within(found["inputs"], found["prompt"])
    return found
