"""The coalition evaluator: what it computes, how often, and what it does when memory ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from llm_interp_widgets.errors import ModelMemoryError, ParameterError
from llm_interp_widgets.models import fillers, scoring
from llm_interp_widgets.models.batches import Coalitions
from llm_interp_widgets.models.language_model import Readout
from llm_interp_widgets.models.tree import PrefixTree, shares_prefixes
from llm_interp_widgets.targets import ask
from llm_interp_widgets.text.features import pieces

TEXT = "The capital of France is"
FAMILIES = ["llama", "gpt2", "neox", "mistral", "gemma2", "qwen2", "bert"]


def game(lm, text=TEXT, target=None, **options):
    prompt = lm.encode(text)
    shares_prefixes(lm)  # asked once a model, and not counted
    return Coalitions(
        lm, prompt, pieces(prompt, "token"), ask(target, lm, prompt).readouts, **options
    )


def rows(n, count, seed=0):
    return np.random.default_rng(seed).random((count, n)) < 0.5


@pytest.fixture
def batches_read(monkeypatch):
    """Sizes of the batches that really went through the model; ``limit`` makes memory end."""
    sizes = Batches()
    for reader in (scoring.Alone, PrefixTree):
        monkeypatch.setattr(reader, "read", sizes.counting(reader.read))
    return sizes


class Batches(list):
    limit = 10**9
    message = ""

    def counting(self, read):
        def counted(reader, batch):
            if len(batch) > self.limit:
                raise RuntimeError(self.message)
            self.append(len(batch))
            return read(reader, batch)

        return counted


@pytest.mark.parametrize("off", ["replace", "remove"])
@pytest.mark.parametrize("family", FAMILIES)
def test_values_equal_one_row_at_a_time(tiny_lm, family, off):
    lm = tiny_lm(family)
    g = game(lm, target=1, off=off, filler=" of")
    coalitions = rows(len(g.features), 12)
    coalitions[:, 0] = True  # nothing is left with nothing on: tested on its own
    ids = np.array(lm.encode(TEXT).ids)
    (filler,) = lm.tokenizer(" of").input_ids
    expected = []
    with torch.inference_mode():
        for on in coalitions:
            row = np.where(on, ids, filler) if off == "replace" else ids[on]
            logits = lm.model(input_ids=torch.tensor([row.tolist()])).logits
            value = logits[0, 1] if family == "bert" else logits[0, -1].log_softmax(-1)[1]
            expected.append(float(value))
    assert g.values(coalitions, 0)[:, 0] == pytest.approx(np.array(expected), abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "bert"])  # as a tree, and one by one
def test_the_same_input_is_scored_once_ever(tiny_lm, family, batches_read):
    g = game(tiny_lm(family), target=1, filler=[" of", "."])
    batches_read.clear()
    some = rows(len(g.features), 6)
    g.by_filler(np.concatenate([some, some]))
    g.values(some, 1)
    g.full()
    distinct = len(np.unique(some, axis=0)) * 2 + 1
    assert sum(batches_read) == g.evaluations == distinct


def test_fillers_are_averaged(tiny_lm):
    g = game(tiny_lm(), target=3, filler=[" of", "."])
    some = rows(len(g.features), 5)
    assert g.values(some) == pytest.approx((g.values(some, 0) + g.values(some, 1)) / 2)


@pytest.mark.parametrize("family", ["llama", "bert"])
@pytest.mark.parametrize(
    "message", ["CUDA out of memory", "DefaultCPUAllocator: not enough memory"]
)
def test_batch_is_halved_when_memory_ends_and_nothing_is_lost(
    tiny_lm, family, message, batches_read
):
    lm = tiny_lm(family)
    some = rows(5, 20)
    expected = game(lm, target=1, filler=" of").values(some, 0)
    g = game(lm, target=1, filler=" of")
    batches_read.clear()
    batches_read.limit, batches_read.message = 3, message
    assert g.values(some, 0) == pytest.approx(expected, abs=1e-5)
    assert max(batches_read) <= 3
    assert sum(batches_read) == g.evaluations  # no finished row is scored again


def test_rows_finished_before_an_error_are_kept(tiny_lm, batches_read, monkeypatch):
    g = game(tiny_lm("bert"), target=1, filler=" of")
    some = np.unique(rows(5, 20), axis=0)
    batches_read.clear()
    monkeypatch.setitem(scoring._TOKENS_A_BATCH, "cpu", 20)
    batches_read.limit = 0
    batches_read.message = "planted"
    with pytest.raises(RuntimeError, match="planted"):
        g.values(some, 0)
    batches_read.limit = 10**9
    read = scoring.Alone.read
    monkeypatch.setattr(scoring.Alone, "read", _failing_after(read, 2))
    with pytest.raises(RuntimeError, match="planted"):
        g.values(some, 0)
    done = g.evaluations
    assert 0 < done < len(some)
    monkeypatch.setattr(scoring.Alone, "read", read)
    g.values(some, 0)
    assert sum(batches_read) == g.evaluations == len(some)


def _failing_after(read, calls):
    left = iter(range(calls))

    def failing(reader, batch):
        if next(left, None) is None:
            raise RuntimeError("planted")
        return read(reader, batch)

    return failing


def test_out_of_memory_with_one_row_says_so(tiny_lm, monkeypatch):
    from llm_interp_widgets.models.language_model import LanguageModel

    def full(self, inputs, readout):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    g = game(tiny_lm(), target=3)
    monkeypatch.setattr(LanguageModel, "forward", full)
    with pytest.raises(ModelMemoryError, match="A single row of 5 tokens"):
        g.full()


def test_another_error_is_not_taken_for_memory(tiny_lm, monkeypatch):
    from llm_interp_widgets.models.language_model import LanguageModel

    def broken(self, inputs, readout):
        raise RuntimeError("shapes do not match")

    g = game(tiny_lm(), target=3)
    monkeypatch.setattr(LanguageModel, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        g.full()


def test_removing_everything_leaves_an_anchor(tiny_lm):
    lm = tiny_lm()
    g = game(lm, target=3, off="remove")
    with torch.inference_mode():
        alone = lm.model(torch.tensor([[lm.tokenizer.bos_token_id]])).logits[0, -1].log_softmax(-1)
    assert g.empty()[0] == pytest.approx(float(alone[3]), abs=1e-5)


def test_mask_token_is_the_default_filler(tiny_lm):
    assert game(tiny_lm("bert"), target=1).filler_names == ("<mask>",)


def test_neutral_fillers_stand_in_without_a_mask_token(lm):
    assert lm.tokenizer.mask_token is None
    assert game(lm, target=3).filler_names == fillers.NEUTRAL_FILLERS


@pytest.mark.parametrize(
    ("filler", "message"),
    [(" France is Paris", "must be one token"), ("", "must be one token"), ([], "a list of texts")],
)
def test_bad_filler(tiny_lm, filler, message):
    with pytest.raises(ParameterError, match=message):
        game(tiny_lm(), target=3, filler=filler)


def test_a_batch_never_exceeds_its_budget(tiny_lm, batches_read, monkeypatch):
    monkeypatch.setitem(scoring._TOKENS_A_BATCH, "cpu", 20)
    g = game(tiny_lm("bert"), target=1, filler=" of")
    g.values(rows(len(g.features), 30), 0)
    assert max(batches_read) * 5 <= 20


def test_readouts_are_added(tiny_lm):
    lm = tiny_lm()
    prompt = lm.encode(TEXT)
    first = Readout((), 1, lambda logits: logits[:, -1, [3]])
    second = Readout((4,), 1, lambda logits: logits[:, -1, [5]])
    both, one, two = (
        Coalitions(lm, prompt, pieces(prompt, "token"), r, filler=" of").full()
        for r in ([first, second], [first], [second])
    )
    assert both == pytest.approx(one + two, abs=1e-5)


@pytest.mark.parametrize("off", ["replace", "remove"])
@pytest.mark.parametrize("family", ["llama", "gemma2", "bert"])
def test_order_and_company_of_rows_change_nothing(tiny_lm, family, off):
    """What a row is worth depends neither on its place nor on who is padded beside it."""
    lm, asked = tiny_lm(family), rows(5, 40)
    there = game(lm, target=1, off=off, filler=" of").values(asked)
    back = game(lm, target=1, off=off, filler=" of").values(asked[::-1])[::-1]
    alone = np.concatenate(
        [game(lm, target=1, off=off, filler=" of").values(row[None]) for row in asked]
    )
    assert back == pytest.approx(there, rel=1e-5, abs=1e-5)
    assert alone == pytest.approx(there, rel=1e-5, abs=1e-5)
