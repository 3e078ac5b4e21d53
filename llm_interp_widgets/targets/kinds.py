"""What can be explained, as the user says it, and as the rest of the house works with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_interp_widgets.models.language_model import Inputs
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from llm_interp_widgets.models.language_model import LanguageModel, Readout
    from llm_interp_widgets.results.result import Unit
    from llm_interp_widgets.text.tokens import Prompt

Named = str | int
Several = Named | Sequence[Named]
"""Several labels of a classifier: an output row for each."""


@dataclass(frozen=True, slots=True)
class LogProb:
    """Log-probability of a continuation (the sum over its tokens) or of a label.

    Attributes:
        x: A continuation, a token id, a label's name or a class index;
            or, for classifiers, a list of labels: an output row for each.
    """

    x: Several


@dataclass(frozen=True, slots=True)
class Logit:
    """Raw score of one token or label, before normalisation.

    Attributes:
        x: One token (text or id), a label's name or a class index;
            or, for classifiers, a list of labels: an output row for each.
    """

    x: Several


@dataclass(frozen=True, slots=True)
class Prob:
    """Probability of a continuation (the product over its tokens) or of a label.

    Attributes:
        x: A continuation, a token id, a label's name or a class index;
            or, for classifiers, a list of labels: an output row for each.
    """

    x: Several


@dataclass(frozen=True, slots=True)
class Contrast:
    """Why ``a`` rather than ``b``: the difference of their logits or log-probabilities.

    For two single tokens the difference of logits and that of log-probabilities are the
    same number; continuations of several tokens use log-probabilities, labels use logits.

    Attributes:
        a: What was said: continuation, token id, label or class index.
        b: What could have been said instead.
        after: What the model had said before it, after the prompt: a text, or token ids. It
            stays as it is while pieces of the prompt are switched off; for language models.
    """

    a: Named
    b: Named
    after: str | tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Generate:
    """Log-probability of each of the next ``n`` tokens the model itself writes (greedily).

    Attributes:
        n: How many tokens; fewer where the model ends the text.
    """

    n: int


@dataclass(frozen=True, slots=True)
class Masked:
    """Log-probability of ``x`` at a masked position; for masked language models.

    The token there is replaced by the mask token and is no feature. A prompt that holds the
    mask token itself needs no ``Masked``: every target of one token is read there.

    Attributes:
        position: Which token of the prompt is masked, counted as ``lm.encode(prompt).tokens``
            counts, special tokens included.
        x: The token that is to be explained there: its text or id.
    """

    position: int
    x: Named


@dataclass(frozen=True, slots=True)
class Similarity:
    """Cosine similarity with another text; for encoders.

    Both texts are pooled as the model's folder says, else by the mean over all tokens.

    Attributes:
        text: The other text.
    """

    text: str


CustomTarget = Callable[["Float[Tensor, 'row vocabulary']"], "Float[Tensor, ' row']"]
Target = LogProb | Logit | Prob | Contrast | Generate | Masked | Similarity | CustomTarget
TargetLike = Target | Several | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt as one model reads it.

    Attributes:
        lm: The model.
        prompt: The encoded prompt; where a token is masked, it is marked special.
        slot: The token that a masked model is read at.
    """

    lm: LanguageModel
    prompt: Prompt
    slot: int | None = None

    def inputs(self) -> Inputs:
        """Return the prompt itself as one row."""
        return Inputs.of(self.prompt, self.slot)

    def answer(self, text: str, token: int, size: int = 1) -> Token:
        """Return what an output stands for: at the slot, else after the prompt.

        Args:
            text: What is explained.
            token: Its first token, or the label's index, or -1.
            size: How many tokens it has.
        """
        if self.slot is not None:
            at = self.prompt.tokens[self.slot]
            return Token(text, token, at.start, at.end, position=self.slot)
        end, position = len(self.prompt.text), len(self.prompt.tokens)
        return Token(text, token, end, end, position=position, size=size)


def no_list(name: str, kind: str) -> str:
    """Return why several targets at once are refused, and what to do instead."""
    return (
        f"A list names labels of a classifier; {name} is a {kind}. Explain each target by itself "
        "and show them with compare([a, b]); words that follow each other are one text."
    )


@dataclass(frozen=True, slots=True)
class Question:
    """A target made strict for one model and prompt.

    Attributes:
        readouts: What to read; their values are added.
        outputs: What each output row stands for.
        unit: Of every value.
        words: What is explained, as a reader says it.
        prompt: The prompt as it is read: a masked token is special and has the mask's id.
        slot: The token that a masked model is read at.
        note: What looks like a slip, to be shown; empty if nothing does.
    """

    readouts: tuple[Readout, ...]
    outputs: tuple[Token, ...]
    unit: Unit
    words: str
    prompt: Prompt
    slot: int | None = None
    note: str = ""

    def inputs(self, tokens: Int[Tensor, "row token"] | Float[Tensor, "row token d"]) -> Inputs:
        """Return rows as long as the prompt with all else that the model must know.

        Args:
            tokens: Ids, or embeddings in their place.
        """
        return Inputs.of(self.prompt, self.slot, tokens)
