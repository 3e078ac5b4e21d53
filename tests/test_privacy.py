"""What widgets, files and pages keep: nothing of the machine."""

from __future__ import annotations

import base64
import gzip
import socket
import zlib

import pytest
from held import FEW, contents, file, made, page

import llm_interp_widgets as liw
from llm_interp_widgets import errors


def test_the_search_finds_what_is_packed(tmp_path):
    raw = b"a needle in a haystack " * 40
    packed = [gzip.compress(raw), zlib.compress(raw), raw]
    for data in packed:
        assert "needle" in contents({"a": [{"b": data}]})
        assert "needle" in contents(f'<x>{base64.b64encode(data).decode()}"')
    w = liw.TokenHighlighter.of(made())
    assert "Zanzibar" in contents(w.get_state())
    assert "Zanzibar" in page(w.to_html(tmp_path / "a.html"))
    assert "Zanzibar" in file(made().save(tmp_path / "a.npz"))


# ── nothing of the machine ────────────────────────────────────────────────────

HOME = "eve-7141-home"
SECRETS = {
    "HF_TOKEN": "hf_k3JxQv81xTqLmZw02",
    "OPENAI_API_KEY": "sk-proj-55Xaaq910",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7",
    "USER": "eve-user-2093",
    "LOGNAME": "eve-user-2093",
    "HOSTNAME": "eve-host-5518",
    "MY_PROJECT": "eve-project-3377",
}


@pytest.fixture
def machine(tiny_model, tokenizer, tmp_path, monkeypatch):
    """A model in a home folder, and an environment with secrets; what must not be kept."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / HOME))
    folder = tmp_path / HOME / "models" / "tiny-folder"
    tiny_model("llama").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    host = socket.gethostname()
    kept_out = {*SECRETS.values(), HOME, str(tmp_path), *([host] if len(host) > 6 else [])}

    def check(text):
        assert not [one for one in kept_out if one in text]
        return text

    return folder, check


def test_nothing_of_the_machine_is_kept(machine, tmp_path):
    folder, check = machine
    lm = liw.load(folder)
    assert lm.name == "tiny-folder"
    a = liw.attribute(lm, "The capital of France", method="lime", evaluations=40)
    record = liw.attention(lm, "The capital of France", " is")
    views = [
        liw.explain(lm, "The capital of France", **FEW),
        liw.attend(record),
        liw.generate(lm, "The capital", 2, "occlusion"),
        liw.compare(lm, "The capital of France", None, ["occlusion", "saliency"]),
        liw.lime(a),
        liw.beeswarm([a, a]),
        *(view(liw.attribute(lm, "The capital", **FEW)) for view in (liw.waterfall, liw.force)),
    ]
    for number, w in enumerate(views):
        assert "tiny-folder" in check(page(w.to_html(tmp_path / f"{number}.html")))
        check(contents(w.get_state()))
    check(page(liw.save_html(tmp_path / "all.html", views)))
    for result in (a, record, liw.interactions(lm, "The capital", filler=" of")):
        assert "tiny-folder" in check(file(result.save(tmp_path / "saved.npz")))


def test_an_error_is_kept_without_the_place_it_came_from(machine, tmp_path):
    folder, check = machine
    lm = liw.load(folder)
    forward = type(lm.model).forward

    def later(*args, **kwargs):
        if kwargs["input_ids"].shape[0] > 1:
            token = SECRETS["HF_TOKEN"]
            raise OSError(
                f"cannot map '{folder}/model.safetensors' for {token}, see https://a.b/c/d"
            )
        return forward(lm.model, *args, **kwargs)

    lm.model.forward = later
    w = liw.explain(lm, "The capital of France is")
    with pytest.raises(OSError, match="cannot map"):
        w.result(20)
    told = w.snapshot["state"]["error"]
    assert told == {
        "name": "OSError",
        "message": "cannot map '…/model.safetensors' for …, see https://a.b/c/d",
    }
    check(contents(w.get_state()))


def test_an_error_is_told_to_a_user_without_a_home(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(errors.Path, "home", nowhere)
    assert errors.told(OSError("cannot map '/srv/a/b'"))["message"] == "cannot map '…/b'"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/home/eve/models/tiny", "tiny"),
        ("~/models/tiny/", "tiny"),
        ("./checkpoints/run/tiny", "tiny"),
        ("checkpoints/run/tiny", "tiny"),
        ("C:\\Users\\eve\\tiny", "tiny"),
        ("org/name", "org/name"),
        ("gpt2", "gpt2"),
        ("", "LlamaForCausalLM"),
    ],
)
def test_a_wrapped_model_is_called_by_its_folders_name(tiny_model, tokenizer, source, name):
    model = tiny_model("llama")
    model.config._name_or_path = source
    model.name_or_path = source
    assert liw.wrap(model, tokenizer).info.name == name
