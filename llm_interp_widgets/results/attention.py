"""Answers about heads: what an attention record says in numbers and words.

Guarantees: frozen, NumPy only; what a view or a page shows of a head is one of these, or a plain
array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt32
    from numpy import ndarray

SCORES = (
    "induction", "previous_token", "duplicate_token", "first_token", "entropy", "distance",
)  # fmt: skip
"""Names of head scores, as ``AttentionRecord.head_scores`` defines them."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One weight.

    Attributes:
        query: Position of the token that attends.
        key: Position of the token that is attended to.
        weight: How much of the query's attention it gets.
    """

    query: int
    key: int
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """One head's weights, summed up, all float32.

    Attributes:
        received: (key,) what each key gets from all queries together.
        given: (query,) what each query gives to all keys: 1, less what sinks take; 0 for a query
            that sees nothing.
        entropy: (query,) of its weights, in nats.
    """

    received: Float[ndarray, " key"]
    given: Float[ndarray, " query"]
    entropy: Float[ndarray, " query"]


class Likely(NamedTuple):
    """What a model holds likeliest.

    Attributes:
        text: A token or a label.
        probability: Its own.
    """

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What switching heads off does to a target: an intervention, not a weight.

    Attributes:
        target: What is explained, in words.
        unit: Of the values.
        before: The target's value; the sum over its outputs if there are several.
        after: The same with the heads' outputs set to zero.
        top_before: The likeliest next token or label; ``None`` for models that say neither.
        top_after: The same with the heads' outputs set to zero.
    """

    target: str
    unit: str
    before: float
    after: float
    top_before: Likely | None
    top_after: Likely | None


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What turns one layer's queries and keys into weights.

    A score is ``scale`` · q · k, soft-capped, plus bias; a weight is exp(score) over the sum of
    exp over all keys that the query sees, and over the sink.

    Attributes:
        scale: Of the products.
        softcap: cap · tanh(score / cap), before a bias is added; or ``None``.
        first: (query,) the first key that a query sees.
        stop: (query,) one past the last; a query with ``stop == first`` sees nothing.
        seen: (query, key) which keys are seen, where these are not all between; or ``None``.
        bias: What is added: (head or 1, query + key − 1) at ``key − query + queries − 1`` if
            ``by_distance``, else (head or 1, query, key); or ``None``.
        by_distance: How ``bias`` is laid out.
        sinks: (head,) scores of nothing: they take a share and give no value; or ``None``.
        whole: The record holds this layer's weights themselves, and no queries and keys.
    """

    scale: float
    softcap: float | None
    first: UInt32[ndarray, " query"]
    stop: UInt32[ndarray, " query"]
    seen: Bool[ndarray, "query key"] | None
    bias: Float[ndarray, "head ..."] | None
    by_distance: bool
    sinks: Float[ndarray, " head"] | None
    whole: bool
