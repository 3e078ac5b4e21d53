"""What attribution costs beside the bare forward passes, and beside the peers.

The *bare bound* is the same masked inputs through the same model in length-sorted batches,
logits at the last position only, and nothing else. Every contender is given as many
evaluations. ``make bench`` writes ``build/bench.md``; ``BENCH_ROUNDS`` and
``BENCH_EVALUATIONS`` make it shorter.
"""

from __future__ import annotations

import os
import time
import warnings

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.models.batches import Coalitions

EVALUATIONS = int(os.environ.get("BENCH_EVALUATIONS", "500"))
TEXT = (
    "The old harbour of Marseille has been a place of trade since the Greeks arrived, and "
    "today it is one of the largest ports of the whole country of France, whose capital is"
)
ROWS_A_BATCH = 64  # of the peers' callables


@pytest.fixture(autouse=True)
def _peers_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def rows_asked(monkeypatch):
    """Every input that a run of ours scores."""
    asked = []
    row = Coalitions._row

    def recording(self, features, filler):
        found = row(self, features, filler)
        asked.append(found.ids)
        return found

    monkeypatch.setattr(Coalitions, "_row", recording)
    return asked


def prompt_of(lm, tokens):
    ids = list(lm.encode(TEXT).ids)
    return (ids * (tokens // len(ids) + 1))[-tokens:]


def bare(lm, rows):
    """Send rows through the model in sorted batches, and do nothing else."""
    rows = sorted(rows, key=len)
    keep = {"logits_to_keep": 1, "use_cache": False} if lm.kind == "causal" else {}

    def run():
        start = 0
        with torch.inference_mode():
            while start < len(rows):
                length = len(rows[start])
                same = [r for r in rows[start:] if len(r) == length]
                batch = same[: max(1, 2_048 // length)]
                lm.model(input_ids=torch.tensor(np.stack(batch), device=lm.device), **keep)
                start += len(batch)

    return run


# ── a language model's next token ─────────────────────────────────────────────


def next_token(lm, target, asked):
    """A callable as shap's users write it: padded batches, all logits; notes what it is asked."""

    def predict(texts):
        values = []
        with torch.inference_mode():
            for at in range(0, len(texts), ROWS_A_BATCH):
                some = [str(text) for text in texts[at : at + ROWS_A_BATCH]]
                batch = lm.tokenizer(
                    some, return_tensors="pt", padding=True, padding_side="left"
                ).to(lm.device)
                masks = batch["attention_mask"].bool()
                asked.extend(
                    row[on].numpy() for row, on in zip(batch["input_ids"], masks, strict=True)
                )
                position = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
                logits = lm.model(**batch, position_ids=position).logits[:, -1]
                values.append(logits.log_softmax(-1)[:, target])
        return torch.cat(values).cpu().numpy()

    return predict


@pytest.mark.parametrize("tokens", [32, 128])
@pytest.mark.parametrize("method", ["shapley", "owen"])
def test_next_token(lm, tokens, method, rows_asked, compare):
    """The same inputs for both: a filler for every token that is off, so that none is padded.

    shap's masker would put one filler for several neighbours; that is compared below.
    """
    shap = pytest.importorskip("shap")
    ids = prompt_of(lm, tokens)
    text = lm.encode(ids).text
    target = lm.top_tokens(ids, 1)[0]
    whole_walks = 2 * tokens * max(1, EVALUATIONS // (2 * tokens)) + 1  # shap takes no other
    options = {"evaluations": whole_walks, "filler": " the"}
    if method == "shapley":
        options["precision"] = None

    def ours():
        liw.attribute(lm, ids, target, method, **options)

    ours()
    scored, asked = list(rows_asked), []
    algorithm = {"shapley": "permutation", "owen": "partition"}[method]
    masker = shap.maskers.Text(lm.tokenizer, mask_token=" the", collapse_mask_token=False)
    explainer = shap.Explainer(next_token(lm, target, asked), masker, algorithm=algorithm)

    def theirs():
        asked.clear()
        explainer([text], max_evals=max(len(scored), 2 * tokens + 1), silent=True)

    theirs()
    compare(
        f"{method}, next token, {tokens} tokens, {len(scored)} inputs",
        {
            "bare": bare(lm, scored),
            "llm_interp_widgets": ours,
            f"shap {algorithm}, batched callable, {len(asked)} inputs": theirs,
        },
    )


@pytest.mark.parametrize("tokens", [32, 128])
def test_next_token_without_what_is_off(lm, tokens, compare):
    """Shorter inputs: shap's default masker puts "..." for all that is off, we take it out."""
    shap = pytest.importorskip("shap")
    ids = prompt_of(lm, tokens)
    text = lm.encode(ids).text
    target, asked = lm.top_tokens(ids, 1)[0], []
    explainer = shap.Explainer(
        next_token(lm, target, asked), shap.maskers.Text(lm.tokenizer), algorithm="partition"
    )

    def theirs():
        asked.clear()
        explainer([text], max_evals=EVALUATIONS, silent=True)

    theirs()
    rows = list(asked)
    compare(
        f"owen, next token, {tokens} tokens, {len(rows)} inputs, what is off removed",
        {
            "bare, shap's inputs": bare(lm, rows),
            "llm_interp_widgets": lambda: liw.attribute(
                lm, ids, target, "owen", evaluations=len(rows), off="remove"
            ),
            "shap partition, batched callable": theirs,
        },
    )


@pytest.mark.parametrize("tokens", [128])
def test_overhead_of_the_evaluator(lm, tokens, rows_asked, compare):
    """Without anything to share: random coalitions, which part early."""
    prompt = lm.encode(prompt_of(lm, tokens))
    from llm_interp_widgets.targets import ask
    from llm_interp_widgets.text.features import pieces

    readouts = ask(5, lm, prompt).readouts
    random = np.random.default_rng(0)
    coalitions = random.random((64, tokens)) < 0.5
    coalitions[:, 0] = random.random(64) < 0.5

    def ours():
        Coalitions(lm, prompt, pieces(prompt, "token"), readouts, filler=" the").values(
            coalitions, 0
        )

    ours()
    compare(
        f"evaluator, {len(coalitions)} random coalitions of {tokens} tokens",
        {"bare": bare(lm, list(rows_asked)), "llm_interp_widgets": ours},
    )


# ── captum on a continuation ──────────────────────────────────────────────────


def test_continuation(lm, compare):
    captum = pytest.importorskip("captum.attr")
    text = "The old harbour of Marseille has been a place of trade since the Greeks"
    continuation = " arrived there in ships from the east of the sea,"
    prompt = lm.encode(text)
    tokens, written = len(prompt.tokens), len(lm.tokenizer(continuation).input_ids)
    skipped = list(lm.tokenizer.all_special_ids)
    given = captum.TextTokenInput(text, lm.tokenizer, skip_tokens=skipped, baselines=260)

    def captums(method, **options):
        attribution = captum.LLMAttribution(method(lm.model), lm.tokenizer)
        return lambda: attribution.attribute(given, target=continuation, **options)

    compare(
        f"leave one out, {written} tokens after {tokens}",
        {
            "llm_interp_widgets": lambda: liw.attribute(
                lm, text, continuation, "occlusion", filler=" the"
            ),
            "captum LLMAttribution(FeatureAblation)": captums(captum.FeatureAblation),
        },
    )
    samples = 4
    compare(
        f"Shapley sampling, {samples * tokens} evaluations, {written} tokens after {tokens}",
        {
            "llm_interp_widgets": lambda: liw.attribute(
                lm, text, continuation, evaluations=samples * tokens + 1, precision=None,
                filler=" the",
            ),
            "captum LLMAttribution(ShapleyValueSampling)": captums(
                captum.ShapleyValueSampling, n_samples=samples
            ),
        },
    )  # fmt: skip


# ── an encoder classifier ─────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def classifier(minilm):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # the head is new, and that is meant
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(minilm, num_labels=2)
    return liw.wrap(model.eval(), AutoTokenizer.from_pretrained(minilm), "MiniLM with a new head")


REVIEW = (
    "A quiet and beautifully shot film whose slow first hour is worth every minute of it, "
    "although the ending left nearly everybody in the room wanting a little more"
)


def callables(lm):
    """The two ways in which shap and lime are handed a classifier."""
    from transformers import TextClassificationPipeline

    pipeline = TextClassificationPipeline(model=lm.model, tokenizer=lm.tokenizer, top_k=None)

    def through_pipeline(texts):
        found = pipeline([str(text) for text in texts])
        return np.array([[s["score"] for s in sorted(f, key=lambda s: s["label"])] for f in found])

    def batched(texts):
        values = []
        with torch.inference_mode():
            for at in range(0, len(texts), ROWS_A_BATCH):
                some = [str(text) for text in texts[at : at + ROWS_A_BATCH]]
                batch = lm.tokenizer(some, return_tensors="pt", padding=True).to(lm.device)
                values.append(lm.model(**batch).logits.softmax(-1))
        return torch.cat(values).cpu().numpy()

    return {"pipeline": through_pipeline, "batched callable": batched}


def test_classifier_against_shap(classifier, rows_asked, compare):
    shap = pytest.importorskip("shap")

    def ours():
        liw.attribute(classifier, REVIEW, liw.Prob(1), "owen", evaluations=EVALUATIONS)

    ours()
    scored = list(rows_asked)
    contenders = {"bare": bare(classifier, scored), "llm_interp_widgets": ours}
    for name, predict in callables(classifier).items():
        explainer = shap.Explainer(predict, shap.maskers.Text(classifier.tokenizer))
        contenders[f"shap partition, {name}"] = lambda explainer=explainer: explainer(
            [REVIEW], max_evals=len(scored), silent=True
        )
    compare(f"owen, classifier, 32 tokens, {len(scored)} inputs", contenders)


def test_classifier_against_lime(classifier, rows_asked, compare):
    lime_text = pytest.importorskip("lime.lime_text")
    samples = 2 * EVALUATIONS

    def ours():
        liw.attribute(
            classifier, REVIEW, liw.Prob(1), "lime", granularity="word", off="remove",
            evaluations=samples,
        )  # fmt: skip

    ours()
    contenders = {"bare": bare(classifier, list(rows_asked)), "llm_interp_widgets": ours}
    for name, predict in callables(classifier).items():
        explainer = lime_text.LimeTextExplainer(random_state=0)
        contenders[f"lime, {name}"] = lambda e=explainer, p=predict: e.explain_instance(
            REVIEW, p, num_features=40, num_samples=samples
        )
    compare(f"lime, classifier, 32 tokens, {samples} samples, words removed", contenders)


# ── what a reader waits for ───────────────────────────────────────────────────


def test_first_partial(lm, report):
    ids = prompt_of(lm, 64)
    lines = [
        "\n### First scores on a 64-token prompt, all defaults\n",
        "| | seconds |",
        "|---|---|",
    ]
    for run in range(2):
        started = time.perf_counter()
        widget = liw.explain(lm, ids, evaluations=600)
        while not np.isfinite(widget.job.progress.merged.scores).any():
            time.sleep(0.005)
        first = time.perf_counter() - started
        widget.result()
        lines.append(f"| first scores, run {run + 1} | {first:.2f} |")
        lines.append(f"| whole run {run + 1} | {time.perf_counter() - started:.2f} |")
        widget.close()
    report(lines)
