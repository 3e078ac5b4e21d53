"""A classifier whose reason is known: every method that claims to find reasons finds it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

import llm_interp_widgets as liw
from llm_interp_widgets.methods import METHODS

PLANTED = {"zxq": 1, "qvj": 0}
WORDS = [f"w{i}" for i in range(40)]
LENGTH, TEXTS = 8, 100
# A control has no reason to find; attention weights are not importance; a slope at one point
# is no effect, and a sure classifier is flat there. Their cards say so.
CLAIMS_NOTHING = {"random", "attention_rollout", "saliency", "input_x_gradient"}
# More passes than these change no first place here.
ENOUGH = {
    "shapley": {"evaluations": 120, "precision": None},
    "kernel_shap": {"evaluations": 120, "precision": None},
    "owen": {"evaluations": 120},
    "lime": {"evaluations": 120},
    "smooth_grad": {"samples": 16, "precision": None},
    "integrated_gradients": {"steps": 32},
}


def text(random, planted):
    words = [str(w) for w in random.choice(WORDS, LENGTH)]
    if planted:
        words[random.integers(LENGTH)] = planted
    return " ".join(words)


@pytest.fixture(scope="module")
def planted_lm():
    """Two layers, one token a word; a third of the texts has no planted word and no meaning."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PLANTED, *WORDS]
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=32,
    )  # fmt: skip
    random = np.random.default_rng(0)
    kinds = random.choice([*PLANTED, ""], 3_000)
    labels = torch.tensor([PLANTED.get(k, int(random.integers(2))) for k in kinds])
    ids = torch.tensor(tokenizer([text(random, k) for k in kinds]).input_ids)
    # Words that are masked at random: being switched off is nothing unheard of.
    hidden = torch.from_numpy(random.random(ids.shape) < 0.15) & (ids > 6)
    ids = ids.masked_fill(hidden, 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_labels=2,
            num_attention_heads=2, intermediate_size=64, max_position_embeddings=32,
        )  # fmt: skip
        model = BertForSequenceClassification(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        for _ in range(4):
            order = torch.randperm(len(ids))
            for batch in order.split(50):
                loss = model(input_ids=ids[batch], labels=labels[batch]).loss
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return liw.wrap(model.eval(), tokenizer, "planted")


@pytest.fixture(scope="module")
def planted_texts():
    random = np.random.default_rng(1)
    return [text(random, list(PLANTED)[i % 2]) for i in range(TEXTS)]


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(set(METHODS) - CLAIMS_NOTHING))
def test_planted_word_comes_first(planted_lm, planted_texts, method):
    found = 0
    for sentence in planted_texts:
        target = liw.Logit(next(PLANTED[w] for w in sentence.split() if w in PLANTED))
        a = liw.attribute(planted_lm, sentence, target, method, **ENOUGH.get(method, {}))
        found += a.inputs[int(np.argmax(a.scores[0]))].text.strip() in PLANTED
    assert found >= 0.99 * TEXTS


def test_the_classifier_knows_its_words(planted_lm, planted_texts):
    ids = torch.tensor(planted_lm.tokenizer(planted_texts).input_ids)
    with torch.inference_mode():
        said = planted_lm.model(input_ids=ids).logits.argmax(-1)
    labels = [next(PLANTED[w] for w in t.split() if w in PLANTED) for t in planted_texts]
    assert said.tolist() == labels
