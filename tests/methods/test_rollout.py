"""Rollouts against plain numpy on what transformers itself hands out."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import transformers

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ModelMemoryError, UnsupportedModelError
from llm_interp_widgets.models import attentions

TEXT = "The opposite of hot is"
FAMILIES = ["llama", "gpt2", "neox", "mistral", "gemma2", "qwen2", "bert"]
families = pytest.mark.parametrize("family", FAMILIES)


def eager(lm):
    """A copy of the model that hands out its attention weights."""
    model = copy.deepcopy(lm.model)
    model.set_attn_implementation("eager")
    return model


def ids_of(lm, *more):
    return [*lm.encode(TEXT).ids, *more]


def value_and_rows(lm, out, said):
    """The target, and where it is read: the first token, or what is before each said token."""
    if lm.model.config.model_type == "bert":
        return out.logits[0, 1], [0]
    rows = [len(out.logits[0]) - len(said) + i for i in range(len(said))]
    return out.logits[0, rows].log_softmax(-1)[range(len(said)), said].sum(), rows


def chefer(lm, said=(1,), only_last=False):
    """R = I; for each layer R += mean over heads of relu(gradient * weights) @ R."""
    out = eager(lm)(torch.tensor([ids_of(lm, *said[:-1])]), output_attentions=True)
    for weights in out.attentions:
        weights.retain_grad()
    value, rows = value_and_rows(lm, out, said)
    if only_last:
        rows = rows[-1:]
        value = out.logits[0, rows[0]].log_softmax(-1)[said[-1]]
    value.backward()
    size = out.attentions[0].shape[-1]
    relevance = np.eye(size)
    for weights in out.attentions:
        weight, slope = weights.detach()[0].numpy(), weights.grad[0].numpy()
        relevance = relevance + np.maximum(weight * slope, 0).mean(0) @ relevance
    return (relevance - np.eye(size))[rows].sum(0)[: len(ids_of(lm))]


def abnar(lm, said=(1,)):
    """Product over layers of (mean over heads + I) / 2."""
    with torch.no_grad():
        out = eager(lm)(torch.tensor([ids_of(lm, *said[:-1])]), output_attentions=True)
    _, rows = value_and_rows(lm, out, said)
    size = out.attentions[0].shape[-1]
    joint = np.eye(size)
    for weights in out.attentions:
        joint = (weights[0].mean(0).numpy() + np.eye(size)) / 2 @ joint
    return joint[rows].mean(0)[: len(ids_of(lm))]


@families
def test_gradient_rollout_is_chefers(tiny_lm, family):
    lm = tiny_lm(family)
    a = liw.attribute(lm, TEXT, 1, "gradient_rollout")
    assert a.scores[0] == pytest.approx(chefer(lm), rel=1e-4, abs=1e-7)
    assert (a.scores > 0).any()


@families
def test_attention_rollout_is_abnars(tiny_lm, family):
    lm = tiny_lm(family)
    a = liw.attribute(lm, TEXT, 1, "attention_rollout")
    assert a.scores[0] == pytest.approx(abnar(lm), rel=1e-4, abs=1e-7)
    assert a.scores.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_continuation_is_read_at_all_its_positions(tiny_lm, family):
    lm = tiny_lm(family)
    said = tuple(lm.tokenizer(" of hot").input_ids)
    assert len(said) == 2
    chefers = liw.attribute(lm, TEXT, " of hot", "gradient_rollout").scores[0]
    assert chefers == pytest.approx(chefer(lm, said), rel=1e-4, abs=1e-7)
    abnars = liw.attribute(lm, TEXT, " of hot", "attention_rollout").scores[0]
    assert abnars == pytest.approx(abnar(lm, said), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("family", ["llama", "neox"])
def test_each_generated_token_is_read_at_its_own_position(tiny_lm, family):
    lm = tiny_lm(family)
    a = liw.attribute(lm, TEXT, liw.Generate(3), "gradient_rollout")
    said = tuple(token.id for token in a.outputs)
    for o in range(3):
        expected = chefer(lm, said[: o + 1], only_last=True)
        assert a.scores[o] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    b = liw.attribute(lm, TEXT, liw.Generate(3), "attention_rollout")
    first = liw.attribute(lm, TEXT, said[0], "attention_rollout")
    assert b.scores[0] == pytest.approx(first.scores[0], rel=1e-5)
    assert not np.allclose(b.scores[0], b.scores[1])


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout"])
def test_a_saturated_target_is_read_where_it_stands(tiny_lm, method):
    """Its slope is 0 everywhere; that is no reason to read it nowhere."""
    lm = tiny_lm()

    def saturated(logits):
        return logits[:, 3] * 0 + 1

    a = liw.attribute(lm, TEXT, saturated, method)
    expected = abnar(lm) if method == "attention_rollout" else np.zeros(5)
    assert a.scores[0] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_a_decoder_classifier_is_read_at_its_last_token(tokenizer):
    config = transformers.LlamaConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_labels=3, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        lm = liw.wrap(transformers.LlamaForSequenceClassification(config).eval(), tokenizer)
    a = liw.attribute(lm, TEXT, 1, "attention_rollout")
    out = eager(lm).model(torch.tensor([ids_of(lm)]), output_attentions=True)
    joint = np.eye(5)
    for weights in out.attentions:
        joint = (weights[0].mean(0).detach().numpy() + np.eye(5)) / 2 @ joint
    assert a.scores[0] == pytest.approx(joint[-1], rel=1e-4)


def test_pieces_add_up_and_nothing_is_promised(tiny_lm):
    lm = tiny_lm()
    tokens = liw.attribute(lm, TEXT, 1, "attention_rollout")
    words = liw.attribute(lm, TEXT, 1, "attention_rollout", granularity=[(0, 12), (12, 22)])
    starts = [piece.position for piece in words.inputs]
    assert words.scores[0] == pytest.approx(np.add.reduceat(tokens.scores[0], starts), rel=1e-6)
    assert not liw.methods()["attention_rollout"].additive
    assert "not importance" in tokens.caution


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout"])
def test_the_attention_implementation_is_put_back_after_an_error(tiny_lm, method):
    lm = tiny_lm()
    before = lm.model.config._attn_implementation

    def broken(logits):
        if logits.requires_grad:
            raise ZeroDivisionError
        return logits[:, 0]

    with pytest.raises(ZeroDivisionError):
        liw.attribute(lm, TEXT, broken, method)
    assert lm.model.config._attn_implementation == before != "eager"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in lm.model.modules())


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout"])
def test_a_model_without_attention_says_what_to_use_instead(tokenizer, method):
    config = transformers.MambaConfig(
        vocab_size=400, hidden_size=32, state_size=4, num_hidden_layers=2, pad_token_id=0
    )
    lm = liw.wrap(transformers.MambaForCausalLM(config).eval(), tokenizer)
    with pytest.raises(UnsupportedModelError, match=r"0 of its 2 layers.*shapley"):
        liw.attribute(lm, TEXT, 1, method)


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout"])
def test_two_continuations_at_once_are_refused(tiny_lm, method):
    with pytest.raises(UnsupportedModelError, match="Contrast single tokens"):
        liw.attribute(tiny_lm(), TEXT, liw.Contrast(" of hot", " hot day"), method)


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout"])
def test_a_prompt_whose_weights_do_not_fit_is_refused_with_numbers(tiny_lm, method, monkeypatch):
    monkeypatch.setattr(attentions, "free_bytes", lambda device: 20_000)
    lm = tiny_lm()
    long = " of" * 40
    with pytest.raises(
        ModelMemoryError, match=r"2 layers and 4 heads: .* enough for (7|12) tokens"
    ):
        liw.attribute(lm, long, 1, method)


def test_running_out_of_memory_says_so(tiny_lm, monkeypatch):
    lm = tiny_lm()
    forward = type(lm.model).forward

    def greedy(self, *args, **kwargs):
        if kwargs.get("output_attentions"):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(lm.model), "forward", greedy)
    with pytest.raises(ModelMemoryError, match="does not fit"):
        liw.attribute(lm, TEXT, 1, "gradient_rollout")
