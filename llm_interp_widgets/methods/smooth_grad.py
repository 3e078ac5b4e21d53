"""SmoothGrad: gradients averaged over noisy copies of the prompt, with standard errors.

Guarantees: each sample's noise depends on the seed and its number alone, so that the same
seed gives the same numbers however many samples share a pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import torch

from llm_interp_widgets.errors import ParameterError, nearest
from llm_interp_widgets.methods._gradients import (
    at_rows,
    by_piece,
    embedded,
    is_feature,
    normed,
    steepness,
    switched_off,
    times,
    values,
)
from llm_interp_widgets.methods._perturbation import count, positive
from llm_interp_widgets.methods._statistics import Strata
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy import ndarray
    from torch import Tensor

    from llm_interp_widgets.methods.base import Task

OF = ("input_x_gradient", "saliency")
_FEWEST = 8  # samples before an error is believed
_LOOK = 4  # samples between two looks; fixed, so that stopping does not depend on the batch


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothGrad:
    """Mean of another gradient method over prompts whose embeddings carry Gaussian noise.

    Source: Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.

    Attributes:
        noise: Standard deviation of the noise, as a share of that of the embeddings' own
            values. Special tokens and chat markup get none.
        samples: Noisy prompts at most.
        precision: Stop when the largest standard error is below this share of the largest
            absolute score; ``None`` takes all samples.
        of: ``"input_x_gradient"``, the mean slope times the prompt's own embedding, or
            ``"saliency"``, the mean norm of the slope.
    """

    noise: float = 0.1
    samples: int = 64
    precision: float | None = 0.05
    of: Literal["input_x_gradient", "saliency"] = "input_x_gradient"

    CARD: ClassVar[Card] = Card(
        title="SmoothGrad",
        summary="The slope along each piece's own embedding, averaged over noisy prompts.",
        needs="gradients",
        costs="up to `samples` forward passes, and T backward passes for each",
        promises="standard errors; the same seed gives the same numbers",
        caution="The noise decides: another `noise` is another question.",
        source="Smilkov et al. 2017",
        effect=False,
    )

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One is out of range.
        """
        noise = positive("noise", self.noise)
        if noise is None:
            raise ParameterError("noise=None must be a positive number, such as 0.1.")
        object.__setattr__(self, "noise", noise)
        object.__setattr__(self, "samples", count("samples", self.samples))
        object.__setattr__(self, "precision", positive("precision", self.precision))
        if self.of not in OF:
            raise ParameterError(f"of={self.of!r} does not exist. {nearest(str(self.of), OF)}")

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return itself: there is nothing to decide."""
        return self

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield after every few samples, until precise or all are taken."""
        inputs = embedded(task)
        base = switched_off(task, inputs)
        full = values(task.lm, inputs, task.question.readouts)[0]
        wide = torch.promote_types(inputs.tokens.dtype, torch.float32)
        own = inputs.tokens.to(wide)
        feature = torch.from_numpy(is_feature(task)[:, None]).to(own)
        scale = self.noise * float(own.std(correction=0)) * feature

        def noisy(part: slice) -> Tensor:
            drawn = [_noise(task.seed, i, own[0]) for i in range(part.start, part.stop)]
            return own + scale * torch.stack(drawn)

        steep = self.of == "saliency"
        keep = steepness("l2") if steep else times(own)
        strata = Strata(1, (len(full), len(task.pieces)))
        for part, _, tokens in at_rows(task, inputs, noisy, keep, rows=self.samples, step=_LOOK):
            added = by_piece(tokens, task.pieces)
            for sample in normed(added, "l2") if steep else added:
                strata.add(0, sample)
            done = part.stop
            mean, error = strata.mean(), strata.standard_error()
            precise = self._precise(mean, error, done)
            final = done == self.samples or precise is True
            yield Partial(
                scores=mean.astype(np.float32),
                standard_error=error.astype(np.float32),
                base_values=base,
                output_values=full,
                done=done,
                total=done if final else self.samples,
                evaluations=done + 2,
                converged=precise,
                final=final,
            )
            if final:
                return

    def _precise(self, mean: ndarray, error: ndarray, done: int) -> bool | None:
        if self.precision is None:
            return None
        if done < _FEWEST or not np.isfinite(error).all():
            return False
        largest = np.abs(mean).max(-1)
        return bool((error.max(-1) <= self.precision * largest).all())


def _noise(seed: int, sample: int, like: Tensor) -> Tensor:
    """Return standard normal numbers that depend on the seed and the sample alone."""
    drawn = np.random.default_rng([seed, sample]).standard_normal(like.shape)
    return torch.from_numpy(drawn).to(like.dtype).to(like.device)
