"""Which coalitions are asked for: distinct pairs of a coalition and its complement.

A pair is named by one of its two coalitions. Sizes 1 … n-1 are equally frequent: a Shapley
value is a mean over sizes, and no size then lacks answers.

``Spread`` draws coalitions that have as little as possible in common, which tells most an
evaluation. ``Walks`` follows random orders, adding one feature at a time: a little less
informative, but neighbours share long prefixes, which halves what a decoder computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool
    from numpy import ndarray
    from numpy.random import Generator

_TRIES = 60  # rounds without a new pair before a design counts as used up


class Design(Protocol):
    """Draws pairs, each at most once a filler."""

    def draw(self, filler: int, pairs: int) -> Bool[ndarray, "pair feature"]:
        """Return about so many new pairs; none if there are (practically) no more."""
        ...


class _Seen:
    """Remembers pairs."""

    def __init__(self) -> None:
        self._keys: set[tuple[int, bytes]] = set()

    def new(self, row: ndarray, filler: int) -> bool:
        """Return whether this pair is new, and remember it."""
        key = (filler, np.packbits(row if row[0] else ~row).tobytes())
        if key in self._keys:
            return False
        self._keys.add(key)
        return True


class Spread:
    """Coalitions of uniform size, otherwise uniform, never the same pair twice.

    Args:
        features: How many.
        random: Where chance comes from.
        known: Rows that were asked already, for one filler.
    """

    def __init__(self, features: int, random: Generator, known: ndarray, filler: int = 0) -> None:
        self._n, self._random, self._seen = features, random, _Seen()
        for row in known:
            self._seen.new(row, filler)

    def draw(self, filler: int, pairs: int) -> Bool[ndarray, "pair feature"]:
        """Return new pairs."""
        n, random, found = self._n, self._random, []
        for _ in range(_TRIES):
            sizes = random.integers(1, n, size=max(pairs, 16))
            ranks = random.random((len(sizes), n)).argsort(axis=1).argsort(axis=1)
            rows = ranks < sizes[:, None]
            for row in rows:
                if len(found) < pairs and self._seen.new(row, filler):
                    found.append(row)
            if len(found) == pairs:
                break
        return np.array(found, dtype=bool).reshape(len(found), n)


class Walks:
    """All coalitions on the way along random orders; arguments as for ``Spread``."""

    def __init__(self, features: int, random: Generator, known: ndarray, filler: int = 0) -> None:
        self._n, self._random, self._seen = features, random, _Seen()
        for row in known:
            self._seen.new(row, filler)

    def draw(self, filler: int, pairs: int) -> Bool[ndarray, "pair feature"]:
        """Return the new pairs of as many whole walks as fit, at least one."""
        n, found = self._n, []
        for _ in range(max(1, pairs // (n - 1)) + _TRIES):
            rank = self._random.permutation(n)
            walk = rank[None] < np.arange(1, n)[:, None]
            found += [row for row in walk if self._seen.new(row, filler)]
            if len(found) + (n - 1) / 2 >= pairs:
                break
        return np.array(found, dtype=bool).reshape(len(found), n)
