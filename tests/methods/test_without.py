"""What the model would have said: asked of the model, and never more than all fillers agree on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import CancelledJobError
from llm_interp_widgets.results import describe
from llm_interp_widgets.results.partial import Merged

TEXT = "The capital of France is Paris and it is large"


def said(lm, ids):
    with torch.no_grad():
        logits = lm.model(torch.tensor([ids])).logits
    return int((logits[0] if lm.kind == "classifier" else logits[0, -1]).argmax())


def name(lm, answer):
    return lm.labels[answer] if lm.kind == "classifier" else lm.tokenizer.decode([answer])


def masked(lm, a, pieces, filler):
    ids = list(lm.encode(a.prompt).ids)
    for i in pieces:
        token = a.inputs[i]
        ids[token.position : token.position + token.size] = [filler] * token.size
    return ids


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients", "lime"])
@pytest.mark.parametrize("seed", range(4))
def test_is_what_the_model_says_of_the_masked_text(tiny_lm, method, seed):
    lm = tiny_lm("bert")
    text = " ".join(np.random.default_rng(seed).permutation(TEXT.split()))
    a = liw.attribute(lm, text, None, method)
    pieces = describe.leading(a.about(), Merged.empty(1, len(a.inputs)).merge(a.as_partial()))
    mask = lm.tokenizer.mask_token_id
    then = name(lm, said(lm, masked(lm, a, pieces, mask)))
    now = name(lm, said(lm, list(lm.encode(text).ids)))
    names = [describe.quoted(a.inputs[i].text) for i in pieces]
    assert 1 <= len(pieces) <= 3
    assert all(each in a.without[0] for each in names)
    still = f"would still have said “{now}”"
    changed = f"would have said “{then}”, not “{now}”"
    assert (still if now == then else changed) in a.without[0]


def test_fillers_must_agree(tiny_lm):
    lm = tiny_lm()
    fillers = [" of", "."]
    a = liw.attribute(lm, TEXT, None, "occlusion", filler=fillers)
    pieces = describe.leading(a.about(), Merged.empty(1, len(a.inputs)).merge(a.as_partial()))
    ids = [lm.tokenizer.encode(filler, add_special_tokens=False)[0] for filler in fillers]
    found = {said(lm, masked(lm, a, pieces, i)) for i in ids}
    now = said(lm, list(lm.encode(TEXT).ids))
    if len(found) == 1:
        assert "have said" in a.without[0]
    elif now in found:
        assert a.without[0] == ""
    else:
        assert "would not have said" in a.without[0]


def test_stands_in_the_sentence_and_in_the_file(tiny_lm, tmp_path):
    a = liw.attribute(tiny_lm("bert"), TEXT, None, "occlusion")
    w = liw.TokenHighlighter.of(liw.Attribution.load(a.save(tmp_path / "a.liw")))
    assert a.without[0]
    assert w.snapshot["state"]["sentences"][0].endswith(a.without[0])


def test_says_nothing_where_there_is_nothing_to_say(tiny_lm):
    encoder = tiny_lm("bert_encoder")
    assert liw.attribute(encoder, TEXT, liw.Similarity("Paris"), "occlusion").without == ("",)
    assert liw.attribute(tiny_lm("bert"), TEXT, None, "saliency").without == ("",)


def test_scores_are_kept_when_it_cannot_be_asked(tiny_lm, monkeypatch):
    def refuse(*_):
        raise CancelledJobError("stopped")

    monkeypatch.setattr("llm_interp_widgets.planning.said_without", refuse)
    a = liw.attribute(tiny_lm("bert"), TEXT, None, "occlusion")
    assert np.isfinite(a.scores).all()
    assert not a.cancelled
    assert a.without == ()
