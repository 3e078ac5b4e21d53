"""The first module that made a NaN is named; nothing of the search stays behind."""

from __future__ import annotations

import threading

import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.models.diagnose import first_nonfinite, where_from
from llm_interp_widgets.models.language_model import Inputs, Readout

INPUTS = Inputs(torch.tensor([[5, 6, 7]]), slot=1)
ANY = Readout((), 1, lambda read: read.flatten(1)[:, :1])


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def break_weight(model, name, value=float("nan")):
    with torch.no_grad():
        model.get_submodule(name).weight.flatten()[0] = value


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("llama", "model.layers.1.mlp.down_proj"),
        ("llama", "model.norm"),
        ("gpt2", "transformer.h.0.ln_2"),
        ("bert_mlm", "bert.encoder.layer.1.attention.output.dense"),
        ("bert_encoder", "encoder.layer.0.output.LayerNorm"),
        ("t5", "decoder.block.0.layer.1.EncDecAttention.k"),
    ],
)
def test_names_the_broken_module(tiny_model, tokenizer, family, name):
    model = tiny_model(family).train()
    before = hooks(model)
    break_weight(model, name)
    lm = liw.wrap(model, tokenizer)
    assert first_nonfinite(lm, INPUTS, ANY) == name
    assert hooks(model) == before
    assert all(m.training for m in model.modules())


def test_infinity_counts(tiny_lm):
    lm = tiny_lm("llama")
    break_weight(lm.model, "model.layers.0.self_attn.v_proj", float("inf"))
    assert first_nonfinite(lm, INPUTS, ANY) == "model.layers.0.self_attn.v_proj"


def test_the_target_itself_is_no_module(tiny_lm):
    lm = tiny_lm("llama")
    roots = Readout((), 1, lambda logits: (logits[:, 0, :1] - 1e6).sqrt())
    assert not torch.isfinite(lm.scores(INPUTS, roots)).any()
    assert first_nonfinite(lm, INPUTS, roots) is None


def test_nan_that_comes_in_is_found_at_the_first_module_it_passes(tiny_lm):
    lm = tiny_lm("llama")
    embeddings = lm.embed(INPUTS.tokens)
    embeddings[0, 0, 0] = float("nan")
    found = first_nonfinite(lm, Inputs(embeddings), ANY)
    assert found == "model.layers.0.input_layernorm"


def test_an_error_of_the_target_leaves_no_hook(tiny_lm):
    lm = tiny_lm("llama")
    before = hooks(lm.model)

    def broken(_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        first_nonfinite(lm, INPUTS, Readout((), 1, broken))
    assert hooks(lm.model) == before


def test_another_threads_pass_is_not_disturbed(tiny_lm):
    lm = tiny_lm("llama")
    nan = lm.embed(INPUTS.tokens) * float("nan")
    inside, found, scores = threading.Event(), [], []

    def wait(logits):
        inside.set()
        other.join(timeout=20)
        return logits[:, 0, :1]

    def score():
        inside.wait()
        scores.append(lm.scores(Inputs(nan), ANY))  # not finite, and nobody's business

    other = threading.Thread(target=score)
    other.start()
    found.append(first_nonfinite(lm, INPUTS, Readout((), 1, wait)))
    other.join()
    assert found == [None]
    assert len(scores) == 1


def test_the_models_own_answer_names_the_module(tiny_lm):
    lm = tiny_lm("llama")
    break_weight(lm.model, "model.layers.1.mlp.up_proj")
    with pytest.raises(liw.errors.NonFiniteError, match=r"NaN.* model\.layers\.1\.mlp\.up_proj"):
        liw.attribute(lm, "The capital")
    assert where_from(None) == ""
