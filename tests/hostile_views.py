"""Every widget, carrying hostile text in every slot that takes text; no model is needed.

What comes in: a text, or all of ``CORPUS``. What goes out: results and widgets. Used by tests, and
by the kernel of a notebook under test, which has this folder on its path.

``everywhere(text)`` is a result all of whose slots hold the text; ``crowd()`` is one whose tokens
are the whole corpus. Widgets of a kind are made by ``MAKERS``; ``turn`` gives those that are on
screen another text.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hostile import CORPUS, well_formed

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.jobs import run_here
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.collection import Collection
from llm_interp_widgets.results.neighbourhood import Neighbourhood
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token
from llm_interp_widgets.widgets._feed import snapshot
from llm_interp_widgets.widgets.base import finished
from llm_interp_widgets.widgets.beeswarm import Beeswarm
from llm_interp_widgets.widgets.beeswarm import packed as packed_texts
from llm_interp_widgets.widgets.compare import Compare
from llm_interp_widgets.widgets.generation_view import GenerationView
from llm_interp_widgets.widgets.lime_view import packed as packed_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECOND = "second"
SAMPLES = 12


def tokens(texts: Sequence[str], roles: Sequence[str | None] | None = None) -> tuple[Token, ...]:
    """Return texts as neighbouring tokens."""
    ends = list(accumulate(map(len, texts)))
    return tuple(
        Token(text, i, end - len(text), end, role=roles[i] if roles else None, position=i)
        for i, (text, end) in enumerate(zip(texts, ends, strict=True))
    )


def result(
    inputs: tuple[Token, ...], outputs: Sequence[str], seed: int = 0, **more: Any
) -> Attribution:
    """Return a finished explanation; every score is sure, none is zero."""
    rng = np.random.default_rng(seed)
    shape = len(outputs), len(inputs)
    scores = rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)
    scores[:, [token.special for token in inputs]] = 0
    given = {
        "scores": scores, "inputs": inputs, "outputs": tokens(outputs),
        "base_values": np.zeros(len(outputs)), "output_values": scores.sum(1),
        "completeness_gap": np.zeros(len(outputs)), "standard_error": np.full(shape, 0.1),
        "method": "shapley", "title": "Shapley", "target": outputs[0], "unit": "log_prob",
        "prompt": "".join(token.text for token in inputs if not token.added), "seed": seed,
        "model": ModelInfo("model", None, "float32", "cpu"), "seconds": 1.0, "evaluations": 9,
        "converged": True,
    }  # fmt: skip
    return Attribution(**given | more)


def everywhere(text: str, outputs: Sequence[str] | None = None, **more: Any) -> Attribution:
    """Return an explanation that says the text wherever it can say anything."""
    inputs = tokens(["A", text, " B"], ["system", text, text])
    added = Token(text, 3, inputs[-1].end, inputs[-1].end, special=True, role=text, position=3)
    said = [text, SECOND] if outputs is None else outputs
    given = {
        "title": text, "caution": text, "off": text, "note": text, "target": text,
        "without": tuple(f"Without it, {text}" for _ in said), "params": {"p": text},
        "model": ModelInfo(text, text, text, text), "method": f"m{text}",
    }  # fmt: skip
    return result((*inputs, added), said, **given | more)


def crowd(outputs: Sequence[str]) -> Attribution:
    """Return an explanation whose tokens are the whole corpus."""
    return result(tokens(list(CORPUS.values())), outputs)


def reopened(a: Attribution) -> Attribution:
    """Return a result as a file gives it back; one that no file can hold, as it is."""
    texts = [a.target, a.title, *(token.text for token in (*a.inputs, *a.outputs))]
    if any(text != well_formed(text) for text in texts):
        return a
    with tempfile.TemporaryDirectory() as folder:
        return Attribution.load(a.save(Path(folder) / "result.liw"))


def looking_at_all(record: Any) -> Any:
    """Return a record of as many tokens as there are texts, each of them hostile."""
    texts = list(CORPUS.values())
    roles = [CORPUS["image"], CORPUS["surrogate, high"]]
    named = tokens(texts, [roles[i * 2 // len(texts)] for i in range(len(texts))])
    return replace(
        record, tokens=named, queries=named, prompt="".join(texts), target=CORPUS["svg"],
        note=CORPUS["surrogate, low"], stacks={}, passes=None,
        model=replace(record.model, name=CORPUS["end of script"]),
    )  # fmt: skip


def with_neighbourhood(a: Attribution) -> Attribution:
    """Return a result as LIME would have found it."""
    rng = np.random.default_rng(1)
    features = sum(not token.special for token in a.inputs)
    masks = rng.random((SAMPLES, features)) > 0.4
    masks[0] = True
    count = len(a.outputs)
    seen = Neighbourhood(masks, rng.normal(size=(SAMPLES, count)), masks.mean(1), np.zeros(count))
    fit = np.full(count, 0.7)
    return replace(
        a, method="lime", neighbourhood=seen, fit=fit, additive=False, converged=None
    )  # fmt: skip


# ── Widgets ──────────────────────────────────────────────────────────────────


def beside(a: Attribution) -> Attribution:
    """Return another explanation of the same text."""
    return replace(a, seed=1, scores=-a.scores[:, ::-1], method="occlusion", title="Occlusion")


def nearly_written(a: Attribution) -> wire.Alternatives:
    """Return what a model nearly wrote: the very texts."""
    near = [[token.text, a.target, "near"] for token in a.outputs]
    return {"tokens": near, "log_probs": wire.pack(np.log(np.full((len(near), 3), 0.3)))}


def three(a: Attribution) -> Collection:
    """Return a result as the first of three texts."""
    return Collection.of([replace(a, seed=seed, scores=a.scores * (1 + seed)) for seed in range(3)])


def compare(a: Attribution) -> Compare:
    """Return a result beside another one, under labels of its own."""
    jobs = [(one.about(), finished(one)) for one in (a, beside(a))]
    widget = Compare.among(jobs)
    for _, job in jobs:
        run_here(job)
    widget.labels = [a.title, "other"]
    return widget


def generation(a: Attribution) -> GenerationView:
    """Return a result with what was nearly written."""
    job = finished(a)
    widget = GenerationView(a.about(), job, alternatives=nearly_written(a))
    run_here(job)
    return widget


MAKERS: dict[str, Callable[[Attribution], Any]] = {
    "token_highlighter": liw.TokenHighlighter.of,
    "shap_waterfall": liw.waterfall,
    "shap_force": liw.force,
    "shap_bar": liw.bar,
    "compare": compare,
    "generation_view": generation,
    "lime_view": lambda a: liw.lime(with_neighbourhood(a)),
    "beeswarm": lambda a: Beeswarm(three(a), least=1, rows=400),
}


def traits_of(name: str, a: Attribution) -> tuple[dict[str, Any], Any]:
    """Return the traits with which a widget shows a result, and the state that it then shows.

    The state says that something failed, in the words of the target.
    """
    if name == "beeswarm":
        return {"data": dict(packed_texts(three(a)))}, {}
    if name == "lime_view":
        a = with_neighbourhood(a)
    look = _told(a)
    found: dict[str, Any] = {"snapshot": look}
    if name == "compare":
        found |= {"others": [_told(beside(a))], "labels": [a.title, "other"]}
    elif name == "generation_view":
        found |= {"alternatives": dict(nearly_written(a))}
    elif name == "lime_view":
        job = finished(a)
        run_here(job)
        found |= {"neighbourhood": dict(packed_samples(a.about(), job.progress.merged))}
    return found, look["state"]


def _told(a: Attribution) -> dict[str, Any]:
    job = finished(a)
    run_here(job)
    found: Any = snapshot(a.about(), job.id, job.progress, 0)
    return found | {"state": found["state"] | {"error": {"name": a.target, "message": a.target}}}


def turn(views: dict[str, Any], text: str) -> None:
    """Let every widget on screen show a text everywhere, through its traits."""
    a = everywhere(text)
    for name, widget in views.items():
        with widget.hold_sync():
            for trait, value in traits_of(name, a)[0].items():
                setattr(widget, trait, value)
