"""Slopes, passes, entrances and baselines, each by itself."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch

from llm_interp_widgets.errors import (
    CancelledJobError,
    GradientsUnavailableError,
    ModelMemoryError,
    NonFiniteError,
    ParameterError,
)
from llm_interp_widgets.models import baselines, gradients
from llm_interp_widgets.models.entrances import entrance
from llm_interp_widgets.models.gradients import Passes, in_float32, pass_bytes, slopes
from llm_interp_widgets.models.language_model import Inputs, Readout

IDS = torch.tensor([[20, 31, 42, 53], [25, 36, 47, 58]])
LAST = Readout((), 1, lambda logits: logits[:, -1, :5].log_softmax(-1))


def whole(slope):
    return slope


def at(lm, ids=IDS):
    return lambda leaf: lm.forward(Inputs(leaf), LAST)


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "gemma2", "qwen2", "bert"])
@pytest.mark.parametrize("side_by_side", [0, 10_000])
def test_slopes_are_autograds_own_output_by_output(tiny_lm, family, side_by_side, monkeypatch):
    monkeypatch.setattr(gradients, "_TOKENS_SIDE_BY_SIDE", side_by_side)
    lm = tiny_lm(family)
    readout = Readout((), 1, lambda logits: logits[:, -1, :3].log_softmax(-1))
    embeddings = lm.embed(IDS)
    values, found = slopes(lm, lambda leaf: lm.forward(Inputs(leaf), readout), embeddings, whole)
    leaf = embeddings.clone().requires_grad_()
    logits = lm.model(inputs_embeds=leaf).logits
    own = (logits if family == "bert" else logits[:, -1])[:, :3].log_softmax(-1)
    assert torch.allclose(values, own.detach(), atol=1e-5)
    assert found.shape == (3, *embeddings.shape)
    for o in range(3):
        (expected,) = torch.autograd.grad(own[:, o].sum(), leaf, retain_graph=True)
        assert torch.allclose(found[o], expected, rtol=1e-4, atol=1e-5)


def test_a_batched_backward_pass_that_breaks_is_done_one_by_one(tiny_lm, monkeypatch):
    lm = tiny_lm()
    embeddings = lm.embed(IDS)
    expected = slopes(lm, at(lm), embeddings, whole)[1]
    own = torch.autograd.grad

    def breaks(*args, **kwargs):
        if kwargs.get("is_grads_batched"):
            raise RuntimeError("no batching rule")
        return own(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", breaks)
    assert torch.allclose(slopes(lm, at(lm), embeddings, whole)[1], expected, rtol=1e-4, atol=1e-4)


def test_the_graph_is_gone_and_parameters_have_no_gradient(tiny_lm):
    lm = tiny_lm()
    values, found = slopes(lm, at(lm), lm.embed(IDS), whole)
    assert values.grad_fn is None
    assert found.grad_fn is None
    assert all(p.grad is None and p.requires_grad for p in lm.model.parameters())


def test_no_graph_says_what_to_use_instead(tiny_lm):
    lm = tiny_lm()
    with pytest.raises(GradientsUnavailableError, match="shapley or occlusion"):
        slopes(lm, lambda leaf: lm.forward(Inputs(leaf), LAST).detach(), lm.embed(IDS), whole)


def test_an_infinite_slope_is_an_error(tiny_lm):
    lm = tiny_lm()
    root = Readout((), 1, lambda logits: (logits[:, -1, :1] - logits[:, -1, :1].detach()).sqrt())
    with pytest.raises(NonFiniteError, match="gradients"):
        slopes(lm, lambda leaf: lm.forward(Inputs(leaf), root), lm.embed(IDS), whole)


def test_cancel_stops_between_backward_passes(tiny_lm, monkeypatch):
    monkeypatch.setattr(gradients, "_TOKENS_SIDE_BY_SIDE", 0)
    stop = threading.Event()
    lm = tiny_lm().stoppable(stop)
    seen = []

    def keep(slope):
        seen.append(slope)
        stop.set()
        return slope

    with pytest.raises(CancelledJobError):
        slopes(lm, at(lm), lm.embed(IDS), keep)
    assert len(seen) == 1


# ── passes ────────────────────────────────────────────────────────────────────


def test_passes_cover_every_row_once(tiny_lm):
    passes = Passes(tiny_lm(), tokens=10)
    passes.rows = 4
    assert [part for part, _ in passes.over(10, lambda part: part)] == [
        slice(0, 4), slice(4, 8), slice(8, 10)
    ]  # fmt: skip


def test_out_of_memory_halves_and_keeps_finished_rows(tiny_lm):
    passes = Passes(tiny_lm(), tokens=10)
    passes.rows = 8
    tried = []

    def work(part):
        tried.append((part.start, part.stop))
        if part.start >= 8 and part.stop - part.start > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return list(range(part.start, part.stop))

    found = [row for _, rows in passes.over(16, work) for row in rows]
    assert found == list(range(16))
    assert tried[:4] == [(0, 8), (8, 16), (8, 12), (8, 10)]
    assert passes.rows == 2


def test_a_single_row_that_does_not_fit_says_how_much_it_takes(tiny_lm):
    passes = Passes(tiny_lm(), tokens=10)

    def work(part):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ModelMemoryError, match=r"single row of 10 tokens .* GB"):
        list(passes.over(3, work))


def test_other_errors_are_not_memory(tiny_lm):
    def work(part):
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        list(Passes(tiny_lm(), tokens=10).over(3, work))


def test_fewer_rows_where_little_memory_is_free(tiny_lm, monkeypatch):
    lm = tiny_lm()
    a_row = pass_bytes(lm, 10, 1)
    monkeypatch.setattr(gradients, "free_bytes", lambda device: int(5.5 * a_row / 0.4))
    assert Passes(lm, tokens=10).rows == 5
    monkeypatch.setattr(gradients, "free_bytes", lambda device: 0)
    assert Passes(lm, tokens=10).rows == 1


# ── precision ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_float32_copy_leaves_the_model_alone(tiny_lm, dtype):
    lm = tiny_lm()
    lm.model.to(dtype)
    before = copy.deepcopy(lm.model.state_dict())
    other = in_float32(lm)
    assert other.model is not lm.model
    assert other.model.dtype == torch.float32
    assert other.stop is lm.stop
    after = lm.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(p.float(), q) for p, q in
               zip(lm.model.parameters(), other.model.parameters(), strict=True))  # fmt: skip


def test_no_copy_where_none_is_needed_or_none_fits(tiny_lm, monkeypatch):
    lm = tiny_lm()
    assert in_float32(lm) is lm
    lm.model.bfloat16()
    monkeypatch.setattr(gradients, "free_bytes", lambda device: 1_000)
    assert in_float32(lm) is None


# ── entrances ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("family", "layer", "name"),
    [
        ("llama", 0, "model.layers.0"),
        ("llama", -1, "model.layers.1"),
        ("gpt2", "transformer.h.1", "transformer.h.1"),
        ("bert", 0, "bert.encoder.layer.0"),
        ("llama", "model.layers.1.mlp", "model.layers.1.mlp"),
    ],
)
def test_a_layers_own_states_give_the_models_own_value(tiny_lm, family, layer, name):
    lm = tiny_lm(family)
    readout = Readout((), 1, lambda logits: logits[:, -1, :3])
    inputs = Inputs(lm.embed(IDS[:1]))
    place = entrance(lm, layer)
    assert place.name == name
    states = place.states(inputs, readout)
    with lm.untouched(), torch.no_grad():
        again = place.forward(states, inputs, readout)
        other = place.forward(states.flip(-1), inputs, readout)
    assert torch.allclose(again, lm.scores(inputs, readout), atol=1e-5)
    assert not torch.allclose(again, other, atol=1e-3)
    assert not any(module._forward_hooks for module in lm.model.modules())


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("model.layer.1", r"Did you mean 'model.layers.1'.*'model.layers.0' to 'model.layers.1'"),
        (2, "layer=2 is out of range.*0 to 1"),
        (True, "has no layer True"),
    ],
)
def test_an_unknown_layer_lists_the_known(tiny_lm, layer, message):
    with pytest.raises(ParameterError, match=message):
        entrance(tiny_lm(), layer)


@pytest.mark.parametrize("layer", ["model.embed_tokens", "lm_head"])
def test_a_module_without_states_of_its_own_is_refused(tiny_lm, layer):
    lm = tiny_lm()
    with pytest.raises(ParameterError, match="must give states"):
        entrance(lm, layer).states(Inputs(lm.embed(IDS[:1])), LAST)


# ── baselines ─────────────────────────────────────────────────────────────────


def test_baselines_that_exist_settle_to_themselves(tiny_lm):
    lm = tiny_lm()
    settled, note = baselines.settle(lm, ["filler", "zero", "mean", "pad", "eos", " of"])
    assert settled == ("<mask>", "zero", "mean", "<pad>", "</s>", " of")
    assert note == ""
    assert baselines.settle(lm, settled) == (settled, "")


def test_a_missing_baseline_says_what_was_used_instead(tiny_model, tokenizer):
    import llm_interp_widgets as liw

    bare = copy.deepcopy(tokenizer)
    bare.pad_token = None
    settled, note = baselines.settle(liw.wrap(tiny_model("llama"), bare), "pad")
    assert settled == ("<mask>",)
    assert note == "This tokenizer has no padding token; the baseline is “<mask>”."


@pytest.mark.parametrize("wrong", ["two tokens of text", "", 3, [], [None], b"pad"])
def test_a_baseline_of_no_known_kind_is_refused(tiny_lm, wrong):
    with pytest.raises(ParameterError):
        baselines.settle(tiny_lm(), wrong)


def test_a_slip_in_a_baselines_name_is_not_taken_for_a_token(lm):
    with pytest.raises(ParameterError, match="Did you mean 'zero'"):
        baselines.settle(lm, "zeros")  # one token of this model
    assert baselines.settle(lm, " zeros") == ((" zeros",), "")


def test_rows_of_baselines(tiny_lm):
    lm = tiny_lm()
    own = lm.embed(IDS[:1])
    table = lm.model.get_input_embeddings().weight.detach()
    feature = np.array([False, True, True, True])
    given = torch.arange(4 * 32.0).reshape(4, 32)
    rows = baselines.rows(lm, own, feature, ["zero", "mean", "<pad>", given, given[0]])
    assert torch.equal(rows[:, 0], own[:, 0].expand(5, -1))  # not a feature: its own
    expected = [torch.zeros(32), table.mean(0), table[0], given[2], given[0]]
    assert torch.allclose(rows[:, 2], torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize("wrong", [torch.zeros(31), torch.zeros(3, 32), torch.full((32,), np.nan)])
def test_a_tensor_that_does_not_fit_is_refused(tiny_lm, wrong):
    lm = tiny_lm()
    with pytest.raises(ParameterError, match=r"\(32,\) or \(4, 32\)"):
        baselines.rows(lm, lm.embed(IDS[:1]), np.ones(4, dtype=bool), [wrong])
