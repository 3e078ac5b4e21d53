"""Gradient methods against captum, closed forms and each other."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import CancelledJobError, NonFiniteError, ParameterError
from llm_interp_widgets.methods import make
from llm_interp_widgets.methods._quadrature import (
    Trapezoids,
    gauss_legendre,
    on_paths,
    riemann,
    spread_out,
)
from llm_interp_widgets.methods.base import Task
from llm_interp_widgets.methods.integrated_gradients import IntegratedGradients, doubled, halved
from llm_interp_widgets.models import gradients
from llm_interp_widgets.models.language_model import Readout
from llm_interp_widgets.targets import ask
from llm_interp_widgets.text.features import pieces

TEXT = "The opposite of hot is"
FAMILIES = ["llama", "gpt2", "neox", "gemma2", "qwen2", "bert"]
families = pytest.mark.parametrize("family", FAMILIES)


def logit_of(lm, index=1):
    """(row, ...) -> what the target reads, for captum."""

    def forward(*given, **named):
        logits = lm.model(*given, **named).logits
        return logits[:, index] if logits.ndim == 2 else logits[:, -1].log_softmax(-1)[:, index]

    return forward


def by_embeddings(lm):
    return lambda embeddings: logit_of(lm)(inputs_embeds=embeddings)


def prompt_of(lm):
    ids = torch.tensor([lm.encode(TEXT).ids])
    return ids, lm.embed(ids)


def close(found, expected):
    """Equal to 1e-5 of the largest score."""
    expected = np.asarray(expected, dtype=np.float64)
    assert found == pytest.approx(expected, rel=0, abs=1e-5 * np.abs(expected).max())


def run(lm, method, target=1, text=TEXT, granularity="token", seed=0):
    """Every partial of a method."""
    prompt = lm.encode(text)
    task = Task(lm, prompt, pieces(prompt, granularity), ask(target, lm, prompt), seed)
    return list(method.run(task))


# ── saliency and input x gradient ─────────────────────────────────────────────


@families
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_saliency_agrees_with_captum(tiny_lm, family, norm):
    captum = pytest.importorskip("captum.attr")
    lm = tiny_lm(family)
    slope = captum.Saliency(by_embeddings(lm)).attribute(prompt_of(lm)[1].requires_grad_())[0]
    expected = slope.sum(-1) if norm == "l1" else slope.norm(dim=-1)
    close(liw.attribute(lm, TEXT, 1, "saliency", norm=norm).scores[0], expected)


@families
def test_input_x_gradient_agrees_with_captum_to_the_last_digits(tiny_lm, family):
    captum = pytest.importorskip("captum.attr")
    lm = tiny_lm(family)
    explainer = captum.InputXGradient(by_embeddings(lm))
    expected = explainer.attribute(prompt_of(lm)[1].requires_grad_())[0].sum(-1).detach()
    close(liw.attribute(lm, TEXT, 1, "input_x_gradient").scores[0], expected)


def test_a_piece_of_several_tokens_is_one_vector(tiny_lm):
    lm = tiny_lm()
    tokens = {n: liw.attribute(lm, TEXT, 1, "saliency", norm=n).scores[0] for n in ("l1", "l2")}
    starts = [0, 2, 4]
    spans = [(0, 12), (12, 19), (19, 22)]
    columns = liw.attribute(lm, TEXT, 1, "saliency", granularity=spans).inputs
    starts = [piece.position for piece in columns]
    l2 = liw.attribute(lm, TEXT, 1, "saliency", granularity=spans).scores[0]
    l1 = liw.attribute(lm, TEXT, 1, "saliency", granularity=spans, norm="l1").scores[0]
    assert len(starts) < len(tokens["l1"])
    assert l1 == pytest.approx(np.add.reduceat(tokens["l1"], starts), rel=1e-5)
    assert l2 == pytest.approx(np.sqrt(np.add.reduceat(tokens["l2"] ** 2, starts)), rel=1e-5)


def test_saliency_of_a_contrast_is_the_norm_of_the_difference(tiny_lm):
    lm = tiny_lm()
    ids, embeddings = prompt_of(lm)
    continuations = [list(lm.tokenizer(text).input_ids) for text in (" hot day", " of night")]
    leaf = embeddings.requires_grad_()
    totals = []
    for ids in continuations:
        assert len(ids) > 1
        tail = lm.embed(torch.tensor([ids[:-1]]))
        logits = lm.model(inputs_embeds=torch.cat([leaf, tail], 1)).logits[0, -len(ids) :]
        totals.append(logits.log_softmax(-1)[range(len(ids)), ids].sum())
    (slope,) = torch.autograd.grad(totals[0] - totals[1], leaf)
    a = liw.attribute(lm, TEXT, liw.Contrast(" hot day", " of night"), "saliency")
    assert len(ask(liw.Contrast(" hot day", " of night"), lm, lm.encode(TEXT)).readouts) == 2
    close(a.scores[0], slope[0].norm(dim=-1))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("saliency", {}),
        ("input_x_gradient", {}),
        ("integrated_gradients", {"steps": 12, "rule": "riemann"}),
        ("integrated_gradients", {"steps": 12, "rule": "gauss_legendre", "layer": 0}),
        ("smooth_grad", {"samples": 4, "precision": None}),
    ],
)
@pytest.mark.parametrize("side_by_side", [0, 10_000])
def test_rows_of_generate_are_the_single_targets(
    tiny_lm, method, options, side_by_side, monkeypatch
):
    monkeypatch.setattr(gradients, "_TOKENS_SIDE_BY_SIDE", side_by_side)
    lm = tiny_lm("gpt2")
    a = liw.attribute(lm, TEXT, liw.Generate(3), method, **options)
    said = [token.id for token in a.outputs]
    for o in range(3):
        prompt = lm.encode(TEXT)
        alone = replace(
            ask(said[0], lm, prompt),
            readouts=(_one_of_several(said[: o + 1]),),
            outputs=a.outputs[o : o + 1],
        )
        task = Task(lm, prompt, pieces(prompt, "token"), alone, 0)
        (*_, last) = make(method, options).run(task)
        assert np.abs(a.scores[o] - last.scores[0]).max() < 2e-4 * np.abs(last.scores).max()
        assert a.output_values[o] == pytest.approx(last.output_values[0], abs=1e-4)


def _one_of_several(ids):
    """Log-probability of the last of these tokens, the others teacher-forced."""
    return Readout(tuple(ids[:-1]), 1, lambda logits: logits[:, -1].log_softmax(-1)[:, ids[-1:]])


# ── integrated gradients ──────────────────────────────────────────────────────


@families
@pytest.mark.parametrize("steps", [7, 50])
def test_gauss_legendre_agrees_with_captum(tiny_lm, family, steps):
    captum = pytest.importorskip("captum.attr")
    lm = tiny_lm(family)
    _, own = prompt_of(lm)
    # At an embedding of zero, RMS norms have slopes so steep that float32 shows.
    token = lm.embed(torch.tensor([[9]]))[0, 0]
    base = torch.zeros(32) if family in ("gpt2", "neox", "bert") else token
    expected = captum.IntegratedGradients(by_embeddings(lm)).attribute(
        own, baselines=base.expand_as(own).clone(), n_steps=steps, method="gausslegendre"
    )
    name = base if base.any() else "zero"
    options = {"baseline": name, "steps": steps, "rule": "gauss_legendre"}
    a = liw.attribute(lm, TEXT, 1, "integrated_gradients", **options)
    close(a.scores[0], expected[0].sum(-1).detach())


@families
def test_riemann_agrees_with_captum(tiny_lm, family):
    captum = pytest.importorskip("captum.attr")
    lm = tiny_lm(family)
    _, own = prompt_of(lm)
    base = lm.embed(torch.tensor([[9]]))[0, 0]
    expected = captum.IntegratedGradients(by_embeddings(lm)).attribute(
        own, baselines=base.expand_as(own).clone(), n_steps=20, method="riemann_middle"
    )
    a = liw.attribute(lm, TEXT, 1, "integrated_gradients", baseline=base, steps=20, rule="riemann")
    close(a.scores[0], expected[0].sum(-1).detach())


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("llama", "model.layers.0"),
        ("gpt2", "transformer.h.0"),
        ("neox", "gpt_neox.layers.0"),
        ("qwen2", "model.layers.0.mlp"),
        ("bert", "bert.encoder.layer.0"),
    ],
)
def test_a_layer_agrees_with_captum(tiny_lm, family, layer):
    captum = pytest.importorskip("captum.attr")
    lm = tiny_lm(family)
    ids, _ = prompt_of(lm)
    explainer = captum.LayerIntegratedGradients(logit_of(lm), lm.model.get_submodule(layer))
    expected = explainer.attribute(
        ids, baselines=torch.full_like(ids, 9), n_steps=20, method="gausslegendre",
        attribute_to_layer_input=False,
    )  # fmt: skip
    expected = expected[0] if isinstance(expected, tuple) else expected
    base = lm.embed(torch.tensor([[9]]))[0, 0]
    a = liw.attribute(
        lm, TEXT, 1, "integrated_gradients",
        baseline=base, steps=20, rule="gauss_legendre", layer=layer,
    )  # fmt: skip
    close(a.scores[0], expected[0].sum(-1).detach())


def test_a_layer_leaves_what_is_teacher_forced_in_place(tiny_lm):
    a = liw.attribute(
        tiny_lm("gpt2"), TEXT, liw.LogProb(" hot day"), "integrated_gradients",
        layer=0, steps=400, baseline="mean",
    )  # fmt: skip
    assert a.completeness_gap[0] < 0.01


@pytest.mark.parametrize("rule", ["adaptive", "riemann", "gauss_legendre"])
def test_linear_in_the_embeddings_is_gradient_times_difference(tiny_lm, rule):
    lm = tiny_lm()
    linear, weights = linearised(lm)
    _, own = prompt_of(lm)
    base = torch.linspace(-1, 1, 32)
    expected = (weights * (own[0] - base)).sum(-1)
    a = liw.attribute(linear, TEXT, 0, "integrated_gradients", baseline=base, rule=rule, steps=3)
    assert a.scores[0] == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-5)
    assert a.completeness_gap[0] < 1e-5


def test_quadratic_has_a_closed_form(tiny_lm):
    lm = tiny_lm()
    quadratic, weights = linearised(lm, power=2)
    _, own = prompt_of(lm)
    base = torch.linspace(-1, 1, 32)
    # f = (w·x)²: the mean of 2 (w·p) w over p from b to x is (w·x + w·b) w.
    level = (weights * own[0]).sum() + (weights * base).sum()
    expected = level * (weights * (own[0] - base)).sum(-1)
    for rule, steps in (("gauss_legendre", 2), ("riemann", 1), ("adaptive", 2), ("adaptive", 40)):
        a = liw.attribute(
            quadratic, TEXT, 0, "integrated_gradients", baseline=base, rule=rule, steps=steps
        )
        assert a.scores[0] == pytest.approx(expected.numpy(), rel=1e-4)


class _Polynomial(torch.nn.Module):
    """Adds up weighted embeddings and takes a power: what a block and a head become."""

    def __init__(self, weights, power):
        super().__init__()
        self.weights, self.power = weights, power

    def forward(self, states, *args, **kwargs):
        total = (states * self.weights[: states.shape[1]]).sum((1, 2)) ** self.power
        return torch.nn.functional.pad(total[:, None, None], (0, 31)).expand(*states.shape)


class _Head(torch.nn.Module):
    """Answers with the first number of the state; the other logits are 0."""

    def forward(self, states):
        return torch.nn.functional.pad(states[..., :1], (0, 399))


def linearised(lm, power=1):
    """A handle on a model whose logit 0 is (w · embeddings) to a power."""
    weights = torch.randn(5, 32, generator=torch.Generator().manual_seed(3)) / 10
    model = lm.model
    model.model.layers = torch.nn.ModuleList([_Polynomial(weights, power)])
    model.config.num_hidden_layers = 1
    model.model.norm = torch.nn.Identity()
    model.lm_head = _Head()
    return liw.wrap(model, lm.tokenizer), weights


@pytest.fixture(autouse=True)
def _plain_targets(request, monkeypatch):
    """Closed forms are of logits: a bare number means the logit there."""
    if "closed_form" in request.node.name or "linear_in" in request.node.name:
        own = liw.attribute
        monkeypatch.setattr(
            liw,
            "attribute",
            lambda lm, text, x, *rest, **kw: own(lm, text, liw.Logit(x), *rest, **kw),
        )


def test_the_gap_falls_with_steps(tiny_lm):
    lm = tiny_lm("gpt2")
    for rule in ("riemann", "gauss_legendre", "adaptive"):
        gaps = [
            liw.attribute(
                lm, TEXT, 1, "integrated_gradients", steps=n, rule=rule, baseline="mean"
            ).completeness_gap[0]
            for n in (2, 16, 256)
        ]
        assert gaps[2] < gaps[0] / 10
        assert gaps[2] < 0.01


def test_several_baselines_are_averaged(tiny_lm):
    lm = tiny_lm("neox")
    options = {"steps": 20, "rule": "riemann"}
    names = [" of", "zero", "mean", torch.ones(32)]
    each = [
        liw.attribute(lm, TEXT, 1, "integrated_gradients", baseline=name, **options)
        for name in names
    ]
    both = liw.attribute(lm, TEXT, 1, "integrated_gradients", baseline=names, **options)
    close(both.scores, np.mean([a.scores for a in each], axis=0))
    close(both.spread, np.std([a.scores for a in each], axis=0))
    assert both.base_values == pytest.approx(np.mean([a.base_values for a in each]), abs=1e-5)
    assert each[0].spread is None


def test_special_tokens_keep_their_embeddings_and_get_nothing(tiny_lm):
    lm = tiny_lm("bert")
    text = "<s>The opposite of hot</s>"
    for baseline in ("zero", " of"):
        a = liw.attribute(lm, text, 1, "integrated_gradients", steps=64, baseline=baseline)
        special = np.array([token.special for token in a.inputs])
        assert special.sum() == 2
        assert (a.scores[0, special] == 0).all()
        assert (a.scores[0, ~special] != 0).sum() >= (~special).sum() - 1  # “ of” is there
        base = lm.embed(torch.tensor([lm.encode(text).ids]))
        filler = lm.embed(torch.tensor([lm.tokenizer(" of").input_ids]))[0, 0]
        base[0, ~special] = 0 if baseline == "zero" else filler
        with torch.no_grad():
            expected = lm.model(inputs_embeds=base).logits[0, 1]
        assert a.base_values[0] == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("rule", ["adaptive", "riemann", "gauss_legendre"])
@pytest.mark.parametrize("layer", [None, 0])
def test_the_size_of_a_pass_changes_nothing(tiny_lm, rule, layer, monkeypatch):
    lm = tiny_lm("gemma2")
    options = {"rule": rule, "layer": layer, "baseline": [" of", "zero"], "steps": 20}
    whole = liw.attribute(lm, TEXT, liw.Generate(2), "integrated_gradients", **options)
    monkeypatch.setitem(gradients._TOKENS_A_PASS, "cpu", 1)
    single = liw.attribute(lm, TEXT, liw.Generate(2), "integrated_gradients", **options)
    close(single.scores, whole.scores)
    assert single.evaluations == whole.evaluations


@pytest.mark.parametrize("method", ["integrated_gradients", "smooth_grad"])
def test_out_of_memory_halves_the_pass_and_changes_nothing(tiny_lm, method, monkeypatch):
    lm = tiny_lm()
    options = {"steps": 20} if method == "integrated_gradients" else {"samples": 12}
    whole = liw.attribute(lm, TEXT, 1, method, **options)
    forward, seen = type(lm.model).forward, []

    def greedy(self, *args, **kwargs):
        rows = len(kwargs.get("inputs_embeds", ()))  # what is asked in words at the end has ids
        seen.append(rows)
        if rows > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(lm.model), "forward", greedy)
    small = liw.attribute(lm, TEXT, 1, method, **options)
    close(small.scores, whole.scores)
    assert max(seen) > 3
    assert small.evaluations == whole.evaluations


@pytest.mark.parametrize("rule", ["adaptive", "riemann", "gauss_legendre"])
def test_auto_doubles_until_it_agrees(tiny_lm, rule):
    lm = tiny_lm("gpt2")
    options = {"baseline": "mean", "precision": 0.02, "most_steps": 512}
    partials = run(lm, IntegratedGradients(rule=rule, **options))
    last = partials[-1]
    assert last.converged is True
    assert last.final
    assert last.done == last.total == last.evaluations
    assert [p.final for p in partials].count(True) == 1
    exact = run(lm, IntegratedGradients(steps=3_000, rule="riemann", baseline="mean"))[-1]
    assert np.abs(last.scores - exact.scores).max() < 0.04 * np.abs(exact.scores).max()


@pytest.mark.parametrize(
    ("baseline", "most"), [(("zero",), 512), (("zero", "mean"), 256), ("filler", None)]
)
def test_the_budget_is_shared_by_the_baselines(baseline, most):
    method = IntegratedGradients(baseline=baseline)
    assert method.prepare(5, ()).most_steps == most
    assert replace(method, most_steps=40).prepare(5, ()).most_steps == 40
    assert replace(method, steps=7).prepare(5, ()).most_steps is None


def test_auto_gives_up_honestly(tiny_lm):
    lm = tiny_lm("gpt2")
    method = IntegratedGradients(baseline="zero", precision=1e-9, most_steps=32)
    last = run(lm, method)[-1]
    assert last.final
    assert last.converged is False
    assert last.evaluations == 33
    a = liw.attribute(
        lm, TEXT, 1, "integrated_gradients", baseline="zero", precision=1e-9, most_steps=32
    )
    assert a.verdict == "did not converge"


def test_given_steps_say_converged_only_where_half_of_them_agree(tiny_lm):
    lm = tiny_lm("gpt2")

    def verdict(**options):
        a = liw.attribute(lm, TEXT, 1, "integrated_gradients", baseline="mean", **options)
        return a.verdict

    assert verdict(steps=512, rule="adaptive") == "converged"
    assert verdict(steps=512, rule="riemann") == "unknown"  # nothing to compare with
    assert verdict(steps=512, rule="gauss_legendre") == "unknown"
    assert verdict(steps=2, rule="gauss_legendre") == "did not converge"


def test_the_first_partial_comes_after_one_pass(tiny_lm, monkeypatch):
    monkeypatch.setitem(gradients._TOKENS_A_PASS, "cpu", 1)
    lm = tiny_lm()
    for rule in ("adaptive", "riemann", "gauss_legendre"):
        partials = run(lm, IntegratedGradients(rule=rule, baseline=["zero", "mean"], steps=16))
        assert partials[0].preview
        assert partials[0].evaluations <= 4
        assert np.isfinite(partials[0].scores).all()
        dones = [p.done for p in partials]
        assert dones == sorted(dones)
        assert all(p.done < p.total for p in partials[:-1])
        assert not partials[-1].preview


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("method", ["integrated_gradients", "smooth_grad"])
def test_cancel_ends_it_at_the_next_pass(tiny_lm, method, dtype, monkeypatch):
    monkeypatch.setitem(gradients._TOKENS_A_PASS, "cpu", 1)
    stop = threading.Event()
    lm = tiny_lm().stoppable(stop)
    lm.model.to(dtype).train()
    prompt = lm.encode(TEXT)
    task = Task(lm, prompt, pieces(prompt, "token"), ask(1, lm, prompt), 0)
    partials = make(method, {}).run(task)
    assert not next(partials).final
    stop.set()
    with pytest.raises(CancelledJobError):
        next(partials)
    assert lm.model.training
    assert all(p.requires_grad and p.grad is None for p in lm.model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in lm.model.modules())


def test_a_16_bit_model_is_read_through_a_float32_copy(tiny_model, tokenizer, monkeypatch):
    model = tiny_model("llama").bfloat16()
    wide = tiny_model("llama").bfloat16().float()
    options = {"steps": 64, "baseline": "mean"}
    expected = liw.attribute(liw.wrap(wide, tokenizer), TEXT, 1, "integrated_gradients", **options)
    a = liw.attribute(liw.wrap(model, tokenizer), TEXT, 1, "integrated_gradients", **options)
    close(a.scores, expected.scores)
    assert a.model.dtype == "bfloat16"
    assert model.dtype == torch.bfloat16
    monkeypatch.setattr(gradients, "free_bytes", lambda device: 1_000_000)
    rounded = liw.attribute(liw.wrap(model, tokenizer), TEXT, 1, "integrated_gradients", **options)
    assert rounded.verdict == "converged" or rounded.converged is not True


def test_a_16_bit_model_that_cannot_be_copied_is_never_converged(
    tiny_model, tokenizer, monkeypatch
):
    from llm_interp_widgets.methods import _path

    lm = liw.wrap(tiny_model("gpt2").bfloat16(), tokenizer)
    monkeypatch.setattr(_path, "in_float32", lambda lm: None)
    a = liw.attribute(
        lm, TEXT, 1, "integrated_gradients", steps=64, baseline="mean", precision=100.0
    )
    assert a.verdict == "did not converge"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"steps": "many"}, "steps='many'"),
        ({"rule": "simpson"}, "rule='simpson' does not exist.*adaptive"),
        ({"precision": None}, "precision=None"),
        ({"precision": -1}, "precision=-1"),
        ({"most_steps": 0.5}, "most_steps=0.5"),
    ],
)
def test_wrong_parameters_of_integrated_gradients(params, message):
    with pytest.raises(ParameterError, match=message):
        IntegratedGradients(**params)


def test_nan_slopes_are_an_error(tiny_lm):
    def root(logits):
        return (logits[:, 0] - logits[:, 0].detach()).sqrt()

    for method in ("saliency", "integrated_gradients", "smooth_grad"):
        with pytest.raises(NonFiniteError, match="NaN or infinite"):
            liw.attribute(tiny_lm(), TEXT, root, method)


# ── quadrature ────────────────────────────────────────────────────────────────


def filled(function, slope, panels):
    """A board of one path on which one output has one piece."""
    board = Trapezoids(1, 1, 1)
    points = on_paths(np.linspace(0, 1, panels + 1), 1)
    board.add(points, function(points.at)[:, None], slope(points.at)[:, None, None])
    return board


def spike(at):
    return np.tanh((at - 0.3) * 500)


def spikes_slope(at):
    return 500 / np.cosh(np.clip((at - 0.3) * 500, -300, 300)) ** 2


def test_adaptive_steps_find_a_spike_that_even_steps_miss():
    board = filled(spike, spikes_slope, 16)
    while len(board) < 65:
        points = board.worst(4)
        board.add(points, spike(points.at)[:, None], spikes_slope(points.at)[:, None, None])
    truth = spike(1.0) - spike(0.0)
    even = filled(spike, spikes_slope, 64)
    assert abs(even.integrals()[0, 0, 0] - truth) > 0.3 * truth
    assert board.integrals()[0, 0, 0] == pytest.approx(truth, rel=0.02)
    assert len(board) == 65


def test_trapezoids_and_their_ends():
    board = filled(np.exp, np.exp, 64)
    expected = np.trapezoid(np.exp(np.linspace(0, 1, 65)), dx=1 / 64)
    assert board.integrals()[0, 0, 0] == pytest.approx(expected, abs=1e-5)
    assert board.ends()[0][0, 0] == 1
    assert board.ends()[1][0] == pytest.approx(np.e)


def test_the_slope_at_the_baseline_is_drawn_out_from_its_neighbours():
    board = filled(np.square, lambda at: np.where(at == 0, np.nan, 2 * at), 3)
    assert board.integrals()[0, 0, 0] == pytest.approx(1, rel=1e-12)
    assert board.mean()[0, 0] == pytest.approx(2 * (1 / 3 + 2 / 3 + 1) / 3)
    alone = filled(np.square, lambda at: np.where(at == 0, np.nan, 2 * at), 1)
    assert alone.integrals()[0, 0, 0] == 2


def test_paths_do_not_touch():
    board = Trapezoids(2, 1, 1)
    points = on_paths(np.linspace(0, 1, 5), 2)
    level = np.where(points.path == 0, 1.0, 5.0)
    board.add(points, level[:, None] * points.at[:, None], level[:, None, None])
    assert board.integrals()[:, 0, 0] == pytest.approx([1, 5])
    assert board.panels == 8
    worst = board.worst(8)
    assert worst.path.tolist() == [0] * 4 + [1] * 4
    assert worst.at.tolist() == [0.125, 0.375, 0.625, 0.875] * 2


def test_riemann_is_exact_for_lines():
    at, weight = riemann(5)
    assert weight.sum() == pytest.approx(1)
    assert (weight * at).sum() == pytest.approx(0.5, rel=1e-12)


def test_gauss_legendre_is_exact_for_polynomials():
    at, weight = gauss_legendre(5)
    assert weight.sum() == pytest.approx(1)
    assert (weight * at**9).sum() == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize("points", [1, 2, 3, 17, 50])
def test_spread_out_is_an_order_with_the_ends_first(points):
    order = spread_out(points)
    assert sorted(order) == list(range(points))
    assert set(order[:2]) == {0, points - 1}


def test_steps_of_rounds():
    assert doubled(512) == [16, 32, 64, 128, 256, 512]
    assert doubled(100) == [16, 32, 64]
    assert doubled(5) == [5]
    assert halved(50) == [12, 25, 50]
    assert halved(128) == [16, 32, 64, 128]
    assert halved(5) == [5]


# ── SmoothGrad ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("of", ["input_x_gradient", "saliency"])
def test_little_noise_is_no_noise(tiny_lm, of):
    lm = tiny_lm()
    plain = liw.attribute(lm, TEXT, 1, of).scores
    smooth = liw.attribute(lm, TEXT, 1, "smooth_grad", noise=1e-7, samples=4, of=of)
    assert smooth.scores == pytest.approx(plain, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("of", ["input_x_gradient", "saliency"])
def test_smooth_grad_is_the_mean_over_noisy_prompts(tiny_lm, of):
    lm = tiny_lm("gpt2")
    _, own = prompt_of(lm)
    maps = []
    for i in range(6):
        noise = np.random.default_rng([5, i]).standard_normal(own[0].shape)
        noisy = own + 0.3 * float(own.std(correction=0)) * torch.from_numpy(noise).float()
        leaf = noisy.requires_grad_()
        (slope,) = torch.autograd.grad(by_embeddings(lm)(leaf).sum(), leaf)
        maps.append((slope[0] * own[0]).sum(-1) if of != "saliency" else slope[0].norm(dim=-1))
    a = liw.attribute(
        lm, TEXT, 1, "smooth_grad", noise=0.3, samples=6, precision=None, of=of, seed=5
    )
    close(a.scores[0], torch.stack(maps).mean(0))
    assert a.converged is None
    spread = torch.stack(maps).std(0, correction=1).numpy() / 6**0.5
    assert (a.standard_error[0] >= spread).all()  # Student's t widens it
    assert (a.standard_error[0] < 1.5 * spread).all()


def test_smooth_grad_stops_when_precise_and_streams(tiny_lm, monkeypatch):
    lm = tiny_lm()
    from llm_interp_widgets.methods.smooth_grad import SmoothGrad

    partials = run(lm, SmoothGrad(samples=400, noise=0.02, precision=0.05))
    last = partials[-1]
    assert last.converged is True
    assert last.done == last.total < 400
    assert (last.standard_error.max(1) <= 0.05 * np.abs(last.scores).max(1)).all()
    assert [p.done for p in partials[:2]] == [4, 8]
    monkeypatch.setitem(gradients._TOKENS_A_PASS, "cpu", 1)
    again = run(lm, SmoothGrad(samples=400, noise=0.02, precision=0.05))[-1]
    assert again.done == last.done
    close(again.scores, last.scores)


def test_special_tokens_get_no_noise(tiny_lm):
    lm = tiny_lm("bert")
    text = "<s>The opposite</s>"
    seen = []
    forward = type(lm.model).forward

    def look(self, *args, **kwargs):
        seen.append(kwargs["inputs_embeds"].detach().clone())
        return forward(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(lm.model), "forward", look)
        a = liw.attribute(lm, text, 1, "smooth_grad", samples=4)
    special = [token.special for token in a.inputs]
    own = lm.embed(torch.tensor([lm.encode(text).ids]))[0]
    noisy = torch.cat([rows for rows in seen if len(rows) == 4])
    assert torch.equal(noisy[:, special], own[special].expand(4, -1, -1))
    assert not torch.allclose(noisy[0], noisy[1])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"noise": 0}, "noise=0"),
        ({"noise": None}, "noise=None"),
        ({"samples": 0}, "samples=0"),
        ({"of": "gradient"}, "of='gradient' does not exist"),
    ],
)
def test_wrong_parameters_of_smooth_grad(tiny_lm, params, message):
    with pytest.raises(ParameterError, match=message):
        liw.attribute(tiny_lm(), TEXT, 1, "smooth_grad", **params)


def test_wrong_norm(tiny_lm):
    with pytest.raises(ParameterError, match="norm='max' does not exist"):
        liw.attribute(tiny_lm(), TEXT, 1, "saliency", norm="max")


def test_a_baseline_that_does_not_exist_is_replaced_and_said(tiny_model, tokenizer, tmp_path):
    from copy import deepcopy

    bare = deepcopy(tokenizer)
    bare.mask_token = None
    lm = liw.wrap(tiny_model("llama"), bare)
    a = liw.attribute(lm, "The capital", 3, "integrated_gradients", steps=8, baseline="mask")
    instead = liw.attribute(lm, "The capital", 3, "integrated_gradients", steps=8)
    assert "no mask token; the baseline is" in a.note
    assert a.scores == pytest.approx(instead.scores)
    assert a.params["baseline"] == instead.params["baseline"]
    assert a.off == instead.off != ""
    assert liw.Attribution.load(a.save(tmp_path / "a")).note == a.note


def test_a_baseline_of_numbers_can_be_saved(tiny_lm, tmp_path):
    lm = tiny_lm()
    a = liw.attribute(
        lm, "The capital", 3, "integrated_gradients", steps=8, baseline=[torch.zeros(32), "zero"]
    )
    assert a.params["baseline"] == ["Tensor of shape (32,)", "zero"]
    assert a.off == "given embeddings, embeddings of zero, averaged"
    assert np.array_equal(liw.Attribution.load(a.save(tmp_path / "a")).scores, a.scores)
