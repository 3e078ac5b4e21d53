"""A view for readers without JavaScript: sentences and a plain table.

Guarantees: every text is HTML-escaped, a lone surrogate becomes U+FFFD, and a state that is
neither an explanation nor a collection of ours gives nothing rather than an error.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from llm_interp_widgets import wire
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_UNITS: dict[str, str] = {
    "log_prob": "log-probability",
    "logit": "logit",
    "prob": "probability",
    "cosine": "cosine similarity",
    "value": "value",
    "score": "score",
}


def well_formed(text: str) -> str:
    """Return the text with lone surrogates replaced, so that it can be written."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def unit_name(unit: str) -> str:
    """Return a unit in words."""
    return say(_UNITS.get(unit, unit))


def plain_text(state: Mapping[str, object]) -> str:
    """Return HTML that says what a view's snapshot shows; empty where it has none.

    Args:
        state: Traits by name, as a view holds them.
    """
    data = state.get("data")
    if isinstance(data, dict) and data.get("texts"):
        return _texts(cast("wire.CollectionData", data))
    others, labels = state.get("others"), state.get("labels")
    shown = [
        cast("wire.Snapshot", one)
        for one in [state.get("snapshot"), *(others if isinstance(others, list) else [])]
        if isinstance(one, dict) and one.get("subject")
    ]
    names = labels if isinstance(labels, list) and len(labels) == len(shown) else [""] * len(shown)
    prompts = ["", *(one["subject"]["prompt"] for one in shown)]
    return "\n".join(
        _explanation(one, str(name), again=prompt == one["subject"]["prompt"])
        for one, name, prompt in zip(shown, names, prompts, strict=False)
    )


def _texts(data: wire.CollectionData) -> str:
    """Say what a collection holds: its facts, and what the model said of each text."""
    outputs, texts = data["outputs"], data["texts"]
    said = wire.unpack(data["output_values"], (len(outputs), len(texts)))
    facts = [f"{fact['label']}: {fact['value']}" for fact in data["facts"]]
    unit = unit_name(data["unit"])
    names = [output or say("each text’s own target") for output in outputs]
    heads = "".join(f'<th scope="col">{_shown(name)}</th>' for name in names)
    rows = []
    for i, text in enumerate(texts):
        cells = "".join(
            f"<td>{'' if said is None else _number(said[row, i], None)}</td>"
            for row in range(len(outputs))
        )
        rows.append(f'<tr><th scope="row">{_html(text)}</th>{cells}</tr>')
    head = f'<tr><th scope="col">{_html(say("text"))} ({_html(unit)})</th>{heads}</tr>'
    title = say("{method}: {n} texts", method=data["method_title"], n=f"{len(texts):,}")
    return (
        f"<h2>{_html(title)}</h2>"
        f"<p>{_html(' · '.join(facts))}</p>"
        f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _explanation(snapshot: wire.Snapshot, name: str, *, again: bool) -> str:
    """Say one of a view's explanations.

    Args:
        snapshot: Of its job.
        name: What tells it from the others.
        again: The text was just said.
    """
    subject, state = snapshot["subject"], snapshot["state"]
    inputs, outputs = subject["inputs"], subject["outputs"]
    shape = (len(outputs), len(inputs))
    scores = wire.unpack(snapshot["scores"], shape)
    errors = wire.unpack(snapshot["standard_error"], shape)
    facts = [f"{fact['label']}: {fact['value']}" for fact in state["facts"]]
    called = dict.fromkeys(one for one in (name, subject["method_title"]) if one)
    standing = [*called, say(state["status"]), say(state["verdict"])]
    said = say("{said}.", said=say(", ").join(standing))
    lines = [
        f"<h2>{_html(say('Why {target}?', target=subject['target']))}</h2>",
        f"<p>{_html(said)} {_html(' '.join(state['sentences']))}</p>",
    ]
    if not again or not subject["prompt"]:
        lines.append(f"<pre>{_html(subject['prompt'])}</pre>")
    if subject["caution"]:
        lines.append(f"<p>{_html(subject['caution'])}</p>")
    if state["error"] is not None:
        lines.append(f"<p>{_html(state['error']['name'])}: {_html(state['error']['message'])}</p>")
    if scores is not None:
        unit = unit_name(subject["unit"])
        lines.append(_table(inputs, outputs, scores, errors, unit))
    if facts:
        lines.append(f"<p>{_html(' · '.join(facts))}</p>")
    return "\n".join(lines)


def _table(
    inputs: list[wire.TokenInfo],
    outputs: list[wire.TokenInfo],
    scores: npt.NDArray[np.float32],
    errors: npt.NDArray[np.float32] | None,
    unit: str,
) -> str:
    heads = "".join(f'<th scope="col">{_shown(output["text"])}</th>' for output in outputs)
    rows = []
    for column, token in enumerate(inputs):
        cells = "".join(
            f"<td>{_number(scores[row, column], None if errors is None else errors[row, column])}"
            "</td>"
            for row in range(len(outputs))
        )
        rows.append(f'<tr><th scope="row">{_shown(token["text"])}</th>{cells}</tr>')
    head = f'<tr><th scope="col">{_html(say("token"))} ({_html(unit)})</th>{heads}</tr>'
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _number(score: Any, error: Any) -> str:  # noqa: ANN401 - numpy scalars
    if np.isnan(score):
        return "–"
    sign = "+" if score > 0 else "\N{MINUS SIGN}" if score < 0 else ""
    margin = "" if error is None or np.isnan(error) else f" ± {1.96 * error:.3g}"
    return f"{sign}{abs(score):.3g}{margin}"


def _shown(text: str) -> str:
    return _html(text.replace("\n", "↵").strip() or "␣")


def _html(text: str) -> str:
    return escape(well_formed(text))
