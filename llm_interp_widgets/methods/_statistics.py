"""Means and honest standard errors of samples that come in strata.

Source: Cochran, "Sampling Techniques", chapter 5 (stratified sampling).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64
    from numpy import ndarray

Z95 = 1.959963984540054
_FEWEST_DEGREES = 2


class Strata:
    """Running mean and standard error over strata of equal weight.

    Args:
        strata: How many, e.g. one a filler.
        shape: Of one sample.
    """

    def __init__(self, strata: int, shape: tuple[int, ...]) -> None:
        self._count = np.zeros(strata, dtype=int)
        self._mean = np.zeros((strata, *shape))
        self._squares = np.zeros((strata, *shape))

    def add(self, stratum: int, sample: ndarray) -> None:
        """Take one sample (Welford's update, stable for long runs)."""
        self._count[stratum] += 1
        delta = sample - self._mean[stratum]
        self._mean[stratum] += delta / self._count[stratum]
        self._squares[stratum] += delta * (sample - self._mean[stratum])

    def mean(self) -> Float64[ndarray, ...]:
        """Return the mean over the strata seen so far."""
        mean: ndarray = self._mean[self._count > 0].mean(0)
        return mean

    def spread(self) -> Float64[ndarray, ...]:
        """Return the standard deviation of the strata's means; NaN until all are seen."""
        if (self._count == 0).any():
            return np.full(self._mean.shape[1:], np.nan)
        spread: ndarray = self._mean.std(0)
        return spread

    def standard_error(self) -> Float64[ndarray, ...]:
        """Return errors such that mean ± 1.96 errors is a 95 % interval.

        The variance within strata is pooled, and Student's t replaces the normal quantile
        while there are few samples. NaN until every stratum is seen and two degrees of
        freedom are left.
        """
        samples, strata = int(self._count.sum()), len(self._count)
        degrees = samples - strata
        if degrees < _FEWEST_DEGREES or (self._count == 0).any():
            return np.full(self._mean.shape[1:], np.nan)
        pooled = self._squares.sum(0) / degrees
        of_mean = pooled * (1 / self._count).sum() / strata**2
        error: ndarray = np.sqrt(of_mean) * student_t(degrees) / Z95
        return error


def student_t(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t, to 4 % for 2 degrees and better above.

    Source: Abramowitz & Stegun 26.7.5.
    """
    z, v = Z95, degrees
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + terms[0] / v + terms[1] / v**2 + terms[2] / v**3
