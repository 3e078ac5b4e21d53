"""One contract for every method, over every family: adding a method adds it here."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import NonFiniteError, UnsupportedModelError
from llm_interp_widgets.methods import METHODS
from llm_interp_widgets.models import scoring
from llm_interp_widgets.models.language_model import Inputs, Readout
from llm_interp_widgets.results import describe
from llm_interp_widgets.results.partial import Merged

OTHER = "The capital of Japan is Tokyo"
PROMPT = "The capital of France is Paris, and"  # too long to enumerate within SAMPLED
FLAGS = {"additive", "effect"}
COMPLETE = {"shapley", "kernel_shap", "owen"}  # promise that scores + base = output
DECODERS = ["llama", "gpt2", "neox", "mistral", "gemma2", "qwen2"]
FAMILIES = [*DECODERS, "bert", "bert_mlm", "bert_encoder", "t5"]
# There is no single stack of attention to roll out.
REFUSED = [(method, "t5") for method in ("gradient_rollout", "attention_rollout")]
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
both = pytest.mark.parametrize(
    ("method", "family"), [(m, f) for m in METHODS for f in FAMILIES if (m, f) not in REFUSED]
)


def attribute(lm, method, prompt=None, target=None, **options):
    """Attribute a prompt that suits the model; an encoder is asked for a likeness."""
    if prompt is None:
        prompt = f"{PROMPT}{lm.tokenizer.mask_token}" if lm.kind == "masked" else PROMPT
    if lm.kind == "encoder":
        target = OTHER
    return liw.attribute(lm, prompt, target, method, **(SAMPLED.get(method, {}) | options))


def own_value(lm, a):
    """What the model itself says of the default target, one plain forward pass."""
    ids = torch.tensor([lm.encode(a.prompt).ids])
    with torch.inference_mode():
        if lm.kind == "encoder":
            other = torch.tensor([lm.encode(OTHER).ids])
            means = [lm.model(i).last_hidden_state[0].mean(0) for i in (ids, other)]
            return float(torch.cosine_similarity(*means, dim=0))
        if lm.kind == "seq2seq":
            start = torch.tensor([[lm.model.config.decoder_start_token_id]])
            return float(lm.model(ids, decoder_input_ids=start).logits[0, 0].log_softmax(-1).max())
        logits = lm.model(ids).logits[0]
    if lm.kind == "classifier":
        return float(logits.max())
    at = ids[0].tolist().index(lm.tokenizer.mask_token_id) if lm.kind == "masked" else -1
    return float(logits[at].log_softmax(-1).max())


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


@both
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


@both
def test_output_value_is_the_models_own(tiny_lm, family, method):
    lm = tiny_lm(family)
    a = attribute(lm, method)
    assert a.output_values[0] == pytest.approx(own_value(lm, a), abs=1e-4)


@both
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


@both
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


@both
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
    attribute(lm, method, target=1)
    total = calls
    for n in range(1, total + 1):
        calls, fail_at = 0, n
        with pytest.raises(RuntimeError, match="planted"):
            attribute(lm, method, target=1)
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
    assert all(getattr(card, field) for field in card.__slots__ if field not in FLAGS)
    assert method in repr(liw.methods())
    assert method in liw.methods()._repr_html_()


@pytest.mark.parametrize(("method", "family"), REFUSED)
def test_what_cannot_be_done_is_said(tiny_lm, family, method):
    with pytest.raises(UnsupportedModelError, match="Use"):
        attribute(tiny_lm(family), method)


@pytest.fixture(scope="module", params=["smollm2", "minilm"])
def real(request, lm, minilm):
    """The two real models: a decoder, and an encoder asked for a likeness."""
    return lm if request.param == "smollm2" else liw.load(minilm)


@methods
def test_on_the_real_models(real, method):
    before = state_of(real.model)
    a = attribute(real, method)
    assert_same(before, state_of(real.model))
    assert np.isfinite(a.scores).all()
    assert np.abs(a.scores).max() > 0
    assert a.output_values[0] == pytest.approx(own_value(real, a), abs=1e-4)
    if method in COMPLETE:
        total = a.base_values + a.scores.astype(np.float64).sum(axis=1)
        assert total == pytest.approx(a.output_values, abs=1e-3)
    assert np.array_equal(attribute(real, method).scores, a.scores)


@methods
def test_only_effects_are_said_to_push(tiny_lm, method):
    a = attribute(tiny_lm(), method)
    look = Merged.empty(*a.scores.shape).merge(a.as_partial())
    said = describe.sentence(a.about(), look)
    is_effect = liw.methods()[method].effect
    assert ("pushed" in said) <= is_effect
    assert ("not effects" in said) <= (not is_effect)
    assert said
