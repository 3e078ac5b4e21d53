"""Loading: embedded default, folder, file, hub id; nothing that could run code."""

from __future__ import annotations

import json
import shutil
import time

import pytest
import torch
import transformers

import llm_interp_widgets as liw
from llm_interp_widgets.errors import UnknownModelError, UnsafeWeightsError, UnsupportedModelError
from llm_interp_widgets.models import load as loading


@pytest.fixture
def folder(tiny_model, tokenizer, tmp_path):
    tiny_model("llama").save_pretrained(tmp_path / "tiny-llama")
    tokenizer.save_pretrained(tmp_path / "tiny-llama")
    return tmp_path / "tiny-llama"


def test_default_is_the_embedded_model_from_the_cache(lm):
    started = time.perf_counter()
    again = liw.load()
    seconds = time.perf_counter() - started
    assert again.name == loading.DEFAULT_HUB_ID
    assert again.info.dtype == "float32"
    assert loading.convert_gguf(loading.embedded_gguf()).is_dir()
    assert seconds < 15  # converting takes 20; reading the cache about one


def test_default_says_paris(lm):
    a = liw.attribute(lm, "The capital of France is", method="input_x_gradient")
    assert a.outputs[0].text == " Paris"


def test_folder(folder):
    lm = liw.load(folder)
    assert lm.name == "tiny-llama"
    assert lm.kind == "causal"
    assert not lm.model.training


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float64])
def test_dtype(folder, dtype):
    assert str(liw.load(folder, dtype=dtype).model.dtype).endswith(str(dtype).split(".")[-1])


def test_unknown_dtype_suggests(folder):
    with pytest.raises(UnsupportedModelError, match="Did you mean 'float32'"):
        liw.load(folder, dtype="float_32")


def test_gguf_file_by_path(lm):
    assert liw.load(loading.embedded_gguf()).vocabulary_size == lm.vocabulary_size


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./missing/folder", "no folder"),
        ("HuggingFaceTB/SmolLM2-135M-Instrukt", "Did you mean 'HuggingFaceTB/SmolLM2-135M-Ins"),
        ("/nowhere/model.gguf", "no folder"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(UnknownModelError, match=message):
        liw.load(name)


def test_a_wrong_path_suggests_its_neighbour(folder):
    with pytest.raises(UnknownModelError, match="Did you mean 'tiny-llama'"):
        liw.load(folder.parent / "tiny-lama")


def test_another_file_is_no_model(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UnknownModelError, match=r"notes\.txt.*\.gguf"):
        liw.load(tmp_path / "notes.txt")
    with pytest.raises(UnknownModelError, match="neither config"):
        liw.load(tmp_path)


class Bomb:
    """Runs code when unpickled."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return (open, (str(self.flag), "w"))


def test_pickled_weights_are_not_read(folder, tmp_path):
    flag = tmp_path / "executed"
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Bomb(flag)}, folder / "pytorch_model.bin")
    with pytest.raises(UnsafeWeightsError, match=r"[Pp]ickled"):
        liw.load(folder)
    assert not flag.exists()


def test_code_of_the_model_is_not_run(folder, tmp_path):
    flag = tmp_path / "executed"
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(flag)!r}, 'w')")
    with pytest.raises(UnsafeWeightsError, match="trust_remote_code=True"):
        liw.load(folder)
    assert not flag.exists()


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("bert_mlm", "masked"),
        ("roberta_mlm", "masked"),
        ("electra_mlm", "masked"),
        ("bert_encoder", "encoder"),
        ("t5", "seq2seq"),
        ("bart", "seq2seq"),
    ],
)
def test_each_kind_is_opened_as_what_it_was_saved_as(tiny_model, tokenizer, tmp_path, family, kind):
    model = tiny_model(family)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    lm = liw.load(tmp_path)
    assert lm.kind == kind
    assert type(lm.model) is type(model)
    assert all(
        torch.equal(a, b) for a, b in zip(lm.model.parameters(), model.parameters(), strict=True)
    )


def test_a_t5_encoder_is_opened_as_an_encoder(tiny_model, tokenizer, tmp_path):
    model = tiny_model("t5")
    encoder = transformers.T5EncoderModel(model.config)
    encoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    lm = liw.load(tmp_path)
    assert (lm.kind, type(lm.model).__name__) == ("encoder", "T5EncoderModel")


def test_weights_that_are_missing_are_not_made_up(tiny_model, tokenizer, tmp_path):
    tiny_model("bert_encoder").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["BertForMaskedLM"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match=r"lacks \d+ of the weights.*architectures"):
        liw.load(tmp_path)


def test_a_configuration_without_architectures(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["architectures"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="LlamaConfig, no architecture"):
        liw.load(folder)


def test_unsupported_architecture_lists_what_is_supported(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaModel"]}))
    with pytest.raises(UnsupportedModelError, match="decoder-only"):
        liw.load(folder)


def test_broken_gguf_leaves_no_half_model(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_INTERP_WIDGETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(UnsupportedModelError, match=r"bad\.gguf"):
        liw.load(tmp_path / "bad.gguf")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(folder, device):
    with pytest.raises(UnsupportedModelError, match="cannot be used here"):
        liw.load(folder, device=device)


def test_damaged_weights(folder):
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    with pytest.raises(UnsupportedModelError, match="could not be opened"):
        liw.load(folder)


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("LLM_INTERP_WIDGETS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UnsupportedModelError, match="LLM_INTERP_WIDGETS_CACHE"):
        liw.load(tmp_path / "model.gguf")


def test_classifier_folder(tiny_model, tokenizer, tmp_path):
    tiny_model("bert").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    lm = liw.load(tmp_path)
    assert lm.kind == "classifier"
    a = liw.attribute(lm, "The capital", "glad")
    assert a.unit == "logit"
    assert [t.text for t in a.outputs] == ["glad"]
    shutil.rmtree(tmp_path)


def test_a_wrapped_folder_keeps_its_place_to_itself(tiny_model, tokenizer, tmp_path):
    folder = tmp_path / "secret" / "tiny"
    tiny_model("gpt2").save_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert liw.wrap(model, tokenizer).info.name == "tiny"
    assert liw.wrap(model, tokenizer, "mine").info.name == "mine"
