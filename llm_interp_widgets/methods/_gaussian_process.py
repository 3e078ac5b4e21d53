"""Shapley values from few coalitions: a Gaussian process over games.

What comes in: pairs of a coalition S and its complement, each with the odd part of the game,
(v(S) - v(complement)) / 2, which is all that a Shapley value depends on. What goes out: the
posterior mean and standard deviation of every Shapley value.

The prior says what is true of most games: interactions of s features matter less the larger s
is. Over signs z = ±1 it is the kernel Π(1 + ρ zᵢ z'ᵢ), whose odd part keeps interactions of odd
order (those of even order cancel in a pair), plus a part that is independent for every
coalition, for whatever does not decay. A Shapley value is a linear functional of the game, so
its posterior has a closed form. Games that resemble each other (one a filler) have a part in
common, and their average is estimated. For each output ρ and the shares of these parts
maximise the marginal likelihood.

Guarantees: estimates add up to v(all) - v(nothing) once that pair is given; they are the exact
values once every coalition is; an output's estimate does not depend on the other outputs.

Sources: Rasmussen & Williams, "Gaussian Processes for Machine Learning", chapters 2 and 5;
regression on pairs: Covert & Lee, "Improving KernelSHAP", 2021; with interactions: Fumagalli et
al., "PolySHAP", 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import lgamma
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int
    from numpy import ndarray

_JITTER = 1e-10
_DECAYS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # ρ · features
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

    def first(self, count: int) -> Pairs:
        """Return the first of them."""
        return Pairs(self.on[:count], self.filler[:count], self.odd[:count], self.fillers)

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


def choose(pairs: Pairs) -> list[Prior]:
    """Return each output's prior of highest marginal likelihood, coordinate by coordinate."""
    n, several = pairs.on.shape[1], pairs.fillers > 1
    grids = {
        "rho": sorted({min(decay / n, _STEEPEST) for decay in _DECAYS}),
        "rough": _ROUGH,
        "own": _OWN if several else (0.0,),
    }
    start = Prior(min(1.5 / n, _STEEPEST), 1e-3, 0.3 if several else 0.0)
    known: dict[Prior, ndarray] = {}

    def evidence(prior: Prior) -> ndarray:
        if prior not in known:
            known[prior] = _evidence(pairs, prior)
        return known[prior]

    best = [start] * pairs.odd.shape[1]
    for name in ("rho", "own", "rough", "rho", "own") if several else ("rho", "rough", "rho"):
        for output, prior in enumerate(best):
            candidates = [prior._replace(**{name: value}) for value in grids[name]]
            likely = [evidence(candidate)[output] for candidate in candidates]
            best[output] = candidates[int(np.argmax(likely))]
    return best


def infer(pairs: Pairs, priors: list[Prior]) -> Posterior:
    """Return Shapley values given at least one pair; costs the cube of their number.

    Args:
        pairs: What was asked and answered.
        priors: One an output.
    """
    n, outputs = pairs.on.shape[1], pairs.odd.shape[1]
    mean, deviation = np.empty((n, outputs)), np.empty((n, outputs))
    by_filler = np.empty((pairs.fillers, n, outputs))
    for prior in set(priors):
        which = [o for o, chosen in enumerate(priors) if chosen == prior]
        some = _posterior(pairs, pairs.odd[:, which], prior)
        mean[:, which], deviation[:, which], by_filler[:, :, which] = some
    return Posterior(mean, deviation, by_filler)


def _posterior(pairs: Pairs, odd: ndarray, prior: Prior) -> Posterior:
    n, fillers = pairs.on.shape[1], pairs.fillers
    factor = _factor(pairs, prior)
    white = _lower(factor, odd)
    scale = (white**2).mean(0)  # of each output's game, by maximum likelihood
    weights = _upper(factor, white)
    smooth = _smooth_cross(pairs.signs, prior.rho)
    rough = prior.rough * _rough_cross(pairs.signs)
    common = 1 - prior.own + prior.own / fillers
    together = smooth * common + rough / fillers
    before = _smooth_variance(n, prior.rho) * common + prior.rough * _rough_variance(n) / fillers
    explained = (_lower(factor, together.T) ** 2).sum(0)
    variance = np.maximum(before - explained, 0)[:, None] * scale
    own = np.arange(fillers)[:, None, None] == pairs.filler  # (filler, 1, pair)
    each = smooth * (1 - prior.own + prior.own * own) + rough * own
    return Posterior(together @ weights, np.sqrt(variance), each @ weights)


# ── the prior's covariances, in units of the variance of one odd value ────────


def _covariance(pairs: Pairs, prior: Prior) -> Float64[ndarray, "pair pair"]:
    """Odd part of Π(1 + ρ zᵢ z'ᵢ), in logarithms: it spans hundreds of orders of magnitude."""
    n, up, down = pairs.on.shape[1], np.log1p(prior.rho), np.log1p(-prior.rho)
    same, other = (n + pairs.agreement) / 2, (n - pairs.agreement) / 2
    kernel = np.exp(same * up + other * down - n * up) - np.exp(other * up + same * down - n * up)
    kernel /= _whole(n, prior.rho)
    if pairs.fillers > 1:
        kernel *= np.where(pairs.filler[:, None] == pairs.filler, 1.0, 1 - prior.own)
    kernel[np.diag_indices(len(kernel))] += prior.rough + _JITTER
    found: ndarray = kernel
    return found


def _whole(n: int, rho: float) -> float:
    """Variance of one odd value, in the units above: 1 - ((1 - ρ) / (1 + ρ))ⁿ."""
    return float(-np.expm1(n * (np.log1p(-rho) - np.log1p(rho))))


def _smooth_cross(signs: ndarray, rho: float) -> Float64[ndarray, "feature pair"]:
    """Covariance of Shapley values with odd values under the decaying part.

    With v = Σ f_A χ_A over products of signs χ_A, φᵢ = 2 Σ f_A / |A| over odd A that hold i:
    2 ρ zᵢ ∫₀¹ (even part in t of Π_{j≠i}(1 + t ρ zⱼ)) dt, exact by Gauss-Legendre.
    """
    n = signs.shape[1]
    on = np.arange(n + 1)
    nodes, measure = np.polynomial.legendre.leggauss(n // 2 + 1)
    t, measure = rho * (nodes + 1) / 2, measure / 2
    up, down, top = np.log1p(t), np.log1p(-t), np.log1p(rho) * n
    of_size = []
    for others in (on - 1, on):  # features that are on beside i, where i is on, or off
        k = others.clip(0, n - 1)[:, None]
        plus = np.exp(k * up + (n - 1 - k) * down - top)
        minus = np.exp(k * down + (n - 1 - k) * up - top)
        of_size.append(2 * rho * (plus + minus) @ measure)
    size = (signs > 0).sum(1)
    found: ndarray = np.where(signs.T > 0, of_size[0][size], -of_size[1][size])
    return found / _whole(n, rho)


def _smooth_variance(n: int, rho: float) -> float:
    """Variance of a Shapley value: Σ over odd A that hold i of 4 ρ^|A| / |A|²."""
    s = np.arange(1, n + 1, 2)
    terms = _log_choose(n - 1, s - 1) + s * np.log(rho) - 2 * np.log(s) - n * np.log1p(rho)
    return float(8 * np.exp(terms).sum() / _whole(n, rho))


def _rough_cross(signs: ndarray) -> Float64[ndarray, "feature pair"]:
    """The weight of each pair's odd value in each Shapley value.

    φᵢ = Σ over S that hold i of 2 odd(S) / (n · C(n-1, |S|-1)), each pair counted once.
    """
    n = signs.shape[1]
    share = 2 / n * np.exp(-_log_choose(n - 1, np.arange(n)))
    size = (signs > 0).sum(1)
    inside, outside = share[(size - 1).clip(0)], share[(n - size - 1).clip(0)]
    found: ndarray = np.where(signs.T > 0, inside, -outside)
    return found


def _rough_variance(n: int) -> float:
    return float((4 / n**2 * np.exp(-_log_choose(n - 1, np.arange(n)))).sum())


def _log_choose(n: int, k: ndarray) -> ndarray:
    return np.array([lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) for i in k])


# ── linear algebra ────────────────────────────────────────────────────────────


def _factor(pairs: Pairs, prior: Prior) -> torch.Tensor:
    factor: torch.Tensor = torch.linalg.cholesky(torch.from_numpy(_covariance(pairs, prior)))
    return factor


def _lower(factor: torch.Tensor, right: ndarray) -> ndarray:
    given = torch.from_numpy(np.ascontiguousarray(right))
    return np.asarray(torch.linalg.solve_triangular(factor, given, upper=False))


def _upper(factor: torch.Tensor, right: ndarray) -> ndarray:
    return np.asarray(torch.linalg.solve_triangular(factor.T, torch.from_numpy(right), upper=True))


def _evidence(pairs: Pairs, prior: Prior) -> Float64[ndarray, " output"]:
    """Log marginal likelihood, each output's scale maximised out, without constants."""
    factor = _factor(pairs, prior)
    scale = (_lower(factor, pairs.odd) ** 2).mean(0) + _TINY
    found: ndarray = -0.5 * len(pairs) * np.log(scale) - float(factor.diagonal().log().sum())
    return found
