"""Gradients and removal against captum, closed forms and the model itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import GradientsUnavailableError

TEXT = "The opposite of hot is"


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "gemma2", "bert"])
def test_input_x_gradient_agrees_with_captum(tiny_lm, family):
    captum = pytest.importorskip("captum.attr")
    lm = tiny_lm(family)
    ids = torch.tensor([lm.encode(TEXT).ids])

    def forward(rows):
        logits = lm.model(input_ids=rows).logits
        return logits[:, 1] if family == "bert" else logits[:, -1].log_softmax(-1)[:, 1]

    layer = captum.LayerGradientXActivation(forward, lm.model.get_input_embeddings())
    expected = layer.attribute(ids).sum(-1)[0].detach().numpy()
    a = liw.attribute(lm, TEXT, 1, "input_x_gradient")
    assert a.scores[0] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_input_x_gradient_of_a_contrast_is_the_difference(tiny_lm):
    lm = tiny_lm()
    both, a, b = (
        liw.attribute(lm, TEXT, target, "input_x_gradient").scores
        for target in (liw.Contrast(5, 9), liw.Logit(5), liw.Logit(9))
    )
    assert both == pytest.approx(a - b, abs=1e-4)


def test_removing_equals_tokenising_without(tiny_lm):
    lm = tiny_lm()
    ids = list(lm.encode(TEXT).ids)
    a = liw.attribute(lm, TEXT, liw.Logit(7), "occlusion", off="remove")
    with torch.inference_mode():
        full = lm.model(torch.tensor([ids])).logits[0, -1, 7]
        without = [lm.model(torch.tensor([ids[:i] + ids[i + 1 :]])).logits[0, -1, 7]
                   for i in range(len(ids))]  # fmt: skip
    assert a.scores[0] == pytest.approx(np.array([float(full - w) for w in without]), abs=1e-4)


def test_model_without_gradients_says_what_to_use_instead(tiny_model, tokenizer):
    model = tiny_model("llama")
    with torch.no_grad():
        for layer in model.model.layers:
            projection = layer.mlp.down_proj
            layer.mlp.down_proj = _Detached(projection)
        model.lm_head = _Detached(model.lm_head)
    lm = liw.wrap(model, tokenizer)
    with pytest.raises(GradientsUnavailableError, match="shapley or occlusion"):
        liw.attribute(lm, TEXT, 3, "input_x_gradient")
    assert np.isfinite(liw.attribute(lm, TEXT, 3, "occlusion").scores).all()


class _Detached(torch.nn.Module):
    """What an integer kernel is to autograd: a function without a derivative."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x).detach()


@pytest.mark.slow
def test_adaptive_integrated_gradients_converge_where_even_steps_do_not(lm):
    """On a trained decoder the slope lives in a few narrow places of the path."""
    text, target = "The capital of France is", " Paris"
    options = {"baseline": " ...", "steps": 160}
    adaptive, even = (
        liw.attribute(lm, text, target, "integrated_gradients", rule=rule, **options)
        for rule in ("adaptive", "gauss_legendre")
    )
    assert adaptive.inputs[int(adaptive.scores[0].argmax())].text == " France"
    assert adaptive.completeness_gap[0] < 0.05
    assert even.completeness_gap[0] > 5 * adaptive.completeness_gap[0]
    assert even.verdict == "did not converge"
