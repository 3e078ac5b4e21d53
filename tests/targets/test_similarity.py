"""Similarity: the real MiniLM against its parts by hand, and every way of pooling."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertModel

import llm_interp_widgets as liw
from llm_interp_widgets.errors import TargetError, UnsupportedModelError
from llm_interp_widgets.targets import ask

TEXT, OTHER = "A man is eating food.", "Someone eats a meal."


@pytest.fixture(scope="module")
def encoder(minilm):
    return liw.load(minilm)


@pytest.fixture
def folder(tiny_model, pair_tokenizer, tmp_path):
    tiny_model("bert_encoder").save_pretrained(tmp_path)
    pair_tokenizer.save_pretrained(tmp_path)
    return tmp_path


def value(lm, target, text=TEXT):
    question = ask(target, lm, lm.encode(text))
    return float(
        lm.scores(question.inputs(torch.tensor([question.prompt.ids])), *question.readouts)
    )


def hidden(model, tokenizer, text):
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].double()


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def test_minilm_by_hand(encoder, minilm):
    model, tokenizer = BertModel.from_pretrained(minilm), AutoTokenizer.from_pretrained(minilm)
    means = [hidden(model.eval(), tokenizer, text).mean(0) for text in (TEXT, OTHER)]
    assert encoder.kind == "encoder"
    assert value(encoder, liw.Similarity(OTHER)) == pytest.approx(cosine(*means), abs=1e-6)
    assert value(encoder, OTHER) == pytest.approx(cosine(*means), abs=1e-6)
    assert value(encoder, liw.Similarity(TEXT)) == pytest.approx(1.0, abs=1e-6)


def test_what_makes_two_sentences_alike(encoder):
    a = liw.attribute(encoder, TEXT, liw.Similarity(OTHER), "occlusion")
    order = np.argsort(-a.scores[0])
    assert {a.inputs[i].text for i in order[:2]} == {" eating", " food"}
    assert a.unit == "cosine"
    assert a.target == f"similarity with “{OTHER}”"
    assert a.outputs[0].text == OTHER


def test_embeddings_give_the_same_number_and_a_gradient(encoder):
    question = ask(liw.Similarity(OTHER), encoder, encoder.encode(TEXT))
    leaf = encoder.embed(torch.tensor([question.prompt.ids])).requires_grad_()
    with encoder.untouched():
        got = encoder.forward(question.inputs(leaf), question.readouts[0])
        got.sum().backward()
    assert float(got.detach()) == pytest.approx(value(encoder, liw.Similarity(OTHER)), abs=1e-5)
    assert leaf.grad.abs().sum(-1).gt(0).all()


def test_removal_averages_over_what_is_left(encoder):
    a = liw.attribute(encoder, TEXT, liw.Similarity(OTHER), "occlusion", off="remove")
    model, tokenizer = encoder.model, encoder.tokenizer
    other = hidden(model, tokenizer, OTHER).mean(0)
    ids = list(encoder.encode(TEXT).ids)
    for k, token in enumerate(a.inputs):
        if not token.special:
            with torch.inference_mode():
                left = model(torch.tensor([ids[:k] + ids[k + 1 :]])).last_hidden_state[0].double()
            dropped = a.output_values[0] - cosine(left.mean(0), other)
            assert a.scores[0, k] == pytest.approx(dropped, abs=1e-5)


def test_a_callable_sees_the_pooled_embedding(encoder):
    pooled = hidden(encoder.model, encoder.tokenizer, TEXT).mean(0)
    assert value(encoder, lambda rows: rows[:, 5]) == pytest.approx(float(pooled[5]), abs=1e-5)


def pooled_by(folder, modules=None, **modes):
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    if modules:
        found = [{"type": f"sentence_transformers.models.{name}"} for name in modules]
        (folder / "modules.json").write_text(json.dumps(found))
    return liw.load(folder)


@pytest.mark.parametrize(
    ("modes", "pick"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True, "include_prompt": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({}, "mean"),
    ],
)
def test_the_folders_pooling_is_honoured(folder, modes, pick):
    lm = pooled_by(folder, ["Transformer", "Pooling", "Normalize"], **modes)
    states = [hidden(lm.model, lm.tokenizer, text) for text in (TEXT, OTHER)]
    vectors = {"cls": [s[0] for s in states], "mean": [s.mean(0) for s in states]}
    got = value(lm, liw.Similarity(OTHER))
    assert got == pytest.approx(cosine(*vectors[pick]), abs=1e-5)
    assert abs(cosine(*vectors["cls"]) - cosine(*vectors["mean"])) > 0.01


def test_a_pooling_that_is_not_known_is_refused(folder):
    lm = pooled_by(folder, pooling_mode_max_tokens=True)
    with pytest.raises(UnsupportedModelError, match="pools by max"):
        value(lm, liw.Similarity(OTHER))


def test_a_layer_after_the_pooling_is_refused(folder):
    lm = pooled_by(folder, ["Transformer", "Pooling", "Dense"], pooling_mode_mean_tokens=True)
    with pytest.raises(UnsupportedModelError, match="Dense"):
        value(lm, liw.Similarity(OTHER))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, r"says nothing\. Pass Similarity"),
        (3, "LogProb needs a model with a vocabulary"),
        (liw.Contrast("a", "b"), "Contrast needs"),
        (liw.Masked(1, "x"), "masked language model.*Similarity"),
        (liw.Similarity(""), r"Similarity\(''\): The prompt is empty"),
        (liw.Similarity(3), "not with a int"),
        (lambda rows: rows, r"shape \(rows,\)"),
    ],
)
def test_wrong_targets_say_what_is_right(encoder, target, message):
    with pytest.raises(TargetError, match=message):
        liw.attribute(encoder, TEXT, target, "occlusion")
