"""Reading rows as a tree of prefixes equals reading them one by one, and reads less."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

import llm_interp_widgets as liw
from llm_interp_widgets.errors import CancelledJobError
from llm_interp_widgets.models import scoring, tree
from llm_interp_widgets.models.language_model import Inputs, LanguageModel, Readout
from llm_interp_widgets.models.scoring import Row, Scorer
from llm_interp_widgets.models.tree import Entry, shares_prefixes

SHARING = ["llama", "gpt2", "neox", "mistral", "gemma2", "qwen2"]
LAST_TWO = Readout((), 2, lambda logits: logits[..., :9].flatten(1))
CONTINUED = Readout((7, 3), 3, lambda logits: logits.log_softmax(-1)[:, :, 5])
SHORTER = Readout((9,), 2, lambda logits: -logits[:, [0, 1, 1], 6])

OTHERS = {
    "phi3": ("Phi3ForCausalLM", {"sliding_window": 5, "num_key_value_heads": 2}, True),
    "qwen3": ("Qwen3ForCausalLM", {"num_key_value_heads": 2, "head_dim": 8}, True),
    "gemma3": ("Gemma3ForCausalLM", {"num_key_value_heads": 2, "head_dim": 8}, True),
    "gpt_oss": (
        "GptOssForCausalLM",
        {"num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 4, "sliding_window": 4},
        True,
    ),
    "bloom": ("BloomForCausalLM", {"n_layer": 2, "n_head": 4}, False),
    "mamba": ("MambaForCausalLM", {}, False),
}


def other(name):
    class_name, special, shares = OTHERS[name]
    model_class = getattr(transformers, class_name)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 64, "vocab_size": 200, "pad_token_id": 0,
             "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.5}  # fmt: skip
    config = model_class.config_class(**(sizes | special))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model_class(config).eval(), shares


def rows_like(kind, tokens=10, count=14, vocabulary=200, seed=0):
    """Rows that share much: variants of one text; "remove" drops tokens instead."""
    random = np.random.default_rng(seed)
    text = random.integers(5, vocabulary, tokens)
    on = random.random((count, tokens)) < 0.6
    on[:, 0] |= ~on.any(axis=1)
    if kind == "replace":
        return [Row(np.where(row, text, 4)) for row in on]
    return [Row(text[row]) for row in on]


def all_scores(scorer, rows):
    found = {}
    for which, values in scorer.score(rows):
        found.update(zip(which, values, strict=True))
    return np.stack([found[i] for i in range(len(rows))])


def one_by_one(lm, rows, readouts):
    with lm.untouched(), torch.inference_mode():
        return np.stack(
            [
                sum(lm.forward(Inputs(torch.from_numpy(row.ids)[None]), r) for r in readouts)[0]
                for row in rows
            ]
        )


@pytest.fixture
def tokens_read(monkeypatch):
    """How many tokens went through each pass over a tree."""
    counted = []
    logits = tree.PrefixTree._logits

    def counting(self, entries):
        shared = tree._shared(entries, self._row)
        counted.append(sum(len(e.path) for e in entries) - int(shared.sum()))
        return logits(self, entries)

    monkeypatch.setattr(tree.PrefixTree, "_logits", counting)
    return counted


@pytest.mark.parametrize("batch", [1, 12, 2_000])
@pytest.mark.parametrize("off", ["replace", "remove"])
@pytest.mark.parametrize("family", SHARING)
def test_equals_one_by_one(tiny_lm, family, off, batch, monkeypatch, tokens_read):
    lm = tiny_lm(family)
    assert shares_prefixes(lm)
    monkeypatch.setitem(scoring._TOKENS_A_BATCH, "cpu", batch)
    rows = rows_like(off)
    tokens_read.clear()
    for readouts in ([LAST_TWO], [CONTINUED], [CONTINUED, SHORTER]):
        scorer = Scorer(lm, readouts)
        expected = one_by_one(lm, rows, readouts)
        # The second half is asked later, on top of what is kept of the first.
        got = [all_scores(scorer, half) for half in (rows[:6], rows[6:])]
        assert np.concatenate(got) == pytest.approx(expected, abs=2e-4)
    assert tokens_read


@pytest.mark.parametrize("name", OTHERS)
def test_families_that_cannot_share_are_found_out(tokenizer, name, tokens_read):
    model, shares = other(name)
    lm = LanguageModel(model, tokenizer, name)
    before = model.config.to_dict()
    rows = rows_like("replace")
    assert shares_prefixes(lm) == shares
    tokens_read.clear()
    got = all_scores(Scorer(lm, [LAST_TWO]), rows)
    assert got == pytest.approx(one_by_one(lm, rows, [LAST_TWO]), abs=5e-4)
    assert bool(tokens_read) == shares
    assert model.config.to_dict() == before


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_layout_gives_every_row_its_own_ancestors(rows):
    entries = [
        Entry(i, 0, np.array(row), Readout((), 1, lambda x: x)) for i, row in enumerate(rows)
    ]
    entries.sort(key=lambda entry: entry.path)
    batch = tree._batch(entries, tree._shared(entries, ()))
    for at, entry in enumerate(entries):
        nodes = batch.nodes[at, : len(entry.path)]
        assert tuple(batch.tokens[nodes]) == entry.path
        assert list(batch.positions[nodes]) == list(range(len(entry.path)))
        assert batch.tokens[batch.reads(at, 1)] == entry.path[-1]
    assert len(batch.tokens) <= sum(map(len, rows))


def test_a_walk_over_all_tokens_reads_half(tiny_lm, tokens_read):
    lm = tiny_lm()
    shares_prefixes(lm)
    tokens_read.clear()
    n = 40
    rank = np.random.default_rng(0).permutation(n)
    rows = [Row(np.where(rank < k, 9, 4)) for k in range(n + 1)]
    list(Scorer(lm, [LAST_TWO]).score(rows))
    assert sum(tokens_read) == pytest.approx(0.5 * n * (n + 1), rel=0.05)


def test_what_all_rows_begin_with_is_read_once(tiny_lm, tokens_read):
    lm = tiny_lm()
    shares_prefixes(lm)
    tokens_read.clear()
    scorer = Scorer(lm, [Readout((), 1, lambda logits: logits[:, 0, :3])])
    for last in range(5, 25):
        list(
            scorer.score(
                [Row(np.array([*range(30, 60), last])), Row(np.array([*range(30, 60), 4]))]
            )
        )
    assert sum(tokens_read) == 30 + 20 + 20


def test_cancel_is_heard_inside_of_a_batch(tiny_model, tokenizer):
    model = tiny_model("llama")
    stop = threading.Event()
    lm = liw.wrap(model, tokenizer)
    shares_prefixes(lm)
    hook = model.model.layers[0].register_forward_hook(lambda *_: stop.set())
    try:
        with pytest.raises(CancelledJobError):
            list(Scorer(lm.stoppable(stop), [LAST_TWO]).score(rows_like("replace")))
    finally:
        hook.remove()
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_another_thread_sees_its_usual_model(tiny_model, tokenizer, implementation):
    model = tiny_model("mistral")
    model.set_attn_implementation(implementation)
    lm = liw.wrap(model, tokenizer)
    ids = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    with torch.inference_mode():
        expected = model(ids, attention_mask=mask).logits
    seen = []

    def look():
        with torch.inference_mode():
            seen.append(model(ids, attention_mask=mask).logits)

    def peek(*_):
        if threading.current_thread() is threading.main_thread() and not seen:
            other_thread = threading.Thread(target=look)
            other_thread.start()
            other_thread.join()

    hook = model.model.layers[1].register_forward_pre_hook(peek)
    try:
        list(Scorer(lm, [LAST_TWO]).score(rows_like("replace")))
    finally:
        hook.remove()
    assert torch.equal(seen[0], expected)
    assert model.config._attn_implementation == implementation
