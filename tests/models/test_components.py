"""Splits of a score: they add up, they are what an independent computation gives, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError, ResultError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llm_interp_widgets.models import LanguageModel

TEXT = "The capital of France is Paris, and the capital of Japan is"
PLACES = [(0, 0), (7, 5), (9, 9)]  # within a sliding window, too
LINEAR = ["llama", "gpt2", "neox", "mistral", "gemma2", "qwen2", "olmo"]


def _score(record: Any, layer: int, head: int, query: int, key: int) -> float:
    """The score before cap and bias, from queries and keys."""
    q, k = record.queries_keys(layer)
    shared = head // (len(q) // len(k))
    return float(q[head, query] @ k[shared, key] * record.rule(layer).scale)


@pytest.mark.parametrize("family", [*LINEAR, "bert", "t5", "gpt_oss"])
def test_dimensions_and_rest_add_up_to_the_score_of_the_softmax(
    tiny_lm: Callable[..., LanguageModel], family: str
) -> None:
    record = liw.attention(
        tiny_lm(family), TEXT, **({"stack": "encoder"} if family == "t5" else {})
    )
    for query, key in PLACES:
        split = record.split(1, 3, query, key)
        assert split.dimensions.sum() == pytest.approx(_score(record, 1, 3, query, key), abs=1e-4)
        assert split.dimensions.sum() + split.rest.sum() == pytest.approx(split.score, abs=1e-4)
        weight = record.weights(1, 3, rows=query)[0, key]
        log_sum = record.log_sums(1, 3)[query]
        assert np.exp(split.score - log_sum) == pytest.approx(weight, abs=1e-5)
    assert split.names == {"gemma2": ("soft cap",), "t5": ("position bias",)}.get(family, ())


@pytest.mark.parametrize("family", LINEAR)
@pytest.mark.parametrize("layer", [0, 1])
def test_components_add_up_to_the_score(
    tiny_lm: Callable[..., LanguageModel], family: str, layer: int
) -> None:
    record = liw.attention(tiny_lm(family), TEXT)
    for query, key in PLACES:
        for head in (0, 3):
            found = record.components(layer, head, query, key)
            exact = _score(record, layer, head, query, key)
            assert found.score == pytest.approx(exact, abs=1e-4)
            assert found.query.sum() == pytest.approx(exact, abs=2e-4)
            assert found.key.sum() == pytest.approx(exact, abs=2e-4)
    parts = ["layer 0 attention", "layer 0 MLP"] if layer else []
    assert found.names == ("embedding", *parts, "bias")


@pytest.mark.parametrize("family", ["llama", "olmo"])  # RMSNorm, and a LayerNorm of its own
def test_a_component_is_what_its_vector_gives_through_frozen_norm_and_projection(
    tiny_lm: Callable[..., LanguageModel], family: str
) -> None:
    """Written with nothing but the model's weights and torch."""
    lm = tiny_lm(family)
    record = liw.attention(lm, TEXT)
    model, (i, j), head = lm.model.model, (8, 2), 3
    ids = torch.tensor([[t.id for t in record.tokens]])
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states
        first, second = model.layers
        positions = torch.arange(ids.shape[1])[None]
        cos, sin = model.rotary_emb(states[0], positions)
        attended = first.self_attn(first.input_layernorm(states[0]), (cos, sin), None)[0]
        written = {
            "embedding": states[0][0],
            "layer 0 attention": attended[0],
            "layer 0 MLP": (states[1] - states[0] - attended)[0],
        }
        centred = family == "olmo"
        stream, epsilon = states[1][0], 1e-5 if centred else 1e-6
        weight = 1 if centred else second.input_layernorm.weight

        def about_mean(vectors: torch.Tensor) -> torch.Tensor:
            return vectors - vectors.mean(-1, keepdim=True) if centred else vectors

        size = (about_mean(stream).pow(2).mean(-1, keepdim=True) + epsilon).rsqrt()

        def projected(vectors: torch.Tensor, matrix: torch.Tensor, which: int) -> torch.Tensor:
            through = (about_mean(vectors) * size * weight) @ matrix.T
            split = through.reshape(len(vectors), -1, 8)[:, which]
            half = torch.cat([-split[:, 4:], split[:, :4]], -1)
            return split * cos[0] + half * sin[0]

        attention = second.self_attn
        whole = states[1][0]
        query = projected(whole, attention.q_proj.weight, head)[i]
        key = projected(whole, attention.k_proj.weight, head // 2)[j]
        found = record.components(1, head, i, j)
        for name, vectors in written.items():
            at = found.names.index(name)
            by_key = query @ projected(vectors, attention.k_proj.weight, head // 2)[j]
            by_query = projected(vectors, attention.q_proj.weight, head)[i] @ key
            assert found.key[at] == pytest.approx(float(by_key) * attention.scaling, abs=1e-5)
            assert found.query[at] == pytest.approx(float(by_query) * attention.scaling, abs=1e-5)
        assert found.query[-1] == found.key[-1] == 0


def test_halves_are_split_within_their_precision(
    tiny_model: Callable[..., Any], tokenizer: Any
) -> None:
    model = tiny_model("llama").to(torch.bfloat16)
    record = liw.attention(liw.wrap(model, tokenizer), TEXT)
    found = record.components(1, 2, 9, 9)
    size = np.abs(record.split(1, 2, 9, 9).dimensions).sum()
    assert abs(found.query.sum() - found.score) <= 0.06 * size


def test_of_the_default_model_too(lm: LanguageModel) -> None:
    record = liw.attention(lm, TEXT)
    found = record.components(12, 4, 10, 3)
    exact = _score(record, 12, 4, 10, 3)
    assert len(found.names) == 2 + 2 * 12
    assert found.query.sum() == pytest.approx(exact, rel=1e-3)
    assert found.key.sum() == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("family", ["bert", "bert_encoder", "t5"])
def test_what_is_not_linear_is_refused(tiny_lm: Callable[..., LanguageModel], family: str) -> None:
    record = liw.attention(tiny_lm(family), TEXT)
    with pytest.raises(UnsupportedModelError, match="dimensions"):
        record.components(1, 0, 4, 4)
    assert record.split(1, 0, 4, 4).dimensions.shape == (8,)


def test_something_between_stream_and_scores_is_noticed(
    tiny_lm: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lm("llama")
    record = liw.attention(lm, TEXT)
    projection = lm.model.model.layers[1].self_attn.q_proj
    monkeypatch.setattr(projection, "forward", lambda x: (x @ projection.weight.T).tanh())
    with pytest.raises(UnsupportedModelError, match="does not add up"):
        record.components(1, 0, 4, 4)


def test_bad_places_say_what_there_is_and_the_model_is_as_it_was(
    tiny_lm: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    lm = tiny_lm("llama")
    record = liw.attention(lm, TEXT)
    before = {name: len(m._forward_hooks) + len(m._forward_pre_hooks)
              for name, m in lm.model.named_modules()}  # fmt: skip
    logits = lm.model(torch.tensor([[5, 6, 7]])).logits
    record.components(1, 0, 4, 2)
    for call, words in (
        (lambda: record.split(2, 0, 1, 0), "layer=2 is out of range"),
        (lambda: record.split(0, 0, 99, 0), "query=99 is out of range"),
        (lambda: record.components(0, 0, 1, 99), "key=99 is out of range"),
        (lambda: record.components(0, 0, 1, 2), "does not see token 2"),
        (lambda: record.split(0, 0, 1, 2), "does not see token 2"),
    ):
        with pytest.raises(ParameterError, match=words):
            call()
    after = {name: len(m._forward_hooks) + len(m._forward_pre_hooks)
             for name, m in lm.model.named_modules()}  # fmt: skip
    assert after == before
    assert torch.equal(lm.model(torch.tensor([[5, 6, 7]])).logits, logits)
    opened = liw.AttentionRecord.load(record.save(tmp_path / "record.npz"))
    np.testing.assert_array_equal(
        opened.split(1, 1, 5, 2).dimensions, record.split(1, 1, 5, 2).dimensions
    )
    with pytest.raises(ResultError, match="needs the model"):
        opened.components(1, 1, 5, 2)
