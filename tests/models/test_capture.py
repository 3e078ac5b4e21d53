"""Captured calls against eager attention, on every family; and what a capture leaves behind."""

from __future__ import annotations

import threading
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
import torch

from llm_interp_widgets.errors import UnsupportedModelError
from llm_interp_widgets.models.capture import bypasses, capturing, stack_of
from llm_interp_widgets.models.masks import Bias, Mask
from llm_interp_widgets.models.visits import attention, untouched

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from transformers import PreTrainedModel

    from llm_interp_widgets.models.heads import Call

TEXT = [
    "llama", "gpt2", "neox", "mistral", "gemma2", "qwen2", "gpt_oss", "bert", "bert_mlm",
    "electra_mlm", "t5", "bart",
]  # fmt: skip
TWO = ("t5", "bart")
TOKENS, ANSWER = 12, 7


def _inputs(family: str, padding: str) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(1)
    if family == "vit":
        return {"pixel_values": torch.randn(2, 3, 32, 32, generator=draw)}
    ids = torch.randint(5, 400, (2, TOKENS), generator=draw)
    mask = torch.ones_like(ids)
    if padding != "none":
        mask[1, slice(0, 5) if padding == "left" else slice(-5, None)] = 0
    given = {"input_ids": ids, "attention_mask": mask}
    if family in TWO:
        given["decoder_input_ids"] = torch.randint(5, 400, (2, ANSWER), generator=draw)
    return given


def _tables(family: str, out: Any) -> list[Tensor]:
    if family not in TWO:
        return list(out.attentions)
    pairs = zip(out.decoder_attentions, out.cross_attentions, strict=True)
    return [*out.encoder_attentions, *chain.from_iterable(pairs)]


def _whole(call: Call) -> Tensor:
    return call.weights(torch.arange(call.shape[0]))


@pytest.mark.parametrize("padding", ["none", "left", "right"])
@pytest.mark.parametrize("family", [*TEXT, "vit"])
def test_weights_are_those_of_eager_attention(
    tiny_model: Callable[..., PreTrainedModel], family: str, padding: str
) -> None:
    model, given = tiny_model(family), _inputs(family, padding)
    with untouched(model), torch.no_grad(), attention(model, "eager"):
        out = model(**given, output_attentions=True)
        with capturing(model, row=1, values=True) as capture:
            model(**given)
    tables = _tables(family, out)
    assert len(capture.calls) == len(tables)
    for call, table in zip(capture.calls, tables, strict=True):
        rows = _whole(call)
        sees = call.mask.stop > call.mask.first
        if call.shape[0] == TOKENS and family != "vit":
            sees = sees & given["attention_mask"][1].bool()  # what padding asks, nobody reads
        assert sees.any()
        assert (rows - table[1]).abs()[:, sees].max() <= 5e-6
        assert call.sinks is not None or torch.allclose(rows.sum(-1)[:, sees], torch.ones(()))


@pytest.mark.parametrize("padding", ["none", "left"])
@pytest.mark.parametrize("family", [*TEXT, "vit"])
def test_outputs_are_bit_identical_and_the_model_is_as_it_was(
    tiny_model: Callable[..., PreTrainedModel], family: str, padding: str
) -> None:
    model, given = tiny_model(family), _inputs(family, padding)
    before = model.config.to_dict(), model.config._attn_implementation
    with untouched(model), torch.no_grad():
        plain = model(**given)
        with capturing(model):
            captured = model(**given)
    for one, other in zip(plain.to_tuple(), captured.to_tuple(), strict=True):
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other)
    assert (model.config.to_dict(), model.config._attn_implementation) == before


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "gemma2"])
def test_what_is_kept_has_no_square(
    tiny_model: Callable[..., PreTrainedModel], family: str
) -> None:
    model = tiny_model(family)
    ids = torch.randint(5, 400, (1, 100), generator=torch.Generator().manual_seed(0))
    more = {"decoder_input_ids": ids} if family in TWO else {}
    with untouched(model), torch.no_grad(), capturing(model) as capture:
        model(input_ids=ids, **more)
    for call in capture.calls:
        assert call.mask.seen is None
        assert call.bias is None or call.bias.values.ndim == 2
        held = sum(t.untyped_storage().nbytes() for t in (call.q, call.k))
        assert held <= 1.1 * (call.q.nbytes + call.k.nbytes)


def test_a_mask_with_holes_is_kept_whole(tiny_model: Callable[..., PreTrainedModel]) -> None:
    model, given = tiny_model("llama"), _inputs("llama", "none")
    given["attention_mask"][1, 4:6] = 0
    with untouched(model), torch.no_grad(), attention(model, "eager"):
        table = model(**given, output_attentions=True).attentions[1]
        with capturing(model, row=1) as capture:
            model(**given)
    assert capture.calls[1].mask.seen is not None
    keep = given["attention_mask"][1].bool()
    assert (_whole(capture.calls[1]) - table[1]).abs()[:, keep].max() <= 5e-6


def test_a_head_switched_off_gives_nothing(tiny_model: Callable[..., PreTrainedModel]) -> None:
    model, given = tiny_model("llama"), _inputs("llama", "none")
    width = model.config.head_dim
    layer = model.model.layers[1].self_attn
    with untouched(model), torch.no_grad():
        with capturing(model, off={("model.layers.1.self_attn", 0): (2,)}, keep=False) as capture:
            off = model(**given).logits
        kept = layer.o_proj.weight[:, 2 * width : 3 * width].clone()
        layer.o_proj.weight[:, 2 * width : 3 * width] = 0
        expected = model(**given).logits
        layer.o_proj.weight[:, 2 * width : 3 * width] = kept
        plain = model(**given).logits
    assert capture.calls == []
    assert torch.allclose(off, expected, atol=1e-6)
    assert not torch.allclose(off, plain, atol=1e-3)


def test_another_thread_is_neither_kept_nor_changed(
    tiny_model: Callable[..., PreTrainedModel],
) -> None:
    model, given = tiny_model("gemma2"), _inputs("gemma2", "none")
    found: list[Tensor] = []

    def elsewhere() -> None:
        with torch.no_grad():
            found.append(model(**given).logits)

    with untouched(model), torch.no_grad(), capturing(model) as capture:
        plain = threading.Thread(target=elsewhere)
        plain.start()
        plain.join()
        assert capture.calls == []
        here = model(**given).logits
    assert torch.equal(found[0], here)
    assert len(capture.calls) == 2


def test_a_pass_that_a_switch_back_overtook_computes_what_it_always_does(
    tiny_model: Callable[..., PreTrainedModel],
) -> None:
    from llm_interp_widgets.models import capture as room

    model = tiny_model("gemma2", attn_implementation="eager")
    layer: Any = model.model.layers[0].self_attn
    with capturing(model):
        inside = room._usual(layer)
    assert room._usual(layer) is inside  # not sdpa, which knows no soft cap


def test_a_window_is_not_taken_for_the_image() -> None:
    from transformers import SwinConfig, SwinModel

    import llm_interp_widgets as liw

    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[2], num_heads=[2], window_size=4
    )
    with pytest.raises(UnsupportedModelError, match="4 parts of 1 inputs"):
        liw.attention(SwinModel(config).eval(), {"pixel_values": torch.zeros(1, 3, 32, 32)})


@pytest.mark.parametrize("family", ["mamba", "bloom"])
def test_models_without_the_registry_are_not_captured(
    tiny_model: Callable[..., PreTrainedModel], family: str
) -> None:
    model, given = tiny_model(family), _inputs(family, "none")
    with untouched(model), torch.no_grad(), capturing(model) as capture:
        model(**given)
    assert capture.calls == []
    assert bypasses(model) == (family == "bloom")


def test_weights_that_explain_nothing_are_refused(
    tiny_model: Callable[..., PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_interp_widgets.models import capture as room

    model, given = tiny_model("llama"), _inputs("llama", "none")
    usual = room._usual

    def doubled(module: torch.nn.Module) -> Any:
        def compute(*args: Any, **options: Any) -> Any:
            output, weights = usual(module)(*args, **options)
            return 2 * output, weights

        return compute

    monkeypatch.setattr(room, "_usual", doubled)
    with (
        untouched(model),
        torch.no_grad(),
        pytest.raises(UnsupportedModelError, match="do not explain"),
        capturing(model),
    ):
        model(**given)
    assert model.config._attn_implementation != room.NAME


@pytest.mark.parametrize(
    ("module", "sizes", "stack"),
    [
        ("model.layers.3.self_attn", (5, 5), "self"),
        ("transformer.h.0.attn", (5, 5), "self"),
        ("decoder.block.0.layer.1.EncDecAttention", (5, 5), "cross"),
        ("model.decoder.layers.0.encoder_attn", (3, 5), "cross"),
        ("model.encoder.layers.0.self_attn", (5, 5), "encoder"),
        ("bert.encoder.layer.0.attention.self", (5, 5), "encoder"),
        ("vision_model.encoder.layers.0.self_attn", (5, 5), "vision"),
        ("model.language_model.layers.0.self_attn", (5, 5), "self"),
        ("model.text_model.layers.0.self_attn", (5, 5), "text"),
    ],
)
def test_stacks_are_told_from_names(module: str, sizes: tuple[int, int], stack: str) -> None:
    assert stack_of(module, *sizes) == stack


def _seen(mask: Mask, keys: int) -> Tensor:
    """Which keys each query sees, by what a mask says."""
    at = torch.arange(keys)
    between = (at >= mask.first[:, None]) & (at < mask.stop[:, None])
    return between if mask.seen is None else between & mask.seen


def test_masks_and_biases_equal_what_they_were_made_of() -> None:
    draw = torch.Generator().manual_seed(0)
    rows, cols = torch.arange(6), torch.arange(9)
    for seen in (
        torch.rand(6, 9, generator=draw) > 0.5,
        torch.ones(6, 9).tril(2).bool(),
        torch.zeros(6, 9).bool(),
    ):
        assert torch.equal(_seen(Mask.of(seen), 9), seen)
    along = torch.randn(3, 14, generator=draw)
    bias = along[:, cols[None] - rows[:, None] + 5]
    kept = Bias.of(bias)
    assert kept.values.ndim == 2
    assert torch.equal(kept.at(slice(None), rows, cols), bias)
    free = torch.randn(3, 6, 9, generator=draw)
    assert torch.equal(Bias.of(free).at(slice(2, 3), rows[1:3], cols), free[2:, 1:3])


_TEXT = {
    "vocab_size": 400, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 0,
}  # fmt: skip
_TOWER = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "initializer_range": 0.5,
}  # fmt: skip
_IMAGE = _TOWER | {"image_size": 32, "patch_size": 8}


def _two_towers() -> tuple[Any, dict[str, Tensor], Callable[[Any], dict[str, Any]]]:
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig(text_config=_TOWER | _TEXT, vision_config=_IMAGE, initializer_factor=20.0)
    ids = torch.randint(5, 390, (1, 9), generator=torch.Generator().manual_seed(1))

    def tables(out: Any) -> dict[str, Any]:
        return {
            "text": out.text_model_output.attentions,
            "vision": out.vision_model_output.attentions,
        }

    return CLIPModel(config), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, tables


def _image_in_text() -> tuple[Any, dict[str, Tensor], Callable[[Any], dict[str, Any]]]:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_IMAGE, initializer_factor=20.0),
        text_config=LlamaConfig(**_TOWER, **_TEXT, num_key_value_heads=2),
        image_token_index=399, vision_feature_layer=-1, image_seq_length=16,
    )  # fmt: skip
    ids = torch.randint(5, 390, (1, 24), generator=torch.Generator().manual_seed(1))
    ids[0, 2:18] = 399
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return LlavaForConditionalGeneration(config), given, lambda out: {"self": out.attentions}


@pytest.mark.parametrize("make", [_two_towers, _image_in_text])
def test_text_and_image_are_stacks_of_one_pass(make: Callable[[], Any]) -> None:
    import llm_interp_widgets as liw

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, given, tables = make()
    model.eval()
    draw = torch.Generator().manual_seed(2)
    given["pixel_values"] = torch.randn(1, 3, 32, 32, generator=draw)
    record = liw.attention(model, given)
    with untouched(model), torch.no_grad(), attention(model, "eager"):
        found = tables(model(**given, output_attentions=True))
    assert {"vision"} < set(record.stacks)
    assert record.stack("vision").tokens[1].text == "row 1, column 1"
    assert set(found) <= set(record.stacks)
    for name, layers in found.items():
        stack = record.stack(name)
        assert stack.layers == len(layers)
        for layer, table in enumerate(layers):
            for head in range(stack.heads):
                weights = torch.from_numpy(stack.weights(layer, head))
                assert (weights - table[0, head]).abs().max() <= 5e-6
