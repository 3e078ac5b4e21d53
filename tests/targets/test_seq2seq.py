"""Encoder-decoders: features are what the encoder reads, outputs what the decoder writes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import PromptTooLongError, TargetError
from llm_interp_widgets.targets import ask

TEXT = "The capital of France is"


@pytest.fixture(params=["t5", "bart"])
def lm(request, tiny_model, pair_tokenizer):
    return liw.wrap(tiny_model(request.param), pair_tokenizer)


def logits(lm, said=()):
    ids = torch.tensor([lm.encode(TEXT).ids])
    start = lm.model.config.decoder_start_token_id
    with torch.inference_mode():
        out = lm.model(input_ids=ids, decoder_input_ids=torch.tensor([[start, *said]]))
    return out.logits[0].double()


def value(lm, target):
    question = ask(target, lm, lm.encode(TEXT))
    ids = torch.tensor([question.prompt.ids])
    rows = question.inputs(ids), question.inputs(lm.embed(ids))
    by_ids, by_embeddings = (
        sum(lm.scores(row, readout)[0].double().numpy() for readout in question.readouts)
        for row in rows
    )
    assert by_ids == pytest.approx(by_embeddings, abs=1e-4)
    return by_ids


def test_one_token(lm):
    first = logits(lm)[0]
    assert value(lm, None) == pytest.approx([float(first.log_softmax(-1).max())], abs=1e-4)
    assert value(lm, 9) == pytest.approx([float(first.log_softmax(-1)[9])], abs=1e-4)
    assert value(lm, liw.Logit(9)) == pytest.approx([float(first[9])], abs=1e-4)
    assert value(lm, liw.Prob(9)) == pytest.approx([float(first.softmax(-1)[9])], abs=1e-5)
    contrast = float(first[9] - first[5])
    assert value(lm, liw.Contrast(9, 5)) == pytest.approx([contrast], abs=1e-4)
    assert value(lm, lambda rows: rows[:, 3]) == pytest.approx([float(first[3])], abs=1e-4)


def test_an_answer_is_the_sum_of_its_tokens(lm):
    text = "Paris, and Tokyo"
    ids = lm.tokenizer(text_target=text, add_special_tokens=False).input_ids
    assert len(ids) > 2
    rows = logits(lm, ids[:-1]).log_softmax(-1)
    total = float(sum(row[i] for row, i in zip(rows, ids, strict=True)))
    assert value(lm, text) == pytest.approx([total], abs=1e-3)
    assert value(lm, liw.Prob(text)) == pytest.approx([np.exp(total)], rel=1e-2)
    short = value(lm, " the")
    assert value(lm, liw.Contrast(text, " the")) == pytest.approx(total - short, abs=1e-3)


def test_generated_tokens_are_rows(lm):
    a = liw.attribute(lm, TEXT, liw.Generate(3), "occlusion")
    ids = [t.id for t in a.outputs]
    rows = logits(lm, ids[:-1]).log_softmax(-1)
    assert ids == [int(row.argmax()) for row in rows]
    assert a.output_values == pytest.approx([float(row.max()) for row in rows], abs=1e-4)
    assert [t.text for t in a.outputs] == [lm.tokenizer.decode([i]) for i in ids]
    assert [t.position for t in a.outputs] == [len(a.inputs) + i for i in range(len(ids))]
    assert a.scores.shape == (len(ids), len(a.inputs))
    assert "".join(t.text for t in a.inputs if not t.added) == TEXT


def test_removal_shortens_the_encoders_input(lm):
    prompt = lm.encode(TEXT)
    a = liw.attribute(lm, TEXT, 9, "occlusion", off="remove")
    start = lm.model.config.decoder_start_token_id
    for k, token in enumerate(a.inputs):
        if not token.special:
            ids = [i for j, i in enumerate(prompt.ids) if j != k]
            with torch.inference_mode():
                out = lm.model(torch.tensor([ids]), decoder_input_ids=torch.tensor([[start]]))
            left = float(out.logits[0, 0].log_softmax(-1)[9])
            assert a.scores[0, k] == pytest.approx(a.output_values[0] - left, abs=1e-4)


def test_the_answer_does_not_count_towards_the_prompts_length(tiny_model, tokenizer):
    lm = liw.wrap(tiny_model("bart"), tokenizer)
    assert lm.context_length == 128
    liw.attribute(lm, [50] * 128, liw.Contrast("Paris", "the capital"), "occlusion")
    with pytest.raises(PromptTooLongError, match="129 tokens"):
        liw.attribute(lm, [50] * 129, 7, "occlusion")
    with pytest.raises(PromptTooLongError):
        liw.attribute(lm, "The", "Paris " * 140, "occlusion")


def test_t5_reads_any_length(tiny_model, tokenizer):
    lm = liw.wrap(tiny_model("t5", n_positions=16), tokenizer)
    assert lm.context_length is None
    assert len(lm.encode("The capital " * 100).tokens) > 128


@pytest.mark.parametrize("granularity", ["word", "sentence", "turn", [(4, 11)]])
def test_granularities(lm, granularity):
    a = liw.attribute(lm, TEXT, None, "occlusion", granularity=granularity)
    assert "".join(t.text for t in a.inputs if not t.added) == TEXT


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (liw.Logit("Paris, and"), "needs one token"),
        ("", "empty"),
        (400, "ids 0 to 399"),
        (liw.Generate(0), "at least 1"),
        (liw.Masked(1, "x"), "masked language model"),
        (liw.Similarity("x"), "needs an encoder.*encoder-decoder"),
    ],
)
def test_wrong_targets_say_what_is_right(lm, target, message):
    with pytest.raises(TargetError, match=message):
        liw.attribute(lm, TEXT, target, "occlusion")
