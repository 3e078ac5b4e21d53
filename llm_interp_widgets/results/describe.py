"""Numbers in words: the footer's facts and one plain sentence, never beyond the evidence.

What comes in: a merged picture and what it is about. What goes out: short texts.
Guarantees: a score whose 95 % interval crosses zero is not called an effect; a preview is
called one; numbers have at most three significant digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float64
    from numpy import ndarray

    from llm_interp_widgets.results.attribution import ModelInfo, Unit, Verdict
    from llm_interp_widgets.results.partial import Merged
    from llm_interp_widgets.text.tokens import Token

Level = Literal["plain", "warn", "bad"]
Z95 = 1.96
AMBER, RED = 0.05, 0.20
POOR_FIT = 0.5
UNIT_NAMES: dict[str, str] = {
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


def number(value: float) -> str:
    """Return a number with at most three significant digits and a real minus sign."""
    if not math.isfinite(value):
        return "unknown"
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
        ("method", about.method, "plain"),
        ("target", f"{about.target} ({UNIT_NAMES[about.unit]})", "plain"),
    ]
    if about.note:
        listed.append(("check", about.note, "warn"))
    if about.off:
        label = "path starts at" if "baseline" in about.params else "switched off by"
        listed.append((label, about.off, "plain"))
    if last.evaluations or not last.final:  # a result of another library does not say
        listed.append(("model evaluations", f"{last.evaluations:,}", "plain"))
        listed.append(("seed", str(about.seed), "plain"))
    known = " · ".join(filter(None, (info.name, info.dtype, info.device)))
    listed.append(("model", known, "plain"))
    if not last.preview and last.total:
        listed.append(_gap_fact(about, merged))
        if merged.fit is not None:
            listed.append(_fit_fact(merged.fit))
        if len(merged.base_values) == 1:
            base, output = merged.base_values[0], merged.output_values[0]
            listed.append(("base → output", f"{number(base)} → {number(output)}", "plain"))
    if merged.spread is not None and last.final:
        ranking = _ranking_note(merged)
        if ranking:
            listed.append(("across fillers", ranking, "plain"))
    return listed


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
        return "No single piece can be told from no effect at all."
    error = np.zeros_like(scores)
    if merged.standard_error is not None:
        error = merged.standard_error[row]
    order = [int(i) for i in np.argsort(-np.abs(scores)) if sure[i]]
    if not about.effect:
        return _ranking(about, order)
    best, outcome = order[0], about.target
    if len(about.outputs) > 1:
        outcome = quoted(about.outputs[row].text)
    verb = "towards" if scores[best] > 0 else "away from"
    rivals = [
        i
        for i in order[1:]
        if scores[i] * scores[best] > 0
        and abs(scores[best]) - abs(scores[i]) <= Z95 * math.hypot(error[best], error[i])
    ]
    if rivals and error[best] > 0:
        names = [quoted(about.inputs[i].text) for i in [best, *rivals[:2]]]
        return f"{_listed(names)} pushed most {verb} {outcome}.{_told(merged, row)}"
    text = (
        f"{quoted(about.inputs[best].text)} pushed hardest {verb} {outcome} "
        f"({_signed(scores[best])} {UNIT_NAMES[about.unit]})"
    )
    against = next((i for i in order if scores[i] * scores[best] < 0), None)
    if against is not None and abs(scores[against]) >= abs(scores[best]) / 10:
        text += f"; {quoted(about.inputs[against].text)} pushed the other way"
        text += f" ({_signed(scores[against])})"
    return f"{text}.{_told(merged, row)}"


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
    """Return what the model would have said without some pieces.

    Args:
        about: What is explained.
        pieces: Which inputs were switched off.
        now: What it says of the text as it is.
        then: What it says without them; ``None`` for different things, but never ``now``.
    """
    names = _listed([quoted(about.inputs[i].text) for i in pieces])
    if then is None:
        return f"Without {names} it would not have said {quoted(now)}."
    if now == then:
        return f"Without {names} it would still have said {quoted(then)}."
    return f"Without {names} it would have said {quoted(then)}, not {quoted(now)}."


def _told(merged: Merged, row: int) -> str:
    told = merged.without[row] if row < len(merged.without) else ""
    return f" {told}" if told else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


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
    """Return how pieces are switched off, e.g. ``"“_” or “ the”, averaged"``."""
    if not names:
        return ""
    if params.get("off") == "remove":
        return "removing the tokens"
    listed = ", ".join(quoted(name) for name in names)
    return f"{listed}, averaged" if len(names) > 1 else listed


def _gap_fact(about: About, merged: Merged) -> tuple[str, str, Level]:
    """The completeness gap; the worst one, where there are several outputs."""
    if not about.additive:
        return ("completeness gap", "not applicable: scores are not shares", "plain")
    gaps = merged.completeness_gap
    if not np.isfinite(gaps).all():
        return ("completeness gap", "unknown", "warn")
    worst = float(gaps.max())
    label = "completeness gap" if len(gaps) == 1 else f"completeness gap, worst of {len(gaps)}"
    return (label, _percent(worst), gap_level(worst))


def _fit_fact(fit: Float64[ndarray, " output"]) -> tuple[str, str, Level]:
    """How well a linear model describes the surroundings; the worst of several outputs."""
    label = "local fit R²" if len(fit) == 1 else f"local fit R², worst of {len(fit)}"
    if not np.isfinite(fit).all():
        return (label, "unknown", "warn")
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
    vary = f"scores vary by up to ±{number(float(spread[0].max()))}"
    if lead > spread[0, first] + spread[0, second]:
        return f"{vary}; first place is clear"
    if max(noise[first], noise[second]) > min(spread[0, first], spread[0, second]) / 2:
        return vary  # what differs between fillers may be sampling noise
    return f"{vary}; first place depends on the filler"


def _ranking(about: About, order: Sequence[int]) -> str:
    """What comes first, where a score is no effect and nothing was pushed."""
    names = [quoted(about.inputs[i].text) for i in order[:2]]
    behind = f", before {names[1]}" if len(names) > 1 else ""
    return f"{names[0]} has the largest score{behind}. These scores are not effects."


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def _percent(share: float) -> str:
    return "0 %" if share < 0.0005 else f"{100 * share:.3g} %"
