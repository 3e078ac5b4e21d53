"""What the README shows runs, from its first line to its last, here with tiny models."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

import llm_interp_widgets as liw

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.fixture
def models(tiny_model, tokenizer, pair_tokenizer):
    """What is loaded, by name; ``None`` is the default."""
    chats = copy.deepcopy(tokenizer)
    chats.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    masks = copy.deepcopy(tokenizer)
    masks.add_special_tokens({"mask_token": "[MASK]"})
    labels = {"id2label": {0: "negative", 1: "positive"}, "num_labels": 2}
    relations = {"id2label": {0: "entailment", 1: "contradiction"}, "num_labels": 2}
    return {
        None: liw.wrap(tiny_model("llama", num_hidden_layers=6), chats),
        "models/sentiment": liw.wrap(tiny_model("bert", **labels), tokenizer),
        "models/nli": liw.wrap(tiny_model("bert", **relations), pair_tokenizer),
        "models/bert": liw.wrap(tiny_model("bert_mlm"), masks),
        "models/t5": liw.wrap(tiny_model("t5"), tokenizer),
        "models/minilm": liw.wrap(tiny_model("bert_encoder"), tokenizer),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what shap warns of on import
def test_every_block_runs_after_those_before_it(models, tiny_model, tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(liw, "load", lambda name=None: models[name])
    names = {"vit": tiny_model("vit"), "pixels": torch.zeros(1, 3, 32, 32)}
    assert len(BLOCKS) > 5
    try:
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"README.md, block {number + 1}", "exec"), names)  # noqa: S102
        assert liw.language() == "zh"
    finally:
        liw.language("en")
        for job in liw.jobs.live():
            job.cancel()
            job.wait()
    assert {one.name for one in tmp_path.iterdir()} >= {"paris.liw", "paris.html", "heads.npz"}
