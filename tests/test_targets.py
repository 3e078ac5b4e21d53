"""Targets: numbers against transformers' own, and every wrong target's message."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import TargetError

TEXT = "The capital of France is"


def value(lm, target, text=TEXT):
    return liw.attribute(lm, text, target, "occlusion").output_values


def logits(lm, extra=()):
    ids = [*lm.encode(TEXT).ids, *extra]
    with torch.inference_mode():
        return lm.model(input_ids=torch.tensor([ids])).logits[0].double()


def test_own_top_token(lm):
    a = liw.attribute(lm, TEXT, method="occlusion")
    assert a.outputs[0].text == " Paris"
    assert np.exp(a.output_values[0]) == pytest.approx(0.77, abs=0.03)


def test_kinds_of_one_token(tiny_lm):
    lm = tiny_lm()
    last = logits(lm)[-1]
    assert value(lm, liw.Logit(9)) == pytest.approx([float(last[9])], abs=1e-4)
    assert value(lm, liw.LogProb(9)) == pytest.approx([float(last.log_softmax(-1)[9])], abs=1e-4)
    assert value(lm, liw.Prob(9)) == pytest.approx([float(last.softmax(-1)[9])], abs=1e-6)
    assert value(lm, 9) == pytest.approx(value(lm, liw.LogProb(9)))
    assert value(lm, np.int64(9)) == pytest.approx(value(lm, 9))


def test_continuation_is_the_sum_of_its_tokens(tiny_lm):
    lm = tiny_lm()
    text = " Paris, and"
    ids = lm.tokenizer(text).input_ids
    assert len(ids) > 1
    rows = logits(lm, ids).log_softmax(-1)[-len(ids) - 1 : -1]
    total = float(sum(row[t] for row, t in zip(rows, ids, strict=True)))
    assert value(lm, text) == pytest.approx([total], abs=1e-4)
    assert value(lm, liw.Prob(text)) == pytest.approx([np.exp(total)], rel=1e-3)


def test_contrast(tiny_lm):
    lm = tiny_lm()
    last = logits(lm)[-1]
    assert value(lm, liw.Contrast(9, 5)) == pytest.approx([float(last[9] - last[5])], abs=1e-4)
    long, short = " Paris, and", " the"
    difference = value(lm, long) - value(lm, short)
    assert value(lm, liw.Contrast(long, short)) == pytest.approx(difference, abs=1e-4)


def test_generate_rows_are_the_tokens_log_probabilities(tiny_lm):
    lm = tiny_lm()
    a = liw.attribute(lm, TEXT, liw.Generate(3), "occlusion")
    ids = [t.id for t in a.outputs]
    rows = logits(lm, ids).log_softmax(-1)[-4:-1]
    assert a.output_values == pytest.approx([float(rows[i].max()) for i in range(3)], abs=1e-4)
    assert ids == [int(row.argmax()) for row in rows]
    assert [t.position for t in a.outputs] == [len(a.inputs) + i for i in range(3)]


def test_labels(tiny_lm):
    lm = tiny_lm("bert")
    scores = logits(lm)
    assert value(lm, "glad") == pytest.approx([float(scores[2])], abs=1e-5)
    assert value(lm, "GLAD") == pytest.approx([float(scores[2])], abs=1e-5)
    assert value(lm, None) == pytest.approx([float(scores.max())], abs=1e-5)
    assert value(lm, liw.Prob(0)) == pytest.approx([float(scores.softmax(-1)[0])], abs=1e-5)
    contrast = float(scores[0] - scores[1])
    assert value(lm, liw.Contrast("sad", 1)) == pytest.approx([contrast], abs=1e-5)


def test_custom(tiny_lm):
    lm = tiny_lm()

    def margin(rows):
        return rows[:, 5] - rows[:, 6:9].mean(-1)

    last = logits(lm)[-1]
    a = liw.attribute(lm, TEXT, margin, "occlusion")
    assert a.output_values == pytest.approx([float(last[5] - last[6:9].mean())], abs=1e-4)
    assert a.unit == "value"
    assert a.target == "margin"


@pytest.mark.parametrize(
    ("prompt", "target", "note"),
    [
        (TEXT, " Paris", ""),
        (TEXT, "Paris", "Did you mean “ Paris”?"),
        (TEXT, liw.Contrast(" Paris", "London"), "“isLondon”"),
        (TEXT + " ", None, "ends in a space"),
        (TEXT, ".", ""),
        ("Paris", " " + TEXT, "Are they swapped?"),
    ],
)
def test_a_likely_slip_with_spaces_is_shown(tiny_lm, prompt, target, note):
    a = liw.attribute(tiny_lm(), prompt, target, "occlusion")
    assert note in a.note
    assert bool(note) == bool(a.note)


@pytest.mark.parametrize(
    ("family", "target", "message"),
    [
        ("llama", liw.Logit(" Paris, and"), r"needs one token; .* is \d+: "),
        ("llama", "", "empty"),
        ("llama", 400, "ids 0 to 399"),
        ("llama", -1, "ids 0 to 399"),
        ("llama", liw.Contrast(5, 5), "with itself"),
        ("llama", liw.Masked(1, "x"), "masked language model"),
        ("llama", liw.Similarity("x"), "an encoder"),
        ("llama", liw.Generate(0), "at least 1"),
        ("llama", 1.5, "is a float"),
        ("llama", True, "is a bool"),
        ("llama", lambda rows: rows, r"shape \(rows,\)"),
        ("llama", lambda rows: 3.0, "it returned float"),
        ("bert", "happy", "no label 'happy'.*0 'sad'"),
        ("bert", "gled", "Did you mean 'glad'"),
        ("bert", 3, "out of range.*2 'glad'"),
        ("bert", liw.Generate(2), "is a classifier"),
    ],
)
def test_wrong_targets_say_what_is_right(tiny_lm, family, target, message):
    with pytest.raises(TargetError, match=message):
        liw.attribute(tiny_lm(family), TEXT, target)


def test_swapped_prompt_and_label(tiny_lm):
    with pytest.raises(TargetError, match="seem to be swapped"):
        liw.attribute(tiny_lm("bert"), "Glad", "A film that made me laugh.")
