"""What a method is: a frozen dataclass of parameters with a card and a ``run``.

``run`` is a generator of ``Partial``s. Cancel, progress, streaming, time and batching are
not its business: it yields when it knows something better than before, the first time
early, and marks the last one ``final``.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_interp_widgets.models.batches import Known
    from llm_interp_widgets.models.language_model import LanguageModel
    from llm_interp_widgets.results.partial import Partial
    from llm_interp_widgets.targets import Question
    from llm_interp_widgets.text.tokens import Prompt, Token


@dataclass(frozen=True, slots=True)
class Task:
    """What a method works on.

    Attributes:
        lm: The model.
        prompt: The encoded text.
        pieces: Columns of the result; those not ``special`` are features.
        question: What is read from the model.
        seed: Of every random draw.
        memo: Values of coalitions, shared with other tasks that ask the same of the same prompt.
    """

    lm: LanguageModel
    prompt: Prompt
    pieces: tuple[Token, ...]
    question: Question
    seed: int
    memo: Known = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Card:
    """What a reader should know of a method.

    Attributes:
        title: Name in a heading.
        summary: One sentence on what its scores mean.
        needs: What the model must offer.
        costs: In model passes; n features, K fillers, T outputs.
        promises: Properties that hold, and are tested.
        caution: What the scores must not be taken for; shown with every picture.
        source: Paper.
        additive: Scores are shares of output − base, so that those of a coarser piece are
            their sum. Where they are not, a completeness gap says nothing.
        effect: A score is what the piece does to the target, in its unit. Where it is not, no
            sentence says that a piece pushed.
    """

    title: str
    summary: str
    needs: str
    costs: str
    promises: str
    caution: str
    source: str
    additive: bool = False
    effect: bool = True


class Method(Protocol):
    """An attribution algorithm; its dataclass fields are its parameters."""

    CARD: ClassVar[Card]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init__(self, **params: object) -> None:
        """Take the parameters; check them."""

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:
        """Return the method with what was automatic decided, for so many features.

        Args:
            features: How many pieces can be switched off.
            fillers: What stands in for them, resolved; empty if nothing does.

        Raises:
            ParameterError: The parameters do not fit; said before any work is done.
        """
        ...

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield better and better scores, the last one marked ``final``."""
        ...


class MethodTable(Mapping[str, Card]):
    """The table of methods, readable in a terminal and in a notebook."""

    _COLUMNS = ("summary", "needs", "costs", "promises")

    def __init__(self, cards: Mapping[str, Card]) -> None:
        """Keep the cards in their order."""
        self._cards = dict(cards)

    def __getitem__(self, name: str) -> Card:
        """Return the card of a method."""
        return self._cards[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._cards)

    def __len__(self) -> int:
        """Return how many methods there are."""
        return len(self._cards)

    def __repr__(self) -> str:
        """Return one block of text a method."""
        return "\n".join(
            "\n".join([name, *(f"    {c:<9} {getattr(card, c)}" for c in self._COLUMNS)])
            for name, card in self._cards.items()
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(c)}</th>" for c in ("method", *self._COLUMNS))
        body = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:left'>{html.escape(text)}</td>"
                for text in (name, *(getattr(card, c) for c in self._COLUMNS))
            )
            + "</tr>"
            for name, card in self._cards.items()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
