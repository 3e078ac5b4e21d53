"""Splits: what a score, before the softmax, is made of.

Guarantees: frozen, NumPy only; the parts of a split add up to its score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The score of one query and one key, over the dimensions of a head.

    Attributes:
        dimensions: (d,) float32: query · key · scale of each dimension.
        names: What changes their sum afterwards: ``"soft cap"``, ``"position bias"``.
        rest: (name,) float32: by how much.
        score: Of the softmax: dimensions and rest together.
    """

    dimensions: Float[ndarray, " d"]
    names: tuple[str, ...]
    rest: Float[ndarray, " name"]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The same score, over what earlier parts of the model wrote at the two tokens.

    Attributes:
        names: ``"embedding"``, ``"layer 0 attention"``, ``"layer 0 MLP"``, …, ``"bias"``.
        query: (component,) float32: what each wrote at the query, the key held fixed.
        key: (component,) float32: what each wrote at the key, the query held fixed.
        score: What either side adds up to: query · key · scale, before cap and bias.
        note: What was held fixed.
    """

    names: tuple[str, ...]
    query: Float[ndarray, " component"]
    key: Float[ndarray, " component"]
    score: float
    note: str
