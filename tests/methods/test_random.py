"""The random control: noise of the right size that knows nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError

TEXT = "The capital of France is Paris, and"


def random(lm, text=TEXT, target=None, **options):
    return liw.attribute(lm, text, target, "random", **options)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_absolute_scores_sum_to_the_size_of_output_minus_base(tiny_lm, family):
    a = random(tiny_lm(family), filler=".")
    whole = abs(a.output_values[0] - a.base_values[0])
    assert whole > 0.01
    assert np.abs(a.scores).sum() == pytest.approx(whole, rel=1e-5)
    assert a.evaluations == 2


def test_every_output_is_scaled_to_its_own_size(tiny_lm):
    a = random(tiny_lm(), target=liw.Generate(4), filler=".")
    whole = np.abs(a.output_values - a.base_values)
    assert len(whole) == 4
    assert np.abs(a.scores).sum(axis=1) == pytest.approx(whole, rel=1e-5)
    shapes = a.scores / whole[:, None]
    assert np.abs(np.corrcoef(shapes) - np.eye(4)).max() < 0.95  # other draws in every row


def test_base_and_output_are_those_of_a_measured_method(tiny_lm):
    ours = random(tiny_lm(), filler=" of")
    measured = liw.attribute(tiny_lm(), TEXT, None, "owen", filler=" of")
    assert ours.base_values == pytest.approx(measured.base_values, abs=1e-5)
    assert ours.output_values == pytest.approx(measured.output_values, abs=1e-5)


def test_standard_error_is_the_size_of_its_row(tiny_lm):
    a = random(tiny_lm(), target=liw.Generate(3))
    size = np.sqrt((a.scores.astype(float) ** 2).mean(axis=1))
    assert a.standard_error == pytest.approx(np.repeat(size[:, None], len(a.inputs), 1), rel=1e-5)


def test_draws_are_normal(tiny_lm):
    lm = tiny_lm()
    rows = [random(lm, "the capital of Japan " * 12, 7, seed=seed) for seed in range(20)]
    draws = np.concatenate([a.scores[0] / a.standard_error[0] for a in rows])
    assert len(draws) > 900
    assert stats.kstest(draws, "norm").pvalue > 0.01
    assert draws.mean() == pytest.approx(0, abs=4 / np.sqrt(len(draws)))


def test_neither_words_nor_model_nor_target_play_a_part(tiny_lm):
    one = random(tiny_lm(), "The capital of France")
    for other in (
        random(tiny_lm(), "The opposite of hot"),
        random(tiny_lm("gpt2"), "The capital of France"),
        random(tiny_lm(), "The capital of France", 9),
        random(tiny_lm(), "The capital of France", off="remove"),
    ):
        assert len(other.inputs) == len(one.inputs) == 4
        assert other.scores / np.abs(other.scores).sum() == pytest.approx(
            one.scores / np.abs(one.scores).sum(), rel=1e-4
        )


def test_seed_decides(tiny_lm):
    lm = tiny_lm()
    assert np.array_equal(random(lm, seed=1).scores, random(lm, seed=1).scores)
    assert not np.array_equal(random(lm, seed=1).scores, random(lm, seed=2).scores)


def test_one_filler_is_used_and_named(tiny_lm):
    a = random(tiny_lm(), filler=[" of", ".", ","])
    assert a.params["filler"] == [" of"]
    assert a.base_values == pytest.approx(random(tiny_lm(), filler=" of").base_values)
    assert a.evaluations == 2


def test_nothing_to_explain_scores_nothing(tiny_lm):
    lm = tiny_lm()
    a = random(lm, lm.tokenizer(".").input_ids * 4, filler=".")  # what is off is what was there
    assert a.output_values[0] == a.base_values[0]
    assert a.scores.shape == (1, 4)
    assert not a.scores.any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"off": "erase"}, "Available: remove, replace"),
        ({"filler": "The capital of"}, "must be one token"),
        ({"evaluations": 5}, "no parameter 'evaluations'"),
    ],
)
def test_bad_parameters(tiny_lm, params, message):
    with pytest.raises(ParameterError, match=message):
        random(tiny_lm(), **params)
