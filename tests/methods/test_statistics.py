"""Stratified means and errors against textbook values."""

from __future__ import annotations

import numpy as np
import pytest

from llm_interp_widgets.methods._statistics import Strata, student_t


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042)]
)
def test_student_t_against_the_table(degrees, quantile):
    assert student_t(degrees) == pytest.approx(quantile, rel=0.04)


def test_one_stratum_is_the_ordinary_standard_error():
    samples = np.random.default_rng(0).normal(size=(50, 3))
    strata = Strata(1, (3,))
    for sample in samples:
        strata.add(0, sample)
    plain = samples.std(0, ddof=1) / np.sqrt(50)
    assert strata.mean() == pytest.approx(samples.mean(0))
    assert strata.standard_error() == pytest.approx(plain * student_t(49) / 1.96, rel=1e-3)


def test_difference_between_strata_is_no_sampling_error():
    strata = Strata(2, (1,))
    for k, value in [(0, 1.0), (1, 9.0)] * 3:
        strata.add(k, np.array([value]))
    assert strata.mean() == pytest.approx([5.0])
    assert strata.spread() == pytest.approx([4.0])
    assert strata.standard_error() == pytest.approx([0.0])


def test_error_is_unknown_before_it_can_be_known():
    strata = Strata(2, (1,))
    for k in (0, 1, 0):
        strata.add(k, np.array([1.0]))
        assert np.isnan(strata.standard_error()).all()


def test_error_of_two_strata_is_that_of_a_stratified_mean():
    random = np.random.default_rng(0)
    draws = [random.normal(size=20), 5 + random.normal(size=30)]
    strata = Strata(2, (1,))
    for k, samples in enumerate(draws):
        for sample in samples:
            strata.add(k, np.array([sample]))
    pooled = sum(((s - s.mean()) ** 2).sum() for s in draws) / 48
    expected = np.sqrt(pooled * (1 / 20 + 1 / 30)) / 2 * student_t(48) / 1.96
    assert strata.standard_error() == pytest.approx([expected], rel=1e-3)
