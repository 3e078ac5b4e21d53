"""LanguageModel and wrap: what is accepted, what is refused, what is put back."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import transformers

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ModelError, PromptTooLongError, UnsupportedModelError
from llm_interp_widgets.models.language_model import Inputs, Readout

ANY = Readout((), 1, lambda logits: logits[:, 0, :1])


def test_kinds(tiny_lm):
    assert tiny_lm("llama").kind == "causal"
    assert tiny_lm("gpt2").kind == "causal"
    assert tiny_lm("bert").kind == "classifier"
    assert tiny_lm("bert").labels == ("sad", "neutral", "glad")
    assert tiny_lm("llama").labels == ()
    for family in ("bert_mlm", "roberta_mlm", "electra_mlm"):
        assert tiny_lm(family).kind == "masked"
    assert tiny_lm("bert_encoder").kind == "encoder"
    assert tiny_lm("t5").kind == tiny_lm("bart").kind == "seq2seq"


SMALL = {
    "vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
    "intermediate_size": 8,
}  # fmt: skip
SMALL_T5 = {
    "vocab_size": 50, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2,
}  # fmt: skip
SMALL_XLM = {"n_words": 50, "emb_dim": 8, "n_layers": 1, "n_heads": 1}
SMALL_MARIAN = {
    "vocab_size": 50, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "pad_token_id": 0,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 8,
    "decoder_ffn_dim": 8, "decoder_start_token_id": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "config", "kind"),
    [
        ("RobertaModel", SMALL, "encoder"),
        ("MPNetModel", SMALL, "encoder"),
        ("DistilBertModel", {"vocab_size": 50, "dim": 8, "n_layers": 1, "n_heads": 1}, "encoder"),
        ("T5EncoderModel", SMALL_T5, "encoder"),
        ("XLMModel", SMALL_XLM, "encoder"),
        ("MarianMTModel", SMALL_MARIAN, "seq2seq"),
        ("RobertaForCausalLM", SMALL | {"is_decoder": True}, "causal"),
        ("LlamaForSequenceClassification", SMALL, "classifier"),
    ],
)
def test_kinds_by_class(tokenizer, name, config, kind):
    model_class = getattr(transformers, name)
    lm = liw.wrap(model_class(model_class.config_class(**config)).eval(), tokenizer)
    assert lm.kind == kind
    read = lm.scores(Inputs(torch.tensor([[5, 6]])), Readout((), 1, lambda r: r.flatten(1)[:, :1]))
    assert torch.isfinite(read).all()


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("LlamaModel", SMALL),
        ("BertModel", SMALL | {"is_decoder": True}),
        ("BertForTokenClassification", SMALL),
        ("ElectraForPreTraining", SMALL | {"embedding_size": 8}),
        ("RobertaForCausalLM", SMALL),
        ("XLMWithLMHeadModel", SMALL_XLM),
        ("XLNetLMHeadModel", {"vocab_size": 50, "d_model": 8, "n_layer": 1, "n_head": 1}),
        ("T5Model", SMALL_T5),
    ],
)
def test_other_kinds_are_refused_with_what_is_accepted(tokenizer, name, config):
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**config))
    with pytest.raises(UnsupportedModelError, match=rf"{name} cannot be.*ForCausalLM"):
        liw.wrap(model, tokenizer)


def test_models_of_sound_are_refused(tokenizer):
    config = transformers.WhisperConfig(
        vocab_size=50, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    with pytest.raises(UnsupportedModelError, match="reads input_features"):
        liw.wrap(transformers.WhisperForConditionalGeneration(config), tokenizer)


def test_an_encoder_with_a_language_head_is_no_decoder(tokenizer):
    sizes = {"vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    for is_decoder in (True, False):
        config = transformers.BertConfig(**sizes, intermediate_size=8, is_decoder=is_decoder)
        model = transformers.BertLMHeadModel(config)
        if is_decoder:
            assert liw.wrap(model, tokenizer).kind == "causal"
            continue
        with pytest.raises(UnsupportedModelError, match="BertLMHeadModel"):
            liw.wrap(model, tokenizer)


@pytest.mark.parametrize("swapped", [False, True])
def test_wrap_wants_a_model_and_its_tokenizer(tiny_model, tokenizer, swapped):
    pair = (tokenizer, tiny_model("llama")) if swapped else (tiny_model("llama"), "gpt2")
    with pytest.raises(ModelError, match="wrap needs"):
        liw.wrap(*pair)


def test_wrap_keeps_the_objects(tiny_model, tokenizer):
    model = tiny_model("llama")
    lm = liw.wrap(model, tokenizer)
    assert lm.model is model
    assert lm.tokenizer is tokenizer


def test_too_long_is_never_cut(tiny_lm):
    lm = tiny_lm()
    with pytest.raises(PromptTooLongError, match=r"takes \d+ tokens; .* reads 128"):
        liw.attribute(lm, "The capital of France. " * 40)


def test_a_continuation_counts_towards_the_context(tiny_lm):
    lm = tiny_lm()
    ids = [50] * 127
    liw.attribute(lm, ids, 7, "input_x_gradient")
    with pytest.raises(PromptTooLongError):
        liw.attribute(lm, ids, liw.Generate(5), "occlusion")


def test_visitors_at_the_same_time_put_the_model_back_once(tiny_model, tokenizer):
    model = tiny_model("llama").train()
    lm = liw.wrap(model, tokenizer)
    inside, leave = threading.Barrier(3), threading.Event()

    def visit():
        with lm.untouched():
            inside.wait()
            leave.wait()

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    assert not any(m.training for m in model.modules())
    assert not any(p.requires_grad for p in model.parameters())
    leave.set()
    for thread in threads:
        thread.join()
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_an_error_leaves_nobody_inside(tiny_model, tokenizer):
    model = tiny_model("llama").train()
    lm = liw.wrap(model, tokenizer)

    def nan_slope(logits):
        return (logits[:, 0] * 0).abs().sqrt() + logits[:, 1]

    with pytest.raises(liw.errors.NonFiniteError) as kept:
        liw.attribute(lm, "The capital", nan_slope, "input_x_gradient")
    assert kept
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_roberta_positions_start_after_the_padding_index(tokenizer):
    config = transformers.RobertaConfig(
        vocab_size=400, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=20, pad_token_id=1,
    )  # fmt: skip
    lm = liw.wrap(transformers.RobertaForSequenceClassification(config), tokenizer)
    assert lm.context_length == 18
    liw.attribute(lm, [50] * 18, 0, "occlusion")
    with pytest.raises(PromptTooLongError):
        liw.attribute(lm, [50] * 19, 0, "occlusion")


def test_a_tokenizer_of_another_model_is_found_out(tiny_model, tokenizer):
    lm = liw.wrap(tiny_model("llama", vocab_size=60), tokenizer)
    with pytest.raises(liw.errors.PromptError, match="does not belong to this model"):
        liw.attribute(lm, "The capital of France", 3)


def test_labels_that_do_not_exclude_each_other(tiny_model, tokenizer):
    model = tiny_model("bert", problem_type="multi_label_classification")
    lm = liw.wrap(model, tokenizer)
    a = liw.attribute(lm, "The capital", liw.Prob(1), "occlusion")
    with torch.inference_mode():
        logits = model(torch.tensor([lm.encode("The capital").ids])).logits
    assert a.output_values[0] == pytest.approx(float(logits[0, 1].sigmoid()), abs=1e-5)


def test_threads_that_tokenise_never_cut_each_others_prompt(tiny_lm):
    lm = tiny_lm()
    lm.tokenizer.backend_tokenizer.enable_truncation(6)
    lengths = []

    def encode():
        lengths.extend(len(lm.encode("The capital of France is").ids) for _ in range(200))

    try:
        threads = [threading.Thread(target=encode) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert lm.tokenizer.backend_tokenizer.truncation["max_length"] == 6
    finally:
        lm.tokenizer.backend_tokenizer.no_truncation()
    assert set(lengths) == {len(lm.encode("The capital of France is").ids)}


def test_mixed_modes_come_back_mixed(tiny_model, tokenizer):
    model = tiny_model("llama").train()
    model.model.layers[1].eval()
    before = [m.training for m in model.modules()]
    liw.wrap(model, tokenizer).scores(Inputs(torch.tensor([[5, 6]])), ANY)
    assert [m.training for m in model.modules()] == before


@pytest.mark.parametrize("pad", [None, 2, 7])
def test_decoder_classifiers_score_the_last_token_whatever_their_pad_token(tokenizer, pad):
    config = transformers.LlamaConfig(
        vocab_size=400, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, pad_token_id=pad, num_labels=2, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForSequenceClassification(config).eval()
    lm = liw.wrap(model, tokenizer)
    ids = torch.tensor([[5, 6, 7], [5, 9, 2]])
    got = lm.scores(Inputs(ids), Readout((), 1, lambda logits: logits[:, 0]))
    hidden = model.model(ids).last_hidden_state[:, -1]
    assert got.numpy() == pytest.approx(model.score(hidden).detach().numpy(), abs=1e-5)
    assert model.config.pad_token_id == pad


def test_generated_tokens_equal_transformers_generate(lm):
    prompt = "The capital of France is"
    ids = lm.encode(prompt).ids
    out = lm.model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        do_sample=False, max_new_tokens=4,
    )  # fmt: skip
    assert lm.top_tokens(ids, 4) == tuple(out[0, len(ids) :].tolist())


@pytest.mark.gpu
def test_gpu_gives_the_same_numbers(tiny_model, tokenizer):
    text = "The capital of France"
    cpu, gpu = (
        liw.attribute(liw.wrap(tiny_model("llama").to(d), tokenizer), text, 3, evaluations="all")
        for d in ("cpu", "cuda")
    )
    assert np.allclose(cpu.scores, gpu.scores, atol=1e-3)
