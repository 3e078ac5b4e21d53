"""Occlusion against captum, and windows that cover every feature."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods.occlusion import windows

TEXT = "The opposite of hot is cold and"


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (2, 1), (3, 1), (3, 2), (3, 3), (4, 3)])
@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
def test_agrees_with_captum(tiny_lm, family, window, stride):
    captum = pytest.importorskip("captum.attr")
    lm = tiny_lm(family)
    ids = torch.tensor([lm.encode(TEXT).ids])
    (filler,) = lm.tokenizer(" of").input_ids

    def forward(rows):
        logits = lm.model(input_ids=rows).logits
        return logits[:, 1] if family == "bert" else logits[:, -1].log_softmax(-1)[:, 1]

    with torch.inference_mode():
        expected = captum.Occlusion(forward).attribute(
            ids, sliding_window_shapes=(window,), strides=stride, baselines=filler
        )
    a = liw.attribute(lm, TEXT, 1, "occlusion", filler=" of", window=window, stride=stride)
    assert a.exact
    assert a.scores == pytest.approx(expected.numpy(), abs=1e-4)


@pytest.mark.parametrize("features", [1, 2, 5, 8, 13])
def test_windows_cover_every_feature_and_end_with_the_text(features):
    for window in range(1, features + 1):
        for stride in range(1, window + 1):
            held = windows(features, window, stride)
            assert held.any(axis=0).all()
            assert held[-1, -1]
            assert not held[:-1, -1].any()
            assert (held[:-1].sum(axis=1) == window).all()
            assert (held.argmax(axis=1) == stride * np.arange(len(held))).all()


def test_a_score_is_absent_until_all_its_windows_are_known(tiny_lm):
    from llm_interp_widgets.jobs import run_here
    from llm_interp_widgets.planning import plan

    text = "The capital of France is Paris, and the capital of Japan is Tokyo"
    params = {"window": 3, "filler": [" of", "."]}
    _, job = plan(tiny_lm(), text, 3, "occlusion", "token", 0, params)
    looks = []
    job.observe(looks.append)
    last = run_here(job).result()
    for look in looks:
        known = np.isfinite(look.merged.scores)
        assert look.merged.scores[known] == pytest.approx(last.scores[known])
    share = [np.isfinite(look.merged.scores).mean() for look in looks]
    assert 0 < share[1] < 1
    assert share == sorted(share)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"window": 0}, "positive whole number"),
        ({"window": 2.5}, "positive whole number"),
        ({"window": 2, "stride": 3}, "leaves out pieces"),
        ({"window": 50}, "wider than the text, which has"),
        ({"off": "erase"}, "Available: remove, replace"),
    ],
)
def test_bad_parameters(tiny_lm, params, message):
    with pytest.raises(ParameterError, match=message):
        liw.attribute(tiny_lm(), TEXT, 3, "occlusion", **params)
