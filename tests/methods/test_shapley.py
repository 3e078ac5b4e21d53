"""Shapley values against closed forms, brute force over orders, shap, and their own errors."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods._enumeration import shapley_values
from llm_interp_widgets.methods._perturbation import Budget
from llm_interp_widgets.methods.shapley import Shapley, _sampled

TEXT = "The opposite of hot is"


def game_values(n, value):
    """(2ⁿ, 1) values of a game given as a function of a set."""
    sets = ({i for i in range(n) if mask >> i & 1} for mask in range(2**n))
    return np.array([[value(s)] for s in sets], dtype=float)


def test_additive_game_gives_each_player_its_own_weight():
    weights = np.array([3.0, -1.0, 0.0, 0.5])
    values = game_values(4, lambda s: 7 + sum(weights[i] for i in s))
    assert shapley_values(values)[:, 0] == pytest.approx(weights)


def test_glove_game():
    # One left glove (player 0), two right ones: a pair is worth 1. Closed form: 2/3, 1/6, 1/6.
    values = game_values(3, lambda s: float(0 in s and bool(s & {1, 2})))
    assert shapley_values(values)[:, 0] == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_random_game_against_all_orders():
    n = 5
    values = np.random.default_rng(0).normal(size=(2**n, 2))
    expected = np.zeros((n, 2))
    for order in permutations(range(n)):
        mask = 0
        for i in order:
            expected[i] += values[mask | 1 << i] - values[mask]
            mask |= 1 << i
    assert shapley_values(values) == pytest.approx(expected / math.factorial(n))


def test_one_player_takes_all():
    assert shapley_values(np.array([[2.0], [5.0]])) == pytest.approx(np.array([[3.0]]))


def brute_force(lm, prompt, target, filler):
    """Exact Shapley values by nothing but the model, one row at a time, over all subsets."""
    tokenizer, model = lm.tokenizer, lm.model
    ids = tokenizer(prompt).input_ids
    wanted = tokenizer(target, add_special_tokens=False).input_ids
    (off,) = tokenizer(filler, add_special_tokens=False).input_ids
    n = len(ids)
    values = np.empty(2**n)
    with torch.inference_mode():
        for mask in range(2**n):
            row = [t if mask >> i & 1 else off for i, t in enumerate(ids)]
            logits = model(torch.tensor([row + wanted])).logits[0].double().log_softmax(-1)
            values[mask] = sum(logits[n - 1 + k, t] for k, t in enumerate(wanted))
    phi = np.zeros(n)
    for i in range(n):
        for mask in range(2**n):
            if not mask >> i & 1:
                s = mask.bit_count()
                weight = math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n)
                phi[i] += weight * (values[mask | 1 << i] - values[mask])
    return phi


def test_all_coalitions_equal_brute_force_on_the_real_model(lm):
    a = liw.attribute(lm, TEXT, " cold", evaluations="all", filler="_")
    assert a.exact
    assert a.verdict == "exact"
    assert a.evaluations == 2**5
    assert a.scores[0] == pytest.approx(brute_force(lm, TEXT, " cold", "_"), abs=1e-5, rel=1e-5)


def test_continuation_of_several_tokens_equals_brute_force(tiny_lm):
    lm = tiny_lm()
    text, target = "hot is", " cold; the"
    assert len(lm.tokenizer(target).input_ids) > 1
    a = liw.attribute(lm, text, target, evaluations="all", filler=" of")
    assert a.scores[0] == pytest.approx(brute_force(lm, text, target, " of"), abs=1e-4)


def test_fillers_are_averaged(tiny_lm):
    lm = tiny_lm()
    both = liw.attribute(lm, TEXT, evaluations="all", filler=[" of", "."])
    each = [liw.attribute(lm, TEXT, evaluations="all", filler=f) for f in (" of", ".")]
    stacked = np.stack([a.scores for a in each])
    assert both.scores == pytest.approx(stacked.mean(0), abs=1e-5)
    assert both.spread == pytest.approx(stacked.std(0), abs=1e-5)


def test_agrees_with_shap_exact(tiny_lm):
    shap = pytest.importorskip("shap")
    lm = tiny_lm()
    ids = np.array(lm.encode(TEXT).ids)
    (filler,) = lm.tokenizer(" of").input_ids
    a = liw.attribute(lm, TEXT, 7, evaluations="all", filler=" of")

    def predict(masks):
        rows = torch.from_numpy(np.where(masks.astype(bool), ids, filler))
        with torch.inference_mode():
            return lm.model(input_ids=rows).logits[:, -1].log_softmax(-1)[:, 7].numpy()

    masker = shap.maskers.Independent(np.zeros((1, len(ids))), max_samples=1)
    exact = shap.explainers.ExactExplainer(predict, masker)(np.ones((1, len(ids))))
    assert a.scores[0] == pytest.approx(exact.values[0], abs=1e-4)
    assert a.base_values[0] == pytest.approx(exact.base_values[0], abs=1e-4)


@pytest.mark.parametrize("fillers", [1, 3])
@pytest.mark.parametrize("precision", [None, 0.1])
def test_intervals_cover_the_truth_19_times_in_20(synthetic, fillers, precision):
    covered = []
    for seed in range(120):
        game, task, truth = synthetic(7, fillers, seed)
        *_, last = _sampled(task, game, Budget(400, None), precision)
        off = np.abs(last.scores[0] - truth)
        covered.append(off <= 1.96 * last.standard_error[0] + 1e-6)
    assert 0.92 <= np.mean(covered) <= 0.975


def test_sampled_agrees_with_exact_within_its_own_interval(lm, jupiter):
    question, exact = jupiter
    sampled = liw.attribute(lm, **question, evaluations=120, filler=" the", precision=None)
    assert not sampled.exact
    assert sampled.evaluations <= 120
    off = np.abs(sampled.scores - exact.scores)
    # eight intervals of 95 %: one may miss, none by much
    assert (off <= 1.96 * sampled.standard_error + 1e-4).sum() >= 7
    assert (off <= 3.5 * sampled.standard_error + 1e-4).all()
    assert sampled.scores.sum() == pytest.approx(exact.scores.sum(), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "target", "first"),
    [
        ("The capital of France is", " Paris", " France"),
        ("The capital of Japan is", " Tokyo", " Japan"),
        ("The opposite of hot is", " cold", " hot"),
    ],
)
def test_all_defaults_point_at_the_right_word(lm, prompt, target, first):
    a = liw.attribute(lm, prompt, target)
    assert a.inputs[int(a.scores[0].argmax())].text == first
    assert a.scores.sum() + a.base_values[0] == pytest.approx(a.output_values[0], abs=1e-3)
    assert a.unit == "log_prob"


def test_contrast_points_at_what_tells_the_two_apart(lm):
    a = liw.attribute(lm, "The capital of France is", liw.Contrast(" Paris", " London"))
    assert a.inputs[int(a.scores[0].argmax())].text == " France"


def test_precision_stops_early_and_says_so(tiny_lm):
    lm = tiny_lm()
    text = "The capital of France is Paris and the capital of Japan is Tokyo"
    loose = liw.attribute(lm, text, evaluations=5000, precision=0.5, filler=" of")
    tight = liw.attribute(lm, text, evaluations=500, precision=1e-6, filler=" of")
    assert loose.converged
    assert loose.verdict == "converged"
    assert loose.evaluations < 5000
    assert tight.verdict == "did not converge"
    assert tight.evaluations <= 500


def test_numbers_of_numpy_are_numbers(tiny_lm):
    a = liw.attribute(
        tiny_lm(), TEXT, evaluations=np.int64(500), precision=np.float32(0.5), seed=np.int64(3),
        filler=" of",
    )  # fmt: skip
    assert a.params["evaluations"] == 500
    assert a.seed == 3


def test_fillers_that_the_budget_does_not_reach_are_not_claimed(tiny_lm):
    text = "The capital of France is Paris and the capital of Japan is Tokyo"
    fillers = [" of", ".", " is", ","]
    n = len(liw.attribute(tiny_lm(), text, method="input_x_gradient").inputs)
    a = liw.attribute(tiny_lm(), text, evaluations=4 * n + 2, precision=None, filler=fillers)
    assert a.params["filler"] == [" of", "."]
    assert "is" not in a.off
    assert np.isfinite(a.spread).all()  # both were used
    assert a.spread.max() > 0
    assert a.scores.sum() + a.base_values[0] == pytest.approx(a.output_values[0], abs=1e-3)


def test_an_exact_run_out_of_time_is_a_preview_and_says_so(tiny_lm):
    a = liw.attribute(tiny_lm(), TEXT, evaluations="all", seconds=1e-9)
    assert np.isfinite(a.scores).all()
    assert a.preview
    assert a.verdict == "did not converge"


def test_no_partial_takes_scores_away(tiny_lm):
    _, job = _plan_of(tiny_lm())
    looks = []
    job.observe(looks.append)
    from llm_interp_widgets.jobs import run_here

    run_here(job)
    known = [np.isfinite(look.merged.scores).all() for look in looks]
    assert known == sorted(known)


def _plan_of(lm):
    from llm_interp_widgets.planning import plan

    return plan(lm, TEXT, None, "shapley", "token", 0, {"evaluations": "all"})


def test_seconds_stop_a_run(tiny_lm):
    a = liw.attribute(
        tiny_lm(), "The capital of France is Paris and the", evaluations=10**6, precision=None,
        seconds=0.5,
    )  # fmt: skip
    assert a.seconds < 10
    assert np.isfinite(a.scores).all()


def test_partials_start_with_a_preview_and_end_final(tiny_lm):
    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.targets import ask
    from llm_interp_widgets.text.features import pieces

    lm = tiny_lm()
    prompt = lm.encode("The capital of France is Paris and the capital")
    task = Task(lm, prompt, pieces(prompt, "token"), ask(None, lm, prompt), 0)
    for method in (
        Shapley(evaluations=400, filler=" of"),
        Shapley(evaluations="all", filler=" of"),
    ):
        partials = list(method.run(task))
        assert len(partials) > 3
        assert partials[0].preview
        assert partials[0].evaluations <= 2 * len(prompt.tokens) + 2
        assert [p.final for p in partials] == [False] * (len(partials) - 1) + [True]
        assert all(p.done <= p.total for p in partials)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"evaluations": 0}, "positive"),
        ({"evaluations": 5}, "too few"),
        ({"precision": -1}, "positive"),
        ({"seconds": 0}, "positive"),
        ({"off": "erase"}, "Available: remove, replace"),
        ({"filler": "The capital of"}, "must be one token"),
        ({"filler": []}, "a text, or a list of texts"),
        ({"filler": 5}, "a text, or a list of texts"),
        ({"evaluations": 100.5}, "whole number"),
        ({"evaluations": "100"}, "whole number"),
        ({"precision": True}, "positive number"),
    ],
)
def test_bad_parameters(tiny_lm, params, message):
    with pytest.raises(ParameterError, match=message):
        liw.attribute(tiny_lm(), "The capital of France is Paris", **params)


def test_too_many_pieces_to_enumerate(tiny_lm):
    with pytest.raises(ParameterError, match="at most 20"):
        liw.attribute(tiny_lm(), "The capital of France is Paris. " * 4, evaluations="all")
