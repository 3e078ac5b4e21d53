"""A model of a billion parameters on an accelerator: seconds, tokens a second, share of its rate.

The model has the shape of Llama 3.2 1B and random weights in bfloat16: its speed does not
depend on what it has learned. The chip's rate is measured, not looked up: the product of two
8,192² matrices. ``BENCH_DEVICE=cpu`` runs the same lines on a model of a few layers, to see
that they run.
"""

from __future__ import annotations

import os
import statistics
import time

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import llm_interp_widgets as liw

ON_CPU = os.environ.get("BENCH_DEVICE") == "cpu"
TOKENS = 128
EVALUATIONS = 500
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SIDE, PRODUCTS = (512, 4) if ON_CPU else (8_192, 30)
SHAPE = {
    "hidden_size": 2_048,
    "intermediate_size": 8_192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 2_048,
}
SMALL = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2} | {
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}
pytestmark = [] if ON_CPU else [pytest.mark.gpu]


@pytest.fixture(scope="module")
def device():
    return torch.device("cpu") if ON_CPU else torch.accelerator.current_accelerator()


@pytest.fixture(scope="module")
def big(lm, device):
    """Random weights under the embedded model's tokenizer."""
    shape = SHAPE | (SMALL if ON_CPU else {})
    config = LlamaConfig(
        vocab_size=len(lm.tokenizer), tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
        **shape,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    return liw.wrap(model, lm.tokenizer, "Llama-shaped, random")


def settled(device):
    if device.type != "cpu":
        torch.accelerator.synchronize()


def seconds_of(work, device):
    work()
    taken = []
    for _ in range(ROUNDS):
        settled(device)
        started = time.perf_counter()
        work()
        settled(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def matrix_rate(device):
    """Floating-point operations a second of a large product in bfloat16."""
    a = torch.randn(SIDE, SIDE, device=device, dtype=torch.bfloat16)

    def products():
        for _ in range(PRODUCTS):
            a @ a

    return 2 * SIDE**3 * PRODUCTS / seconds_of(products, device)


def test_a_billion_parameters(big, device, report):
    shap = pytest.importorskip("shap")
    text = " it was said that for all of them to be in" * TOKENS
    ids = list(big.encode(text).ids)[:TOKENS]
    text = big.tokenizer.decode(ids)
    tokenizer, target = big.tokenizer, 5
    evaluations = max(EVALUATIONS, 2 * TOKENS + 2)  # shap's least

    def ours(method):
        return lambda: liw.attribute(
            big, ids, target, method, evaluations=evaluations, precision=None, filler=" the"
        )

    def predict(texts):
        """A callable as shap's users write it: padded batches, all logits."""
        values = []
        with torch.inference_mode():
            for at in range(0, len(texts), 64):
                batch = tokenizer(
                    [str(t) for t in texts[at : at + 64]],
                    return_tensors="pt", padding=True, padding_side="left",
                ).to(device)  # fmt: skip
                position = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
                logits = big.model(**batch, position_ids=position).logits[:, -1].float()
                values.append(logits.log_softmax(-1)[:, target])
        return torch.cat(values).cpu().numpy()

    masker = shap.maskers.Text(tokenizer, mask_token=" the")
    explainer = shap.Explainer(predict, masker, algorithm="permutation")
    contenders = {
        "llm_interp_widgets, kernel_shap": ours("kernel_shap"),
        "llm_interp_widgets, shapley": ours("shapley"),
        "shap permutation, batched callable": lambda: explainer(
            [text], max_evals=evaluations, silent=True
        ),
    }
    rate = matrix_rate(device)
    weights = sum(p.numel() for p in big.model.model.layers.parameters())
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    title = (
        f"\n### {weights / 1e9:.2f} B weights in layers, {TOKENS} tokens, "
        f"{evaluations} evaluations, {name}, {rate / 1e12:.0f} TFLOP/s measured\n"
    )
    lines = [
        title,
        "| contender | seconds | input tokens a second | share of the rate, nothing shared |",
        "|---|---|---|---|",
    ]
    for contender, work in contenders.items():
        taken = seconds_of(work, device)
        tokens = TOKENS * evaluations / taken
        share = 2 * weights * tokens / rate
        lines.append(f"| {contender} | {taken:.2f} | {tokens:,.0f} | {100 * share:.0f} % |")
    report(lines)
