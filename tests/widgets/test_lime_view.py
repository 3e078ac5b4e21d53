"""The LIME view: its neighbourhood is what the linear model was fitted to, here and on the wire."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.models.batches import Coalitions
from llm_interp_widgets.targets import ask

TEXT = "this film is not bad at all"
LABELS = ["sad", "glad"]


@pytest.fixture
def lm(tiny_lm):
    return tiny_lm("bert")


@pytest.fixture
def result(lm):
    return liw.attribute(lm, TEXT, LABELS, "lime", evaluations=120, off="remove")


def features(a):
    return np.array([not piece.special for piece in a.inputs])


def unpacked(data, outputs):
    n, wide = data["samples"], len(data["places"])
    bits = np.unpackbits(np.frombuffer(data["masks"], np.uint8), count=n * wide)
    return bits.reshape(n, wide).astype(bool), wire.unpack(data["values"], (n, outputs))


def test_neighbourhood_is_what_the_model_said_of_each_masked_text(lm, result):
    seen = result.neighbourhood
    question = ask(LABELS, lm, lm.encode(TEXT))
    game = Coalitions(lm, question.prompt, result.inputs, question.readouts, off="remove")
    np.testing.assert_allclose(seen.values, game.values(seen.masks), atol=1e-4)
    assert seen.masks[0].all()
    assert seen.proximity[0] == 1
    np.testing.assert_allclose(seen.values[0], result.output_values, atol=1e-5)


def test_linear_model_has_the_r2_it_says(result):
    seen = result.neighbourhood
    predicted = seen.predicted(result.scores[:, features(result)])
    weights = seen.proximity.astype(np.float64)
    mean = weights @ seen.values / weights.sum()
    left = weights @ (seen.values - predicted) ** 2
    r2 = 1 - left / (weights @ (seen.values - mean) ** 2)
    np.testing.assert_allclose(r2, result.fit, atol=1e-4)


def test_saved_and_opened(result, tmp_path):
    again = liw.Attribution.load(result.save(tmp_path / "a.liw"))
    for name in ("masks", "values", "proximity", "intercept"):
        one, two = (getattr(a.neighbourhood, name) for a in (result, again))
        np.testing.assert_array_equal(one, two)
    without = dataclasses.replace(result, neighbourhood=None).save(tmp_path / "b.liw")
    assert liw.Attribution.load(without).neighbourhood is None


def test_view_holds_the_same(result):
    w = liw.lime(result, output=1)
    masks, values = unpacked(w.neighbourhood, 2)
    np.testing.assert_array_equal(masks, result.neighbourhood.masks)
    np.testing.assert_array_equal(values, result.neighbourhood.values)
    np.testing.assert_allclose(wire.unpack(w.neighbourhood["fit"], (2,)), result.fit, rtol=1e-6)
    assert w.neighbourhood["places"] == [int(i) for i in np.flatnonzero(features(result))]
    assert w.view().state["neighbourhood"] == w.neighbourhood


def test_live_beside_a_running_job(lm):
    w = liw.explain(lm, TEXT, LABELS, "lime", evaluations=200)
    view = liw.lime(w)
    a = view.result(20)
    masks, _ = unpacked(view.neighbourhood, 2)
    np.testing.assert_array_equal(masks, a.neighbourhood.masks)


def test_without_a_neighbourhood_the_weights_are_left(result):
    w = liw.lime(dataclasses.replace(result, neighbourhood=None))
    assert w.neighbourhood["samples"] == 0
    assert w.neighbourhood["fit"]


def test_bad_input(lm):
    with pytest.raises(ResultError, match="lime"):
        liw.lime(liw.attribute(lm, TEXT, "glad", "occlusion"))
    with pytest.raises(ParameterError, match="int"):
        liw.lime(3)


class TestSeveralLabels:
    def test_each_row_is_what_it_is_alone(self, lm):
        for unit in (liw.Logit, liw.LogProb, liw.Prob):
            both = liw.attribute(lm, TEXT, unit(LABELS), "shapley", evaluations=100)
            for row, label in enumerate(LABELS):
                one = liw.attribute(lm, TEXT, unit(label), "shapley", evaluations=100)
                assert both.unit == one.unit
                assert both.output_values[row] == pytest.approx(one.output_values[0], abs=1e-6)
        assert [output.text for output in both.outputs] == LABELS

    def test_by_index_and_as_the_models_own_labels(self, lm):
        a = liw.attribute(lm, TEXT, (0, "glad"), "occlusion")
        assert [output.text for output in a.outputs] == LABELS
        a = liw.attribute(lm, TEXT, lm.labels, "occlusion")
        assert len(a.outputs) == 3

    def test_bad_input(self, lm, tiny_lm):
        for target, words in [
            ([], "at least one"),
            (["glad", "glad"], "once"),
            (["glad", "mad"], "no label"),
            (["glad", 2.5], "out of range"),
        ]:
            with pytest.raises(liw.errors.TargetError, match=words):
                liw.attribute(lm, TEXT, target)
        with pytest.raises(liw.errors.TargetError, match="labels of a classifier"):
            liw.attribute(tiny_lm(), TEXT, liw.Logit(("a", "b")))
        with pytest.raises(liw.errors.TargetError, match="list"):
            liw.attribute(tiny_lm(), TEXT, [1, 2])
