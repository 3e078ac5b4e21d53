"""What goes into a record: memory said before, texts that are too long or too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import (
    ModelMemoryError,
    ParameterError,
    PromptTooLongError,
    UnsupportedModelError,
)
from llm_interp_widgets.models import attention as room
from llm_interp_widgets.models.memory import record_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_interp_widgets.models.language_model import LanguageModel

TEXT = "The capital of France is Paris, and the capital of Japan is"


@pytest.mark.parametrize(
    "family", ["llama", "gpt2", "neox", "gemma2", "gpt_oss", "bert", "t5", "bart"]
)
def test_the_memory_of_a_record_is_known_before(
    tiny_lm: Callable[..., LanguageModel], family: str
) -> None:
    lm = tiny_lm(family)
    record = liw.attention(lm, TEXT)
    answer = len(record.stack("decoder").tokens) if family in ("t5", "bart") else 0
    expected = record_bytes(lm.model, len(lm.encode(TEXT).tokens), answer)
    held = [c for stack in record.stacks.values() for c in stack.calls]
    assert sum(c.q.nbytes + c.k.nbytes for c in held) == expected


def test_memory_of_the_default_model_is_that_of_queries_and_keys(lm: LanguageModel) -> None:
    record = liw.attention(lm, list(range(1000, 1512)))
    assert lm.attention_bytes(512) == record_bytes(lm.model, 512)
    assert record_bytes(lm.model, 512) == 30 * (9 + 3) * 64 * 512 * 4
    assert record_bytes(lm.model, 512) <= record.nbytes <= 1.02 * record_bytes(lm.model, 512)


def test_a_record_that_does_not_fit_is_refused_before_the_pass(
    tiny_lm: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lm("llama")
    needed = record_bytes(lm.model, len(lm.encode(TEXT).tokens))
    monkeypatch.setattr(room, "free_bytes", lambda _: int(1.3 * needed))
    assert liw.attention(lm, TEXT).layers == 2
    monkeypatch.setattr(room, "free_bytes", lambda _: int(1.2 * needed))
    with pytest.raises(ModelMemoryError, match="Shorten the prompt"):
        liw.attention(lm, TEXT)


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "bart", "bloom"])
def test_a_text_longer_than_the_models_positions_is_refused(
    tiny_lm: Callable[..., LanguageModel], family: str
) -> None:
    lm = tiny_lm(family)
    long = (TEXT * 90) if family == "bloom" else TEXT * 30
    with pytest.raises(PromptTooLongError):
        liw.attention(lm, long)
    if family != "bloom":
        with pytest.raises(PromptTooLongError):
            liw.attention(lm, {"input_ids": torch.full((1, 500), 9)})


@pytest.mark.parametrize(
    "batch", [[TEXT, TEXT], (TEXT, TEXT), [TEXT] * 3, [[5, 6], [7, 8]], [[{"role": "user"}]]]
)
def test_several_texts_are_refused_and_told_how(
    tiny_lm: Callable[..., LanguageModel], batch: Any
) -> None:
    with pytest.raises(ParameterError, match=r"\[attention\(lm, text\) for text in texts\]"):
        liw.attention(tiny_lm("llama"), batch)
    if len(batch) == 3:
        with pytest.raises(ParameterError, match="this is a list of 3"):
            liw.attention(tiny_lm("bert"), batch)


def test_a_padded_batch_keeps_the_row_asked_for(tiny_lm: Callable[..., LanguageModel]) -> None:
    lm = tiny_lm("llama")
    ids = list(lm.encode(TEXT).ids)
    batch = {
        "input_ids": torch.tensor([[5] * len(ids), [0, 0, *ids[2:]]]),
        "attention_mask": torch.tensor([[1] * len(ids), [0, 0, *[1] * (len(ids) - 2)]]),
    }
    with pytest.raises(ParameterError, match=r"holds 2 inputs.*row=0 … row=1"):
        liw.attention(lm, batch)
    record = liw.attention(lm, batch, row=1)
    np.testing.assert_allclose(
        record.weights(1, 2)[2:, 2:], liw.attention(lm, ids[2:]).weights(1, 2), atol=2e-6
    )


def test_a_decoder_by_another_name_has_induction_scores(tokenizer: Any) -> None:
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=400, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64,
        max_position_embeddings=128, word_embed_proj_dim=32, init_std=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    record = liw.attention(liw.wrap(OPTForCausalLM(config).eval(), tokenizer), TEXT)
    assert record.name == "decoder"
    assert np.isfinite(record.head_scores()["induction"]).all()


def test_an_encoder_decoder_outside_of_the_registry_is_told_so(
    tiny_lm: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_interp_widgets.models.attention.bypasses", lambda _: True)
    with pytest.raises(UnsupportedModelError, match=r"transformers 5\.15"):
        liw.attention(tiny_lm("bart"), TEXT)
