"""Numbers in words: the footer's facts and one plain sentence, never beyond the evidence.

What comes in: a merged picture and what it is about. What goes out: short texts, in the language
in force (see ``words``).
Guarantees: a score whose 95 % interval crosses zero is not called an effect; a preview is called
one; numbers have at most three significant digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llm_interp_widgets.words import retold, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float64
    from numpy import ndarray

    from llm_interp_widgets.results.attribution import Verdict
    from llm_interp_widgets.results.partial import Merged
    from llm_interp_widgets.results.result import ModelInfo, Unit
    from llm_interp_widgets.text.tokens import Token

Level = Literal["plain", "warn", "bad"]
Z95 = 1.96
AMBER, RED = 0.05, 0.20
POOR_FIT = 0.5
UNIT_NAMES: dict[str, str] = {  # said where they are shown
    "logit": "logit",
    "log_prob": "log-probability",
    "prob": "probability",
    "cosine": "cosine similarity",
    "value": "value",
}


@dataclass(frozen=True, slots=True)
class About:
    """What a picture is about; everything that does not change while a job runs."""

    prompt: str
    inputs: tuple[Token, ...]
    outputs: tuple[Token, ...]
    target: str
    unit: Unit
    method: str
    title: str
    caution: str
    off: str
    granularity: str
    params: Mapping[str, Any]
    model: ModelInfo
    seed: int
    note: str = ""
    additive: bool = True
    effect: bool = True
    hidden: str = ""


def number(value: float) -> str:
    """Return a number with at most three significant digits and a real minus sign."""
    if not math.isfinite(value):
        return say("unknown")
    return f"{value:.3g}".replace("-", "−")


def quoted(text: str) -> str:
    r"""Return a token in quotation marks, without the space that belongs to its spelling.

    Example:
        >>> quoted(" Paris"), quoted("\n")
        ('“Paris”', '“↵”')
    """
    bare = text.strip() or text.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣")
    return f"“{bare}”"


def verdict(merged: Merged, status: str) -> Verdict:
    """Return one word on how far the numbers can be trusted."""
    last = merged.last
    if last.exact and last.final:
        return "exact"
    if status != "done":
        return "still moving"
    if last.converged is None:
        return "unknown"
    return "converged" if last.converged else "did not converge"


def gap_level(gap: float) -> Level:
    """Return how worrying a completeness gap is: 5 % is amber, 20 % red."""
    if not gap > AMBER:
        return "plain"
    return "warn" if gap <= RED else "bad"


def facts(about: About, merged: Merged) -> list[tuple[str, str, Level]]:
    """Return (label, value, level) for the honesty footer.

    Args:
        about: What is explained.
        merged: The numbers so far.
    """
    last, info = merged.last, about.model
    listed: list[tuple[str, str, Level]] = [
        (say("method"), about.method, "plain"),
        (say("target"), f"{target_words(about.target)} ({say(UNIT_NAMES[about.unit])})", "plain"),
    ]
    if about.note:
        listed.append((say("check"), _note(about.note), "warn"))
    if about.off:
        path = "baseline" in about.params
        label = say("path starts at") if path else say("switched off by")
        listed.append((label, stands_in(about.off), "plain"))
    if last.evaluations or not last.final:  # a result of another library does not say
        listed.append((say("model evaluations"), f"{last.evaluations:,}", "plain"))
        listed.append((say("seed"), str(about.seed), "plain"))
    known = " · ".join(filter(None, (info.name, info.dtype, info.device)))
    listed.append((say("model"), known, "plain"))
    if not last.preview and last.total:
        listed.append(_gap_fact(about, merged))
        if merged.fit is not None:
            listed.append(_fit_fact(merged.fit))
        if len(merged.base_values) == 1:
            base, output = merged.base_values[0], merged.output_values[0]
            listed.append((say("base → output"), f"{number(base)} → {number(output)}", "plain"))
    if about.hidden:
        listed.append((say("redacted"), hidden_words(about.hidden), "plain"))
    if merged.spread is not None and last.final:
        ranking = _ranking_note(merged)
        if ranking:
            listed.append((say("across fillers"), ranking, "plain"))
    return listed


def fact_told(label: str, value: str, level: Level) -> tuple[str, str, Level]:
    """Return a fact of many texts, as it was kept, in the language in force."""
    said = {"target": target_words, "switched off by": stands_in}.get(label)
    if said is None:
        told = retold(value, "{n} different ones", "in {n} of {count} texts", "{n} of {count}")
        return (say(label), told, level)
    return (say(label), said(value), level)


def hidden_words(hidden: str) -> str:
    """Return how much is covered, as it was kept, in the language in force."""
    return retold(hidden, "{n} of {count} characters", "not the text, but what is said of it")


def target_words(target: str) -> str:
    """Return what is explained, as it was kept, in the language in force."""
    return retold(
        target,
        "{one} rather than {other}",
        "similarity with {text}",
        "the {n} tokens it writes: {text}",
    )


def stands_in(off: str) -> str:
    """Return how pieces are switched off, as it was kept, in the language in force."""
    return retold(off, "removing the tokens", "{fillers}, averaged", "embeddings of zero",
                  "the mean embedding", "given embeddings")  # fmt: skip


def _note(note: str) -> str:
    return retold(
        note.strip(),
        "The target is much longer than the prompt. Are they swapped?",
        "The prompt ends in a space; most models expect it at the start of the next word.",
        "Without a leading space this reads “{joined}”. Did you mean “ {text}”?",
        "This tokenizer has no {kind} token; the baseline is {baseline}.",
        "lime switched every place of a word at once; each shows its part.",
    )


def sentence(about: About, merged: Merged, row: int = 0) -> str:
    """Return one sentence for a reader who knows no statistics; empty if nothing is known.

    Args:
        about: What is explained.
        merged: The numbers so far.
        row: Which output.
    """
    scores = merged.scores[row] if len(merged.scores) else np.zeros(0)
    sure = _sure(about, merged, row)
    if sure is None:
        return ""
    if not sure.any():
        return say("No single piece can be told from no effect at all.")
    error = np.zeros_like(scores)
    if merged.standard_error is not None:
        error = merged.standard_error[row]
    order = [int(i) for i in np.argsort(-np.abs(scores)) if sure[i]]
    if not about.effect:
        return _ranking(about, order)
    best, target = order[0], target_words(about.target)
    if len(about.outputs) > 1:
        target = quoted(about.outputs[row].text)
    up = scores[best] > 0
    rivals = [
        i
        for i in order[1:]
        if scores[i] * scores[best] > 0
        and abs(scores[best]) - abs(scores[i]) <= Z95 * math.hypot(error[best], error[i])
    ]
    if rivals and error[best] > 0:
        pieces = _listed([quoted(about.inputs[i].text) for i in [best, *rivals[:2]]])
        text = (
            say("{pieces} pushed most towards {target}.", pieces=pieces, target=target)
            if up
            else say("{pieces} pushed most away from {target}.", pieces=pieces, target=target)
        )
        return text + _told(merged, row)
    first = {
        "piece": quoted(about.inputs[best].text),
        "target": target,
        "score": f"{_signed(scores[best])} {say(UNIT_NAMES[about.unit])}",
    }
    text = (
        say("{piece} pushed hardest towards {target} ({score})", **first)
        if up
        else say("{piece} pushed hardest away from {target} ({score})", **first)
    )
    against = next((i for i in order if scores[i] * scores[best] < 0), None)
    if against is not None and abs(scores[against]) >= abs(scores[best]) / 10:
        text = say(
            "{first}; {piece} pushed the other way ({score})",
            first=text,
            piece=quoted(about.inputs[against].text),
            score=_signed(scores[against]),
        )
    return say("{said}.", said=text) + _told(merged, row)


def leading(about: About, merged: Merged, row: int = 0) -> tuple[int, ...]:
    """Return the pieces without which the answer is worth knowing: at most three.

    They are the one with the largest score, and those that push the same way at least half as
    hard; none if not even their signs are sure, or a score is no effect.
    """
    sure = _sure(about, merged, row)
    if sure is None or not sure.any() or not about.effect:
        return ()
    scores = merged.scores[row]
    order = [int(i) for i in np.argsort(-np.abs(scores)) if sure[i]]
    best = scores[order[0]]
    along = [i for i in order if scores[i] * best > 0 and abs(scores[i]) >= abs(best) / 2]
    return tuple(along[:3])


def without(about: About, pieces: Sequence[int], now: str, then: str | None) -> str:
    """Return what the model would have said without some pieces; in English, as it is kept.

    Args:
        about: What is explained.
        pieces: Which inputs were switched off.
        now: What it says of the text as it is.
        then: What it says without them; ``None`` for different things, but never ``now``.
    """
    quotes = [quoted(about.inputs[i].text) for i in pieces]
    names = quotes[0] if len(quotes) == 1 else f"{', '.join(quotes[:-1])} and {quotes[-1]}"
    if then is None:
        return f"Without {names} it would not have said {quoted(now)}."
    if now == then:
        return f"Without {names} it would still have said {quoted(then)}."
    return f"Without {names} it would have said {quoted(then)}, not {quoted(now)}."


def _told(merged: Merged, row: int) -> str:
    told = merged.without[row] if row < len(merged.without) else ""
    if not told:
        return ""
    said = retold(
        told,
        "Without {pieces} it would not have said {now}.",
        "Without {pieces} it would still have said {now}.",
        "Without {pieces} it would have said {then}, not {now}.",
        pieces=_list_told,
    )
    return say(" ") + said


def _list_told(kept: str) -> str:
    some, found, last = kept.rpartition("” and “")
    return _listed([*f"{some}”".split(", "), f"“{last}"]) if found else kept


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return say("{some} and {last}", some=say(", ").join(names[:-1]), last=names[-1])


def _sure(about: About, merged: Merged, row: int) -> ndarray | None:
    """Which pieces' 95 % intervals leave zero out; ``None`` where not all is known."""
    scores = merged.scores[row] if len(merged.scores) else np.zeros(0)
    if merged.last.preview or not scores.size or not np.isfinite(scores).all():
        return None
    error = np.zeros_like(scores)
    if merged.standard_error is not None:
        error = merged.standard_error[row]
    if not np.isfinite(error).all():
        return None
    feature = np.array([not token.special for token in about.inputs])
    found: ndarray = feature & (np.abs(scores) > Z95 * error) & (scores != 0)
    return found


def off_words(params: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return how pieces are switched off, in English, e.g. ``"“_”, “ the”, averaged"``."""
    if not names:
        return ""
    if params.get("off") == "remove":
        return "removing the tokens"
    listed = ", ".join(quoted(name) for name in names)
    return f"{listed}, averaged" if len(names) > 1 else listed


def _gap_fact(about: About, merged: Merged) -> tuple[str, str, Level]:
    """The completeness gap; the worst one, where there are several outputs."""
    label, gaps = say("completeness gap"), merged.completeness_gap
    if not about.additive:
        return (label, say("not applicable: scores are not shares"), "plain")
    if not np.isfinite(gaps).all():
        return (label, say("unknown"), "warn")
    worst = float(gaps.max())
    if len(gaps) > 1:
        label = say("completeness gap, worst of {n}", n=len(gaps))
    return (label, _percent(worst), gap_level(worst))


def _fit_fact(fit: Float64[ndarray, " output"]) -> tuple[str, str, Level]:
    """How well a linear model describes the surroundings; the worst of several outputs."""
    label = say("local fit R²")
    if len(fit) > 1:
        label = say("local fit R², worst of {n}", n=len(fit))
    if not np.isfinite(fit).all():
        return (label, say("unknown"), "warn")
    worst = float(fit.min())
    return (label, f"{worst:.2f}".replace("-", "−"), "warn" if worst < POOR_FIT else "plain")


def _ranking_note(merged: Merged) -> str:
    """Whether the first place would be another's under another filler; empty if unknown."""
    scores, spread = merged.scores[0], merged.spread
    if spread is None or len(merged.scores) > 1 or scores.size < 2:
        return ""
    noise = np.zeros_like(scores) if merged.standard_error is None else merged.standard_error[0]
    if not np.isfinite(spread[0]).all() or not np.isfinite(noise).all():
        return ""
    first, second = np.argsort(-np.abs(scores))[:2]
    lead = abs(scores[first]) - abs(scores[second])
    vary = say("scores vary by up to ±{most}", most=number(float(spread[0].max())))
    if lead > spread[0, first] + spread[0, second]:
        return say("{vary}; first place is clear", vary=vary)
    if max(noise[first], noise[second]) > min(spread[0, first], spread[0, second]) / 2:
        return vary  # what differs between fillers may be sampling noise
    return say("{vary}; first place depends on the filler", vary=vary)


def _ranking(about: About, order: Sequence[int]) -> str:
    """What comes first, where a score is no effect and nothing was pushed."""
    names = [quoted(about.inputs[i].text) for i in order[:2]]
    if len(names) == 1:
        return say("{first} has the largest score. These scores are not effects.", first=names[0])
    return say(
        "{first} has the largest score, before {second}. These scores are not effects.",
        first=names[0],
        second=names[1],
    )


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def _percent(share: float) -> str:
    return "0 %" if share < 0.0005 else f"{100 * share:.3g} %"
