"""Scores summed to coarser pieces: the pieces of that granularity, nothing lost."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError, ResultError

TEXT = "The capital of France is Paris. A terrible 👩‍💻 film, 今天!"
OPTIONS = {"evaluations": 300, "precision": None, "filler": [" of", "."]}


@pytest.fixture(scope="module")
def by_token(tiny_lm):
    return liw.attribute(tiny_lm(), TEXT, 3, **OPTIONS)


@pytest.mark.parametrize("granularity", ["token", "word", "sentence", "turn", [(4, 21), (32, 42)]])
def test_pieces_are_those_of_the_granularity_and_nothing_is_lost(tiny_lm, by_token, granularity):
    a = by_token.grouped(granularity)
    own = liw.attribute(tiny_lm(), TEXT, 3, "random", granularity=granularity)
    assert a.inputs == own.inputs
    assert a.granularity == own.granularity
    assert a.scores.sum() == pytest.approx(by_token.scores.sum(), abs=1e-4)
    assert a.base_values == pytest.approx(by_token.base_values)
    for name in ("scores", "standard_error", "spread"):
        fine, coarse = getattr(by_token, name)[0], getattr(a, name)[0]
        for token, value in zip(a.inputs, coarse, strict=True):
            parts = [
                i for i, t in enumerate(by_token.inputs)
                if token.position <= t.position < token.position + token.size
            ]  # fmt: skip
            assert value == pytest.approx(fine[parts].astype(float).sum(), rel=1e-5, abs=1e-5)


def test_special_tokens_stay_alone(tiny_model, pair_tokenizer):
    lm = liw.wrap(tiny_model("bert"), pair_tokenizer)
    a = liw.attribute(lm, ("hot is cold", "day is"), 1, "kernel_shap")
    turns = a.grouped("turn")
    words = [t.text for t in turns.inputs if not t.special]
    assert words == ["hot is cold", "day is"]
    assert [t for t in turns.inputs if t.special] == [t for t in a.inputs if t.special]
    assert turns.scores[0, [t.special for t in turns.inputs]] == pytest.approx(0)


def test_words_go_on_to_sentences(by_token):
    there = by_token.grouped("word").grouped("sentence")
    assert there.inputs == by_token.grouped("sentence").inputs
    assert there.scores == pytest.approx(by_token.grouped("sentence").scores, abs=1e-5)


def test_integrated_gradients_of_words_are_the_sum_of_their_tokens(tiny_lm):
    lm = tiny_lm("gpt2")
    tokens = liw.attribute(lm, TEXT, 3, "integrated_gradients", steps=8)
    words = liw.attribute(lm, TEXT, 3, "integrated_gradients", steps=8, granularity="word")
    assert tokens.grouped("word").scores == pytest.approx(words.scores, abs=1e-4)


def test_what_does_not_add_cannot_be_summed(tiny_lm):
    a = liw.attribute(tiny_lm(), TEXT, 3, "occlusion", filler=" of")
    with pytest.raises(ResultError, match="no shares of the output"):
        a.grouped("word")


def test_nothing_is_divided(by_token):
    with pytest.raises(ResultError, match="not divided by token"):
        by_token.grouped("word").grouped("token")
    with pytest.raises(ResultError, match="not divided by word"):
        by_token.grouped([(4, 21)]).grouped("word")


def test_bad_granularity(by_token):
    with pytest.raises(ParameterError, match="Unknown granularity"):
        by_token.grouped("letter")
    with pytest.raises(ParameterError, match="leaves the text"):
        by_token.grouped([(0, 10_000)])


def test_the_original_is_untouched(by_token):
    before = np.array(by_token.scores)
    by_token.grouped("word")
    assert np.array_equal(by_token.scores, before)


def test_unknown_errors_stay_where_they_are(by_token):
    unknown = np.array(by_token.standard_error)
    unknown[0, 0] = np.nan
    a = replace(by_token, standard_error=unknown).grouped("word")
    assert np.isnan(a.standard_error[0]).tolist() == [True] + [False] * (len(a.inputs) - 1)


def test_a_preview_cannot_be_summed(by_token):
    with pytest.raises(ResultError, match="preview"):
        replace(by_token, preview=True).grouped("word")


def test_a_span_may_end_between_sentences_but_not_within_one(by_token):
    sentences = by_token.grouped("sentence")
    first = sentences.inputs[0]
    span = [(first.start, first.end)]
    assert sentences.grouped(span).inputs == by_token.grouped(span).inputs
    with pytest.raises(ResultError, match=r"a span cuts 'The capital .* at character 11"):
        sentences.grouped([(0, 11)])


def test_nameless_special_tokens_stay_apart(by_token):
    ends = [replace(by_token.inputs[0], text="", start=0, end=0, special=True)] * 2
    a = replace(
        by_token,
        inputs=(*ends, *by_token.inputs[2:]),
        prompt=by_token.prompt,
        granularity="token",
    ).grouped("turn")
    assert a.inputs[:2] == tuple(ends)


def test_turns_of_a_chat(tiny_model, tokenizer):
    chat = deepcopy(tokenizer)
    chat.chat_template = "{% for m in messages %}<s>{{ m.role }} {{ m.content }}</s>{% endfor %}"
    lm = liw.wrap(tiny_model("llama"), chat)
    said = [{"role": "user", "content": "hot is"}, {"role": "assistant", "content": "cold; the"}]
    fine = liw.attribute(lm, said, 3, "input_x_gradient")
    turns = fine.grouped("turn")
    assert [t.text.strip() for t in turns.inputs if not t.special] == ["hot is", "cold; the"]
    assert turns.inputs == liw.attribute(lm, said, 3, "random", granularity="turn").inputs
    assert turns.scores.sum() == pytest.approx(fine.scores.sum(), abs=1e-5)
