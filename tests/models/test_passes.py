"""Every kind of model against a call of transformers by hand; ids and embeddings alike."""

from __future__ import annotations

import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import TargetError, UnsupportedModelError
from llm_interp_widgets.models.language_model import Inputs, Readout

IDS = torch.tensor([[50, 7, 4, 90, 33], [50, 8, 4, 91, 33]])
SUFFIX = (60, 61)
SLOT = 2


def by_hand(model, family):
    """What the readout should be handed, from the model's own arguments and outputs."""
    with torch.inference_mode():
        if family in ("t5", "bart"):
            start = model.config.decoder_start_token_id
            said = torch.tensor([[start, *SUFFIX]] * len(IDS))
            mask = torch.ones_like(IDS)
            out = model(input_ids=IDS, attention_mask=mask, decoder_input_ids=said)
            return out.logits[:, -2:]
        if family == "llama":
            tail = torch.tensor([SUFFIX] * len(IDS))
            return model(input_ids=torch.cat([IDS, tail], 1)).logits[:, -2:]
        out = model(input_ids=IDS, attention_mask=torch.ones_like(IDS))
        if family == "bert_encoder":
            return out.last_hidden_state
        return out.logits[:, None] if family == "bert" else out.logits[:, [SLOT]]


FAMILIES = ["llama", "bert", "bert_mlm", "roberta_mlm", "electra_mlm", "bert_encoder", "t5", "bart"]


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_and_embeddings_equal_a_call_by_hand(tiny_lm, family):
    lm = tiny_lm(family)
    suffix = SUFFIX if lm.kind in ("causal", "seq2seq") else ()
    readout = Readout(suffix, 2 if suffix else 1, lambda read: read.flatten(1))
    wanted = by_hand(lm.model, family).flatten(1)
    for tokens in (IDS, lm.embed(IDS)):
        got = lm.scores(Inputs(tokens, slot=SLOT), readout)
        assert got.dtype == torch.float32
        assert torch.allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_the_embeddings(tiny_lm, family):
    lm = tiny_lm(family)
    leaf = lm.embed(IDS).requires_grad_()
    readout = Readout((), 1, lambda read: read.flatten(1)[:, -1:])
    with lm.untouched():
        lm.forward(Inputs(leaf, slot=SLOT), readout).sum().backward()
    moved = leaf.grad.abs().sum(-1) > 0
    assert moved.all()


def test_a_masked_model_has_logits_at_its_slot_only(tiny_lm):
    """They are the largest tensor there is; the head sees one position."""
    lm = tiny_lm("bert_mlm")
    seen = []
    head = lm.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda module, given, output: seen.append(output.shape))
    lm.scores(Inputs(IDS, slot=SLOT), Readout((), 1, lambda read: read[:, 0]))
    lm.model(IDS)
    hook.remove()
    assert [tuple(shape) for shape in seen] == [(2, 1, 400), (2, 5, 400)]


def test_a_masked_model_without_a_slot_is_an_error(tiny_lm):
    with pytest.raises(TargetError, match="slot="):
        tiny_lm("bert_mlm").scores(Inputs(IDS), Readout((), 1, lambda read: read[:, 0]))


@pytest.mark.parametrize("family", ["bert", "bert_mlm", "bert_encoder"])
def test_token_types_of_a_pair_are_read(tiny_lm, family):
    lm = tiny_lm(family)
    segments = torch.tensor([[0, 0, 0, 1, 1]]).expand(2, -1)
    readout = Readout((), 1, lambda read: read.flatten(1))
    got = lm.scores(Inputs(IDS, segments, SLOT), readout)
    with torch.inference_mode():
        out = lm.model(input_ids=IDS, token_type_ids=segments)
    wanted = out.last_hidden_state if family == "bert_encoder" else out.logits
    wanted = wanted[:, [SLOT]] if family == "bert_mlm" else wanted
    assert torch.allclose(got, wanted.flatten(1), atol=1e-5)
    assert not torch.allclose(got, lm.scores(Inputs(IDS, None, SLOT), readout), atol=1e-2)


def test_models_of_one_token_type_are_not_given_two(tiny_lm):
    lm = tiny_lm("roberta_mlm", type_vocab_size=1)
    segments = torch.tensor([[0, 0, 0, 1, 1]]).expand(2, -1)
    readout = Readout((), 1, lambda read: read.flatten(1))
    assert torch.equal(
        lm.scores(Inputs(IDS, segments, SLOT), readout),
        lm.scores(Inputs(IDS, None, SLOT), readout),
    )


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_answers_equal_transformers_generate(tiny_lm, family):
    lm = tiny_lm(family)
    lm.model.generation_config.forced_eos_token_id = None  # BART's, at the length limit
    ids = IDS[0].tolist()
    out = lm.model.generate(IDS[:1], do_sample=False, num_beams=1, max_new_tokens=4)
    assert lm.top_tokens(ids, 4) == tuple(out[0, 1:].tolist())


def test_the_encoder_reads_the_prompt_once(tiny_lm):
    lm = tiny_lm("t5")
    calls = []
    hook = lm.model.encoder.register_forward_hook(lambda *_: calls.append(1))
    assert len(lm.top_tokens(IDS[0].tolist(), 4)) == 4
    hook.remove()
    assert len(calls) == 1


def test_a_decoder_without_a_start_token_says_what_to_set(tiny_model, tokenizer):
    model = tiny_model("t5")
    model.config.decoder_start_token_id = None
    model.generation_config.decoder_start_token_id = None
    with pytest.raises(UnsupportedModelError, match="decoder_start_token_id"):
        liw.attribute(liw.wrap(model, tokenizer), "The capital", method="occlusion")


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert_mlm"])
def test_the_head_multiplies_all_rows_at_once(tiny_lm, family):
    """Given a view of each row's last token, torch would go row by row: 1.4 times the time."""
    lm = tiny_lm(family)
    seen = []
    hook = lm.model.get_output_embeddings().register_forward_hook(
        lambda module, given, output: seen.append((tuple(given[0].shape), given[0].is_contiguous()))
    )
    lm.scores(Inputs(IDS, slot=SLOT), Readout((), 1, lambda read: read[:, 0]))
    hook.remove()
    assert seen == [((2, 1, 32), True)]
