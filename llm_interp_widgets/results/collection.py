"""Collection: explanations of many texts as one table of arrays, and what words do across them.

What comes in: attributions of one question about many texts. What goes out: their numbers, side
by side, and one row a word, a place, a given group of words or a given number of each text, with
the mean over texts.

Guarantees: numpy and the standard library only; a text counts once in a row, with the sum of its
pieces there; a mean is over the texts that have the word, not over all; an interval is over texts
and says nothing of the sampling within each. Texts that were asked about different targets or
models are shown, but never under the name of one of them: the footer warns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.results.describe import UNIT_NAMES, Z95, gap_level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jaxtyping import Bool, Float32, Float64, UInt32
    from numpy import ndarray

    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.describe import About, Level

By = Literal["word", "position"]
Kind: TypeAlias = Literal["word", "position", "group", "value"]
Named: TypeAlias = "dict[str, list[Any]]"
PLACES = 10
_LEAST_SHARE = 0.01
# What is cut off both ends of a word: as in the view, which trims as ECMAScript does.
_BLANK = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)


@dataclass(frozen=True, slots=True)
class Group:
    """What one word does across texts.

    Attributes:
        name: The word, the place, or the name of the group or number.
        texts: Which texts have it.
        scores: (text,) sum of the scores of its pieces in each of them; of a given number, of all
            pieces.
        counts: (text,) how many of its pieces each of them has.
        values: (text,) the given number of each of them; ``None`` for words and places.
    """

    name: str
    texts: UInt32[ndarray, " text"]
    scores: Float64[ndarray, " text"]
    counts: UInt32[ndarray, " text"]
    values: Float64[ndarray, " text"] | None = None

    @property
    def mean(self) -> float:
        """Mean score over the texts that have it."""
        return float(self.scores.mean())

    @property
    def mean_size(self) -> float:
        """Mean |score| over the texts that have it."""
        return float(np.abs(self.scores).mean())

    @property
    def margin(self) -> float:
        """Half the 95 % interval of ``mean_size``, from how the texts differ; NaN for one."""
        if len(self.scores) < 2:
            return float("nan")
        return float(Z95 * np.abs(self.scores).std(ddof=1) / np.sqrt(len(self.scores)))

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation of a given number with the scores; NaN where there is none.

        That texts with more of it have higher scores says nothing of why.
        """
        if self.values is None or len(set(self.values)) < 2 or len(set(self.scores)) < 2:
            return float("nan")
        return float(np.corrcoef(_ranks(self.values), _ranks(self.scores))[0, 1])


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Explanations of many texts.

    Attributes:
        about: What the first one is about.
        outputs: What each output is called; empty where each text was asked about its own.
        texts: The prompts.
        offsets: (text + 1,) where each text's pieces begin.
        starts: (piece,) first character in its text.
        ends: (piece,) behind the last character in its text.
        special: (piece,) never switched off.
        sure: (output, piece) the 95 % interval of the sampling leaves zero out.
        scores: (output, piece).
        base_values: (output, text).
        output_values: (output, text).
        facts: What a careful reader wants to know of all of them.
    """

    about: About
    outputs: tuple[str, ...]
    texts: tuple[str, ...]
    offsets: UInt32[ndarray, " text+1"]
    starts: UInt32[ndarray, " piece"]
    ends: UInt32[ndarray, " piece"]
    special: Bool[ndarray, " piece"]
    sure: Bool[ndarray, "output piece"]
    scores: Float32[ndarray, "output piece"]
    base_values: Float32[ndarray, "output text"]
    output_values: Float32[ndarray, "output text"]
    facts: tuple[tuple[str, str, Level], ...]

    @classmethod
    def of(cls, attributions: Sequence[Attribution]) -> Collection:
        """Put attributions side by side.

        Raises:
            ResultError: There is none, or they do not explain the same thing.
        """
        if not attributions:
            raise ResultError("There is nothing to show: pass at least one explanation.")
        first = attributions[0]
        for i, a in enumerate(attributions):
            for what, one, two in (
                ("unit", first.unit, a.unit),
                ("method", first.method, a.method),
                ("number of outputs", len(first.outputs), len(a.outputs)),
            ):
                if one != two:
                    raise ResultError(
                        f"Text {i} differs from text 0 in its {what}: {two} and {one}. Explain "
                        "all texts with the same method and unit."
                    )
        sizes = [len(a.inputs) for a in attributions]
        scores = np.concatenate([a.scores for a in attributions], axis=1)
        errors = np.concatenate(
            [
                np.zeros_like(a.scores) if a.standard_error is None else a.standard_error
                for a in attributions
            ],
            axis=1,
        )
        pieces = [piece for a in attributions for piece in a.inputs]
        return cls(
            about=first.about(),
            outputs=_outputs(attributions),
            texts=tuple(a.prompt for a in attributions),
            offsets=np.cumsum([0, *sizes], dtype=np.uint32),
            starts=np.array([piece.start for piece in pieces], dtype=np.uint32),
            ends=np.array([piece.end for piece in pieces], dtype=np.uint32),
            special=np.array([piece.special for piece in pieces], dtype=bool),
            sure=np.abs(scores) > Z95 * errors,
            scores=scores,
            base_values=np.stack([a.base_values for a in attributions], 1).astype(np.float32),
            output_values=np.stack([a.output_values for a in attributions], 1).astype(np.float32),
            facts=_facts(attributions),
        )

    @property
    def sizes(self) -> list[int]:
        """How many pieces each text has."""
        return [int(size) for size in np.diff(self.offsets.astype(np.int64)).tolist()]

    def groups(
        self,
        by: By | Mapping[str, Iterable[Any]] = "word",
        *,
        output: int = 0,
        least: int | None = None,
    ) -> list[Group]:
        """Return what each word, place or group of words does, the largest mean |score| first.

        Args:
            by: ``"word"``: pieces of the same letters, whatever their case. ``"position"``: tenths
                of the text. Or groups of words by name. Or numbers of the texts by name, one for
                each text, ``None`` where there is none: a text's score is then that of all its
                pieces, and the strongest rank correlation comes first.
            output: Which output.
            least: Words of fewer texts are left out; ``None`` is 1 % of the texts, at least 2, and
                1 for anything but words.

        Raises:
            ParameterError: Another ``by``, or no such output.
        """
        if not 0 <= output < len(self.scores):
            raise ParameterError(f"output={output} is out of range; there are {len(self.scores)}.")
        kind, named = check_by(by, len(self.texts))
        if kind == "value":
            return self._valued(named, output)
        names = self._names(kind, named)
        rows: dict[str, dict[int, list[float]]] = {}
        text_of = np.repeat(np.arange(len(self.texts)), self.sizes)
        for name, text, score in zip(names, text_of, self.scores[output], strict=True):
            if name is not None and np.isfinite(score):
                rows.setdefault(name, {}).setdefault(int(text), []).append(float(score))
        fewest = self.least(by) if least is None else least
        found = [
            Group(
                name=name,
                texts=np.array(list(by_text), dtype=np.uint32),
                scores=np.array([sum(each) for each in by_text.values()]),
                counts=np.array([len(each) for each in by_text.values()], dtype=np.uint32),
            )
            for name, by_text in rows.items()
            if len(by_text) >= fewest
        ]
        return sorted(found, key=lambda group: (-group.mean_size, group.name))

    def least(self, by: By | Mapping[str, Iterable[Any]]) -> int:
        """Return in how many texts a word must be by default: rare ones rank high by chance."""
        if by != "word":
            return 1
        return min(len(self.texts), max(2, round(_LEAST_SHARE * len(self.texts))))

    def _valued(self, named: Named, output: int) -> list[Group]:
        """Return a row for each given number: every text that has it, with all its scores."""
        own = np.where(self.special, np.nan, self.scores[output].astype(np.float64))
        sums = np.array([np.nansum(own[a:b]) for a, b in pairwise(self.offsets.tolist())])
        found = []
        for name, given in named.items():
            values = np.array(given, dtype=np.float64)
            texts = np.flatnonzero(np.isfinite(values)).astype(np.uint32)
            if len(texts):
                ones = np.ones(len(texts), dtype=np.uint32)
                found.append(Group(name, texts, sums[texts], ones, values[texts]))
        return sorted(found, key=lambda group: -np.nan_to_num(abs(group.correlation)))

    def _names(self, by: Kind, named: Named) -> list[str | None]:
        lexicon = (
            {word.strip(_BLANK).lower(): name for name, words in named.items() for word in words}
            if by == "group"
            else None
        )
        names: list[str | None] = []
        for text, start, stop in zip(
            self.texts, self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True
        ):
            own = range(start, stop)
            features = [i for i in own if not self.special[i]]
            place = {i: rank for rank, i in enumerate(features)}
            for i in own:
                word = text[self.starts[i] : self.ends[i]].strip(_BLANK).lower()
                if self.special[i] or not word:
                    names.append(None)
                elif lexicon is not None:
                    names.append(lexicon.get(word))
                elif by == "word":
                    names.append(word)
                else:
                    tenth = place[i] * PLACES // len(features)
                    names.append(f"{10 * tenth}–{10 * tenth + 10} % of the text")
        return names


def check_by(by: By | Mapping[str, Iterable[Any]], texts: int) -> tuple[Kind, Named]:
    """Return what ``by`` asks for: the kind of row, and the words or numbers it names.

    Args:
        by: What the caller passed.
        texts: How many texts there are.

    Raises:
        ParameterError: Texts cannot be grouped by it.
    """
    if isinstance(by, str):
        if by not in ("word", "position"):
            raise ParameterError(
                f"by={by!r} does not exist. Pass 'word', 'position', or groups of words: "
                "{'praise': ['good', 'great'], …}."
            )
        return by, {}
    if not hasattr(by, "items") or not by:
        raise ParameterError(f"by={by!r} must be 'word', 'position', or names of groups to words.")
    named = {name: _listed(name, given) for name, given in by.items()}
    words = {name: all(isinstance(one, str) for one in given) for name, given in named.items()}
    if all(words.values()):
        return "group", named
    if any(words.values()):
        raise ParameterError("by must name groups of words or numbers of texts, not both at once.")
    return "value", {name: _numbers(name, given, texts) for name, given in named.items()}


def _listed(name: object, given: object) -> list[Any]:
    """Return words or numbers as a list; numpy and pandas have scalars and rows of their own."""
    rows = getattr(given, "tolist", None)
    listed = rows() if callable(rows) else given
    if not isinstance(name, str) or not isinstance(listed, list | tuple | set | frozenset):
        raise ParameterError(
            f"by[{name!r}] must be a list of words, or a list of numbers, one for each text."
        )
    return list(listed)


def _numbers(name: str, given: list[Any], texts: int) -> list[float | None]:
    if not all(one is None or isinstance(one, Real) for one in given):
        raise ParameterError(
            f"by[{name!r}] must be a list of words, or a list of numbers, one for each text."
        )
    if len(given) != texts:
        raise ParameterError(
            f"by[{name!r}] has {len(given):,} numbers for {texts:,} texts. Pass one for each text, "
            "in their order; None where there is none."
        )
    floats = [None if one is None else float(one) for one in given]
    numbers = [None if one is None or not math.isfinite(one) else one for one in floats]
    if not any(one is not None for one in numbers):
        raise ParameterError(f"by[{name!r}] has no number at all.")
    return numbers


def _ranks(values: Float64[ndarray, " text"]) -> Float64[ndarray, " text"]:
    """Return places from 1; equal values share their middle one."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles: Float64[ndarray, " text"] = np.cumsum(counts) - (counts - 1) / 2
    return middles[which]


def _outputs(attributions: Sequence[Attribution]) -> tuple[str, ...]:
    """Return the outputs' names; what differs from text to text goes by no text's name."""
    columns = zip(*([token.text for token in a.outputs] for a in attributions), strict=True)
    shared = [names[0] if len(set(names)) == 1 else "" for names in columns]
    if len(shared) == 1:
        return (shared[0],)
    return tuple(name or f"output {i}" for i, name in enumerate(shared, start=1))


def _facts(attributions: Sequence[Attribution]) -> tuple[tuple[str, str, Level], ...]:
    first, count = attributions[0], len(attributions)
    models = {(a.model.name, a.model.revision): a.model for a in attributions}
    known = " · ".join(filter(None, (first.model.name, first.model.dtype, first.model.device)))
    targets = {a.target for a in attributions}
    facts: list[tuple[str, str, Level]] = [
        ("texts", f"{count:,}", "plain"),
        ("method", first.method, "plain"),
        ("target", first.target, "plain")
        if len(targets) == 1
        else ("targets", f"{len(targets):,} different ones", "warn"),
        ("unit", UNIT_NAMES[first.unit], "plain"),
        ("model", known, "plain")
        if len(models) == 1
        else ("models", ", ".join(model.name for model in models.values()), "warn"),
    ]
    if first.off:
        facts.append(("switched off by", first.off, "plain"))
    if covered := sum(bool(a.hidden) for a in attributions):
        facts.append(("redacted", f"in {covered:,} of {count:,} texts", "plain"))
    verdicts = [a.verdict for a in attributions]
    for verdict in dict.fromkeys(verdicts):
        level: Level = "warn" if verdict in ("did not converge", "still moving") else "plain"
        facts.append((verdict, f"{verdicts.count(verdict):,} of {count:,}", level))
    if first.additive:
        worst = max(float(np.nan_to_num(a.completeness_gap).max()) for a in attributions)
        facts.append(("completeness gap, worst text", f"{100 * worst:.3g} %", gap_level(worst)))
    return tuple(facts)
