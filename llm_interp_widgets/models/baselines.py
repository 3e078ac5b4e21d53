"""Baselines: where a path to the prompt starts.

What comes in: names ("filler", "zero", "mean", "pad", "eos"), texts of one token, or
tensors. What goes out: names that this model has, and rows of embeddings, one a baseline.

Guarantees: a baseline is never guessed silently: one that the model lacks is replaced, and
a note says by what; special tokens and chat markup keep their own embeddings, so that they
get no share.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.models.fillers import AUTO, fillers
from llm_interp_widgets.results.describe import quoted

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray
    from torch import Tensor

    from llm_interp_widgets.models.language_model import LanguageModel

Baseline: TypeAlias = "str | Tensor | ndarray"
NAMES = ("filler", "zero", "mean", "pad", "eos", "mask")

_PLAIN = ("zero", "mean")
_SPECIAL = {"pad": "padding", "eos": "end-of-text", "mask": "mask"}
_ROWS = 4_096  # of the embedding table at once


def settle(
    lm: LanguageModel, baseline: Baseline | Sequence[Baseline]
) -> tuple[tuple[Baseline, ...], str]:
    """Return what a baseline is for this model, and a note on what it does not have.

    Args:
        lm: The model.
        baseline: ``"filler"`` (the mask token where there is one, else neutral tokens),
            ``"zero"``, ``"mean"`` (of the embedding table), ``"pad"``, ``"eos"``, ``"mask"``,
            a text of one token, embeddings of shape (d,) or (token, d); or several of these.

    Returns:
        Baselines that exist: ``"zero"``, ``"mean"``, texts of one token, or tensors; giving
        these back settles to the same. The note is empty if everything exists.

    Raises:
        ParameterError: A text is not one token, or nothing was given.

    Example:
        >>> settle(lm, "pad")  # doctest: +SKIP
        (('<pad>',), '')
    """
    several = isinstance(baseline, Sequence) and not isinstance(baseline, str | bytes)
    given = list(baseline) if several else [baseline]
    found: list[Baseline] = []
    notes = []
    for one in given:
        if isinstance(one, torch.Tensor | np.ndarray):
            found.append(one)
            continue
        if not isinstance(one, str) or not one:
            raise ParameterError(_what_there_is(one))
        names, note = _named(lm, one)
        found += [name for name in names if name not in _texts(found)]
        notes += [note] if note else []
    if not found:
        raise ParameterError(_what_there_is(baseline))
    return tuple(found), " ".join(notes)


def words(baselines: Sequence[Baseline]) -> str:
    """Return what ``settle`` returned as a reader sees it, e.g. ``"“_”, “ the”, averaged"``."""
    named = {"zero": "embeddings of zero", "mean": "the mean embedding"}
    listed = ", ".join(
        named.get(one, quoted(one)) if isinstance(one, str) else "given embeddings"
        for one in baselines
    )
    return f"{listed}, averaged" if len(baselines) > 1 else listed


def rows(
    lm: LanguageModel,
    own: Float[Tensor, "1 token d"],
    feature: Bool[ndarray, " token"],
    baselines: Sequence[Baseline],
) -> Float[Tensor, "baseline token d"]:
    """Return the embeddings of each baseline; what is no feature keeps its own.

    Args:
        lm: The model.
        own: The prompt's own embeddings.
        feature: Which tokens are switched off.
        baselines: What ``settle`` returned.

    Raises:
        ParameterError: A tensor does not fit the prompt.
    """
    off = torch.from_numpy(feature)[:, None].to(own.device)
    found = [torch.where(off, _row(lm, own, one), own[0]) for one in baselines]
    return torch.stack(found)


def _row(lm: LanguageModel, own: Tensor, baseline: Baseline) -> Tensor:
    """Return (d,) or (token, d)."""
    if isinstance(baseline, str):
        if baseline == "zero":
            return torch.zeros_like(own[0])
        if baseline == "mean":
            return _mean(lm).to(own)
        ids, _ = fillers(lm, baseline, "replace")
        return lm.embed(torch.tensor([ids]))[0, 0].to(own)
    given = torch.as_tensor(baseline).detach().to(own)
    if given.shape not in (own.shape[1:], own.shape[2:]) or not bool(torch.isfinite(given).all()):
        tokens, width = own.shape[1:]
        raise ParameterError(
            f"A baseline given as a tensor must hold finite numbers and have shape ({width},) or "
            f"({tokens}, {width}) for this prompt; it has shape {tuple(given.shape)}."
        )
    return given


def _mean(lm: LanguageModel) -> Tensor:
    every = torch.arange(lm.vocabulary_size)
    parts = torch.split(every, _ROWS)
    sums = [lm.embed(ids[None])[0].float().sum(0) for ids in parts]
    return torch.stack(sums).sum(0) / len(every)


def _named(lm: LanguageModel, name: str) -> tuple[tuple[str, ...], str]:
    if name in _PLAIN:
        return (name,), ""
    if name == "filler":
        return fillers(lm, AUTO, "replace")[1], ""
    if name in _SPECIAL:
        text = getattr(lm.tokenizer, f"{name}_token", None)
        if text:
            return (str(text),), ""
        instead = fillers(lm, AUTO, "replace")[1]
        words = ", ".join(map(quoted, instead))
        averaged = ", averaged" if len(instead) > 1 else ""
        note = f"This tokenizer has no {_SPECIAL[name]} token; the baseline is {words}{averaged}."
        return instead, note
    meant = get_close_matches(name.lower(), NAMES, 1, 0.8) if name.isalpha() else ()
    if meant:
        raise ParameterError(
            f"baseline={name!r} is no baseline by name. Did you mean {meant[0]!r}? The token is "
            f"{' ' + name.strip()!r}, with its space."
        )
    fillers(lm, name, "replace")  # raises where it is not one token
    return (name,), ""


def _texts(found: Sequence[Baseline]) -> list[str]:
    return [one for one in found if isinstance(one, str)]


def _what_there_is(given: object) -> str:
    return (
        f"baseline={given!r} must be {', '.join(map(repr, NAMES))}, a text of one token, a "
        "tensor of embeddings, or a list of these that is averaged."
    )
