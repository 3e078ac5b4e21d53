"""How much time attribution adds to the bare forward passes, and how shap compares.

Contenders alternate in one process (A B C A B C …); ratios are taken within a round, and
their median is reported, in wall-clock and in CPU seconds. The *bare bound* is the same
masked inputs through the same model in the same batches and nothing else.

``make bench`` writes ``build/bench.md``.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.models.language_model import LanguageModel

ROUNDS = 3
EVALUATIONS = 120
TEXT = (
    "The old harbour of Marseille has been a place of trade since the Greeks arrived, and "
    "today it is one of the largest ports of the whole country of France, whose capital is"
)
REPORT = Path(__file__).parents[2] / "build" / "bench.md"


def timed(work):
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def recorded_batches(lm, run):
    """The inputs that a run sends through the model, batch by batch."""
    batches = []
    forward = LanguageModel.forward

    def recording(self, inputs, readout):
        batches.append(inputs.tokens.clone())
        return forward(self, inputs, readout)

    LanguageModel.forward = recording
    try:
        run()
    finally:
        LanguageModel.forward = forward
    return batches


def prompt_of(lm, tokens):
    ids = list(lm.encode(TEXT).ids)
    return (ids * (tokens // len(ids) + 1))[-tokens:]


@pytest.mark.parametrize("tokens", [32, 64])
def test_shapley_next_token(lm, tokens):
    shap = pytest.importorskip("shap")
    ids = prompt_of(lm, tokens)
    evaluations = max(EVALUATIONS, 2 * tokens + 1)
    target = lm.top_tokens(ids, 1)[0]
    (filler,) = lm.tokenizer(" the", add_special_tokens=False).input_ids

    def ours():
        liw.attribute(lm, ids, target, evaluations=evaluations, precision=None, filler=" the")

    batches = recorded_batches(lm, ours)
    inputs = sum(len(batch) for batch in batches)

    def bare():
        with torch.inference_mode():
            for batch in batches:
                lm.model(input_ids=batch, logits_to_keep=1, use_cache=False)

    def predict(masks):
        rows = torch.from_numpy(np.where(np.asarray(masks, dtype=bool), np.array(ids), filler))
        values = []
        with torch.inference_mode():
            for batch in rows.split(64):
                logits = lm.model(input_ids=batch).logits[:, -1]
                values.append(logits.log_softmax(-1)[:, target])
        return torch.cat(values).numpy()

    # shap's permutation explainer, given a callable that is batched as well as it can be
    explainer = shap.explainers.Permutation(
        predict, shap.maskers.Independent(np.zeros((1, tokens)), max_samples=1), seed=0
    )

    def theirs():
        explainer(np.ones((1, tokens)), max_evals=inputs, silent=True)

    contenders = {"bare": bare, "llm_interp_widgets": ours, "shap, batched callable": theirs}
    for work in contenders.values():  # warm
        work()
    rounds = [{name: timed(work) for name, work in contenders.items()} for _ in range(ROUNDS)]
    lines = [
        f"\n### Shapley, next token, {tokens} tokens, {inputs} inputs\n",
        "| contender | × bare, wall | × bare, CPU | seconds |",
        "|---|---|---|---|",
    ]
    for name in contenders:
        ratios = [
            statistics.median(r[name][clock] / r["bare"][clock] for r in rounds) for clock in (0, 1)
        ]
        seconds = statistics.median(r[name][0] for r in rounds)
        lines.append(f"| {name} | {ratios[0]:.2f} | {ratios[1]:.2f} | {seconds:.2f} |")
    report(lines)


def test_first_partial(lm):
    """What a reader waits for: seconds until the first scores, against the whole run."""
    ids = prompt_of(lm, 64)
    lines = [
        "\n### First scores on a 64-token prompt, all defaults\n",
        "| | seconds |",
        "|---|---|",
    ]
    for run in range(2):
        started = time.perf_counter()
        widget = liw.explain(lm, ids, evaluations=600)
        while not np.isfinite(widget.job.progress.merged.scores).all():
            time.sleep(0.005)
        first = time.perf_counter() - started
        widget.result()
        whole = time.perf_counter() - started
        lines.append(f"| first scores, run {run + 1} | {first:.2f} |")
        lines.append(f"| whole run {run + 1} | {whole:.2f} |")
        widget.close()
    report(lines)


def report(lines):
    text = "\n".join(lines)
    print(text)
    REPORT.parent.mkdir(exist_ok=True)
    with REPORT.open("a", encoding="utf-8") as file:
        file.write(text + "\n")
