"""What shap and lime found, taken over: the same numbers, shown and saved like our own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ResultError

TEXT = "a bad, bad film"


def two_counts(texts):
    return np.array([[len(str(t)), str(t).count("a")] for t in texts], dtype=float)


def probabilities(texts):
    bad = 1 / (1.5 + np.array([text.count("bad") for text in texts]))
    return np.stack([bad, 1 - bad], axis=1)


@pytest.fixture(scope="module")
def shap():
    return pytest.importorskip("shap")


def lime_of(bow, labels=(1,), **options):
    lime_text = pytest.importorskip("lime.lime_text")
    explainer = lime_text.LimeTextExplainer(
        class_names=["sad", "glad"], bow=bow, random_state=0, **options
    )
    return explainer.explain_instance(TEXT, probabilities, labels=labels, num_samples=200)


def test_shap_of_words(shap):
    e = shap.Explainer(two_counts, shap.maskers.Text(r"\W"))([TEXT])
    a = liw.Attribution.from_shap(e, unit="logit", model="counts")
    assert "".join(t.text for t in a.inputs) == a.prompt == TEXT
    assert a.scores == pytest.approx(e.values[0].T)
    assert a.base_values == pytest.approx(e.base_values[0])
    assert a.output_values == pytest.approx(two_counts([TEXT])[0])
    assert (a.completeness_gap < 1e-6).all()
    assert [t.text for t in a.outputs] == ["Output 0", "Output 1"]
    assert [a.prompt[t.start : t.end] for t in a.inputs] == [t.text for t in a.inputs]
    assert (a.method, a.unit, a.model.name, a.verdict) == ("shap", "logit", "counts", "unknown")


@pytest.mark.parametrize("algorithm", ["partition", "permutation"])
def test_shap_of_tokens_in_a_batch(shap, pair_tokenizer, algorithm):
    masker = shap.maskers.Text(pair_tokenizer)
    explainer = shap.Explainer(
        two_counts, masker, algorithm=algorithm, output_names=["long", "with a"]
    )
    e = explainer([TEXT, "glad"], silent=True)
    for i, text in enumerate([TEXT, "glad"]):
        a = liw.Attribution.from_shap(e, index=i)
        assert a.prompt == text
        assert a.scores == pytest.approx(e[i].values.T)
        assert [t.text for t in a.outputs] == e.output_names  # permutation forgets the given ones
        assert [t.special for t in a.inputs] == [not t.text for t in a.inputs]
    with pytest.raises(ResultError, match="of 2 texts"):
        liw.Attribution.from_shap(e)
    with pytest.raises(ResultError, match="index=2"):
        liw.Attribution.from_shap(e, index=2)


def test_there_and_back(shap, tiny_lm):
    del shap
    options = {"evaluations": 60, "precision": None, "filler": " of"}
    for target in (3, liw.Generate(2)):
        a = liw.attribute(tiny_lm(), "The capital of France is", target, **options)
        back = liw.Attribution.from_shap(a.to_shap())
        assert back.scores == pytest.approx(a.scores, abs=1e-6)
        assert back.base_values == pytest.approx(a.base_values)
        assert back.output_values == pytest.approx(a.output_values, abs=1e-4)
        assert back.prompt == a.prompt


def test_lime_of_places():
    e = lime_of(bow=False)
    a = liw.Attribution.from_lime(e)
    weights = dict(e.as_map()[1])
    words = [i for i, t in enumerate(a.inputs) if not t.special]
    assert [a.inputs[i].text for i in words] == ["a", "bad", "bad", "film"]
    assert a.scores[0, words] == pytest.approx([weights[k] for k in range(4)])
    assert a.scores[0, [t.special for t in a.inputs]] == pytest.approx(0)
    assert a.fit == pytest.approx([e.score])
    assert a.base_values == pytest.approx([e.intercept[1]])
    assert a.output_values == pytest.approx(probabilities([TEXT])[0, 1:])
    assert (a.prompt, a.unit, a.additive, a.note) == (TEXT, "prob", False, "")
    assert [t.text for t in a.outputs] == ["glad"]


def test_lime_of_words_in_several_places_shares_their_weight():
    e = lime_of(bow=True, labels=(0, 1))
    a = liw.Attribution.from_lime(e)
    for row, label in enumerate((0, 1)):
        bad = dict(e.as_list(label=label))["bad"]
        assert [a.scores[row, i] for i, t in enumerate(a.inputs) if t.text == "bad"] == (
            pytest.approx([bad / 2, bad / 2])
        )
        assert a.scores[row].sum() == pytest.approx(sum(w for _, w in e.as_list(label=label)))
    assert "every place of a word" in a.note
    assert [t.text for t in a.outputs] == ["sad", "glad"]
    assert np.isnan(a.fit).all()  # lime keeps one R² and does not say whose


def test_lime_of_characters():
    a = liw.Attribution.from_lime(lime_of(bow=False, char_level=True))
    assert [t.text for t in a.inputs] == list(TEXT)


def test_taken_over_results_are_shown_and_saved(shap, tmp_path):
    e = shap.Explainer(two_counts, shap.maskers.Text(r"\W"))([TEXT])
    for a in (liw.Attribution.from_shap(e), liw.Attribution.from_lime(lime_of(bow=True))):
        again = liw.Attribution.load(a.save(tmp_path / a.method))
        assert np.array_equal(again.scores, a.scores)
        assert again.inputs == a.inputs
        view = liw.TokenHighlighter.of(again)
        page = view.to_html(tmp_path / f"{a.method}.html").read_text(encoding="utf-8")
        assert "model evaluations" not in page
        view.close()


def test_hostile_text_is_text(shap):
    texts = np.array(["<script>alert(1)</script>", "\u2028", "__proto__"], dtype=object)
    e = shap.Explanation(values=np.ones(3), base_values=0.0, data=texts)
    a = liw.Attribution.from_shap(e)
    assert [t.text for t in a.inputs] == list(texts)


WORDS = np.array(["a", "b"], dtype=object)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"values": np.ones(3), "base_values": 0.0, "data": WORDS}, "3 values for 2 pieces"),
        ({"values": np.ones((2, 2, 2)), "base_values": 0.0, "data": WORDS}, "3 dimensions"),
        ({"values": [1, np.nan], "base_values": 0.0, "data": WORDS}, "NaN"),
        ({"values": ["x", "y"], "base_values": 0.0, "data": WORDS}, "not numbers"),
        ({"values": np.ones(2), "base_values": 0.0, "data": np.ones(2)}, "pieces of a text"),
        ({"values": np.ones(2), "base_values": 0.0, "data": "ab"}, "data is a str"),
        ({"values": np.ones(2), "base_values": np.ones(3), "data": WORDS}, "3 base values"),
        ({"values": np.ones(0), "base_values": 0.0, "data": WORDS[:0]}, "empty text"),
        ({"values": np.ones(2), "data": WORDS}, "cannot be read"),
        ({"values": np.broadcast_to(1.0, (2, 9**8)), "base_values": 0.0, "data": WORDS}, "at most"),
    ],
)
def test_what_is_no_explanation_of_a_text_is_refused(fields, message):
    with pytest.raises(ResultError, match=message):
        liw.Attribution.from_shap(SimpleNamespace(**fields))


@pytest.mark.parametrize("given", [None, [1, 2], "text", SimpleNamespace(local_exp={})])
def test_what_is_not_limes_is_refused(given):
    with pytest.raises(ResultError, match="LimeTextExplainer"):
        liw.Attribution.from_lime(given)
    with pytest.raises(ResultError, match=r"shap\.Explanation"):
        liw.Attribution.from_shap(given)


def test_a_damaged_explanation_of_lime_is_refused():
    e = lime_of(bow=True)
    del e.intercept[1]
    with pytest.raises(ResultError, match="damaged"):
        liw.Attribution.from_lime(e)


def test_a_batch_with_wrong_sizes_or_index_is_refused():
    two = {"values": np.ones((2, 2)), "base_values": np.zeros(2), "data": [WORDS, WORDS]}
    for wrong, index, message in (
        ({}, "0", "of 2 texts"),
        ({"base_values": np.zeros(1)}, 1, "base_values do not fit"),
        ({"values": np.ones((3, 2))}, 1, "values do not fit"),
        ({"values": np.ones((2, 2, 0))}, 1, "no output"),
    ):
        with pytest.raises(ResultError, match=message):
            liw.Attribution.from_shap(SimpleNamespace(**two | wrong), index=index)
    shared = SimpleNamespace(**two | {"base_values": 0.5})
    assert liw.Attribution.from_shap(shared, index=1).base_values.tolist() == [0.5]


def test_each_text_of_a_batch_may_have_its_own_output_names():
    names = [["x", "y"], ["u", "v"]]
    e = SimpleNamespace(
        values=np.ones((2, 2, 2)), base_values=np.zeros((2, 2)), data=[WORDS, WORDS],
        output_names=names,
    )  # fmt: skip
    for i in range(2):
        a = liw.Attribution.from_shap(e, index=i)
        assert [token.text for token in a.outputs] == names[i]
