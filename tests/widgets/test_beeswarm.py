"""Beeswarm and bars of many texts: what they are made of, and what they refuse."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import traitlets

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.errors import ClosedWidgetError, ParameterError, ResultError
from llm_interp_widgets.export._payload import islands

TEXTS = ["The film is good", "The film is not good at all", "A film"]


@pytest.fixture
def results(tiny_lm):
    lm = tiny_lm("bert")
    return [liw.attribute(lm, text, "glad", "occlusion") for text in TEXTS]


def test_holds_every_score_of_every_text(results):
    w = liw.beeswarm(results)
    pieces = sum(len(a.inputs) for a in results)
    scores = wire.unpack(w.data["scores"], (1, pieces))
    np.testing.assert_array_equal(scores, np.concatenate([a.scores for a in results], axis=1))
    assert w.data["texts"] == TEXTS
    said = wire.unpack(w.data["output_values"], (1, 3))
    np.testing.assert_allclose(said[0], [a.output_values[0] for a in results], rtol=1e-6)
    assert w.heading == "What matters in 3 texts"


def test_of_several_texts_of_shap_to_six_digits():
    rng = np.random.default_rng(0)
    pieces = [["a ", "bad ", "film"], ["and ", "another"]]
    values = [rng.normal(size=len(words)) for words in pieces]
    e = SimpleNamespace(values=values, base_values=np.array([0.5, 0.5]), data=pieces)
    for w in (liw.beeswarm(e), liw.bar(e)):
        found = wire.unpack(w.data["scores"], (1, 5))[0]
        np.testing.assert_allclose(found, np.concatenate(values), atol=1e-6)
    assert liw.bar(e).plot == "bars"
    assert isinstance(liw.bar(e, index=0), liw.ShapBar)


def test_widgets_are_waited_for(tiny_lm):
    lm = tiny_lm("bert")
    w = liw.beeswarm([liw.explain(lm, text, "glad", "occlusion") for text in TEXTS[:2]])
    assert len(w.collection.texts) == 2


def test_utf16_places(tiny_lm):
    lm = tiny_lm("bert")
    text = "an 👩 and 𝔘 film"
    a = liw.attribute(lm, text, "glad", "occlusion", granularity="word")
    w = liw.beeswarm([a])
    starts, ends = (np.frombuffer(w.data[name], "<u4") for name in ("starts", "ends"))
    units = text.encode("utf-16-le")
    shown = [units[2 * s : 2 * e].decode("utf-16-le") for s, e in zip(starts, ends, strict=True)]
    assert shown == [text[token.start : token.end] for token in a.inputs]


def test_page_and_close(results, tmp_path):
    w = liw.beeswarm(results, {"praise": ["good"]}, color="count")
    page = w.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "liw-bee-box" in islands(page)[0]["bundles"]["beeswarm"]
    assert "What matters in 3 texts" in page
    assert "The film is not good at all</th><td>" in page  # for readers without JavaScript
    liw.save_html(tmp_path / "both.html", [w, results[0]])
    w.close()
    with pytest.raises(ClosedWidgetError):
        w.to_html(tmp_path / "again.html")


def test_numbers_of_texts(results):
    w = liw.beeswarm(results, {"stars": [5, None, float("nan")]})
    assert w.by == {"kind": "value", "groups": {"stars": [5.0, None, None]}}
    with pytest.raises(ParameterError, match="no bars"):
        liw.beeswarm(results, {"stars": [5, 1, 2]}, plot="bars")


def test_texts_asked_about_their_own_labels(tiny_lm):
    lm = tiny_lm("bert")
    each = [liw.attribute(lm, text, label, "occlusion") for text, label in zip(
        TEXTS, ("glad", "sad", "glad"), strict=True)]  # fmt: skip
    w = liw.beeswarm(each)
    assert w.data["outputs"] == [""]
    assert {"label": "targets", "value": "2 different ones", "level": "warn"} in w.data["facts"]


def test_bad_input(results, tiny_lm):
    for arguments, options, words in [
        ((3,), {}, "several"),
        (("text",), {}, "several"),
        (([3],), {}, "int"),
        ((results,), {"plot": "dot"}, "Did you mean 'dots'"),
        ((results,), {"color": "red"}, "color"),
        ((results,), {"least": 0}, "least"),
        ((results,), {"rows": 0}, "rows"),
        ((results,), {"rows": "all"}, "rows"),
        ((results,), {"output": 1}, "output"),
        ((results, "letter"), {}, "position"),
    ]:
        with pytest.raises(ParameterError, match=words):
            liw.beeswarm(*arguments, **options)
    with pytest.raises(ResultError, match="at least one"):
        liw.beeswarm([])
    w = liw.beeswarm(results)
    for name in ("selected", "output"):
        with pytest.raises(traitlets.TraitError, match="out of range"):
            setattr(w, name, 3)
