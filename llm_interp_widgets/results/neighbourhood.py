"""Neighbourhood: the masked texts that a local linear model was fitted to.

What comes in: masks, what the model said of each masked text, and how near each is. What goes
out: the same, immutable, with what the linear model predicts.

Guarantees: ``predicted`` is intercept + slopes · mask, to the last digit of the stored slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets.errors import ResultError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64
    from numpy import ndarray

ARRAYS = {"masks": "b1", "values": "f4", "proximity": "f4", "intercept": "f8"}


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """What a linear model saw.

    Attributes:
        masks: (sample, feature) which pieces were on; the first sample is the text itself.
        values: (sample, output) what the model said, in the unit of the scores.
        proximity: (sample,) weight in the fit, 1 for the text itself.
        intercept: (output,) of the linear model: its value with everything off.
    """

    masks: Bool[ndarray, "sample feature"]
    values: Float32[ndarray, "sample output"]
    proximity: Float32[ndarray, " sample"]
    intercept: Float64[ndarray, " output"]

    def __post_init__(self) -> None:
        """Make the arrays strict and read-only.

        Raises:
            ResultError: They do not fit each other.
        """
        for name, kind in ARRAYS.items():
            array: ndarray = np.array(getattr(self, name), dtype=kind)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        samples, outputs = self.proximity.size, self.intercept.size
        flat = self.masks.ndim == 2 and self.proximity.ndim == self.intercept.ndim == 1
        sizes = len(self.masks), self.values.shape
        if not flat or sizes != (samples, (samples, outputs)):
            shapes = ", ".join(f"{name} {getattr(self, name).shape}" for name in ARRAYS)
            raise ResultError(f"The arrays of a neighbourhood do not fit each other: {shapes}.")

    def check(self, features: int, outputs: int) -> None:
        """Raise ``ResultError`` unless it is of so many features and outputs."""
        found = self.masks.shape[1:], len(self.intercept)
        if found != ((features,), outputs):
            raise ResultError(
                f"A neighbourhood of {found[0]} features and {found[1]} outputs does not fit "
                f"{features} pieces and {outputs} outputs."
            )

    def predicted(
        self, slopes: Float32[ndarray, "output feature"]
    ) -> Float64[ndarray, "sample output"]:
        """Return what the linear model says of each sample.

        Args:
            slopes: Scores of the features only, without special pieces.
        """
        found: ndarray = self.intercept + self.masks @ np.asarray(slopes, dtype=np.float64).T
        return found
