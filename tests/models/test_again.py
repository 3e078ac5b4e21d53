"""What a record asks of the model again: effects of heads, and what cannot be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import (
    ParameterError,
    ResultError,
    TargetError,
    UnsupportedModelError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from llm_interp_widgets.models.language_model import LanguageModel

TEXT = "The capital of France is Paris, and the capital of Japan is"
# The output projection of a layer's attention, whose columns are those of its heads.
PROJECTIONS = {
    "llama": "model.layers.{}.self_attn.o_proj",
    "gpt_oss": "model.layers.{}.self_attn.o_proj",
    "bert": "bert.encoder.layer.{}.attention.output.dense",
    "t5": "encoder.block.{}.layer.0.SelfAttention.o",
}


def _without(lm: LanguageModel, family: str, heads: list[tuple[int, int]], ids: Any) -> Tensor:
    """Logits with the heads' columns of the output projections set to zero, and put back."""
    width, kept = 8, []
    for layer, head in heads:
        weight = lm.model.get_submodule(PROJECTIONS[family].format(layer)).weight.data
        part = weight[:, head * width : (head + 1) * width]
        kept.append((part, part.clone()))
        part.zero_()
    try:
        with torch.no_grad():
            return lm.model(**ids).logits[0]
    finally:
        for part, before in kept:
            part.copy_(before)


@pytest.mark.parametrize("family", ["llama", "gpt_oss", "bert", "t5"])
def test_an_effect_is_that_of_a_head_without_its_output(
    tiny_lm: Callable[..., LanguageModel], family: str
) -> None:
    lm = tiny_lm(family)
    stack = {"t5": "encoder"}.get(family)
    record = liw.attention(lm, TEXT, stack=stack)
    ids: dict[str, Tensor] = {"input_ids": torch.tensor([lm.encode(TEXT).ids])}
    if family == "t5":
        ids["decoder_input_ids"] = torch.tensor([[0]])
    heads = [(0, 1), (1, 3), (1, 0)]
    state = {name: p.clone() for name, p in lm.model.state_dict().items()}
    found = record.effect(heads)
    for name, value in lm.model.state_dict().items():
        assert torch.equal(value, state[name])
    before, after = _without(lm, family, [], ids), _without(lm, family, heads, ids)
    before, after = (x if family == "bert" else x[-1] for x in (before, after))
    best = int(before.argmax())
    score = (lambda x: x) if family == "bert" else (lambda x: x.log_softmax(-1))
    assert found.before == pytest.approx(float(score(before)[best]), abs=1e-5)
    assert found.after == pytest.approx(float(score(after)[best]), abs=1e-5)
    assert abs(found.before - found.after) > 1e-3
    assert found.unit == ("logit" if family == "bert" else "log_prob")
    for top, logits in ((found.top_before, before), (found.top_after, after)):
        text, probability = top
        assert probability == pytest.approx(float(logits.softmax(-1).max()), abs=1e-5)
        likeliest = int(logits.argmax())
        named = lm.labels[likeliest] if family == "bert" else lm.tokenizer.decode(likeliest)
        assert text == top.text
        assert family != "bert" or text == named
    assert record.effect(heads) == found
    assert record.effect([(0, 1)]) != found


def test_an_effect_on_a_target_is_the_sum_of_its_outputs(
    tiny_lm: Callable[..., LanguageModel],
) -> None:
    lm = tiny_lm("llama")
    record = liw.attention(lm, TEXT, " Tokyo")
    found = record.effect([(-1, -1)])
    value = liw.attribute(lm, TEXT, " Tokyo", method="saliency").output_values.sum()
    assert "Tokyo" in found.target
    assert found.before == pytest.approx(float(value), abs=1e-5)
    assert found.after != pytest.approx(found.before, abs=1e-4)
    assert record.effect([(1, 3), (1, 3)]) == found
    several = liw.attention(tiny_lm("bert"), TEXT, ["sad", "glad"]).effect([(0, 0)])
    each = liw.attribute(tiny_lm("bert"), TEXT, ["sad", "glad"], method="saliency").output_values
    assert several.before == pytest.approx(float(each.sum()), abs=1e-5)


def test_layers_that_share_a_module_are_switched_off_one_by_one(tokenizer: Any) -> None:
    from transformers import AlbertConfig, AlbertForSequenceClassification

    config = AlbertConfig(
        vocab_size=400, embedding_size=16, hidden_size=32, num_hidden_layers=3, num_hidden_groups=1,
        num_attention_heads=4, intermediate_size=64, initializer_range=0.5, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    lm = liw.wrap(AlbertForSequenceClassification(config).eval(), tokenizer)
    record = liw.attention(lm, TEXT)
    assert (record.layers, len({c.module for c in record.calls})) == (3, 1)
    after = [record.effect([(layer, 2)]).after for layer in range(3)]
    assert len({round(value, 5) for value in after}) == 3
    together = record.effect([(layer, 2) for layer in range(3)]).after
    assert round(together, 5) not in {round(value, 5) for value in after}


def test_an_effect_names_the_default_models_answer(lm: LanguageModel) -> None:
    found = liw.attention(lm, "The capital of France is").effect([(16, 7)])
    assert found.top_before.text == " Paris"
    assert found.top_before.probability == pytest.approx(np.exp(found.before), abs=1e-4)


def test_what_cannot_be_switched_off_says_why(
    tiny_lm: Callable[..., LanguageModel], tiny_model: Callable[..., Any], tmp_path: Path
) -> None:
    record = liw.attention(tiny_lm("llama"), TEXT)
    for heads, words in (
        ([(2, 0)], "layer=2 is out of range: there are 2 layers, 0 to 1"),
        ([(0, 4)], "head=4 is out of range: there are 4 heads, 0 to 3"),
        ([], "must name pairs"),
        ([3], "must name pairs"),
        ([(0, 1.5)], "head=1.5 must be a whole number"),
    ):
        with pytest.raises(ParameterError, match=words):
            record.effect(heads)
    opened = liw.AttentionRecord.load(record.save(tmp_path / "record.npz"))
    with pytest.raises(ResultError, match="opened from a file"):
        opened.effect([(0, 0)])
    record.close()
    assert record.passes is None
    with pytest.raises(ResultError, match="closed"):
        record.effect([(0, 0)])
    with pytest.raises(UnsupportedModelError, match="outside of transformers' registry"):
        liw.attention(tiny_lm("bloom"), TEXT).effect([(0, 0)])
    with pytest.raises(TargetError, match="says nothing"):
        liw.attention(tiny_lm("bert_encoder"), TEXT).effect([(0, 0)])
    pixels = {"pixel_values": torch.zeros(1, 3, 32, 32)}
    with pytest.raises(ParameterError, match="raw inputs"):
        liw.attention(tiny_model("vit"), pixels).effect([(0, 0)])


def test_an_encoder_says_its_similarity_and_no_word(tiny_lm: Callable[..., LanguageModel]) -> None:
    found = liw.attention(tiny_lm("bert_encoder"), TEXT, "Tokyo is a capital").effect([(0, 0)])
    assert (found.top_before, found.top_after) == (None, None)
    assert found.before != found.after


def test_a_masked_model_is_read_with_and_without_a_mask(
    tiny_lm: Callable[..., LanguageModel],
) -> None:
    lm = tiny_lm("bert_mlm")
    assert liw.attention(lm, TEXT).layers == 2
    found = liw.attention(lm, "The capital of France is<mask>").effect([(0, 0)])
    assert found.top_before is not None
    assert np.exp(found.before) == pytest.approx(found.top_before.probability, abs=1e-5)
    with pytest.raises(TargetError, match="<mask>"):
        liw.attention(lm, TEXT).effect([(0, 0)])


def test_a_target_read_from_two_texts_is_refused(tiny_lm: Callable[..., LanguageModel]) -> None:
    with pytest.raises(ParameterError, match="read from 2 texts"):
        liw.attention(tiny_lm("llama"), TEXT, liw.Contrast(" a b c", " d e"))
