"""Explanations that pages show: made up, so that every view has something to say."""

from __future__ import annotations

import numpy as np

from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.neighbourhood import Neighbourhood
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token

WORDS = "the plot is dull but both actors are wonderful </script> in it".split()


def attribution(texts=WORDS, outputs=("positive",), method="shapley", seed=0, **more):
    rng = np.random.default_rng(seed)
    tokens, at = [], 0
    for i, word in enumerate(texts):
        text = word if i == 0 else f" {word}"
        role = None if "role" not in more else more["role"][i]
        tokens.append(Token(text, i, at, at + len(text), position=i, role=role))
        at += len(text)
    more.pop("role", None)
    n, m = len(texts), len(outputs)
    scores = rng.normal(size=(m, n))
    given = {
        "scores": scores, "inputs": tuple(tokens), "base_values": np.zeros(m),
        "outputs": tuple(Token(t, i, at, at, position=n + i) for i, t in enumerate(outputs)),
        "output_values": scores.sum(1), "completeness_gap": np.full(m, 0.1),
        "standard_error": np.full((m, n), 0.2), "method": method, "title": "Shapley values",
        "caution": "Text with pieces switched off is unusual text; models may read it oddly.",
        "target": outputs[0], "unit": "log_prob", "prompt": "".join(t.text for t in tokens),
        "model": ModelInfo("m", None, "float32", "cpu"), "seed": seed, "seconds": 2.0,
        "evaluations": 100, "converged": True, "off": "“_”, “ the”, averaged",
    }  # fmt: skip
    return Attribution(**given | more)


def written():
    return attribution(outputs=(" so", " I", " liked", " it"))


def lime():
    rng = np.random.default_rng(1)
    masks = rng.random((300, len(WORDS))) > 0.4
    masks[0] = True
    slopes = rng.normal(size=(2, len(WORDS)))
    values = masks @ slopes.T + rng.normal(scale=0.5, size=(300, 2))
    seen = Neighbourhood(masks, values, masks.mean(1), np.zeros(2))
    return attribution(
        outputs=("no", "yes"), method="lime", scores=slopes, neighbourhood=seen, title="LIME",
        fit=np.array([0.86, 0.3]), additive=False, unit="logit", converged=None,
    )  # fmt: skip


def many(count=80):
    rng = np.random.default_rng(2)
    return [attribution(list(rng.choice(WORDS, 9)), seed=i, unit="logit") for i in range(count)]


def chat():
    roles = ["user"] * 6 + ["assistant"] * 6
    return attribution(role=roles, outputs=(" so", " I"))
