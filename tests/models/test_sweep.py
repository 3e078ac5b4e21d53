"""Weights pooled, summed up and handed out: against the whole tables they are made of."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.models import heads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_interp_widgets.models.language_model import LanguageModel

TEXT = "The capital of France is Paris, and the capital of Japan is"
EDGES = [
    [0, 4, 8, 12],
    [0, 4, 8, 12, 14],
    [3, 5, 9, 10],
    [2, 6, 10],
    [1, 2, 3],
    [0, 1, 7, 8, 16],
    [6, 11],
]


@pytest.fixture(params=[heads.CELLS, 40, 100])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights at once, or a row or two at a time."""
    monkeypatch.setattr(heads, "CELLS", request.param)


def _cells(whole: np.ndarray, rows: Sequence[int], cols: Sequence[int], pooling: str) -> np.ndarray:
    """Pool tables (…, query, key) cell by cell."""
    found = np.zeros((*whole.shape[:-2], len(rows) - 1, len(cols) - 1))
    for i in range(len(rows) - 1):
        for j in range(len(cols) - 1):
            cell = whole[..., rows[i] : rows[i + 1], cols[j] : cols[j + 1]]
            best = cell.max((-1, -2)) if pooling == "max" else cell.sum(-1).mean(-1)
            found[..., i, j] = best
    return found


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("family", ["llama", "mistral", "gpt_oss", "bert", "bloom"])
def test_a_grid_pools_the_cells_between_its_edges(
    tiny_lm: Callable[..., LanguageModel], family: str, pooling: str
) -> None:
    record = liw.attention(tiny_lm(family), 2 * TEXT)
    whole = record.weights(1, 2).astype(np.float64)
    assert whole.shape[0] >= 16
    for rows in EDGES:
        for cols in EDGES:
            found = record.grid(1, 2, rows, cols, pooling)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, _cells(whole, rows, cols, pooling), atol=1e-6)


def test_a_cell_of_one_weight_is_that_weight(tiny_lm: Callable[..., LanguageModel]) -> None:
    record = liw.attention(tiny_lm("llama"), TEXT)
    every = list(range(len(record.tokens) + 1))
    for pooling in ("max", "mean"):
        found = record.grid(0, 3, every, np.array(every), pooling)
        np.testing.assert_allclose(found, record.weights(0, 3), atol=1e-7)
    one = record.grid(0, 3, [0, every[-1]], [0, every[-1]], "mean")
    np.testing.assert_allclose(one, [[1]], atol=1e-6)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_sampled_cells_hold_their_middle_query(
    tiny_lm: Callable[..., LanguageModel], pooling: str
) -> None:
    record = liw.attention(tiny_lm("mistral"), TEXT)
    size, n = len(record.tokens), 5
    at = [i * size // n for i in range(n + 1)]
    middles = [(a + b) // 2 for a, b in pairwise(at)]
    for layer in range(record.layers):
        whole = np.stack([record.weights(layer, head) for head in range(record.heads)])
        exact = _cells(whole, at, at, pooling)
        np.testing.assert_allclose(record.pooled(layer, n, pooling), exact, atol=1e-6)
        rows = _cells(whole[:, middles], range(n + 1), at, pooling)
        sampled = record.pooled(layer, n, pooling, sampled=True)
        assert sampled.dtype == np.float32
        np.testing.assert_allclose(sampled, rows, atol=1e-6)
        picture = record.picture(layer, n=n, pooling=pooling)
        np.testing.assert_array_equal(picture, np.rint(255 * record.pooled(layer, n, pooling)))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("family", ["llama", "mistral", "gpt_oss", "bert", "bloom"])
def test_sums_are_those_of_the_table(tiny_lm: Callable[..., LanguageModel], family: str) -> None:
    record = liw.attention(tiny_lm(family), TEXT)
    whole = record.weights(1, 3).astype(np.float64)
    found = record.sums(1, 3)
    assert {found.received.dtype, found.given.dtype, found.entropy.dtype} == {np.dtype("f4")}
    np.testing.assert_allclose(found.received, whole.sum(0), atol=1e-5)
    np.testing.assert_allclose(found.given, whole.sum(1), atol=1e-6)
    logs = np.log(np.where(whole > 0, whole, 1))
    np.testing.assert_allclose(found.entropy, -(whole * logs).sum(1), atol=1e-5)
    if family == "gpt_oss":
        assert (found.given < 0.999).any()


def test_a_query_that_sees_nothing_gives_nothing(tiny_lm: Callable[..., LanguageModel]) -> None:
    model = tiny_lm("llama")
    ids = torch.tensor([model.encode(TEXT).ids[:8]])
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    record = liw.attention(model, {"input_ids": ids, "attention_mask": mask})
    sees = np.array([c.mask.stop.numpy() > c.mask.first.numpy() for c in record.calls])[0]
    found = record.sums(0, 0)
    np.testing.assert_allclose(found.given, sees.astype(np.float32), atol=1e-6)
    assert (found.received[:3] == 0).all()
    assert np.isfinite(found.entropy).all()
    assert (found.entropy[~sees] == 0).all()


def _by_rule(record: liw.AttentionRecord, layer: int) -> np.ndarray:
    """Weights (head, query, key) from queries, keys and the rule alone, as an exporter would."""
    q, k = record.queries_keys(layer)
    rule = record.rule(layer)
    assert q.dtype == k.dtype == np.float32
    assert rule.first.dtype == rule.stop.dtype == np.uint32
    queries, keys = q.shape[1], k.shape[1]
    k = k.repeat(len(q) // len(k), 0)
    scores = rule.scale * np.einsum("hqd,hkd->hqk", q.astype(np.float64), k)
    if rule.softcap:
        scores = rule.softcap * np.tanh(scores / rule.softcap)
    if rule.bias is not None:
        at = np.arange(keys) - np.arange(queries)[:, None] + queries - 1
        scores = scores + (rule.bias[:, at] if rule.by_distance else rule.bias)
    at = np.arange(keys)
    seen = (at >= rule.first[:, None]) & (at < rule.stop[:, None])
    seen &= True if rule.seen is None else rule.seen
    scores = np.where(seen, np.exp(scores), 0)
    sinks = 0 if rule.sinks is None else np.exp(rule.sinks.astype(np.float64))[:, None]
    return scores / (scores.sum(-1) + sinks)[..., None]


@pytest.mark.parametrize(
    "family", ["llama", "gpt2", "mistral", "gemma2", "gpt_oss", "bert", "t5", "bart"]
)
def test_queries_keys_and_rule_are_all_that_weights_need(
    tiny_lm: Callable[..., LanguageModel], family: str
) -> None:
    for record in liw.attention(tiny_lm(family), TEXT).stacks.values():
        for layer in range(record.layers):
            assert not record.rule(layer).whole
            for head, expected in enumerate(_by_rule(record, layer)):
                found = record.weights(layer, head)
                np.testing.assert_allclose(found, expected, atol=5e-6)
    assert (record.rule(0).bias is None) == (family != "t5" or record.name == "cross")


def test_what_is_handed_out_is_a_copy(tiny_lm: Callable[..., LanguageModel]) -> None:
    record = liw.attention(tiny_lm("gpt_oss"), TEXT)
    before = record.weights(0, 0)
    rule = record.rule(0)
    for array in (*record.queries_keys(0), rule.sinks, rule.first, rule.stop):
        array[...] = 0
    np.testing.assert_array_equal(record.weights(0, 0), before)


def test_whole_tables_have_no_queries(tiny_lm: Callable[..., LanguageModel]) -> None:
    record = liw.attention(tiny_lm("bloom"), TEXT)
    assert record.rule(0).whole
    with pytest.raises(ParameterError, match="holds its weights whole"):
        record.queries_keys(0)


@pytest.mark.parametrize("rows", [[0], [], [0, 4, 4], [4, 0], [-1, 4], [0, 10_000], [0.0, 4.0], 4])
def test_edges_that_make_no_cells_are_refused(
    tiny_lm: Callable[..., LanguageModel], rows: object
) -> None:
    record = liw.attention(tiny_lm("llama"), TEXT)
    with pytest.raises(ParameterError, match="increasing edges"):
        record.grid(0, 0, rows, [0, 4])
    with pytest.raises(ParameterError, match="cols must be"):
        record.grid(0, 0, [0, 4], rows)


def test_bad_requests_for_cells_say_what_there_is(tiny_lm: Callable[..., LanguageModel]) -> None:
    record = liw.attention(tiny_lm("llama"), TEXT)
    for call, words in (
        (lambda: record.grid(2, 0, [0, 4], [0, 4]), "there are 2 layers, 0 to 1"),
        (lambda: record.grid(0, 9, [0, 4], [0, 4]), "there are 4 heads, 0 to 3"),
        (lambda: record.grid(0, 0, [0, 4], [0, 4], "sum"), "choose one of 'max', 'mean'"),
        (lambda: record.pooled(0, 0), "n=0 must be a whole number"),
        (lambda: record.sums(0, -5), "head=-5 is out of range"),
        (lambda: record.rule(7), "layer=7 is out of range"),
        (lambda: record.queries_keys(7), "layer=7 is out of range"),
        (lambda: record.top_edges(0, 0, 0), "k=0 must be"),
    ):
        with pytest.raises(ParameterError, match=words):
            call()
