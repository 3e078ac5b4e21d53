"""Integrated gradients against captum and against the bare passes: time, and peak memory.

The *bare bound* is the same points of the path through the same model in the same passes,
forward and backward, and nothing else. Peak memory is that of a fresh process, with and
without what the loaded model takes.

``make bench`` writes ``build/bench.md``; ``BENCH_TOKENS=32`` chooses the lengths.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.models.language_model import LanguageModel

STEPS = 50
GENERATED = 8
LENGTHS = [int(n) for n in os.environ.get("BENCH_TOKENS", "32,128").split(",")]
TEXT = (
    "The old harbour of Marseille has been a place of trade since the Greeks arrived, and "
    "today it is one of the largest ports of the whole country of France, whose capital is"
)


def prompt_of(lm, tokens):
    ids = list(lm.encode(TEXT).ids)
    return (ids * (tokens // len(ids) + 1))[-tokens:]


def recorded_passes(run):
    """The rows that a run sends through the model, pass by pass, and whether it had a graph."""
    passes = []
    forward = LanguageModel.forward

    def recording(self, inputs, readout):
        passes.append((inputs.tokens.detach().clone(), inputs.tokens.requires_grad))
        return forward(self, inputs, readout)

    LanguageModel.forward = recording
    try:
        run()
    finally:
        LanguageModel.forward = forward
    return passes


# ── contenders ────────────────────────────────────────────────────────────────


def ours(lm, ids, target, rule="adaptive"):
    return lambda: liw.attribute(
        lm, ids, target, "integrated_gradients", steps=STEPS, rule=rule, baseline="mean"
    )


def bare(lm, ids, target):
    """Forward and backward passes over the same rows, with frozen parameters."""
    model = lm.model
    passes = recorded_passes(ours(lm, ids, target))

    def run():
        trainable = [p for p in model.parameters() if p.requires_grad]
        for parameter in trainable:
            parameter.requires_grad_(False)
        for rows, has_graph in passes:
            leaf = rows.clone().requires_grad_(has_graph)
            logits = model(inputs_embeds=leaf, logits_to_keep=1, use_cache=False).logits
            if has_graph:
                torch.autograd.grad(logits[:, -1].log_softmax(-1)[:, target].sum(), leaf)
        for parameter in trainable:
            parameter.requires_grad_(True)

    return run


def captums(lm, ids, target, rows=None, said=()):
    """LayerIntegratedGradients of the embeddings; ``rows`` a pass, all at once by default."""
    from captum.attr import LayerIntegratedGradients

    def score(batch, index):
        logits = lm.model(input_ids=batch, use_cache=False).logits
        return logits[:, -1].log_softmax(-1)[:, index]

    explainer = LayerIntegratedGradients(score, lm.model.get_input_embeddings())

    def one(end):
        batch = torch.tensor([[*ids, *said[:end]]])
        index = target if not said else said[end]
        explainer.attribute(
            batch, baselines=torch.full_like(batch, ids[0]), n_steps=STEPS,
            additional_forward_args=(index,), internal_batch_size=rows,
        )  # fmt: skip

    return lambda: [one(end) for end in range(max(1, len(said)))]


# ── time ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tokens", LENGTHS)
def test_integrated_gradients_time(lm, compare, tokens):
    pytest.importorskip("captum")
    ids = prompt_of(lm, tokens)
    target = lm.top_tokens(ids, 1)[0]
    rows = max(len(rows) for rows, _ in recorded_passes(ours(lm, ids, target)))
    contenders = {
        "bare forward and backward": bare(lm, ids, target),
        "llm_interp_widgets, adaptive": ours(lm, ids, target),
        "llm_interp_widgets, Gauss–Legendre": ours(lm, ids, target, "gauss_legendre"),
        f"captum, {rows} rows a pass": captums(lm, ids, target, rows),
    }
    title = f"Integrated gradients, {tokens} tokens, {STEPS} steps, one target"
    compare(title, contenders)


def test_generated_tokens_time(lm, compare):
    pytest.importorskip("captum")
    inseq = pytest.importorskip("inseq")
    ids = prompt_of(lm, min(LENGTHS))
    text = lm.tokenizer.decode(ids)
    own = ours(lm, ids, liw.Generate(GENERATED), "gauss_legendre")
    outputs = liw.attribute(lm, ids, liw.Generate(GENERATED), "input_x_gradient").outputs
    said = [token.id for token in outputs]
    rows = max(len(rows) for rows, _ in recorded_passes(ours(lm, ids, said[0])))
    explainer = inseq.load_model(lm.model, "integrated_gradients", tokenizer=lm.tokenizer)

    def inseqs():
        explainer.attribute(
            text, text + lm.tokenizer.decode(said), n_steps=STEPS, internal_batch_size=rows,
            step_scores=[], show_progress=False,
        )  # fmt: skip

    contenders = {
        f"llm_interp_widgets, Generate({GENERATED})": own,
        "captum, one target after the other": captums(lm, ids, None, rows, said),
        "inseq": inseqs,
    }
    title = f"Integrated gradients, {len(ids)} tokens, {STEPS} steps, {GENERATED} generated tokens"
    compare(title, contenders)


# ── memory ────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux")
@pytest.mark.parametrize("tokens", LENGTHS)
def test_integrated_gradients_memory(report, tokens):
    pytest.importorskip("captum")
    names = ["ours", "captum, as it comes", "captum, 4 rows a pass"]
    lines = ["| contender | GB above the loaded model | GB in all |", "|---|---|---|"]
    for name in names:
        done = subprocess.run(
            [sys.executable, __file__, name, str(tokens)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            lines.append(f"| {name} | did not finish (exit {done.returncode}) | |")
            continue
        before, peak = json.loads(done.stdout.splitlines()[-1])
        lines.append(f"| {name} | {(peak - before) / 1e9:.2f} | {peak / 1e9:.2f} |")
    title = f"\n### Peak memory of integrated gradients, {tokens} tokens, {STEPS} steps\n"
    report([title, *lines])


def measure(name, tokens):
    """Run one contender in this process; print bytes before it and at its peak."""
    torch.set_num_threads(1)
    lm = liw.load()
    ids = prompt_of(lm, tokens)
    target = lm.top_tokens(ids, 1)[0]
    rows = {"captum, 4 rows a pass": 4}.get(name)
    work = ours(lm, ids, target) if name == "ours" else captums(lm, ids, target, rows)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak of loading
    before = peak_bytes()
    work()
    print(json.dumps([before, peak_bytes()]))


def peak_bytes():
    """Most memory since the peak was last forgotten; getrusage's also knows the parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    measure(sys.argv[1], int(sys.argv[2]))
