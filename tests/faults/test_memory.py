"""Memory runs out at every pass: the batch is halved, or the error says what to do."""

from __future__ import annotations

import contextlib
import gc
import re
import weakref

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ModelMemoryError
from llm_interp_widgets.methods import METHODS
from llm_interp_widgets.models import gradients, heads, scoring, tree

TEXT = "The capital of France is"
FEW = {
    "shapley": {"evaluations": 60, "precision": None},
    "kernel_shap": {"evaluations": 30, "precision": None},
    "owen": {"evaluations": 60},
    "lime": {"evaluations": 30},
    "smooth_grad": {"samples": 8, "precision": None},
    "integrated_gradients": {"steps": 16},
}
IN_BATCHES = {"shapley", "kernel_shap", "owen", "lime", "occlusion", "smooth_grad",
              "integrated_gradients"}  # fmt: skip
ADVICE = r"does not fit into the memory of cpu.*(Free memory|Shorten the prompt)"


def advises(error):
    assert re.search(ADVICE, str(error), re.IGNORECASE), error
    return True


@pytest.fixture
def small(monkeypatch):
    """Batches of a few rows, so that there are many."""
    monkeypatch.setitem(scoring._TOKENS_A_BATCH, "cpu", 40)
    monkeypatch.setitem(gradients._TOKENS_A_PASS, "cpu", 20)
    monkeypatch.setattr(heads, "CELLS", 160)


@pytest.mark.parametrize("family", ["llama", "bert"])  # rows read as a tree, and one by one
@pytest.mark.parametrize("method", list(METHODS))
def test_at_any_pass_of_any_method(tiny_lm, faults, same, small, family, method):
    lm = tiny_lm(family)
    faults.watch(lm.model.train())
    unchanged = same(lm.model)

    def attribute():
        return liw.attribute(lm, TEXT, 1, method, **FEW.get(method, {}))

    attribute()  # what is found out once a model is not asked again
    passes, undisturbed = faults.counted(attribute)
    recovered = refused = 0
    for k in range(1, passes + 1):
        with faults.raising(faults.memory(k), k):
            try:
                found = attribute()
            except ModelMemoryError as error:
                refused += advises(error)
            else:
                recovered += 1
                np.testing.assert_allclose(found.scores, undisturbed.scores, atol=2e-4)
                assert found.evaluations == undisturbed.evaluations
        unchanged(bits=False)
    if method in IN_BATCHES:
        assert recovered >= refused
    for k in range(1, passes, 5):
        with (
            faults.raising(faults.memory(k), k, always=True),
            contextlib.suppress(ModelMemoryError),
        ):
            (told,) = attribute().without  # the scores were there: only this could not be asked
            assert advises(told)
        unchanged(bits=False)
    unchanged()
    print(f"{family} {method}: {passes} passes, {recovered} halved, {refused} refused")


def each_time(faults, same, lm, work, check=None):
    """Let memory run out at every pass of some work, once and for good."""
    unchanged = same(lm.model)
    passes, undisturbed = faults.counted(work)
    recovered = refused = 0
    for k in range(1, passes + 1):
        for always in (False, True) if k == passes or not k % 5 else (False,):
            with faults.raising(faults.memory(k), k, always=always):
                try:
                    found = work()
                except ModelMemoryError as error:
                    refused += advises(error)
                else:
                    recovered += 1
                    if check is not None:
                        check(found, undisturbed)
            unchanged(bits=False)
    unchanged()
    assert passes
    assert refused
    return recovered


def same_numbers(found, undisturbed):
    np.testing.assert_allclose(found, undisturbed, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "target"),
    [("llama", None), ("llama", 5), ("bert", None), ("bert", 1), ("t5", None), ("t5", 5),
     ("gemma2", 5), ("bloom", None)],
)  # fmt: skip
def test_while_attention_is_captured(tiny_lm, faults, same, family, target):
    lm = tiny_lm(family)
    faults.watch(lm.model.train())
    each_time(faults, same, lm, lambda: liw.attention(lm, TEXT, target, values=True))


SWEEPS = {
    "weights": lambda r: r.weights(1, 2),
    "columns": lambda r: r.weights(1, 2, cols=[0, 3]),
    "sums": lambda r: r.sums(1, 2).entropy,
    "grid": lambda r: r.grid(1, 2, [0, 3, 5, len(r.tokens)], [0, 2, len(r.tokens)]),
    "mean grid": lambda r: r.grid(1, 2, [0, 3, 5, 9], [0, 2, 9], "mean"),
    "thumbnails": lambda r: r.thumbnails(8),
    "log sums": lambda r: r.log_sums(0, 1),
    "edges": lambda r: [e.weight for e in r.top_edges(0, 1, 5)],
    "scores": lambda r: r.scores_of(1)["entropy"],
    **{how: lambda r, how=how: r.aggregate(how) for how in
       ("mean", "max", "rollout", "value", "gradient")},
}  # fmt: skip


@pytest.mark.parametrize("sweep", list(SWEEPS))
def test_while_attention_is_looked_at(tiny_lm, faults, same, small, sweep):
    lm = tiny_lm("llama")
    record = liw.attention(lm, TEXT * 2, 5)
    work = SWEEPS[sweep]
    assert each_time(faults, same, lm, lambda: np.asarray(work(record)), same_numbers) > 0


def test_while_heads_are_measured_again(tiny_lm, faults, same):
    lm = tiny_lm("llama")
    faults.watch(lm.model.train())

    record = liw.attention(lm, TEXT, 5)
    for work in (
        lambda: record.effect([(0, 1), (1, 2)]).after,
        lambda: record.components(1, 2, 4, 1).query,
        lambda: record.repetition()["induction"],
    ):
        each_time(faults, same, lm, work, same_numbers)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_while_a_model_writes(tiny_lm, faults, same, family):
    lm = tiny_lm(family)
    faults.watch(lm.model.train())

    def write():
        widget = liw.generate(lm, TEXT, 3, "occlusion")
        try:
            return widget.result().scores
        finally:
            widget.close()

    write()
    each_time(faults, same, lm, write, lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4))


def test_while_every_pair_is_measured(tiny_lm, faults, same, small):
    lm = tiny_lm("llama")
    faults.watch(lm.model.train())

    def pairs():
        return liw.interactions(lm, TEXT, 5, filler=" of").values

    pairs()
    assert each_time(faults, same, lm, pairs, same_numbers) > 0


def test_while_a_model_is_found_out_to_share_prefixes_or_not(tiny_lm, faults, same):
    """The probe is no result: without memory for it rows are read one by one, this time."""
    lm = tiny_lm("llama")
    faults.watch(lm.model)
    passes, shares = faults.counted(lambda: tree.shares_prefixes(lm))
    assert shares
    assert passes > 2
    for k in range(1, passes + 1):
        tree._shares.pop(lm.model)
        with faults.raising(faults.memory(k), k):
            assert not tree.shares_prefixes(lm)
        assert lm.model not in tree._shares, "there may be more memory the next time"
        assert tree.shares_prefixes(lm)


def test_a_float32_copy_that_does_not_fit_is_done_without(tiny_lm, monkeypatch):
    import torch

    lm = tiny_lm("llama")
    lm.model.to(torch.bfloat16)
    monkeypatch.setattr(gradients.copy, "deepcopy", _no_memory)
    assert gradients.in_float32(lm) is None
    found = liw.attribute(lm, TEXT, 1, "integrated_gradients", steps=8)
    assert np.isfinite(found.scores).all()
    assert not found.converged


def _no_memory(_):
    raise MemoryError


def test_what_failed_keeps_no_tensor_alive(tiny_lm, faults):
    """An error lives as long as somebody looks at it: on a GPU, so would the failed pass."""
    import torch

    lm = tiny_lm("llama")
    seen = []
    hook = lm.model.model.layers[0].register_forward_hook(
        lambda _, __, output: seen.append(weakref.ref(output if isinstance(output, torch.Tensor)
                                                      else output[0]))
    )  # fmt: skip

    def fail(*_):
        error = faults.memory(0)
        raise error()

    last = lm.model.model.layers[1].register_forward_pre_hook(fail)
    errors = []
    for work in (
        lambda: liw.attribute(lm, TEXT, 1, "occlusion"),
        lambda: liw.attribute(lm, TEXT, 1, "saliency"),
        lambda: liw.attention(lm, TEXT),
    ):
        with pytest.raises(ModelMemoryError) as caught:
            work()
        errors.append(caught.value)
        del caught
    gc.collect()
    hook.remove()
    last.remove()
    assert len(seen) >= 3
    assert [one() for one in seen] == [None] * len(seen)
    assert all(error.__traceback__ is not None for error in errors)


def test_an_overview_says_which_scores_memory_did_not_suffice_for(tiny_lm, faults):
    lm = tiny_lm("llama")
    faults.watch(lm.model)
    record = liw.attention(lm, TEXT * 3, 5)
    from llm_interp_widgets.models.again import TextPasses

    def none(*_):
        raise ModelMemoryError("Attention of 100 tokens does not fit.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextPasses, "repeats", none)
        widget = liw.attend(record)
        assert widget.wait(20)
    assert widget.overviews[0]["status"] == "done"
    assert widget.failure["name"] == "ModelMemoryError"
    assert "Induction and duplicate-token scores stay unknown" in widget.failure["message"]
    widget.close()
