"""One contract for every method, over every family: adding a method adds it here."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import NonFiniteError
from llm_interp_widgets.methods import METHODS
from llm_interp_widgets.models import scoring
from llm_interp_widgets.models.language_model import Inputs, Readout

PROMPT = "The capital of France is Paris, and"  # too long to enumerate within SAMPLED
COMPLETE = {"shapley", "kernel_shap", "owen"}  # promise that scores + base = output
FAMILIES = ["llama", "gpt2", "neox", "mistral", "gemma2", "qwen2", "bert"]
SAMPLED = {
    "shapley": {"evaluations": 90, "precision": None},
    "kernel_shap": {"evaluations": 90, "precision": None},
    "owen": {"evaluations": 90},
    "lime": {"evaluations": 90},
    "smooth_grad": {"samples": 8, "precision": None},
    "integrated_gradients": {"steps": 24},
}

methods = pytest.mark.parametrize("method", list(METHODS))
families = pytest.mark.parametrize("family", FAMILIES)


def attribute(lm, method, prompt=PROMPT, target=None, **options):
    return liw.attribute(lm, prompt, target, method, **(SAMPLED.get(method, {}) | options))


def state_of(model):
    """Everything of a model that an explanation could disturb."""
    return (
        [module.training for module in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [p.grad is None for p in model.parameters()],
        [p.dtype for p in model.parameters()],
        [sum(map(len, (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks)))
         for m in model.modules()],
        model.config.to_dict(),
        model.config._attn_implementation,
        {name: p.detach().clone() for name, p in model.state_dict().items()},
    )  # fmt: skip


def assert_same(before, after):
    *flags, weights = before
    *flags_after, weights_after = after
    assert flags == flags_after
    assert all(torch.equal(weights[name], weights_after[name]) for name in weights)


@methods
@families
def test_shape_and_finiteness(tiny_lm, family, method):
    a = attribute(tiny_lm(family), method)
    assert a.scores.shape == (len(a.outputs), len(a.inputs)) == (1, len(a.inputs))
    assert a.scores.dtype == np.float32
    assert np.isfinite(a.scores).all()
    assert np.isfinite(a.completeness_gap).all()
    assert np.abs(a.scores).max() > 0
    assert "".join(t.text for t in a.inputs if not t.special) == PROMPT
    assert a.method == method
    assert a.evaluations > 0
    if a.standard_error is not None:
        assert (a.standard_error >= 0).all()


@pytest.mark.parametrize("method", sorted(COMPLETE))
@families
def test_scores_and_base_add_up(tiny_lm, family, method):
    a = attribute(tiny_lm(family), method)
    total = a.base_values + a.scores.astype(np.float64).sum(axis=1)
    assert total == pytest.approx(a.output_values, abs=1e-4)
    assert (a.completeness_gap < 1e-3).all()


@methods
@families
def test_output_value_is_the_models_own(tiny_lm, family, method):
    lm = tiny_lm(family)
    a = attribute(lm, method)
    ids = torch.tensor([lm.encode(PROMPT).ids])
    with torch.inference_mode():
        logits = lm.model(input_ids=ids).logits
    own = logits[0].max() if family == "bert" else logits[0, -1].log_softmax(-1).max()
    assert a.output_values[0] == pytest.approx(float(own), abs=1e-4)


@methods
@families
def test_batch_size_changes_nothing(tiny_lm, family, method, monkeypatch):
    lm = tiny_lm(family)
    whole = attribute(lm, method)
    monkeypatch.setitem(scoring._TOKENS_A_BATCH, "cpu", 1)  # one row at a time
    single = attribute(lm, method)
    assert single.scores == pytest.approx(whole.scores, abs=1e-4)
    assert single.evaluations == whole.evaluations


@methods
def test_seed_decides_everything(tiny_lm, method):
    lm = tiny_lm()
    first, again, other = (attribute(lm, method, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.scores, again.scores)
    sampled = first.standard_error is not None and first.standard_error.any()
    assert np.array_equal(first.scores, other.scores) != sampled


@methods
@families
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_model_is_left_as_it_was(tiny_model, tokenizer, family, method, mode):
    model = tiny_model(family)
    getattr(model, mode)()
    next(model.parameters()).requires_grad_(False)
    before = state_of(model)
    a = attribute(liw.wrap(model, tokenizer), method)
    assert_same(before, state_of(model))
    model.eval()
    assert attribute(liw.wrap(model, tokenizer), method).scores == pytest.approx(a.scores)


@methods
@families
def test_model_is_left_as_it_was_by_an_error_in_any_forward_pass(
    tiny_model, tokenizer, family, method
):
    model = tiny_model(family).train()
    before = state_of(model)
    lm = liw.wrap(model, tokenizer)
    calls, fail_at = 0, 0
    forward = type(model).forward

    def failing(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise RuntimeError("planted")
        return forward(model, *args, **kwargs)

    model.forward = failing
    attribute(lm, method, target=3 if family != "bert" else 1)
    total = calls
    for n in range(1, total + 1):
        calls, fail_at = 0, n
        with pytest.raises(RuntimeError, match="planted"):
            attribute(lm, method, target=3 if family != "bert" else 1)
    del model.forward
    assert total > 0
    assert_same(before, state_of(model))


@methods
def test_cancel_stops_and_leaves_the_model(tiny_model, tokenizer, method):
    model = tiny_model("llama").train()
    before = state_of(model)
    lm = liw.wrap(model, tokenizer)
    stop = threading.Event()
    stop.set()
    with pytest.raises(liw.errors.CancelledJobError):
        lm.stoppable(stop).scores(
            Inputs(torch.tensor([[5]])), Readout((), 1, lambda logits: logits[:, 0, :1])
        )
    assert_same(before, state_of(model))


@methods
def test_several_outputs_are_rows(tiny_lm, method):
    lm = tiny_lm()
    a = attribute(lm, method, target=liw.Generate(3), **_more(method))
    assert a.scores.shape[0] == len(a.outputs) == 3
    one = attribute(lm, method, target=a.outputs[0].id, **_more(method))
    assert a.scores[0] == pytest.approx(one.scores[0], abs=1e-4)


def _more(method):
    if method == "integrated_gradients":  # adaptive steps go where all outputs need them
        return {"rule": "riemann"}
    return {"evaluations": 400} if method == "shapley" else {}


@methods
def test_nan_weights_are_an_error_not_a_number(tiny_model, tokenizer, method):
    model = tiny_model("llama")
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    lm = liw.wrap(model, tokenizer)
    for target in (None, 5):
        with pytest.raises(NonFiniteError, match="NaN"):
            attribute(lm, method, target=target)


@methods
def test_unknown_parameter_lists_the_known(tiny_lm, method):
    with pytest.raises(liw.errors.ParameterError, match="no parameter 'stepz'"):
        liw.attribute(tiny_lm(), PROMPT, None, method, stepz=3)


@methods
def test_granularity_word(tiny_lm, method):
    a = attribute(tiny_lm(), method, granularity="word")
    words = ["The", " capital", " of", " France", " is", " Paris", ",", " and"]
    assert [t.text for t in a.inputs] == words


@methods
def test_card_says_what_a_reader_needs(method):
    card = liw.methods()[method]
    assert all(getattr(card, field) for field in card.__slots__ if field != "additive")
    assert method in repr(liw.methods())
    assert method in liw.methods()._repr_html_()
