"""What the gradient methods share: the prompt as embeddings, and tokens added up to pieces."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from llm_interp_widgets.errors import NonFiniteError
from llm_interp_widgets.models.diagnose import first_nonfinite, where_from
from llm_interp_widgets.models.entrances import AtEmbeddings
from llm_interp_widgets.models.gradients import Passes, slopes
from llm_interp_widgets.models.language_model import Inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxtyping import Bool, Float, Float64
    from numpy import ndarray
    from torch import Tensor

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.language_model import LanguageModel, Readout
    from llm_interp_widgets.text.tokens import Token

Keep: TypeAlias = "Callable[[Float[Tensor, 'row token d']], Float[Tensor, 'row token']]"
NORMS = ("l1", "l2")


def embedded(task: Task, lm: LanguageModel | None = None) -> Inputs:
    """Return the prompt as one row of embeddings, in the model's dtype.

    Args:
        task: What is asked.
        lm: A stand-in for the task's model.
    """
    read = task.question.prompt.ids
    return task.question.inputs((lm or task.lm).embed(torch.tensor([read])))


def is_feature(task: Task) -> Bool[ndarray, " token"]:
    """Return which tokens belong to pieces that can be switched off."""
    feature = np.zeros(len(task.prompt.tokens), dtype=bool)
    for piece in task.pieces:
        feature[piece.position : piece.position + piece.size] = not piece.special
    return feature


def by_piece(
    tokens: Float[ndarray, "*rows token"], pieces: Sequence[Token]
) -> Float[ndarray, "*rows piece"]:
    """Add up what the tokens of a piece have."""
    added: ndarray = np.add.reduceat(tokens, [piece.position for piece in pieces], axis=-1)
    return added


def values(lm: LanguageModel, inputs: Inputs, readouts: Sequence[Readout]) -> ndarray:
    """Return (row, output) values in float64, added over the readouts, without gradients.

    Raises:
        NonFiniteError: One is NaN or infinite; the first module that made one is named.
    """
    found = sum(lm.scores(inputs, readout).cpu().double().numpy() for readout in readouts)
    return finite(np.asarray(found), lm, inputs, readouts)


def finite(
    found: ndarray, lm: LanguageModel, inputs: Inputs, readouts: Sequence[Readout]
) -> ndarray:
    """Return the values as they are.

    Raises:
        NonFiniteError: One is NaN or infinite.
    """
    if np.isfinite(found).all():
        return found
    names = [first_nonfinite(lm, inputs, readout) for readout in readouts]
    where = where_from(next((name for name in names if name), None))
    raise NonFiniteError(
        f"{lm.name} returned NaN or infinite scores in {lm.info.dtype}.{where} Try "
        "dtype='float32', or check the model's weights."
    )


def switched_off(task: Task, inputs: Inputs) -> Float64[ndarray, " output"]:
    """Return the values of all-zero embeddings, the base of methods that have no baseline."""
    zeros = Inputs(torch.zeros_like(inputs.tokens), inputs.segments, inputs.slot)
    base: ndarray = values(task.lm, zeros, task.question.readouts)[0]
    return base


def at_prompt(
    task: Task, inputs: Inputs, keep: Keep
) -> tuple[Float64[ndarray, " output"], Float64[ndarray, "output token"]]:
    """Differentiate every output at the prompt itself; see ``at_rows``."""
    one = at_rows(task, inputs, lambda _: inputs.tokens, keep, rows=1, step=1)
    _, found, kept = next(one)
    return found[0], kept[0]


def at_rows(
    task: Task,
    inputs: Inputs,
    states: Callable[[slice], Float[Tensor, "row token d"]],
    keep: Keep,
    *,
    rows: int,
    step: int,
) -> Iterator[tuple[slice, Float64[ndarray, "row output"], Float64[ndarray, "row output token"]]]:
    """Differentiate every output at rows of embeddings, ``step`` rows at a time.

    Args:
        task: What is asked.
        inputs: The prompt, as one row.
        states: Embeddings of some of the rows.
        keep: What is kept of each token's slope, added over the readouts.
        rows: How many there are.
        step: After how many of them to yield, whatever fits into a pass.

    Yields:
        Which rows, their values, and what was kept of each output's slope there.
    """
    lm, readouts = task.lm, task.question.readouts
    place, dtype = AtEmbeddings(lm), inputs.tokens.dtype
    longest = inputs.tokens.shape[1] + max(len(readout.suffix) for readout in readouts)
    passes = Passes(lm, longest, max(readout.keep for readout in readouts))

    def score(leaf: Tensor, readout: Readout) -> Tensor:
        return place.forward(leaf, inputs, readout)

    def work(part: slice) -> tuple[ndarray, ndarray]:
        at = states(part).to(dtype)
        several = len(readouts) > 1
        first = (lambda slope: slope) if several else keep
        passed = [slopes(lm, partial(score, readout=one), at, first) for one in readouts]
        found = sum(values.cpu().double().numpy() for values, _ in passed)
        kept = torch.stack([slope for _, slope in passed]).sum(0)
        if several:
            kept = torch.stack([keep(slope) for slope in kept])
        checked = finite(np.asarray(found), lm, inputs, readouts)
        return checked, kept.transpose(0, 1).cpu().double().numpy()

    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        parts = [
            found
            for _, found in passes.over(
                part.stop - start,
                lambda few, start=start: work(slice(start + few.start, start + few.stop)),  # type: ignore[misc]
            )
        ]
        found, kept = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        yield part, found, kept


# ── what is kept of a token's slope ───────────────────────────────────────────


def times(own: Float[Tensor, "1 token d"]) -> Keep:
    """Keep the slope along each token's own embedding."""
    wide = own.to(torch.promote_types(own.dtype, torch.float32))
    return lambda slope: (slope * wide).sum(-1)


def steepness(norm: str) -> Keep:
    """Keep what norms are added up from; ``normed`` makes them norms again."""
    return (lambda slope: slope.abs().sum(-1)) if norm == "l1" else lambda slope: (slope**2).sum(-1)


def normed(added: Float64[ndarray, "*rows piece"], norm: str) -> Float64[ndarray, "*rows piece"]:
    """Return each piece's norm from what its tokens kept, added up."""
    return added if norm == "l1" else np.sqrt(added)
