"""Requests: numbers that a reader asks with, made strict, or refused with what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from llm_interp_widgets.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Int
    from torch import Tensor

Places: TypeAlias = "int | slice | Sequence[int] | None"


def one(number: int, size: int, what: str) -> int:
    """Return a number counted from 0; from the end if negative.

    Raises:
        ParameterError: It is none, or out of range.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise ParameterError(f"{what}={number!r} must be a whole number.")
    if not -size <= number < size:
        several = "queries" if what == "query" else f"{what}s"
        raise ParameterError(
            f"{what}={number} is out of range: there are {size} {several}, 0 to {size - 1}."
        )
    return int(number) % size


def some(which: Places, size: int, what: str) -> Int[Tensor, " place"]:
    """Return which places are meant: all, one, a slice, or those of a list.

    Raises:
        ParameterError: One of them is out of range.
    """
    if which is None:
        return torch.arange(size)
    if isinstance(which, slice):
        return torch.tensor(range(size)[which], dtype=torch.long)
    if isinstance(which, int | np.integer):
        return torch.tensor([one(int(which), size, what)])
    return torch.tensor([one(i, size, what) for i in which], dtype=torch.long)


def bounds(given: Sequence[int], size: int, what: str) -> list[int]:
    """Return edges of cells.

    Raises:
        ParameterError: There are fewer than two, or they do not increase, or go beyond the text.
    """
    found = np.asarray(given)
    whole = found.ndim == 1 and len(found) > 1 and np.issubdtype(found.dtype, np.integer)
    if not whole or found[0] < 0 or found[-1] > size or bool((np.diff(found) <= 0).any()):
        raise ParameterError(
            f"{what} must be two increasing edges or more, whole numbers from 0 to {size}: "
            f"{what}=[0, {max(1, size // 2)}, {size}] makes two cells."
        )
    return [int(edge) for edge in found]


def chosen(value: str, known: Sequence[str], what: str) -> None:
    """Refuse a word that is not known.

    Raises:
        ParameterError: It is not.
    """
    if value not in known:
        raise ParameterError(f"{what}={value!r}; choose one of {', '.join(map(repr, known))}.")
