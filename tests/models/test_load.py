"""Loading: embedded default, folder, file, hub id; nothing that could run code."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest
import torch
import transformers

import llm_interp_widgets as liw
from llm_interp_widgets.errors import (
    ParameterError,
    PromptError,
    UnknownModelError,
    UnsafeWeightsError,
    UnsupportedModelError,
)
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


# ── nothing runs, nothing is asked ────────────────────────────────────────────


class Bomb:
    """Runs code when unpickled."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return (os.mkdir, (str(self.flag),))


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A path that code which runs would write; asking anything on the terminal fails the test."""

    def asked(*_):
        pytest.fail("something was asked on the terminal")

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr("sys.stdin", None)
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def evil(folder, canary, name="evil"):
    """Put a module that writes the canary when it is imported into a folder."""
    folder.mkdir(exist_ok=True)
    code = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\nclass Evil: pass\n"
    (folder / f"{name}.py").write_text(code)


def changed(folder, name, **changes):
    file = folder / name
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | changes))


def test_the_canary_would_sing(folder, canary, tmp_path):
    torch.save(Bomb(canary), tmp_path / "a.bin")
    torch.load(tmp_path / "a.bin", weights_only=False)
    assert canary.exists()
    canary.rmdir()
    evil(folder, canary)
    exec((folder / "evil.py").read_text(), {})  # noqa: S102 - to see it write
    assert canary.exists()
    canary.unlink()


def test_pickled_weights_are_not_read(folder, canary):
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Bomb(canary)}, folder / "pytorch_model.bin")
    with pytest.raises(UnsafeWeightsError, match=r"[Pp]ickled.*save_pretrained"):
        liw.load(folder)


@pytest.mark.parametrize("name", ["m.bin", "m.pt", "m.pth", "m.ckpt", "m.PKL", "m.pickle"])
def test_a_pickle_by_its_own_path_is_not_read(canary, tmp_path, name):
    torch.save({"weight": Bomb(canary)}, tmp_path / name)
    with pytest.raises(UnsafeWeightsError, match=r"is a pickle.*save_pretrained"):
        liw.load(tmp_path / name)


def test_safetensors_are_read_and_the_pickle_beside_them_is_not(folder, canary):
    torch.save({"weight": Bomb(canary)}, folder / "pytorch_model.bin")
    assert liw.load(folder).kind == "causal"


@pytest.mark.parametrize(
    "shard", ["pytorch_model.bin", "../outside.safetensors", "/etc/passwd", "sub/a.safetensors"]
)
def test_an_index_that_names_pickles_or_other_places_is_refused(folder, canary, shard):
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Bomb(canary)}, folder / "pytorch_model.bin")
    changed(
        folder, "model.safetensors.index.json", metadata={}, weight_map={"lm_head.weight": shard}
    )
    with pytest.raises(UnsafeWeightsError, match=r"index.*save_pretrained"):
        liw.load(folder)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}']
)
def test_a_damaged_index(folder, canary, content):
    (folder / "model.safetensors.index.json").write_text(content)
    assert liw.load(folder).kind == "causal"  # what was left behind is not read
    (folder / "model.safetensors").unlink()
    with pytest.raises((UnsupportedModelError, UnsafeWeightsError)):
        liw.load(folder)


def test_an_adapter_with_pickled_weights_is_refused(folder, canary):
    torch.save({"weight": Bomb(canary)}, folder / "adapter_model.bin")
    changed(folder, "adapter_config.json", base_model_name_or_path="evil/base", peft_type="LORA")
    with pytest.raises(UnsafeWeightsError, match="adapter"):
        liw.load(folder)


def test_code_of_the_configuration_is_not_run(folder, canary):
    evil(folder, canary)
    changed(folder, "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Evil"})
    with pytest.raises(UnsafeWeightsError, match="trust_remote_code=True"):
        liw.load(folder)


def test_code_of_a_model_that_transformers_knows_is_not_run(folder, canary):
    evil(folder, canary)
    names = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer")
    changed(folder, "config.json", auto_map=dict.fromkeys(names, "evil.Evil"))
    assert type(liw.load(folder).model) is transformers.LlamaForCausalLM


def test_code_of_an_architecture_of_its_own_is_not_run(folder, canary):
    evil(folder, canary)
    changed(
        folder,
        "config.json",
        architectures=["EvilForCausalLM"],
        auto_map={"AutoModelForCausalLM": "evil.Evil"},
    )
    assert type(liw.load(folder).model) is transformers.LlamaForCausalLM  # as its type says


def test_code_of_the_tokenizer_is_not_run(folder, canary):
    evil(folder, canary)
    changed(
        folder,
        "tokenizer_config.json",
        tokenizer_class="Evil",
        auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]},
    )
    try:
        lm = liw.load(folder)
    except UnsafeWeightsError as error:
        assert "trust_remote_code=True" in str(error)  # noqa: PT017
    else:
        assert type(lm.tokenizer).__module__.startswith("transformers.")


@pytest.mark.parametrize("name", ["Evil", "evil.Evil", "os.system", "../evil", "", 3])
def test_a_tokenizer_class_that_does_not_exist(folder, canary, name):
    evil(folder, canary)
    changed(folder, "tokenizer_config.json", tokenizer_class=name)
    try:
        lm = liw.load(folder)
    except (UnsupportedModelError, UnsafeWeightsError):
        return
    assert type(lm.tokenizer).__module__.startswith("transformers.")


def test_a_generate_of_the_models_own_is_not_run(folder, canary):
    evil(folder / "custom_generate", canary, "generate")
    try:
        liw.load(folder)
    except UnsafeWeightsError as error:
        assert "trust_remote_code=True" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "changes",
    [
        {"_attn_implementation": "evil/kernel"},
        {"attn_implementation": "evil/kernel@main:f"},
        {"attn_implementation": {"": "eager", "text_config": "paged|evil/kernel"}},
        {"_attn_implementation_internal": "evil/kernel"},
        {"experts_implementation": "evil/kernel"},
        {"text_config": {"_attn_implementation": "evil/kernel"}},
    ],
)
def test_a_kernel_from_the_hub_is_not_fetched(folder, canary, monkeypatch, changes):
    from transformers.integrations import hub_kernels

    monkeypatch.setattr(hub_kernels, "get_kernel", lambda *_, **__: canary.touch())
    monkeypatch.setattr(hub_kernels, "is_kernels_available", lambda *_, **__: True)
    changed(folder, "config.json", **changes)
    with pytest.raises(UnsafeWeightsError, match=r"evil/kernel.*trust_remote_code=True"):
        liw.load(folder)


def test_an_attention_that_transformers_has_itself_is_no_kernel(folder):
    changed(folder, "config.json", _attn_implementation="eager")
    assert liw.load(folder).kind == "causal"


TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__.__init__.__globals__ }}",
    "{{ self.__init__.__globals__['os'].system('touch CANARY') }}",
    "{{ raise_exception.__globals__['__builtins__']['open']('CANARY', 'w') }}",
    "{{ strftime_now.__globals__['os'].popen('touch CANARY').read() }}",
    "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}",
    "{{ lipsum.__globals__['os'].system('touch CANARY') }}",
    "{{ (messages | attr('__class__')) | attr('__base__') | attr('__subclasses__')() }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "{% set x = messages.append(1) %}{{ x }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.system('touch CANARY') }}",
    "{% for i in range(10 ** 9) %}x{% endfor %}",
    "{{ raise_exception('no') }}",
    "{% broken",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_template_reaches_nothing(folder, canary, template):
    (folder / "chat_template.jinja").write_text(template.replace("CANARY", str(canary)))
    lm = liw.load(folder)
    assert lm.tokenizer.chat_template
    with pytest.raises(PromptError):
        liw.attribute(lm, [{"role": "user", "content": "The capital"}], method="saliency")


@pytest.mark.parametrize("target", ["nowhere", "itself", "pickle", "folder"])
def test_links_that_lead_to_no_weights(folder, canary, target, tmp_path):
    weights = folder / "model.safetensors"
    weights.unlink()
    if target == "pickle":
        torch.save({"weight": Bomb(canary)}, tmp_path / "a.bin")
    where = {"nowhere": "missing", "itself": weights.name, "pickle": tmp_path / "a.bin",
             "folder": tmp_path}  # fmt: skip
    weights.symlink_to(where[target])
    with pytest.raises((UnsupportedModelError, UnsafeWeightsError)):
        liw.load(folder)


def test_links_to_weights_are_followed_as_the_hubs_cache_has_them(folder, tmp_path):
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    assert liw.load(folder).kind == "causal"


def test_code_beside_a_gguf_file_is_not_run(canary, tmp_path, tiny_model, monkeypatch):
    monkeypatch.setenv("LLM_INTERP_WIDGETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "gguf"
    evil(folder, canary)
    (folder / "model.gguf").symlink_to(loading.embedded_gguf())
    for name in ("config.json", "tokenizer_config.json"):
        changed(
            folder,
            name,
            tokenizer_class="Evil",
            auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoConfig": "evil.Evil"},
        )
    real = transformers.AutoModelForCausalLM.from_pretrained

    def small(*args, **options):  # reading all tensors takes 20 s and is not what this is about
        assert options["trust_remote_code"] is False
        return tiny_model("llama") if "gguf_file" in options else real(*args, **options)

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", small)
    try:
        lm = liw.load(folder / "model.gguf")
    except (UnsafeWeightsError, UnsupportedModelError) as error:
        assert str(error)  # noqa: PT017
    else:
        assert type(lm.tokenizer).__module__.startswith("transformers.")


# ── what is opened as what ────────────────────────────────────────────────────


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


@pytest.mark.parametrize("name", [3, ["gpt2"], object()])
def test_what_is_no_name_is_refused_at_once(name):
    with pytest.raises(ParameterError, match=r"wrap\(model, tokenizer\)"):
        liw.load(name)


def test_a_file_that_is_not_there_is_told_of_files_of_its_kind(tmp_path):
    for one in ("tiny.gguf", "notes.txt"):
        (tmp_path / one).touch()
    with pytest.raises(UnknownModelError, match=r"'tiny\.gguf'") as caught:
        liw.load(tmp_path / "tin.gguf")
    assert "notes" not in str(caught.value)
