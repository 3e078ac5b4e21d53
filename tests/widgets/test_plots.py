"""Waterfall, force plot and bars: made of results, of running jobs and of what shap found."""

from __future__ import annotations

import time

import numpy as np
import pytest
import traitlets

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.export._payload import islands

TEXT = "The capital of France is"
LONG = "The capital of France is Paris, and the capital of Japan is Tokyo. " * 3  # is sampled


def unpacked(widget, name="scores"):
    shot = widget.snapshot
    shape = len(shot["subject"]["outputs"]), len(shot["subject"]["inputs"])
    return wire.unpack(shot[name], shape if name == "scores" else (3, shape[0]))


PLOTS = {"waterfall": "liw-wf-steps", "force": "liw-force-track", "bar": "liw-ranking"}


@pytest.fixture(params=PLOTS)
def plot(request):
    return getattr(liw, request.param)


@pytest.fixture
def opened():
    widgets = []
    yield lambda widget: widgets.append(widget) or widget
    for widget in widgets:
        widget.close()


def test_of_a_result(tiny_lm, plot, opened, tmp_path):
    a = liw.attribute(tiny_lm(), TEXT, liw.Generate(2), evaluations=200)
    w = opened(plot(a, output=1))
    assert np.array_equal(unpacked(w), a.scores)
    base, output, _ = unpacked(w, "totals")
    assert base == pytest.approx(a.base_values, rel=1e-6)
    assert output == pytest.approx(a.output_values, rel=1e-6)
    assert w.output == 1
    assert w.result() is a
    page = w.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    (source,) = islands(page)[0]["bundles"].values()
    assert PLOTS[plot.__name__] in source
    with pytest.raises(traitlets.TraitError, match="out of range"):
        plot(a, output=2)


def test_of_what_shap_found_to_six_digits(plot, opened):
    shap = pytest.importorskip("shap")

    def score(texts):
        return np.array([[len(t), t.count("a"), 1.0] for t in map(str, texts)], dtype=float)

    e = shap.Explainer(score, shap.maskers.Text(r"\W"))(["a bad, bad film", "and another"])
    for index in range(2):
        w = opened(plot(e, index=index))
        assert unpacked(w) == pytest.approx(e[index].values.T, rel=1e-6, abs=1e-6)
        base, output, _ = unpacked(w, "totals")
        assert base == pytest.approx(e[index].base_values, rel=1e-6)
        assert output == pytest.approx(score([w.result().prompt])[0], rel=1e-6)


def test_of_a_running_job_follows_it_and_stops_nothing(tiny_lm, plot, opened):
    w = opened(liw.explain(tiny_lm(), LONG, 3, evaluations=10**6, precision=None))
    while np.isnan(unpacked(w)).any():
        time.sleep(0.01)
    beside = plot(w)
    assert beside.job is w.job
    before = beside.job.progress.merged.last.evaluations
    beside.close()
    while w.job.progress.merged.last.evaluations <= before:
        time.sleep(0.01)
    assert not w.job.finished
    again = opened(plot(w))
    w.cancel()
    a = again.result(20)
    assert np.array_equal(unpacked(again), a.scores)
    assert again.snapshot["state"]["status"] == "cancelled"


@pytest.mark.parametrize("name", ["waterfall", "force"])
def test_scores_that_do_not_add_up_have_no_plot_that_leads_to_the_output(tiny_lm, opened, name):
    a = liw.attribute(tiny_lm(), TEXT, 3, "occlusion", filler=" of")
    with pytest.raises(ResultError, match="no shares of that way"):
        getattr(liw, name)(a)
    assert np.array_equal(unpacked(opened(liw.bar(a))), a.scores)


@pytest.mark.parametrize("given", [None, "text", 3, [1, 2]])
def test_what_cannot_be_shown_says_what_can(plot, given):
    with pytest.raises(ParameterError, match=r"shap\.Explanation"):
        plot(given)


def test_a_saved_result_says_how_long_it_took_then(tiny_lm, opened):
    from dataclasses import replace

    a = replace(liw.attribute(tiny_lm(), TEXT, 3, evaluations=200), seconds=71.0)
    assert opened(liw.waterfall(a)).snapshot["state"]["seconds"] == 71.0
    assert opened(liw.highlight(a)).snapshot["state"]["seconds"] == 71.0
    assert opened(liw.TokenHighlighter.of(a)).snapshot["state"]["seconds"] == 71.0
