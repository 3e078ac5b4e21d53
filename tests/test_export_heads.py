"""What an exported page keeps of every head: right to what it says, within what it may take."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from llm_interp_widgets.export.heads import decode, keep, size

GOLDEN = Path(__file__).resolve().parent / "golden_heads.json"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
MB = 1_000_000


@dataclass
class Rule:
    first: np.ndarray
    stop: np.ndarray
    scale: float = 0.35
    softcap: float | None = None
    seen: np.ndarray | None = None
    bias: np.ndarray | None = None
    sinks: np.ndarray | None = None
    whole: bool = False


@dataclass
class Heads:
    """Random heads with a few strong keys, two layers, six query heads on two key heads."""

    queries: int
    keys: int
    rules: list[Rule]
    heads: int = 6
    groups: int = 2
    d: int = 8
    seed: int = 0
    tables: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.layers, self.shape = len(self.rules), (self.queries, self.keys)
        self.q = rng.normal(0.4, 1.5, (self.layers, self.heads, self.queries, self.d))
        self.k = rng.normal(-0.3, 1.5, (self.layers, self.groups, self.keys, self.d))
        self.k[:, :, 0] *= 2

    def queries_keys(self, layer):
        assert not self.rules[layer].whole
        return self.q[layer].astype(np.float32), self.k[layer].astype(np.float32)

    def rule(self, layer):
        return self.rules[layer]

    def weights(self, layer, head):
        """One cell after the other, in float64."""
        if (layer, head) in self.tables:
            return self.tables[layer, head]
        rule = self.rules[layer]
        k = self.k[layer, head // (self.heads // self.groups)].astype(np.float32)
        q = self.q[layer, head].astype(np.float32)
        found = np.zeros(self.shape)
        for i in range(self.queries):
            some = [
                j
                for j in range(int(rule.first[i]), int(rule.stop[i]))
                if rule.seen is None or rule.seen[i, j]
            ]
            score = np.array([float(q[i].astype(float) @ k[j]) * rule.scale for j in some])
            if rule.softcap is not None:
                score = rule.softcap * np.tanh(score / rule.softcap)
            if rule.bias is not None:
                bias = rule.bias[head if len(rule.bias) > 1 else 0]
                far = bias.ndim == 1
                score += [bias[j - i + self.queries - 1] if far else bias[i, j] for j in some]
            top = max(score, default=0)
            some_exp = np.exp(score - top)
            sink = 0 if rule.sinks is None else np.exp(rule.sinks[head] - top)
            found[i, some] = some_exp / max(some_exp.sum() + sink, 1e-300)
        return found.astype(np.float32)


def causal(n, window=None):
    at = np.arange(n)
    first = at * 0 if window is None else np.maximum(at + 1 - window, 0)
    return {"first": first.astype(np.uint32), "stop": (at + 1).astype(np.uint32)}


def all_keys(queries, keys):
    return {"first": np.zeros(queries, np.uint32), "stop": np.full(queries, keys, np.uint32)}


def holes(n):
    """Left padding and a hole: causal, less keys 0 to 2 and 7; the first queries see nothing."""
    seen = np.tril(np.ones((n, n), bool))
    seen[:, [0, 1, 2, 7]] = False
    stop = np.where(seen.any(1), n - np.argmax(seen[:, ::-1], 1), 0)
    first = np.where(seen.any(1), np.argmax(seen, 1), 0)
    return {"first": first.astype(np.uint32), "stop": stop.astype(np.uint32), "seen": seen}


def rng(seed=1):
    return np.random.default_rng(seed)


def by_distance(heads, n, m=None):
    return rng().normal(0, 1, (heads, n + (m or n) - 1)).astype(np.float32)


N = 26
RULES = {
    "causal": (N, N, causal(N)),
    "encoder": (N, N, all_keys(N, N)),
    "window": (N, N, causal(N, 5)),
    "padding": (N, N, holes(N)),
    "soft cap": (N, N, causal(N) | {"softcap": 3.0}),
    "bias by distance": (N, N, all_keys(N, N) | {"bias": by_distance(6, N)}),
    "one bias": (N, N, causal(N) | {"bias": by_distance(1, N)}),
    "bias by cell": (N, N, causal(N) | {"bias": rng().normal(0, 1, (6, N, N)).astype(np.float32)}),
    "sinks": (N, N, causal(N) | {"sinks": np.linspace(-2, 4, 6).astype(np.float32)}),
    "cross": (11, N, all_keys(11, N)),
    "all at once": (
        N,
        N,
        holes(N) | {"softcap": 4.0, "bias": by_distance(6, N), "sinks": np.ones(6, np.float32)},
    ),
}


def source(name, layers=2, **options):
    queries, keys, rule = RULES[name]
    return Heads(queries, keys, [Rule(**rule) for _ in range(layers)], **options)


def differences(heads, kept):
    every = [(i, h) for i in range(heads.layers) for h in range(heads.heads)]
    found = {at: decode(kept, *at) for at in every}
    return {at: np.abs(w - heads.weights(*at)) for at, w in found.items() if w is not None}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("budget", ["tables", "scores"])
def test_weights_are_right_to_what_is_said(name, budget):
    heads = source(name)
    whole = keep(heads, 10 * MB)
    assert whole["encoding"] == "tables"
    kept = whole if budget == "tables" else keep(heads, int(0.75 * size(whole)))
    assert kept["encoding"] == budget
    off = differences(heads, kept)
    assert len(off) == 12
    assert max(o.max() for o in off.values()) <= kept["error_max"] + 2e-6
    assert kept["error_max"] <= 0.502 / kept["levels"] + 2e-6
    assert kept["rows_checked"] == heads.queries
    assert kept["left_out"] == ""


@pytest.mark.parametrize("name", RULES)
def test_rows_sum_to_what_they_should(name):
    heads = source(name)
    kept = keep(heads, int(0.8 * size(keep(heads, 10 * MB))))
    for layer, head in [(0, 0), (1, 5)]:
        exact = heads.weights(layer, head)
        found = decode(kept, layer, head)
        assert (found[exact.sum(1) == 0] == 0).all()
        np.testing.assert_allclose(
            found.sum(1), exact.sum(1), atol=2 * heads.keys**0.5 / kept["levels"]
        )


def test_the_error_is_measured():
    heads = source("causal")
    kept = keep(heads, int(0.6 * size(keep(heads, 10 * MB))))
    off = differences(heads, kept)
    cells = 12 * N * (N + 1) / 2
    assert kept["error_max"] == pytest.approx(max(o.max() for o in off.values()), abs=2e-6)
    mean = sum(o.sum(dtype=float) for o in off.values()) / cells
    assert kept["error_mean"] == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize("part", [1.2, 0.9, 0.7, 0.5, 0.3])
def test_the_budget_is_kept_as_base64(part):
    heads = Heads(150, 150, [Rule(**causal(150))] * 3, d=32)
    budget = int(part * size(keep(heads, 10 * MB)))
    kept = keep(heads, budget)
    buffers = [one["data"] for one in (*kept["rules"], *kept["parts"])]
    taken = sum(len(base64.b64encode(data)) for data in buffers)
    plain = json.dumps(kept, default=lambda _: None)
    assert taken + len(plain) <= budget + 600  # the fixed part of the message
    assert not kept["left_out"]


def test_more_room_is_a_smaller_error():
    heads = Heads(150, 150, [Rule(**causal(150))] * 3, d=32)
    whole = size(keep(heads, 10 * MB))
    found = [keep(heads, int(part * whole)) for part in (1.0, 0.8, 0.6, 0.4, 0.25)]
    means = [kept["error_mean"] for kept in found]
    assert means == sorted(means)
    assert {kept["levels"] for kept in found[1:3]} == {254}


def test_what_does_not_fit_is_left_out_and_said():
    heads = Heads(120, 120, [Rule(**causal(120))] * 4)
    kept = keep(heads, 20_000, first=[(2, 4), (0, 1)])
    assert size(kept) <= 20_000
    there = [(i, h) for i in range(4) for h in range(6) if decode(kept, i, h) is not None]
    assert (2, 4) in there
    assert (0, 1) in there
    assert 0 < len(there) < 24
    assert kept["left_out"].startswith(
        f"{24 - len(there)} of 24 heads are not in this file, to stay within its budget"
    )
    off = differences(heads, kept)
    assert max(o.max() for o in off.values()) <= kept["error_max"] + 2e-6


def test_nothing_fits():
    kept = keep(source("causal"), 100, first=[(0, 0)])
    assert kept["parts"] == []
    assert kept["left_out"].startswith("12 of 12 heads")
    assert "1 of them pinned" in kept["left_out"]
    assert decode(kept, 0, 0) is None


def test_layers_share_their_rules():
    rules = [Rule(**causal(N)), Rule(**causal(N, 5)), Rule(**causal(N)), Rule(**causal(N, 5))]
    kept = keep(Heads(N, N, rules), 10 * MB)
    assert len(kept["rules"]) == 2
    assert kept["rule_of"] == [0, 1, 0, 1]


@pytest.mark.parametrize("part", [1.0, 0.6])
@pytest.mark.parametrize("given", [1.0, 0.8])
def test_whole_tables(part, given):
    """Weights are all there is, and something unknown may take a share of them."""
    heads = source("encoder")
    heads.tables = {(i, h): given * heads.weights(i, h) for i in range(2) for h in range(6)}
    for rule in heads.rules:
        rule.whole = True
    kept = keep(heads, int(part * size(keep(heads, 10 * MB))))
    off = differences(heads, kept)
    assert max(o.max() for o in off.values()) <= kept["error_max"] + 1e-6 <= 0.0025


def test_one_token():
    kept = keep(Heads(1, 1, [Rule(**causal(1))] * 2), 10 * MB)
    assert decode(kept, 1, 5).tolist() == [[1.0]]


def test_large_numbers_take_two_bytes():
    heads = source("encoder", d=2)
    heads.q[:, :, 3] *= 300
    kept = keep(heads, int(0.8 * size(keep(heads, 10 * MB))))
    assert any(part["rank"] for part in kept["parts"])
    assert max(o.max() for o in differences(heads, kept).values()) <= kept["error_max"] + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokens", "budget", "error"), [(64, 10, 1e-5), (256, 4, 0.002), (256, 1.5, 0.01)]
)
def test_smollm2(lm, tokens, budget, error):
    import llm_interp_widgets as liw

    text = Path(__file__).read_text(encoding="utf-8")
    record = liw.attention(lm, lm.tokenizer(text)["input_ids"][:tokens])
    kept = keep(record, int(budget * MB))
    assert size(kept) <= budget * MB
    assert kept["left_out"] == ""
    assert kept["error_max"] <= error
    for layer, head in [(0, 0), (10, 4), (29, 8)]:
        off = np.abs(decode(kept, layer, head) - record.weights(layer, head))
        assert off.max() <= kept["error_max"] + 5e-6


@pytest.mark.parametrize(
    "family", ["mistral", "gemma2", "gpt_oss", "bert_encoder", "bloom", "t5", "bart"]
)
def test_families(tiny_lm, family):
    import llm_interp_widgets as liw

    record = liw.attention(tiny_lm(family), "The capital of France is Paris, and that of Japan?")
    for stack in record.stacks.values():
        whole = keep(stack, 10 * MB)
        for kept in (whole, keep(stack, int(0.9 * size(whole)))):
            for layer in range(stack.layers):
                for head in range(stack.heads):
                    found = decode(kept, layer, head)
                    if found is None:  # a few tokens: commas and quotes are most of it
                        assert kept["left_out"]
                        continue
                    off = np.abs(found - stack.weights(layer, head))
                    assert off.max() <= kept["error_max"] + 1e-5 <= 0.04


# ── the browser's ─────────────────────────────────────────────────────────────


def written(heads, part):
    kept = keep(heads, int(part * size(keep(heads, 10 * MB))))
    return json.loads(json.dumps(kept, default=lambda b: base64.b64encode(b).decode()))


def golden():
    """Return heads of every rule, small, as they were written."""
    cases = [
        {"name": name, "at": [0, 4], "kept": written(source(name, 1, d=4), part)}
        for name in RULES
        for part in (1, 0.75)
    ]
    heads = source("encoder", 1, d=2)
    heads.q[:, :, 3] *= 300
    return [*cases, {"name": "wide", "at": [0, 2], "kept": written(heads, 0.8)}]


def unpacked(kept):
    read = {name: [one | {"data": base64.b64decode(one["data"])} for one in kept[name]]
            for name in ("rules", "parts")}  # fmt: skip
    return kept | read


def test_the_browsers_golden_file():
    if UPDATE:
        cases = golden()
        for case in cases:
            weights = decode(unpacked(case["kept"]), *case["at"])
            case["weights"] = base64.b64encode(weights.astype("<f4").tobytes()).decode()
        GOLDEN.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert {case["name"] for case in cases} == {*RULES, "wide"}
    fresh = golden()
    for case, now in zip(cases, fresh, strict=True):
        weights = np.frombuffer(base64.b64decode(case["weights"]), "<f4")
        kept = unpacked(case["kept"])
        np.testing.assert_allclose(decode(kept, *case["at"]).ravel(), weights, atol=1e-6)
        # A compressor may choose other bytes, and a rounding may fall the other way elsewhere.
        again = decode(unpacked(now["kept"]), *case["at"]).ravel()
        np.testing.assert_allclose(again, weights, atol=0.01)
