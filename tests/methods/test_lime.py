"""LIME against the lime library on equal masks, and its standard errors against other draws."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods.base import Task
from llm_interp_widgets.methods.lime import Lime, explain, masks, proximity, ridge
from llm_interp_widgets.targets import ask
from llm_interp_widgets.text.features import pieces

TEXT = "The capital of France is Paris, and the capital of Japan is Tokyo"
WIDTH = 25.0


def kernel(distances, kernel_width):
    """As the constructor of lime's LimeTextExplainer has it."""
    return np.sqrt(np.exp(-(distances**2) / kernel_width**2))


def distances_of(on):
    """As lime's text explainer takes them."""
    from sklearn.metrics.pairwise import pairwise_distances

    x = on.astype(float)
    return pairwise_distances(x, x[:1], metric="cosine").ravel() * 100


def library(on, values, output, num_features, width=WIDTH, selection="highest_weights"):
    """Slopes, intercept and score of the lime library."""
    lime_base = pytest.importorskip("lime.lime_base")
    intercept, slopes, score, _ = lime_base.LimeBase(
        partial(kernel, kernel_width=width), random_state=0
    ).explain_instance_with_data(
        on.astype(float), values, distances_of(on), output, num_features, selection
    )
    wide = np.zeros(on.shape[1])
    for feature, slope in slopes:
        wide[feature] = slope
    return wide, intercept, score


def curved(on, outputs=1, seed=0):
    """Values of a game with pairs, triples and a threshold."""
    random = np.random.default_rng(seed)
    x, n = on.astype(float), on.shape[1]
    values = x @ random.normal(size=(n, outputs))
    values += np.einsum("ri,rj,ijo->ro", x, x, random.normal(size=(n, n, outputs)) * 0.4)
    values += np.tanh(x @ random.normal(size=(n, outputs)) * 3)
    return values


@pytest.mark.parametrize(("n", "samples"), [(1, 20), (2, 30), (7, 60), (30, 500)])
@pytest.mark.parametrize("width", [5.0, 25.0, 200.0])
def test_agrees_with_lime_on_equal_masks(n, samples, width):
    on = masks(n, samples, seed=n)
    values = curved(on, outputs=3, seed=n)
    fit = explain(on, values, proximity(on, width))
    for output in range(3):
        slopes, intercept, score = library(on, values, output, n, width)
        assert fit.slopes[output] == pytest.approx(slopes, rel=1e-8, abs=1e-10)
        assert fit.intercept[output] == pytest.approx(intercept, rel=1e-8, abs=1e-10)
        assert fit.r2[output] == pytest.approx(score, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("keep", [1, 3, 6, 12, 99])
def test_agrees_with_lime_on_the_features_of_highest_weight(keep):
    on = masks(12, 300, seed=keep)
    values = curved(on, outputs=2, seed=keep)
    fit = explain(on, values, proximity(on, WIDTH), keep)
    for output in range(2):
        slopes, intercept, score = library(on, values, output, keep)
        assert (fit.slopes[output] != 0).sum() == min(keep, 12)
        assert fit.slopes[output] == pytest.approx(slopes, rel=1e-8, abs=1e-10)
        assert fit.intercept[output] == pytest.approx(intercept, rel=1e-8, abs=1e-10)
        assert fit.r2[output] == pytest.approx(score, rel=1e-8, abs=1e-10)
        assert np.array_equal(np.isnan(fit.standard_error[output]), fit.slopes[output] == 0)


def test_features_are_chosen_under_limes_own_lighter_penalty():
    # With few masks the penalty decides which are the largest: 0.01 for choosing, 1 for fitting.
    differ = 0
    for seed in range(20):
        on = masks(10, 18, seed)
        values, weights = curved(on, seed=seed), proximity(on, WIDTH)
        fit = explain(on, values, weights, 2)
        slopes, _, _ = library(on, values, 0, 2)
        assert fit.slopes[0] == pytest.approx(slopes, rel=1e-8, abs=1e-10)
        heaviest = np.argsort(-np.abs(ridge(on, values, weights, 1.0).slopes[0]))[:2]
        differ += set(heaviest) != set(np.flatnonzero(fit.slopes[0]))
    assert differ >= 3


@pytest.mark.parametrize("keep", [8, 20])
def test_agrees_with_limes_text_explainer_from_end_to_end(keep):
    lime_text = pytest.importorskip("lime.lime_text")
    words = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu".split()
    seen = {}

    def predict(texts):
        seen["on"] = np.array([[w in text.split() for w in words] for text in texts])
        odds = curved(seen["on"], seed=5)[:, 0] / 4
        seen["values"] = np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=1)
        return seen["values"]

    explainer = lime_text.LimeTextExplainer(
        bow=False, random_state=3, split_expression=str.split, feature_selection="highest_weights"
    )
    theirs = explainer.explain_instance(
        " ".join(words), predict, labels=(1,), num_features=keep, num_samples=400
    )
    on, values = seen["on"], seen["values"]
    assert on[0].all()
    fit = explain(on, values[:, [1]], proximity(on, WIDTH), keep)
    expected = np.zeros(len(words))
    for feature, slope in theirs.local_exp[1]:
        expected[feature] = slope
    assert fit.slopes[0] == pytest.approx(expected, rel=1e-8, abs=1e-12)
    assert fit.intercept[0] == pytest.approx(theirs.intercept[1], rel=1e-8)
    assert fit.r2[0] == pytest.approx(theirs.score, rel=1e-8)


def test_masks_are_distributed_as_limes():
    # How many are off is uniform in 1 … n, so half of n + 1 on average, alike for every feature.
    n, samples = 6, 60_001
    on = masks(n, samples, seed=0)
    assert on[0].all()
    off = n - on[1:].sum(axis=1)
    counts = np.bincount(off, minlength=n + 1)
    assert counts[0] == 0
    assert counts[1:] / (samples - 1) == pytest.approx(np.full(n, 1 / n), abs=0.006)
    assert on[1:].mean(axis=0) == pytest.approx(np.full(n, (n - 1) / 2 / n), abs=0.01)
    pairs = on[1:][off == 2] @ (1 << np.arange(n))
    assert len(np.unique(pairs)) == 15
    assert np.bincount(pairs)[np.unique(pairs)] == pytest.approx(counts[2] / 15, rel=0.2)


def test_proximity_is_limes():
    on = np.array(list(product([True, False], repeat=5)))
    for width in (3.0, 25.0):
        expected = kernel(distances_of(on), width)
        assert proximity(on, width) == pytest.approx(expected, rel=1e-9)


def test_slopes_of_a_linear_target_are_its_weights():
    on = masks(4, 100_000, seed=0)
    weights = np.array([[2.0], [-1.0], [0.0], [0.5]])
    fit = explain(on, 7 + on @ weights, proximity(on, 100.0))
    assert fit.slopes[0] == pytest.approx(weights[:, 0], abs=2e-4)  # the penalty shrinks a little
    assert fit.intercept[0] == pytest.approx(7, abs=2e-4)
    assert fit.r2[0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, -7.7e5, 1e-9])
def test_a_constant_target_is_explained_by_nothing(constant):
    on = masks(6, 200, seed=1)
    fit = explain(on, np.full((200, 1), constant), proximity(on, WIDTH))
    assert fit.slopes[0] == pytest.approx(0, abs=1e-12 * (1 + abs(constant)))
    assert fit.intercept[0] == pytest.approx(constant)
    assert fit.r2[0] == 1


def all_masks(n, samples):
    """Every mask, and how many of ``samples`` draws are expected to be it."""
    on = np.array(list(product([True, False], repeat=n)))
    off = n - on.sum(axis=1)
    ways = np.bincount(off)[off]
    expected = np.where(off > 0, (samples - 1) / n / ways, 1.0)
    assert expected.sum() == pytest.approx(samples)
    return on, expected


@pytest.mark.parametrize(
    ("n", "samples", "penalty", "least"),
    [
        (8, 300, 1.0, 0.93),  # what draws of as many masks scatter around
        (6, 60, 1.0, 0.93),
        (8, 300, 1e-9, 0.90),  # what endless masks lead to: the penalty's shrinkage comes on top
    ],
)
def test_intervals_cover_the_limit_19_times_in_20(n, samples, penalty, least):
    covered = []
    on, expected = all_masks(n, samples)
    for seed in range(120):
        values = curved(on, seed=seed)
        limit = ridge(on, values, expected * proximity(on, WIDTH), penalty).slopes[0]
        drawn = masks(n, samples, seed=1000 + seed)
        fit = explain(drawn, curved(drawn, seed=seed), proximity(drawn, WIDTH))
        covered.append(np.abs(fit.slopes[0] - limit) <= 1.96 * fit.standard_error[0])
    assert least <= np.mean(covered) <= 0.98


def test_standard_errors_are_the_scatter_of_other_draws():
    n, samples = 7, 400
    fits = []
    for seed in range(150):
        on = masks(n, samples, seed)
        fits.append(explain(on, curved(on, outputs=2), proximity(on, WIDTH)))
    scatter = np.std([fit.slopes for fit in fits], axis=0)
    said = np.sqrt(np.mean([fit.standard_error**2 for fit in fits], axis=0))
    assert said == pytest.approx(scatter, rel=0.2)


def test_no_errors_while_there_are_no_more_samples_than_unknowns():
    for samples, known in ((6, False), (7, True)):  # five slopes and an intercept
        on = masks(5, samples, seed=2)
        fit = explain(on, curved(on), proximity(on, WIDTH))
        assert np.isfinite(fit.slopes).all()
        assert np.isfinite(fit.standard_error).all() == known


def probabilities(lm, rows):
    with torch.inference_mode():
        logits = [lm.model(input_ids=torch.tensor([row])).logits[0] for row in rows]
    return np.stack([row.double().softmax(-1).numpy() for row in logits])


@pytest.mark.parametrize("keep", [None, 5])
def test_a_probability_is_what_lime_explains(tiny_lm, keep):
    lm = tiny_lm("bert")
    text = "The opposite of hot is cold; the opposite"
    budget = 80
    a = liw.attribute(
        lm, text, liw.Prob("glad"), "lime", evaluations=budget, filler=".", num_features=keep,
        seed=4,
    )  # fmt: skip
    ids = lm.tokenizer(text, add_special_tokens=False).input_ids
    on = masks(len(ids), budget - 1, seed=4)
    (off,) = lm.tokenizer(".", add_special_tokens=False).input_ids
    ask_of = np.where(on, ids, off)
    values = probabilities(lm, ask_of.tolist())
    slopes, _, score = library(on, values, 2, keep or len(ids))
    assert a.unit == "prob"
    assert a.scores[0] == pytest.approx(slopes, abs=1e-5)
    assert a.fit[0] == pytest.approx(score, abs=1e-3)
    assert a.output_values[0] == pytest.approx(values[0, 2], abs=1e-5)


def test_fillers_are_averaged(tiny_lm):
    lm = tiny_lm()
    # equal numbers of masks: each takes one evaluation a filler
    both = liw.attribute(lm, TEXT, None, "lime", evaluations=1 + 2 * 60, filler=[" of", "."])
    each = [
        liw.attribute(lm, TEXT, None, "lime", evaluations=1 + 60, filler=filler)
        for filler in (" of", ".")
    ]
    assert both.scores == pytest.approx(np.mean([a.scores for a in each], axis=0), abs=1e-5)
    assert both.base_values == pytest.approx(np.mean([a.base_values for a in each], axis=0))


@pytest.mark.parametrize(
    ("budget", "filler"), [(40, "."), (61, [".", ","]), (400, "."), (90, "auto")]
)
def test_partials_of_a_run(tiny_lm, budget, filler):
    lm = tiny_lm()
    prompt = lm.encode(TEXT)
    task = Task(lm, prompt, pieces(prompt, "token"), ask(None, lm, prompt), 0)
    if filler == "auto":
        filler = "<mask>"  # what it is for this model
    partials = list(Lime(evaluations=budget, filler=filler).run(task))
    assert [p.final for p in partials] == [False] * (len(partials) - 1) + [True]
    assert all(np.isfinite(p.scores).all() for p in partials)
    assert all(np.isfinite(p.fit).all() and (p.fit <= 1).all() for p in partials)
    assert all(p.evaluations <= budget and p.done <= p.total for p in partials)
    assert partials[-1].evaluations > 0.7 * budget  # a mask drawn again costs nothing
    assert len(partials) == (3 if budget == 400 else 1)
    errors = [np.nanmean(p.standard_error) for p in partials]
    assert errors == sorted(errors, reverse=True)


def test_seed_decides_the_masks():
    assert np.array_equal(masks(9, 50, 1), masks(9, 50, 1))
    assert not np.array_equal(masks(9, 50, 1), masks(9, 50, 2))


def test_out_of_time_still_fits(tiny_lm):
    a = liw.attribute(tiny_lm(), TEXT, None, "lime", evaluations=10**5, seconds=1e-9, filler=".")
    assert np.isfinite(a.scores).all()
    assert np.isfinite(a.standard_error).all()
    assert a.evaluations < 200


def test_fillers_that_the_budget_does_not_reach_are_not_claimed(tiny_lm):
    n = len(liw.attribute(tiny_lm(), TEXT, method="saliency").inputs)
    fillers = [" of", ".", " is", ","]
    a = liw.attribute(tiny_lm(), TEXT, None, "lime", evaluations=1 + 2 * (n + 2), filler=fillers)
    assert a.params["filler"] == [" of", "."]
    assert np.isfinite(a.standard_error).all()


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("fillers", [1, 2, 4])
def test_the_least_budget_is_enough_for_a_fit(n, fillers):
    names = (".", ",", " of", " is")[:fillers]
    least = n + 3
    with pytest.raises(ParameterError, match=f"needs at least {least};"):
        Lime(evaluations=least - 1).prepare(n, names)
    for budget in range(least, least + 40):
        paid = len(Lime(evaluations=budget).prepare(n, names).filler)
        drawn = 1 + (budget - 1 - paid) // paid
        assert drawn > n + 1
        assert 1 + paid * drawn <= budget


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"evaluations": 0}, "positive"),
        ({"evaluations": 5}, "too few: a linear model of"),
        ({"evaluations": "all"}, "whole number"),
        ({"num_features": 0}, "positive"),
        ({"num_features": 1.5}, "whole number"),
        ({"kernel_width": 0}, "positive"),
        ({"kernel_width": None}, "lime's is 25"),
        ({"seconds": -1}, "positive"),
        ({"off": "erase"}, "Available: remove, replace"),
        ({"filler": "The capital of"}, "must be one token"),
        ({"kernel_widht": 3}, "Did you mean 'kernel_width'"),
    ],
)
def test_bad_parameters(tiny_lm, params, message):
    with pytest.raises(ParameterError, match=message):
        liw.attribute(tiny_lm(), TEXT, None, "lime", **params)
