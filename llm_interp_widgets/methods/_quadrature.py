"""Quadrature along paths, each from a baseline (0) to the prompt (1): pure numbers.

What comes in: at points of a path, the target's value and each piece's share of its slope.
What goes out: the integrals of the shares, and where to look next.

A path's slope integrates to f(1) - f(0) over the whole path, and over each panel between
two points to the difference of their values, which are known. What a panel's rule misses of
that difference says where to refine: language models move in a few narrow places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, Int
    from numpy import ndarray

_LENGTH_COUNTS = 0.1  # of all misses, shared by length: a quiet long panel gets its turn


@dataclass(frozen=True, slots=True)
class Points:
    """Points on paths.

    Attributes:
        path: Which path, a number from 0.
        at: Where on it, from 0 (baseline) to 1 (prompt).
    """

    path: Int[ndarray, " point"]
    at: Float64[ndarray, " point"]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.at)

    def __getitem__(self, part: slice) -> Points:
        """Return some of them."""
        return Points(self.path[part], self.at[part])


def spread_out(points: int) -> Int[ndarray, " point"]:
    """Return an order of points in a row, ends first, of which any beginning covers the row."""
    bits = max(1, (points - 1).bit_length())
    reverse = np.array([int(f"{i:0{bits}b}"[::-1], 2) for i in range(points)])
    ends = np.isin(np.arange(points), (0, points - 1))
    order: ndarray = np.lexsort((reverse, ~ends))
    return order


def on_paths(at: Float64[ndarray, " point"], paths: int) -> Points:
    """Return the same places on every path, one place on all of them after the other."""
    return Points(np.tile(np.arange(paths), len(at)), np.repeat(at, paths))


class Trapezoids:
    """The trapezoidal rule on points that may be added in any order.

    Slopes at the baselines themselves are not wanted: in front of a norm's layers an
    embedding of zero is a cliff.

    Args:
        paths: How many.
        outputs: Values at a point.
        pieces: Shares of each.
    """

    def __init__(self, paths: int, outputs: int, pieces: int) -> None:
        self._paths = paths
        self._points = Points(np.zeros(0, dtype=int), np.zeros(0))
        self._values = np.zeros((0, outputs))
        self._shares = np.zeros((0, outputs, pieces))

    def __len__(self) -> int:
        """Return how many points are known."""
        return len(self._points)

    @property
    def panels(self) -> int:
        """Panels on all paths."""
        return len(self) - self._paths

    def add(
        self,
        points: Points,
        values: Float64[ndarray, "point output"],
        shares: Float64[ndarray, "point output piece"],
    ) -> None:
        """Take what is known at more points; shares at 0 are not looked at."""
        path = np.concatenate([self._points.path, points.path])
        at = np.concatenate([self._points.at, points.at])
        order = np.lexsort((at, path))
        self._points = Points(path[order], at[order])
        self._values = np.concatenate([self._values, values])[order]
        self._shares = np.concatenate([self._shares, shares])[order]

    def integrals(self) -> Float64[ndarray, "path output piece"]:
        """Return each path's integral of the shares."""
        left, width = self._panels()
        shares = self._all_shares()
        area = (shares[left] + shares[left + 1]) * (width / 2)[:, None, None]
        total = np.zeros((self._paths, *area.shape[1:]))
        np.add.at(total, self._points.path[left], area)
        return total

    def ends(self) -> tuple[Float64[ndarray, "path output"], Float64[ndarray, " output"]]:
        """Return the values of every baseline, and of the prompt."""
        return self._values[self._points.at == 0], self._values[self._points.at == 1][0]

    def mean(self) -> Float64[ndarray, "output piece"]:
        """Return a first impression: the mean over the points with slopes so far."""
        mean: ndarray = np.nanmean(self._shares, axis=0)
        return mean

    def worst(self, count: int) -> Points:
        """Return the middles of the panels whose rule misses most of what happens there."""
        left, width = self._panels()
        slope = self._all_shares().sum(-1)
        seen = (slope[left] + slope[left + 1]) * (width / 2)[:, None]
        miss = np.abs(seen - (self._values[left + 1] - self._values[left]))
        scale = np.maximum(miss.sum(0), np.finfo(float).tiny)
        urgency = (miss / scale).max(-1) + _LENGTH_COUNTS * width / self._paths
        order = np.argsort(-urgency, kind="stable")
        chosen = np.sort(left[order[:count]])
        at = self._points.at
        return Points(self._points.path[chosen], (at[chosen] + at[chosen + 1]) / 2)

    def _all_shares(self) -> Float64[ndarray, "point output piece"]:
        """Return the shares, those of the baselines drawn out from the next two points."""
        shares, at = self._shares.copy(), self._points.at
        for start in np.flatnonzero(at == 0):
            near, far = start + 1, start + 2
            shares[start] = shares[near]
            if far < len(at) and self._points.path[far] == self._points.path[start]:
                bend = at[near] / (at[far] - at[near])
                shares[start] += bend * (shares[near] - shares[far])
        return shares

    def _panels(self) -> tuple[Int[ndarray, " panel"], Float64[ndarray, " panel"]]:
        """Return the number of each panel's left point, and its width."""
        left = np.flatnonzero(np.diff(self._points.path) == 0)
        return left, self._points.at[left + 1] - self._points.at[left]


def riemann(steps: int) -> tuple[Float64[ndarray, " step"], Float64[ndarray, " step"]]:
    """Return the middles of even steps in (0, 1) and their weights, which add up to 1."""
    return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)


def gauss_legendre(steps: int) -> tuple[Float64[ndarray, " step"], Float64[ndarray, " step"]]:
    """Return places in (0, 1) and their weights, which add up to 1."""
    at, weight = np.polynomial.legendre.leggauss(steps)
    return (at + 1) / 2, weight / 2
