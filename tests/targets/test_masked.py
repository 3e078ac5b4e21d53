"""Masked language models: where they are read, and what a wrong place is told."""

from __future__ import annotations

import pytest
import torch
from transformers import AddedToken, PreTrainedTokenizerFast

import llm_interp_widgets as liw
from llm_interp_widgets.errors import TargetError
from llm_interp_widgets.models.tokenize import encode_at
from llm_interp_widgets.targets import ask

TEXT = "The capital of France is<mask>."
PLAIN = "The capital of France is Paris."


@pytest.fixture(params=["bert_mlm", "roberta_mlm", "electra_mlm"])
def lm(request, tiny_model, pair_tokenizer):
    return liw.wrap(tiny_model(request.param), pair_tokenizer)


def logits_at_mask(lm, ids):
    ids = torch.tensor([ids])
    at = ids[0].tolist().index(lm.tokenizer.mask_token_id)
    with torch.inference_mode():
        return lm.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, at].double()


def value(lm, question):
    ids = torch.tensor([question.prompt.ids])
    rows = question.inputs(ids), question.inputs(lm.embed(ids))
    by_ids, by_embeddings = (
        sum(float(lm.scores(row, readout)[0, 0]) for readout in question.readouts) for row in rows
    )
    assert by_ids == pytest.approx(by_embeddings, abs=1e-5)
    return by_ids


def test_the_masks_logits_are_read(lm):
    prompt = lm.encode(TEXT)
    own = logits_at_mask(lm, prompt.ids)
    said = lm.tokenizer(" Paris", add_special_tokens=False).input_ids
    assert len(said) == 1
    expected = {
        None: own.log_softmax(-1).max(),
        " Paris": own.log_softmax(-1)[said[0]],
        9: own.log_softmax(-1)[9],
        liw.Logit(9): own[9],
        liw.Prob(9): own.softmax(-1)[9],
        liw.Contrast(9, 5): own[9] - own[5],
    }
    for target, wanted in expected.items():
        assert value(lm, ask(target, lm, prompt)) == pytest.approx(float(wanted), abs=1e-4)


def test_a_callable_sees_the_masks_logits(lm):
    prompt = lm.encode(TEXT)
    question = ask(lambda logits: logits[:, 7] - logits[:, 8], lm, prompt)
    own = logits_at_mask(lm, prompt.ids)
    assert value(lm, question) == pytest.approx(float(own[7] - own[8]), abs=1e-4)


def test_masked_replaces_the_token_and_keeps_the_text(lm):
    prompt = lm.encode(PLAIN)
    slot = next(t.position for t in prompt.tokens if t.text == " Paris")
    question = ask(liw.Masked(slot, " Paris"), lm, prompt)
    ids = list(prompt.ids)
    ids[slot] = lm.tokenizer.mask_token_id
    wanted = logits_at_mask(lm, ids).log_softmax(-1)[prompt.ids[slot]]
    assert value(lm, question) == pytest.approx(float(wanted), abs=1e-4)
    assert question.slot == slot
    assert list(question.prompt.ids) == ids
    assert question.prompt.text == PLAIN
    assert question.prompt.tokens[slot].special
    assert [t.special for t in question.prompt.tokens].count(True) == 3  # [CLS], slot, [SEP]
    assert (question.outputs[0].text, question.outputs[0].position) == (" Paris", slot)
    assert value(lm, ask(liw.Masked(slot, "Paris"), lm, prompt)) == pytest.approx(
        value(lm, question)
    )


def test_attributions_leave_the_slot_alone(lm):
    slot = next(t.position for t in lm.encode(PLAIN).tokens if t.text == " Paris")
    a = liw.attribute(lm, PLAIN, liw.Masked(slot, " Paris"), "occlusion")
    assert "".join(t.text for t in a.inputs if not t.added) == PLAIN
    assert a.inputs[slot].special
    assert a.scores[0, slot] == 0
    assert (a.scores[0] != 0).sum() == sum(not t.special for t in a.inputs)


def test_removing_tokens_moves_the_slot(lm):
    prompt = lm.encode(TEXT)
    a = liw.attribute(lm, TEXT, 9, "occlusion", off="remove")
    for k, token in enumerate(a.inputs):
        if not token.special:
            ids = [i for i, t in zip(prompt.ids, prompt.tokens, strict=True) if t.position != k]
            left = float(logits_at_mask(lm, ids).log_softmax(-1)[9])
            assert a.scores[0, k] == pytest.approx(a.output_values[0] - left, abs=1e-4)


@pytest.mark.parametrize("granularity", ["word", "sentence", "turn", [(0, 3), (4, 11)]])
def test_granularities(lm, granularity):
    a = liw.attribute(lm, TEXT, None, "occlusion", granularity=granularity)
    assert "".join(t.text for t in a.inputs if not t.added) == TEXT
    assert [t.special for t in a.inputs].count(True) == 3
    assert (a.scores[0] != 0).any()


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (PLAIN, None, r"the prompt has none\. Write <mask>.*is <mask>.*Masked\(position, x\)"),
        (PLAIN, "Paris", "the prompt has none"),
        (TEXT + " <mask>", None, "2 times"),
        (PLAIN, liw.Masked(99, "x"), r"Masked\(99, …\): positions of this prompt are 1 'The'"),
        (PLAIN, liw.Masked(-1, "x"), "positions of this prompt"),
        (PLAIN, liw.Masked(True, "x"), "positions of this prompt"),
        (PLAIN, liw.Masked(0, "x"), r"'\[CLS\]' is a special token"),
        (TEXT, " Paris and Tokyo", r"One token fills a mask; .* is \d+: ' Paris' \(\d+\) \+ "),
        (TEXT, liw.Logit(400), "ids 0 to 399"),
        (TEXT, liw.Contrast(5, 5), "with itself"),
        (TEXT, liw.Generate(2), "is a masked language model"),
        (TEXT, liw.Similarity("x"), "needs an encoder"),
        (TEXT, "", "empty"),
    ],
)
def test_wrong_targets_say_what_is_right(lm, text, target, message):
    with pytest.raises(TargetError, match=message):
        liw.attribute(lm, text, target, "occlusion")


def test_a_tokenizer_without_a_mask(tiny_model, tokenizer):
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(TargetError, match="no mask token"):
        liw.attribute(liw.wrap(tiny_model("bert_mlm"), bare), PLAIN, None, "occlusion")


def test_the_space_before_a_mask_is_the_answers(pair_tokenizer):
    """RoBERTa's mask takes the space before it; the word in its place has one."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=type(pair_tokenizer.backend_tokenizer).from_str(
            pair_tokenizer.backend_tokenizer.to_str()
        ),
        pad_token="<pad>",
    )
    tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True, special=True)})
    from llm_interp_widgets.models.tokenize import encode

    prompt = encode(tokenizer, "The capital of France is <mask>.")
    slot = prompt.ids.index(tokenizer.mask_token_id)
    space = tuple(tokenizer(" Paris", add_special_tokens=False).input_ids)
    assert len(space) == 1
    assert encode_at(tokenizer, prompt, slot, "Paris") == space
    assert encode_at(tokenizer, prompt, slot, " Paris") == space


def test_word_pieces_are_named_as_the_vocabulary_does(minilm):
    from transformers import AutoTokenizer

    from llm_interp_widgets.models.tokenize import encode

    tokenizer = AutoTokenizer.from_pretrained(minilm)
    prompt = encode(tokenizer, "He likes swim[MASK].")
    slot = prompt.ids.index(tokenizer.mask_token_id)
    assert encode_at(tokenizer, prompt, slot, "##ming") == (
        tokenizer.convert_tokens_to_ids("##ming"),
    )
    joined, apart = encode(tokenizer, "To swim[MASK]."), encode(tokenizer, "To swim [MASK].")
    assert joined.ids == apart.ids
    assert encode_at(tokenizer, joined, 3, "now") == (tokenizer.convert_tokens_to_ids("##now"),)
    assert encode_at(tokenizer, apart, 3, "now") == (tokenizer.convert_tokens_to_ids("now"),)
