"""What the model would have said without the pieces that mattered most: one fact in plain words.

What comes in: a finished picture and the task it came from. What goes out: for each output one
short sentence, or an empty one where there is nothing sure to say.

Guarantees: it is asked of the model, not concluded from scores; with several fillers, only what
all of them agree on is said; it costs at most one evaluation in twenty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llm_interp_widgets.models.batches import Coalitions
from llm_interp_widgets.models.fillers import AUTO
from llm_interp_widgets.models.language_model import Readout
from llm_interp_widgets.models.tokenize import token_name
from llm_interp_widgets.results.describe import leading, without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.language_model import LanguageModel
    from llm_interp_widgets.results.describe import About
    from llm_interp_widgets.results.partial import Merged

_SHARE = 20


def said_without(
    task: Task, about: About, merged: Merged, params: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return a sentence for each output; empty where nothing can be said.

    Args:
        task: What was explained.
        about: The same, in words.
        merged: What came of it.
        params: Of the method; its way of switching off is used, where it has one.
    """
    nothing = ("",) * len(about.outputs)
    lm, question = task.lm, task.question
    if lm.kind == "encoder" or question.unit == "value" or merged.last.preview:
        return nothing
    readout = question.readouts[0]
    answers = Readout(readout.suffix, readout.keep, _answers)
    game = Coalitions(
        lm,
        task.prompt,
        task.pieces,
        (answers,),
        slot=question.slot,
        off=params.get("off", "replace"),
        filler=params.get("filler", AUTO),
    )
    features = [i for i, piece in enumerate(task.pieces) if not piece.special]
    affordable = max(1, merged.last.evaluations // (_SHARE * game.fillers))
    wanted = {
        row: pieces
        for row in range(min(len(about.outputs), affordable))
        if (pieces := leading(about, merged, row))
    }
    if not wanted:
        return nothing
    masks = np.ones((len(wanted), len(features)), dtype=bool)
    for mask, pieces in zip(masks, wanted.values(), strict=True):
        mask[[features.index(i) for i in pieces]] = False
    now, then = game.full(), game.by_filler(masks)
    told = list(nothing)
    for i, (row, pieces) in enumerate(wanted.items()):
        place = row if len(now) == len(about.outputs) else 0  # a token each, or the first one
        said = int(now[place])
        found = {int(answer) for answer in then[:, i, place]}
        if len(found) == 1:
            told[row] = without(about, pieces, _name(lm, said), _name(lm, found.pop()))
        elif said not in found:
            told[row] = without(about, pieces, _name(lm, said), None)
    return tuple(told)


def _answers(logits: Tensor) -> Tensor:
    """(row, keep, vocabulary or labels) -> (row, keep): the likeliest one in each place."""
    return logits.argmax(-1).float()


def _name(lm: LanguageModel, answer: int) -> str:
    return lm.labels[answer] if lm.kind == "classifier" else token_name(lm.tokenizer, answer)
