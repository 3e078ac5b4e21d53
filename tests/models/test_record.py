"""Attention records: parts against wholes, sums against definitions, on real and tiny models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import (
    ParameterError,
    PromptTooLongError,
    ResultError,
    UnsupportedModelError,
)
from llm_interp_widgets.models import heads
from llm_interp_widgets.models.again import switched_off
from llm_interp_widgets.models.language_model import Inputs, Readout
from llm_interp_widgets.models.visits import attention, untouched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llm_interp_widgets import AttentionRecord
    from llm_interp_widgets.models import LanguageModel

TEXT = "The capital of France is Paris, and the capital of Japan is"
FAMILIES = ["llama", "mistral", "gemma2", "gpt_oss", "bert", "t5", "bloom"]


@pytest.fixture(params=[heads.CELLS, 100])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights at once, or a row or a few at a time."""
    monkeypatch.setattr(heads, "CELLS", request.param)


def _all(record: AttentionRecord) -> np.ndarray:
    return np.stack(
        [
            [record.weights(layer, head) for head in range(record.heads)]
            for layer in range(record.layers)
        ]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_part_equals_the_same_part_of_the_whole(
    tiny_lm: Callable[..., LanguageModel], family: str
) -> None:
    record = liw.attention(tiny_lm(family), TEXT)
    whole = record.weights(1, 2)
    assert whole.dtype == np.float32
    assert whole.shape == record.shape
    part = record.weights(1, 2, rows=[7, 3], cols=slice(1, 5))
    np.testing.assert_allclose(part, whole[[7, 3], 1:5], atol=1e-6)
    np.testing.assert_allclose(record.weights(-1, -2, rows=-1), whole[-1:], atol=1e-6)
    if family != "gpt_oss":  # sinks take a share
        np.testing.assert_allclose(whole.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("n", [1, 5, 8, 64])
@pytest.mark.parametrize("family", ["llama", "mistral", "bert", "bloom"])
def test_thumbnails_pool_all_weights(
    tiny_lm: Callable[..., LanguageModel], family: str, n: int
) -> None:
    record = liw.attention(tiny_lm(family), TEXT)
    whole, size = _all(record), len(record.tokens)
    side = min(n, size)
    at = [i * size // side for i in range(side + 1)]
    highest = np.zeros((*whole.shape[:2], side, side))
    mass = highest.copy()
    for i in range(side):
        for j in range(side):
            cell = whole[..., at[i] : at[i + 1], at[j] : at[j + 1]]
            highest[..., i, j] = cell.max((-1, -2))
            mass[..., i, j] = cell.sum(-1).mean(-1)
    for pooling, expected in (("max", highest), ("mean", mass)):
        found = record.thumbnails(n, pooling)
        assert found.dtype == np.uint8
        assert np.abs(found - 255 * expected).max() <= 0.5001
    assert record.thumbnails(n, sampled=True).shape == found.shape
    assert (record.thumbnails(n, sampled=True) <= record.thumbnails(n)).all()
    np.testing.assert_array_equal(record.picture(1, 3, n), record.thumbnails(n)[1, 3])


def test_tiles_cover_a_picture(tiny_lm: Callable[..., LanguageModel]) -> None:
    record = liw.attention(tiny_lm("mistral"), TEXT * 3)
    whole = record.weights(0, 1)
    size, step, side = len(whole), 4, 3
    cells = -(-size // step)
    padded = np.zeros((cells * step,) * 2)
    padded[:size, :size] = whole
    expected = padded.reshape(cells, step, cells, step).max((1, 3))
    tiles = range(-(-cells // side))
    found = np.block([[record.tile(0, 1, 2, r, c, side=side) for c in tiles] for r in tiles])
    assert np.abs(found - 255 * expected).max() <= 0.5001
    with pytest.raises(ParameterError, match="There is no tile"):
        record.tile(0, 1, 2, len(tiles), 0, side=side)


def _by_definition(weights: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of heads (layer, head, query, key), from whole tables of one text."""
    size = weights.shape[-1]
    at = np.arange(size)
    inner = weights[..., 1:, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(weights > 0, np.log(weights), 0)
    return {
        "previous_token": inner[..., at[1:] - 1, at[1:] - 1].mean(-1),
        "first_token": inner[..., 0].mean(-1),
        "entropy": -(weights * logs).sum(-1).mean(-1),
        "distance": (weights * np.abs(at[:, None] - at)).sum(-1).mean(-1),
    }


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt_oss", "bert", "bloom"])
def test_head_scores_follow_their_definitions(
    tiny_lm: Callable[..., LanguageModel], family: str
) -> None:
    model = tiny_lm(family)
    once = list(range(20, 32))
    record = liw.attention(model, [*once, *once])
    weights, n = _all(record).astype(np.float64), len(once)
    expected = _by_definition(weights)
    again = np.arange(n, 2 * n)
    expected["duplicate_token"] = weights[..., again, again - n].mean(-1)
    expected["induction"] = weights[..., again, again - n + 1].mean(-1)
    found = record.head_scores()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == (record.layers, record.heads)
        np.testing.assert_allclose(found[name], value, atol=2e-5, err_msg=name)


def test_head_scores_begin_after_padding_on_the_left(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model("llama")
    ids = torch.randint(5, 400, (1, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    padded = liw.attention(model, {"input_ids": ids, "attention_mask": mask})
    weights, found = _all(padded), padded.head_scores()
    later = np.arange(6, 12)
    np.testing.assert_allclose(found["first_token"], weights[..., later, 5].mean(-1), atol=1e-6)
    before = weights[..., later, later - 1].mean(-1)
    np.testing.assert_allclose(found["previous_token"], before, atol=1e-6)


def _eager(lm: LanguageModel, ids: list[int]) -> np.ndarray:
    """Whole tables (layer, head, query, key), from the model's own eager attention."""
    with untouched(lm.model), torch.no_grad(), attention(lm.model, "eager"):
        tables = lm.model(torch.tensor([ids]), output_attentions=True).attentions
    return torch.stack(tables)[:, 0].numpy().astype(np.float64)


def test_head_scores_of_the_default_model_are_those_of_eager_attention(lm: LanguageModel) -> None:
    record = liw.attention(lm, TEXT)
    found = record.head_scores()
    expected = _by_definition(_eager(lm, [t.id for t in record.tokens]))
    draws = []
    for random in record.passes.repeats("self"):
        ids = [t.id for t in random.tokens]
        half = len(ids) // 2
        assert (half, ids[:half]) == (50, ids[half:])
        draws.append(_eager(lm, ids))
    assert len(draws) == 4
    again = np.arange(50, 100)
    for name, back in (("induction", 49), ("duplicate_token", 50)):
        expected[name] = np.mean([w[..., again, again - back].mean(-1) for w in draws], 0)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


def test_known_heads_of_the_default_model_do_the_same_on_other_random_tokens(
    lm: LanguageModel,
) -> None:
    scores = liw.attention(lm, TEXT).head_scores()
    once = torch.randint(1000, 40_000, (60,), generator=torch.Generator().manual_seed(7)).tolist()
    weights, again = _eager(lm, [*once, *once]), np.arange(60, 120)
    for name, back, least in (("induction", 59, 0.7), ("duplicate_token", 60, 0.6)):
        expected = weights[..., again, again - back].mean(-1).ravel()
        measured = scores[name].ravel()
        assert np.corrcoef(measured, expected)[0, 1] > 0.95
        assert set(measured.argsort()[-2:]) == set(expected.argsort()[-2:])
        assert measured[measured.argsort()[-2:]].min() > least
    before = weights[..., again, again - 1].mean(-1).ravel()
    best = int(before.argmax())
    assert scores["previous_token"].ravel()[best] == scores["previous_token"].max() > 0.5


@pytest.mark.usefixtures("few")
def test_aggregates_follow_their_definitions(tiny_lm: Callable[..., LanguageModel]) -> None:
    record = liw.attention(tiny_lm("llama"), TEXT, values=True)
    whole = _all(record)
    size = len(record.tokens)
    np.testing.assert_allclose(record.aggregate("mean"), whole.mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(record.aggregate("max", layer=1), whole[1].max(0), atol=1e-6)
    rolled = np.eye(size)
    for layer in whole.mean(1):
        rolled = (layer + np.eye(size)) / 2 @ rolled
    np.testing.assert_allclose(record.aggregate("rollout"), rolled, atol=1e-5)
    np.testing.assert_allclose(record.aggregate("rollout", rows=[-1]), rolled[-1:], atol=1e-5)
    norms = torch.stack([c.v.norm(dim=-1).repeat_interleave(2, 0) for c in record.calls]).numpy()
    value = whole * norms[:, :, None]
    np.testing.assert_allclose(record.weights(1, 3, of="value"), value[1, 3], rtol=1e-5)
    np.testing.assert_allclose(record.aggregate("value"), value.mean((0, 1)), rtol=1e-5)


@pytest.mark.usefixtures("few")
def test_gradient_times_attention_is_that_of_eager_attention(
    tiny_lm: Callable[..., LanguageModel],
) -> None:
    model = tiny_lm("llama")
    record = liw.attention(model, TEXT, " Tokyo")
    ids = torch.tensor([[t.id for t in record.tokens]])
    target = liw.attribute(model, TEXT, " Tokyo", method="saliency").outputs[0].id
    first = len(model.encode(TEXT).tokens) - 1
    with attention(model.model, "eager"), torch.enable_grad():
        out = model.model(ids, output_attentions=True)
        score = out.logits[0, first].log_softmax(-1)[target]
        if ids.shape[1] - 1 > first:  # an answer of several tokens is read one by one
            more = out.logits[0, first + 1 :].log_softmax(-1)
            said = model.tokenizer(" Tokyo", add_special_tokens=False)["input_ids"]
            score = out.logits[0, first:].log_softmax(-1)[range(len(said)), said].sum()
            assert len(more) == len(said) - 1
        slopes = torch.autograd.grad(score, out.attentions)
    for layer, (slope, table) in enumerate(zip(slopes, out.attentions, strict=True)):
        expected = (slope * table)[0].detach().numpy()
        for head in range(record.heads):
            found = record.weights(layer, head, of="gradient")
            np.testing.assert_allclose(found, expected[head], atol=1e-5 * np.abs(expected).max())
    expected = np.stack(
        [(s * t)[0].relu().detach() for s, t in zip(slopes, out.attentions, strict=True)]
    )
    np.testing.assert_allclose(record.aggregate("gradient"), expected.mean((0, 1)), atol=1e-5)


@pytest.mark.usefixtures("few")
def test_top_edges_are_the_largest_weights(tiny_lm: Callable[..., LanguageModel]) -> None:
    record = liw.attention(tiny_lm("llama"), TEXT)
    whole = record.weights(1, 1)
    found = record.top_edges(1, 1, 7)
    assert [e.weight for e in found] == pytest.approx(sorted(whole.ravel(), reverse=True)[:7])
    assert all(math.isclose(whole[e.query, e.key], e.weight, abs_tol=1e-6) for e in found)


def test_a_record_does_not_change_with_its_model(tiny_lm: Callable[..., LanguageModel]) -> None:
    model: Any = tiny_lm("gpt_oss")
    record = liw.attention(model, TEXT)
    before = _all(record)
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.add_(1)
    np.testing.assert_array_equal(_all(record), before)


def test_stacks_of_an_encoder_decoder(tiny_lm: Callable[..., LanguageModel]) -> None:
    model = tiny_lm("t5")
    record = liw.attention(model, TEXT, " Paris")
    assert set(record.stacks) == {"encoder", "decoder", "cross"}
    cross = record.stack("cross")
    assert [t.text for t in cross.tokens] == [t.text for t in record.stack("encoder").tokens]
    assert cross.queries == record.stack("decoder").tokens
    assert np.isnan(cross.head_scores()["previous_token"]).all()
    assert np.isfinite(record.stack("encoder").head_scores()["induction"]).all()
    with pytest.raises(ParameterError, match="no stack 'vision'"):
        record.stack("vision")
    assert liw.attention(model, TEXT, stack="cross").name == "cross"
    with pytest.raises(ParameterError, match="rollout"):
        cross.aggregate("rollout")


def test_an_image_has_patches(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model("vit")
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    record = liw.attention(model, {"pixel_values": pixels})
    assert [t.text for t in record.tokens[:3]] == ["[CLS]", "row 1, column 1", "row 1, column 2"]
    assert len(record.tokens) == 17
    with pytest.raises(ParameterError, match="Pass row=0"):
        liw.attention(model, {"pixel_values": pixels.expand(2, -1, -1, -1)})
    with pytest.raises(ParameterError, match="row=2 is out of range"):
        liw.attention(model, {"pixel_values": pixels.expand(2, -1, -1, -1)}, row=2)


def test_patches_of_a_wide_image_are_named_by_its_own_rows(
    tiny_model: Callable[..., Any],
) -> None:
    record = liw.attention(
        tiny_model("vit", image_size=(16, 48)), {"pixel_values": torch.zeros(1, 3, 16, 48)}
    )
    names = [t.text for t in record.tokens]
    assert names[0] == "[CLS]"
    assert (names[6], names[7], len(names)) == ("row 1, column 6", "row 2, column 1", 13)


@pytest.mark.parametrize("family", ["llama", "gpt_oss", "t5", "bloom"])
def test_a_saved_record_is_the_same(
    tiny_lm: Callable[..., LanguageModel], tmp_path: Path, family: str
) -> None:
    record = liw.attention(tiny_lm(family), TEXT, values=family == "llama")
    path = record.save(tmp_path / "record.npz")
    opened = liw.AttentionRecord.load(path)
    assert opened.tokens == record.tokens
    assert (opened.layers, opened.heads, opened.nbytes) == (
        record.layers,
        record.heads,
        record.nbytes,
    )
    np.testing.assert_array_equal(_all(opened), _all(record))
    for name, value in record.head_scores().items():
        np.testing.assert_array_equal(opened.head_scores()[name], value)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ResultError):
        liw.AttentionRecord.load(path)


def test_bfloat16_stays_what_it_is(
    tiny_model: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    model = liw.wrap(tiny_model("llama").to(torch.bfloat16), tokenizer)
    record = liw.attention(model, TEXT)
    opened = liw.AttentionRecord.load(record.save(tmp_path / "half.npz"))
    assert opened.calls[0].q.dtype == torch.bfloat16
    np.testing.assert_array_equal(opened.weights(0, 0), record.weights(0, 0))


def test_bad_requests_say_what_there_is(tiny_lm: Callable[..., LanguageModel]) -> None:
    model = tiny_lm("llama")
    record, own = liw.attention(model, TEXT), liw.attention(tiny_lm("bloom"), TEXT)
    for call, words in (
        (lambda: record.weights(2, 0), "layer=2 is out of range: there are 2 layers, 0 to 1"),
        (lambda: record.weights(0, 4), "head=4 is out of range: there are 4 heads"),
        (lambda: record.weights(0, 0, rows=99), "row=99 is out of range"),
        (lambda: record.weights(0, 0, of="value"), "Values were not captured"),
        (lambda: record.weights(0, 0, of="nothing"), "of='nothing'"),
        (lambda: record.weights(0, 0, of="gradient"), "no gradient without a target"),
        (lambda: own.weights(0, 0, of="value"), "hands out weights only"),
        (lambda: record.split(0, 0, 99, 0), "there are 13 queries, 0 to 12"),
        (lambda: record.thumbnails(0), "n=0"),
        (lambda: record.thumbnails(4, "median"), "pooling='median'"),
        (lambda: record.aggregate("sum"), "how='sum'"),
        (lambda: liw.attention(model, TEXT, row=1), "row= chooses from a batch"),
        (lambda: liw.attention(model, {"input_ids": 3}), "Inputs must be tensors"),
        (lambda: liw.attention(object(), TEXT), "model"),
    ):
        with pytest.raises(ParameterError, match=words.replace("=", "=")):
            call()
    with pytest.raises(PromptTooLongError):
        liw.attention(model, TEXT * 30)
    for family in ("llama", "gpt2", "bert"):
        long = {"input_ids": torch.ones(1, 600, dtype=torch.long)}
        with pytest.raises(PromptTooLongError, match="takes 600 tokens"):
            liw.attention(tiny_lm(family).model, long)
    with pytest.raises(UnsupportedModelError, match="no call of attention"):
        liw.attention(tiny_lm("mamba"), TEXT)
    record.close()
    with pytest.raises(ResultError, match="closed"):
        record.weights(0, 0)
    with pytest.raises(ResultError, match="closed"):
        record.head_scores()


def test_a_head_switched_off_changes_the_target(tiny_lm: Callable[..., LanguageModel]) -> None:
    model = tiny_lm("llama")
    inputs = Inputs.of(model.encode(TEXT))
    readouts = [Readout((), 1, lambda answers: answers[:, -1, 30:33])]
    record = liw.attention(model, TEXT)
    plain = switched_off(model, inputs, readouts, {})
    off = switched_off(model, inputs, readouts, {(record.calls[1].module, 0): (2,)})
    assert plain.shape == off.shape == (3,)
    assert not torch.allclose(plain, off, atol=1e-3)
    assert torch.equal(plain, switched_off(model, inputs, readouts, {}))
    twice = switched_off(model, inputs, 2 * readouts, {(record.calls[1].module, 0): (2,)})
    torch.testing.assert_close(twice, 2 * off)  # off in every pass of a target
