"""KernelSHAP against exact values, explicit linear algebra, and its own standard errors."""

from __future__ import annotations

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods._enumeration import shapley_values
from llm_interp_widgets.methods._gaussian_process import Pairs, Prior, choose, infer
from llm_interp_widgets.methods._perturbation import Budget
from llm_interp_widgets.methods.kernel_shap import KernelShap, _Draw, _sampled

TEXT = "The capital of France is Paris, and"


def every_coalition(n):
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(bool)


def odd_pairs(values, n, chosen, fillers=1):
    """Pairs of the games ``values`` (filler, 2ⁿ), those named by ``chosen`` (filler, mask)."""
    fill, masks = chosen.T
    odd = (values[fill, masks] - values[fill, 2**n - 1 - masks]) / 2
    return Pairs(every_coalition(n)[masks], fill, odd[:, None], fillers)


def explicit_posterior(pairs, prior):
    """The same prior written out over all values of all games, and conditioned on the pairs."""
    n, fillers = pairs.on.shape[1], pairs.fillers
    on = every_coalition(n)
    signs = np.where(on, 1.0, -1.0)
    decaying = np.zeros((2**n, 2**n))
    for subset in on:
        if subset.sum() % 2:
            character = signs[:, subset].prod(axis=1)
            decaying += prior.rho ** subset.sum() * np.outer(character, character)
    decaying /= decaying[0, 0]
    rough = prior.rough * (np.eye(2**n) - np.eye(2**n)[::-1])
    own = np.where(np.eye(fillers), 1.0, 1 - prior.own)
    covariance = np.kron(own, decaying) + np.kron(np.eye(fillers), rough)
    index = [
        k * 2**n + int(row @ (1 << np.arange(n)))
        for k, row in zip(pairs.filler, pairs.on, strict=True)
    ]
    seen = covariance[np.ix_(index, index)] + 1e-10 * np.eye(len(index))
    weights = shapley_values(np.eye(2**n))  # (feature, coalition)
    average = np.tile(weights, fillers) / fillers
    cross = average @ covariance[:, index]
    solved = np.linalg.solve(seen, pairs.odd[:, 0])
    variance = average @ covariance @ average.T - cross @ np.linalg.solve(seen, cross.T)
    scale = pairs.odd[:, 0] @ solved / len(pairs)
    return cross @ solved, np.sqrt(np.diag(variance) * scale)


@pytest.mark.parametrize("fillers", [1, 2])
@pytest.mark.parametrize("prior", [Prior(0.3, 1e-3, 0.3), Prior(0.7, 0.2, 0.6)])
def test_posterior_is_that_of_the_prior_written_out(fillers, prior):
    n, random = 5, np.random.default_rng(0)
    values = random.normal(size=(fillers, 2**n))
    every = np.array([(k, m) for k in range(fillers) for m in range(2 ** (n - 1))])
    pairs = odd_pairs(values, n, random.permutation(every)[:12], fillers)
    mean, deviation = explicit_posterior(pairs, prior)
    found = infer(pairs, [prior])
    assert found.mean[:, 0] == pytest.approx(mean, abs=1e-7)
    assert found.deviation[:, 0] == pytest.approx(deviation, abs=1e-7)
    assert found.by_filler.mean(0) == pytest.approx(found.mean, abs=1e-7)


def test_exact_once_every_pair_is_known():
    n = 6
    values = np.random.default_rng(1).normal(size=(2, 2**n))
    every = np.array([(k, m) for k in range(2) for m in range(2 ** (n - 1))])
    pairs = odd_pairs(values, n, every, 2)
    found = infer(pairs, choose(pairs))
    truth = np.mean([shapley_values(v[:, None]) for v in values], 0)
    assert found.mean == pytest.approx(truth, abs=1e-6)
    assert found.deviation.max() < 1e-3
    for k in range(2):
        assert found.by_filler[k] == pytest.approx(shapley_values(values[k][:, None]), abs=1e-6)


def test_a_linear_game_needs_few_more_pairs_than_features():
    n, random = 20, np.random.default_rng(2)
    weights = random.normal(size=n)
    on = _Draw(n, 1, random).pairs(30)[0]
    pairs = Pairs(on, np.zeros(30, int), (np.where(on, 1, -1) @ weights / 2)[:, None], 1)
    found = infer(pairs, choose(pairs))
    assert found.mean[:, 0] == pytest.approx(weights, abs=0.05)


@pytest.mark.parametrize("fillers", [1, 3])
@pytest.mark.parametrize("precision", [None, 0.1])
def test_intervals_cover_the_truth_19_times_in_20(synthetic, fillers, precision):
    covered = []
    for seed in range(60):
        game, task, truth = synthetic(12, fillers, seed)
        *_, last = _sampled(task, game, Budget(250, None), precision)
        off = np.abs(last.scores[0] - truth)
        covered.append(off <= 1.96 * last.standard_error[0] + 1e-6)
    assert 0.92 <= np.mean(covered) <= 0.985


def test_every_partial_adds_up_and_stays_within_budget(synthetic):
    game, task, _ = synthetic(12, 2, 0)
    ends = game.by_filler(np.repeat([[False], [True]], 12, axis=1)).mean(0)
    game.evaluations = 0
    partials = list(_sampled(task, game, Budget(301, None), None))
    assert len(partials) > 2
    for partial in partials:
        assert partial.scores.sum() == pytest.approx(ends[1] - ends[0], abs=1e-3)
    assert game.evaluations <= 301
    assert [p.final for p in partials] == [False] * (len(partials) - 1) + [True]


def test_no_pair_is_asked_twice_and_sizes_are_uniform():
    draw = _Draw(6, 2, np.random.default_rng(0))
    rows, whose = draw.pairs(10_000)
    assert len(rows) == 2 * (2**5 - 1)  # all there are, everything on aside
    named = {(k, min(r.tobytes(), (~r).tobytes())) for k, r in zip(whose, rows, strict=True)}
    assert len(named) == len(rows)
    sizes = _Draw(40, 1, np.random.default_rng(0)).pairs(4_000)[0].sum(1)
    small = np.minimum(sizes, 40 - sizes)  # a pair has both; the rarest are soon used up
    assert np.bincount(small)[3:20] == pytest.approx(4_000 / 19.5, rel=0.25)


def test_close_to_exact_on_the_real_model_and_knows_how_close(lm, jupiter):
    question, exact = jupiter
    found = liw.attribute(
        lm, **question, method="kernel_shap", evaluations=120, filler=" the", precision=None
    )
    off = np.abs(found.scores - exact.scores)
    assert not found.exact
    assert found.evaluations <= 120
    assert off.max() < 0.05 * np.abs(exact.scores).max()
    assert (off <= 3.5 * found.standard_error + 1e-4).all()


def test_few_pieces_are_enumerated_and_equal_shapley(tiny_lm):
    lm = tiny_lm()
    a = liw.attribute(lm, "hot is", 3, "kernel_shap", filler=" of")
    assert a.exact
    assert a.scores == pytest.approx(liw.attribute(lm, "hot is", 3, filler=" of").scores)


def test_precision_stops_early_and_says_so(tiny_lm):
    text = "The capital of France is Paris and the capital of Japan is Tokyo"
    loose, tight = (
        liw.attribute(tiny_lm(), text, 3, "kernel_shap", evaluations=500, precision=p, filler=" of")
        for p in (0.3, 1e-7)
    )
    assert loose.verdict == "converged"
    assert loose.evaluations < tight.evaluations <= 500
    assert tight.verdict == "did not converge"


def test_an_outputs_scores_do_not_depend_on_its_neighbours(tiny_lm):
    lm, options = tiny_lm(), {"evaluations": 120, "precision": None, "filler": " of"}
    both = liw.attribute(lm, TEXT, liw.Generate(2), "kernel_shap", **options)
    alone = liw.attribute(lm, TEXT, both.outputs[0].id, "kernel_shap", **options)
    assert both.scores[0] == pytest.approx(alone.scores[0], abs=1e-5)
    assert both.standard_error[0] == pytest.approx(alone.standard_error[0], abs=1e-5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"evaluations": 5}, "too few"),
        ({"evaluations": 9_000}, "at most 8,192"),
        ({"evaluations": True}, "whole number"),
        ({"precision": 0}, "positive"),
        ({"off": "erase"}, "Available: remove, replace"),
    ],
)
def test_bad_parameters(tiny_lm, params, message):
    text = "The capital of France is Paris. " * 4
    with pytest.raises(ParameterError, match=message):
        liw.attribute(tiny_lm(), text, 3, "kernel_shap", **params)


def test_more_pieces_than_the_regression_takes():
    with pytest.raises(ParameterError, match="at most 4,095"):
        KernelShap().prepare(5_000, (" of",))
    KernelShap().prepare(4_095, (" of",))
