"""Two texts: the tokenizer's own template, exact spans, and token types that matter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transformers

import llm_interp_widgets as liw
from llm_interp_widgets.errors import EmptyPromptError, PromptError, PromptTooLongError
from llm_interp_widgets.models.tokenize import encode
from llm_interp_widgets.targets import ask

PAIR = ("The capital of France is Paris.", "Paris is cold. The night is hot!")


@pytest.fixture
def lm(tiny_model, pair_tokenizer):
    return liw.wrap(tiny_model("bert"), pair_tokenizer)


@pytest.fixture(scope="module")
def word_pieces(minilm):
    return transformers.AutoTokenizer.from_pretrained(minilm)


def logits(lm, **given):
    with torch.inference_mode():
        return lm.model(**given).logits[0].double()


def test_the_pair_is_read_as_the_tokenizer_writes_it(lm):
    prompt = lm.encode(PAIR)
    found = lm.tokenizer(*PAIR, return_tensors="pt")
    assert list(prompt.ids) == found.input_ids[0].tolist()
    assert list(prompt.segments) == found.token_type_ids[0].tolist()
    assert lm.encode(list(PAIR)) == prompt
    own = logits(lm, **found)
    a = liw.attribute(lm, PAIR, "glad", "occlusion")
    assert a.output_values[0] == pytest.approx(float(own[2]), abs=1e-5)


def test_token_types_change_the_value(lm):
    question = ask("glad", lm, lm.encode(PAIR))
    ids = torch.tensor([question.prompt.ids])
    forgetful = replace(question, prompt=replace(question.prompt, segments=None))
    with_types, without = (
        float(lm.scores(q.inputs(ids), q.readouts[0])) for q in (question, forgetful)
    )
    assert without == pytest.approx(float(logits(lm, input_ids=ids)[2]), abs=1e-5)
    assert abs(with_types - without) > 0.01


def test_removal_keeps_each_tokens_type(lm):
    prompt = lm.encode(PAIR)
    a = liw.attribute(lm, PAIR, "glad", "occlusion", off="remove")
    for k, token in enumerate(a.inputs):
        if not token.special:
            keep = [j for j in range(len(prompt.ids)) if j != k]
            left = logits(
                lm,
                input_ids=torch.tensor([[prompt.ids[j] for j in keep]]),
                token_type_ids=torch.tensor([[prompt.segments[j] for j in keep]]),
            )
            assert a.scores[0, k] == pytest.approx(a.output_values[0] - float(left[2]), abs=1e-4)


@pytest.mark.parametrize(
    "pair",
    [
        PAIR,
        ("a", "b"),
        ("trailing ", "  leading"),
        ("👩‍💻", "今天天气 e\u0301"),
        ("line\r", "\nline"),
        ("[SEP] x", "<mask>"),
    ],
)
def test_spans_are_exact(lm, word_pieces, pair):
    for tokenizer in (lm.tokenizer, word_pieces):
        prompt = encode(tokenizer, pair)
        assert prompt.text == "\n".join(pair)
        assert "".join(t.text for t in prompt.tokens if not t.added) == prompt.text
        for t in prompt.tokens:
            assert t.added or prompt.text[t.start : t.end] == t.text
            in_second = t.start > len(pair[0])
            assert t.special or t.role == ("second" if in_second else "first")
        assert [t.role for t in prompt.tokens] == sorted(t.role for t in prompt.tokens)


def test_word_pieces_drop_spaces_and_the_spans_stay_exact(minilm):
    lm = liw.load(minilm)
    prompt = lm.encode(("A man eats. ", " Somebody unbelievably eats"))
    assert [t.text for t in prompt.tokens if not t.added] == [
        "A", " man", " eats", ". ", "\n", " Somebody", " un", "bel", "ie", "va", "bly", " eats",
    ]  # fmt: skip
    assert list(prompt.ids) == lm.tokenizer("A man eats. ", " Somebody unbelievably eats").input_ids
    assert prompt.tokens[5].special
    assert prompt.segments.count(1) == 8


def test_granularities(lm):
    by = {}
    for granularity in ("turn", "sentence", "word"):
        a = liw.attribute(lm, PAIR, 0, "occlusion", granularity=granularity)
        by[granularity] = [t.text for t in a.inputs if not t.special]
    assert by["turn"] == list(PAIR)
    assert by["sentence"] == [PAIR[0], "Paris is cold.", " The night is hot!"]
    assert by["word"][:2] == ["The", " capital"]
    assert "".join(by["word"]) == "".join(PAIR)


def test_one_text_has_no_segments(lm):
    assert lm.encode("The capital").segments is None
    assert all(t.role is None for t in lm.encode("The capital").tokens)


def test_a_text_of_two_words_is_no_pair_of_ids(lm):
    assert lm.encode((50, 51)).ids == (50, 51)


def test_long_pairs_are_never_cut(lm):
    lm.tokenizer.backend_tokenizer.enable_truncation(8)
    try:
        assert len(lm.encode(PAIR).ids) > 8
    finally:
        lm.tokenizer.backend_tokenizer.no_truncation()
    with pytest.raises(PromptTooLongError, match="never cut"):
        lm.encode(("The capital " * 40, "The opposite " * 40))


def test_encoder_decoders_read_pairs_too(tiny_model, pair_tokenizer):
    lm = liw.wrap(tiny_model("t5"), pair_tokenizer)
    assert liw.attribute(lm, PAIR, 7, "occlusion").scores.any()


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        (("a", "b", "c"), PromptError, "list of 3 texts.*exactly two"),
        (["a"], PromptError, "list of 1 texts"),
        (("a", ""), EmptyPromptError, "second text of the pair is empty"),
        (("a", "\ud800"), PromptError, "lone surrogate"),
        (("a", 3), PromptError, "a str, no token id"),
    ],
)
def test_what_is_no_pair(lm, prompt, error, message):
    with pytest.raises(error, match=message):
        lm.encode(prompt)


def test_decoders_say_what_to_do(tiny_lm):
    with pytest.raises(PromptError, match=r"is a decoder and reads one text.*'The.*\\nParis"):
        tiny_lm("llama").encode(PAIR)


def test_tokenizers_without_a_template_are_refused(tiny_lm):
    with pytest.raises(PromptError, match="no template for a pair"):
        tiny_lm("bert").encode(PAIR)
