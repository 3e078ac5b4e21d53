"""Interaction indices: from the value of every coalition to a matrix of pairs.

What comes in: the whole table of a game, bit i of a row's number = feature i. What goes out:
symmetric matrices; the diagonal is what each feature does by itself under that index.

All indices here are weighted sums of the game's dividends (its Möbius transform): the dividend
of a coalition is what it adds that none of its parts adds. The indices differ only in how
they share out the dividends of coalitions of three features and more.

Guarantees: exact in float64; ``k-SII`` and ``STII`` add up (diagonal, and each pair once) to
the value with everything on minus that with everything off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float64, Int
    from numpy import ndarray

Index = Literal["SII", "k-SII", "STII"]


def dividends(values: Float64[ndarray, "coalition output"]) -> Float64[ndarray, "coalition output"]:
    """Return the Möbius transform: v(S) is the sum of the dividends of S's subsets.

    Source: Harsanyi, "A simplified bargaining model for the n-person cooperative game", 1963.

    Args:
        values: (2ⁿ, outputs).
    """
    found = np.array(values, dtype=np.float64)
    for i in range(_features(found)):
        halves = found.reshape(-1, 2, 1 << i, found.shape[1])  # axis 1: without i, with i
        halves[:, 1] -= halves[:, 0]
    return found


def shapley_interactions(
    values: Float64[ndarray, "coalition output"],
) -> Float64[ndarray, "feature feature output"]:
    """Return the Shapley interaction index of each pair; Shapley values on the diagonal.

    The index is the pair's joint effect beyond both single ones, averaged over orders in which
    the pair comes as one. It does not add up to the game's value.

    Source: Grabisch & Roubens, "An axiomatic approach to the concept of interaction among
    players in cooperative games", 1999.

    Args:
        values: (2ⁿ, outputs).
    """
    found = dividends(values)
    pairs = _pairs(found, lambda size: size - 1)
    single = _members(len(found)).T @ (found / _sizes(len(found))[:, None])
    return _with_diagonal(pairs, single)


def k_shapley_interactions(
    values: Float64[ndarray, "coalition output"],
) -> Float64[ndarray, "feature feature output"]:
    """Return k-SII of order 2: pairs as in SII, and what is left of the Shapley values.

    Source: Bordt & von Luxburg, "From Shapley values to generalized additive models and back",
    2023.

    Args:
        values: (2ⁿ, outputs).
    """
    found = shapley_interactions(values)
    shapley = np.einsum("iio->io", found)
    shared = found.sum(axis=1) - shapley  # of each feature with all others
    return _with_diagonal(found, shapley - shared / 2)


def shapley_taylor_interactions(
    values: Float64[ndarray, "coalition output"],
) -> Float64[ndarray, "feature feature output"]:
    """Return the Shapley-Taylor index of order 2; the diagonal is each feature alone.

    Source: Sundararajan et al., "The Shapley Taylor interaction index", 2020.

    Args:
        values: (2ⁿ, outputs).
    """
    found = dividends(values)
    pairs = _pairs(found, lambda size: size * (size - 1) / 2)
    return _with_diagonal(pairs, found[1 << np.arange(_features(found))])


INDICES: dict[Index, Callable[[ndarray], ndarray]] = {
    "SII": shapley_interactions,
    "k-SII": k_shapley_interactions,
    "STII": shapley_taylor_interactions,
}
ADDS_UP: frozenset[Index] = frozenset({"k-SII", "STII"})


def _pairs(found: ndarray, shares: Callable[[ndarray], ndarray]) -> ndarray:
    """Give each pair in a coalition the coalition's dividend divided by ``shares(size)``."""
    members = _members(len(found))
    holds_pair = members.sum(axis=1) >= 2
    members, sizes = members[holds_pair], _sizes(len(found))[holds_pair]
    weighted = found[holds_pair] / shares(sizes)[:, None]
    matrices = [(members * column[:, None]).T @ members for column in weighted.T]
    return np.stack(matrices, axis=-1)


def _with_diagonal(pairs: ndarray, single: Float64[ndarray, "feature output"]) -> ndarray:
    i = np.arange(len(pairs))
    out: ndarray = (pairs + pairs.swapaxes(0, 1)) / 2  # symmetric to the last bit
    out[i, i] = single
    return out


def _members(coalitions: int) -> Float64[ndarray, "coalition feature"]:
    """Return 1 where a feature is on."""
    bits = np.arange(coalitions)[:, None] >> np.arange(coalitions.bit_length() - 1) & 1
    return bits.astype(np.float64)


def _sizes(coalitions: int) -> Int[ndarray, " coalition"]:
    """Return how many features are on; 1 for none, so that it can be divided by."""
    return np.maximum(np.bitwise_count(np.arange(coalitions)).astype(np.int64), 1)


def _features(table: ndarray) -> int:
    return len(table).bit_length() - 1
