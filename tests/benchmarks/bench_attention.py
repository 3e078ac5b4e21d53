"""Attention at any length: what capturing costs, how exact weights are, how fast a look is.

Overheads are ratios within a round; everything else is told in milliseconds, megabytes, or the
largest difference from the model's own eager attention. ``BENCH_LONG=0`` leaves the long texts
out; what needs a GPU says so where there is none.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import threading
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.models.capture import capturing
from llm_interp_widgets.models.language_model import Inputs, Readout
from llm_interp_widgets.models.memory import record_bytes
from llm_interp_widgets.models.visits import attention, untouched

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
LONG = os.environ.get("BENCH_LONG", "1") != "0"
TEXT = (
    "The quick brown fox jumps over the lazy dog, and then it went home to read a book about the "
    "history of France. Nobody knew why, but every year in autumn it came back to the same hill. "
)
FAMILIES = {
    "llama": "grouped queries", "gpt2": "", "neox": "", "mistral": "sliding window",
    "gemma2": "soft cap, window", "qwen2": "grouped queries", "gpt_oss": "sinks, window",
    "bert": "", "bert_mlm": "", "electra_mlm": "", "t5": "position bias, cross",
    "bart": "cross", "vit": "image",
}  # fmt: skip
TWO = ("t5", "bart")


def ids_of(lm, tokens):
    once = list(lm.encode(TEXT).ids)
    return (once * (tokens // len(once) + 1))[:tokens]


def milliseconds(work, rounds=ROUNDS):
    """Return the median and the largest of a few."""
    work()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(1e3 * (time.perf_counter() - started))
    return statistics.median(taken), max(taken)


# ── what a capture costs ──────────────────────────────────────────────────────


@pytest.mark.parametrize("tokens", [512, 2_048])
def test_capture(lm, compare, report, tokens):
    prompt = lm.encode(ids_of(lm, tokens))
    inputs, readout = Inputs.of(prompt), Readout((), 1, lambda answers: answers[:, -1, :1])
    contenders = {
        "plain pass": lambda: lm.scores(inputs, readout),
        "plain pass, prompt encoded": lambda: lm.scores(
            Inputs.of(lm.encode(list(prompt.ids))), readout
        ),
        "liw.attention": lambda: liw.attention(lm, list(prompt.ids)).close(),
    }
    for work in contenders.values():
        work()
    compare(f"Capture, SmolLM2, {tokens:,} tokens", contenders, max(ROUNDS, 5))
    record, expected = liw.attention(lm, list(prompt.ids)), record_bytes(lm.model, tokens)
    ratio = record.nbytes / expected
    memory = f"{record.nbytes / 1e6:.1f} MB, {ratio:.3f} × queries and keys"
    report([f"\nMemory of the record: {memory} ({expected / 1e6:.1f} MB)."])


# ── how exact weights are ─────────────────────────────────────────────────────


def given_of(family, padding):
    draw = torch.Generator().manual_seed(1)
    if family == "vit":
        return {"pixel_values": torch.randn(2, 3, 32, 32, generator=draw)}
    ids = torch.randint(5, 400, (2, 24), generator=draw)
    mask = torch.ones_like(ids)
    if padding != "none":
        mask[1, slice(0, 7) if padding == "left" else slice(-7, None)] = 0
    given = {"input_ids": ids, "attention_mask": mask}
    if family in TWO:
        given["decoder_input_ids"] = torch.randint(5, 400, (2, 9), generator=draw)
    return given


def difference(model, family, padding, *, own, keys=1.0):
    """Return the largest difference from eager attention, over all calls, heads and weights.

    With ``own``, what is captured is the pass that the model makes by itself: fused kernels where
    it uses them, whose hidden states differ a little from those of an eager pass; without, an
    eager pass, so that only the weights can differ. ``keys`` scales the keys that are captured.
    """
    given = given_of(family, padding)
    with untouched(model), torch.no_grad():
        with attention(model, "eager"):
            out = model(**given, output_attentions=True)
            if not own:
                with capturing(model, row=1) as capture:
                    model(**given)
        if own:
            with capturing(model, row=1) as capture:
                model(**given)
    tables = getattr(out, "attentions", None)
    if family in TWO:
        pairs = zip(out.decoder_attentions, out.cross_attentions, strict=True)
        tables = [*out.encoder_attentions, *chain.from_iterable(pairs)]
    worst = 0.0
    for call, table in zip(capture.calls, tables, strict=True):
        sees = call.mask.stop > call.mask.first
        if "attention_mask" in given and call.shape[0] == 24:
            sees = sees & given["attention_mask"][1].bool()  # what padding asks, nobody reads
        rows = replace(call, k=call.k * keys).weights(torch.arange(call.shape[0]))
        worst = max(worst, float((rows - table[1]).abs()[:, sees].max()))
    return worst


def test_families(tiny_model, report):
    """Weights against eager tables; a planted error of 0.1 % shows what would be seen."""
    kinds = [(padding, own) for own in (False, True) for padding in ("none", "left", "right")]
    names = [f"{'own pass' if own else 'eager pass'}, {padding}" for padding, own in kinds]
    lines = [
        "\n### Largest difference from eager attention, by captured pass and padding\n",
        f"| family | | own kernel | {' | '.join(names)} | control: keys 0.1 % off |",
        "|---|---|---|" + "---|" * (len(kinds) + 1),
    ]
    for family, what in FAMILIES.items():
        model = tiny_model(family)
        found = [
            f"{difference(model, family, padding, own=own):.1e}"
            if padding == "none" or family != "vit"
            else "–"
            for padding, own in kinds
        ]
        found.append(f"{difference(model, family, 'none', own=False, keys=1.001):.1e}")
        kernel = model.config._attn_implementation
        lines.append(f"| {family} | {what} | {kernel} | {' | '.join(found)} |")
    report(lines)


# ── how fast a look is ────────────────────────────────────────────────────────


def looks(record):
    """What a view asks for: a name, and the work."""
    layers, size = range(record.layers), len(record.tokens)
    layer, head, last = record.layers // 2, record.heads // 2, size - 1
    even = [size * i // 512 for i in range(513)]
    uneven = [size * i // 500 for i in range(501)]

    def tile(level):
        place = max(0, (size >> level) // 256 - 1)
        return lambda: record.tile(layer, head, level, place, 0)

    return {
        "overview, sampled, 32 × 32": lambda: [record.pooled(i, 32, sampled=True) for i in layers],
        "overview, sampled, 64 × 64": lambda: [record.pooled(i, 64, sampled=True) for i in layers],
        "overview, exact, 64 × 64": lambda: [record.pooled(i, 64) for i in layers],
        "scores of all heads": lambda: [record.scores_of(i) for i in layers],
        "open a head: grid, 512 × 512": lambda: record.grid(layer, head, even, even),
        "grid, 500 × 500, uneven": lambda: record.grid(layer, head, uneven, uneven),
        "tile, level 0": tile(0),
        "tile, level 3": tile(3),
        "row": lambda: record.weights(layer, head, rows=last),
        "column": lambda: record.weights(layer, head, cols=1),
        "sums": lambda: record.sums(layer, head),
        "100 largest weights": lambda: record.top_edges(layer, head, 100),
        "mean of all heads, 256 rows": lambda: record.aggregate(
            "mean", rows=range(size - 256, size)
        ),
    }


def test_looks(lm, report):
    record = liw.attention(lm, ids_of(lm, 2_048))
    heads, threads = f"{record.layers} × {record.heads} heads", torch.get_num_threads()
    lines = [
        f"\n### A look at {heads}, 2,048 tokens, {threads} thread(s)\n",
        "| look | ms, median | ms, longest |",
        "|---|---|---|",
    ]
    for name, work in looks(record).items():
        median, longest = milliseconds(work, 3 if "overview, exact" in name else ROUNDS)
        lines.append(f"| {name} | {median:.1f} | {longest:.1f} |")
    report(lines)


# ── long texts ────────────────────────────────────────────────────────────────


class Peak:
    """The most memory that this process has while something runs; a context manager."""

    def __enter__(self):
        self.most, self._done = resident(), threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def _look(self):
        while not self._done.wait(0.05):
            self.most = max(self.most, resident())

    def __exit__(self, *_):
        self._done.set()
        self._watch.join()


def resident():
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def long_lines(lm, tokens):
    ids = ids_of(lm, tokens)
    started = time.perf_counter()
    with Peak() as peak:
        record = liw.attention(lm, ids)
    seconds = time.perf_counter() - started
    lines = [
        f"\n### {tokens:,} tokens, {lm.device}, {lm.info.dtype}\n",
        f"Captured in {seconds:.1f} s, {peak.most / 1e9:.2f} GB at most in the process.\n",
        f"The record holds {record.nbytes / 1e6:.0f} MB.\n",
        "| look | ms |",
        "|---|---|",
    ]
    with Peak() as peak:
        for name, work in looks(record).items():
            begun = time.perf_counter()
            work()
            if lm.device.type == "cuda":
                torch.cuda.synchronize()
            lines.append(f"| {name} | {1e3 * (time.perf_counter() - begun):.0f} |")
    return [*lines, f"\nLooking takes {peak.most / 1e9:.2f} GB at most in the process."]


@pytest.mark.timeout(1_800)
def test_long_text(lm, report):
    if not LONG:
        report(["\n8,192 tokens: not run (BENCH_LONG=0)."])
        return
    report(long_lines(lm, 8_192))


@pytest.mark.timeout(1_800)
def test_very_long_text_on_an_accelerator(lm, report):
    """The embedded model's shape with positions for 32,768 tokens, on a GPU."""
    if not torch.cuda.is_available():
        report(["\n32,768 tokens on a GPU: not run, there is none."])
        return
    from transformers import AutoModelForCausalLM

    config = type(lm.model.config)(
        **(lm.model.config.to_dict() | {"max_position_embeddings": 32_768})
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    model.load_state_dict(lm.model.state_dict())
    tokenizer = lm.tokenizer
    big = liw.wrap(model.to("cuda", torch.bfloat16), tokenizer, "SmolLM2, 32,768 positions")
    torch.cuda.reset_peak_memory_stats()
    lines = long_lines(big, 32_768)
    most = torch.cuda.max_memory_allocated()
    report([*lines, f"\nPeak on {torch.cuda.get_device_name()}: {most / 1e9:.2f} GB."])
