"""Shapley values from few coalitions: a Gaussian process over set functions.

What comes in: pairs of a coalition S and its complement, each with the odd part of the game,
(v(S) - v(complement)) / 2, all a Shapley value depends on. What goes out: the posterior mean
and standard deviation of every Shapley value.

The prior says what is true of most games: interactions of s features matter less the larger
s is. Over signs z = ±1 it is the kernel Π(1 + ρ zᵢ z'ᵢ), whose odd part keeps interactions of
odd order (those of even order cancel in a pair), plus a part that is independent for every
coalition, for whatever decays less. A Shapley value is a linear functional of the game, so
that its posterior has a closed form; both parts of the prior have exact ones below. Several
games that resemble each other (one a filler) share a common part, and their average is
estimated. ρ and the two shares maximise the marginal likelihood.

Guarantees: estimates add up to v(all) - v(nothing) as soon as that pair is given; they are the
exact values once every coalition is; for games without interactions of odd order above 1 every
set of pairs that spans the features gives nearly exact values.

Sources: Rasmussen & Williams, "Gaussian Processes for Machine Learning", chapters 2 and 5;
odd interactions: Fumagalli et al., "PolySHAP"; pairs: Covert & Lee, "Improving KernelSHAP", 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int
    from numpy import ndarray

_JITTER = 1e-10
_DECAY = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # ρ · features
_STEEPEST = 0.9
_ROUGH = (1e-8, 1e-4, 1e-3, 1e-2, 5e-2, 0.2, 0.5)
_OWN = (0.02, 0.1, 0.3, 0.6, 0.9)
_TINY = 1e-30


class Prior(NamedTuple):
    """What is believed of a game before it is asked.

    Attributes:
        rho: How slowly interactions decay with their order.
        rough: Variance of the part that is independent for every coalition, over the other's.
        own: Share of the variance that a filler has to itself.
    """

    rho: float
    rough: float
    own: float


@dataclass(frozen=True)
class Pairs:
    """What was asked and answered.

    Attributes:
        on: Features of S; its complement was asked as well.
        filler: Which game.
        odd: (v(S) - v(complement)) / 2.
        fillers: How many games there are.
    """

    on: Bool[ndarray, "pair feature"]
    filler: Int[ndarray, " pair"]
    odd: Float64[ndarray, "pair output"]
    fillers: int

    def __len__(self) -> int:
        """Return how many pairs there are."""
        return len(self.on)

    def some(self, which: slice | ndarray) -> Pairs:
        """Return a part of them."""
        return Pairs(self.on[which], self.filler[which], self.odd[which], self.fillers)

    @cached_property
    def signs(self) -> Float64[ndarray, "pair feature"]:
        """+1 for on, -1 for off."""
        return np.where(self.on, 1.0, -1.0)

    @cached_property
    def agreement(self) -> Float64[ndarray, "pair pair"]:
        """Inner products of signs: features minus twice the Hamming distance."""
        found: ndarray = self.signs @ self.signs.T
        return found


class Posterior(NamedTuple):
    """What is believed of Shapley values after the answers.

    Attributes:
        mean: Of the average game.
        deviation: Its standard deviation.
        by_filler: Means for each game.
    """

    mean: Float64[ndarray, "feature output"]
    deviation: Float64[ndarray, "feature output"]
    by_filler: Float64[ndarray, "filler feature output"]


def choose(pairs: Pairs, start: Prior | None = None) -> Prior:
    """Return the prior of highest marginal likelihood, coordinate by coordinate on a grid."""
    n = pairs.on.shape[1]
    grids = {
        "rho": sorted({min(decay / n, _STEEPEST) for decay in _DECAY}),
        "rough": _ROUGH,
        "own": _OWN if pairs.fillers > 1 else (0.0,),
    }
    best = start or Prior(min(1.5 / n, _STEEPEST), 1e-3, 0.3 if pairs.fillers > 1 else 0.0)
    order = ("rho", "own", "rough", "rho", "own") if pairs.fillers > 1 else ("rho", "rough", "rho")
    for name in order:
        candidates = [best._replace(**{name: value}) for value in grids[name]]
        best = max(candidates, key=lambda prior: _evidence(pairs, prior))
    return best


def infer(pairs: Pairs, prior: Prior) -> Posterior:
    """Return Shapley values given at least one pair; costs the cube of their number."""
    n, fillers = pairs.on.shape[1], pairs.fillers
    factor = _factor(pairs, prior)
    white = _lower(factor, pairs.odd)
    scale = (white**2).mean(0)  # of each output's game, by maximum likelihood
    weights = _upper(factor, white)
    smooth = _smooth_cross(pairs.signs, prior.rho)
    rough = prior.rough * _rough_cross(pairs.signs)
    together = smooth * (1 - prior.own + prior.own / fillers) + rough / fillers
    before = (
        _smooth_variance(n, prior.rho) * (1 - prior.own + prior.own / fillers)
        + prior.rough * _rough_variance(n) / fillers
    )
    explained = (_lower(factor, together.T) ** 2).sum(0)
    variance = np.maximum(before - explained, 0)[:, None] * scale
    own = np.arange(fillers)[:, None, None] == pairs.filler  # (filler, 1, pair)
    each = smooth * (1 - prior.own + prior.own * own) + rough * own
    return Posterior(together @ weights, np.sqrt(variance), each @ weights)


# ── the prior's covariances, in units of the variance of one odd value ────────


def _covariance(pairs: Pairs, prior: Prior) -> Float64[ndarray, "pair pair"]:
    n, a, b = pairs.on.shape[1], np.log1p(prior.rho), np.log1p(-prior.rho)
    same, other = (n + pairs.agreement) / 2, (n - pairs.agreement) / 2
    top = n * a
    kernel = np.exp(same * a + other * b - top) - np.exp(other * a + same * b - top)
    kernel /= -np.expm1(n * (b - a))
    if pairs.fillers > 1:
        kernel *= np.where(pairs.filler[:, None] == pairs.filler, 1.0, 1 - prior.own)
    kernel[np.diag_indices(len(kernel))] += prior.rough + _JITTER
    found: ndarray = kernel
    return found


def _smooth_cross(signs: ndarray, rho: float) -> Float64[ndarray, "feature pair"]:
    """Covariance of Shapley values with odd values under the smooth part.

    With v = Σ f_A χ_A over products of signs χ_A, φᵢ = 2 Σ f_A / |A| over odd A that hold i.
    Hence 2 ρ zᵢ ∫₀¹ even part in t of Π_{j≠i}(1 + t ρ zⱼ) dt, exact by Gauss-Legendre.
    """
    n = signs.shape[1]
    on = np.arange(n + 1)
    nodes, measure = np.polynomial.legendre.leggauss(n // 2 + 1)
    t, measure = rho * (nodes + 1) / 2, measure / 2
    up, down = np.log1p(t), np.log1p(-t)
    top = np.log1p(rho) * n
    of_size = []
    for others in (on - 1, on):  # features that are on beside i, where i is on, or off
        k = others.clip(0, n - 1)[:, None]
        plus = np.exp(k * up + (n - 1 - k) * down - top)
        minus = np.exp(k * down + (n - 1 - k) * up - top)
        of_size.append(2 * rho * (plus + minus) @ measure)
    # the kernel's own diagonal is (1 - ((1-ρ)/(1+ρ))ⁿ) / 2 in these units; 2 · ½ cancels above
    whole = -np.expm1(n * (np.log1p(-rho) - np.log1p(rho)))
    size = (signs > 0).sum(1)
    found: ndarray = np.where(signs.T > 0, of_size[0][size], -of_size[1][size]) / whole
    return found


def _smooth_variance(n: int, rho: float) -> float:
    """Variance of a Shapley value under the smooth part: Σ over odd A that hold i of 4 ρ^|A| / |A|²."""
    whole = ((1 + rho) ** n - (1 - rho) ** n) / 2
    return sum(comb(n - 1, s - 1) * rho**s * 4 / s**2 for s in range(1, n + 1, 2)) / whole


def _rough_cross(signs: ndarray) -> Float64[ndarray, "feature pair"]:
    """The weight of each pair's odd value in each Shapley value.

    φᵢ = Σ over S that hold i of 2 odd(S) / (n · C(n-1, |S|-1)), each pair counted once.
    """
    n = signs.shape[1]
    share = np.array([2.0 / (n * comb(n - 1, k)) for k in range(n)])
    size = (signs > 0).sum(1)
    inside, outside = share[(size - 1).clip(0)], share[(n - size - 1).clip(0)]
    found: ndarray = np.where(signs.T > 0, inside, -outside)
    return found


def _rough_variance(n: int) -> float:
    return sum(4.0 / (n**2 * comb(n - 1, k)) for k in range(n))


# ── linear algebra ────────────────────────────────────────────────────────────


def _factor(pairs: Pairs, prior: Prior) -> torch.Tensor:
    return torch.linalg.cholesky(torch.from_numpy(_covariance(pairs, prior)))


def _lower(factor: torch.Tensor, right: ndarray) -> ndarray:
    found = torch.linalg.solve_triangular(
        factor, torch.from_numpy(np.ascontiguousarray(right)), upper=False
    )
    return np.asarray(found)


def _upper(factor: torch.Tensor, right: ndarray) -> ndarray:
    found = torch.linalg.solve_triangular(factor.T, torch.from_numpy(right), upper=True)
    return np.asarray(found)


def _evidence(pairs: Pairs, prior: Prior) -> float:
    """Log marginal likelihood, each output's scale maximised out, without constants."""
    factor = _factor(pairs, prior)
    scale = (_lower(factor, pairs.odd) ** 2).mean(0) + _TINY
    spread = float(factor.diagonal().log().sum())
    return float(-0.5 * len(pairs) * np.log(scale).sum() - len(scale) * spread)
