"""Gradients: states in, values and slopes out, in passes that fit into memory.

What comes in: rows of states (embeddings, or hidden states of a layer) and a function from
them to values. What goes out: the values, and what a caller makes of the slopes.

Guarantees: what ``untouched`` guarantees; parameters get no gradient; one forward pass
serves all outputs, and its graph is freed as soon as the last output was read; a pass is
fitted to the device and halved when memory runs out, and finished rows are kept; a model
that cannot be differentiated says so.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from llm_interp_widgets.errors import (
    GradientsUnavailableError,
    InterpError,
    NonFiniteError,
)
from llm_interp_widgets.models.memory import Portions, free_bytes, out_of_memory, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.models.language_model import LanguageModel

# A backward pass gains nothing from more tokens than these; fewer need less memory.
_TOKENS_A_PASS = {"cpu": 2_048, "mps": 4_096, "cuda": 16_384}
_WORK_A_PASS = 3.5e10  # tokens x parameters on a CPU
_SHARE_OF_FREE = 0.4
_TOKENS_SIDE_BY_SIDE = 128  # tokens x rows below which outputs are worth batching, on a CPU
_HALF = (torch.float16, torch.bfloat16)


# ── one pass ──────────────────────────────────────────────────────────────────


def slopes(
    lm: LanguageModel,
    forward: Callable[[Float[Tensor, "row token d"]], Float[Tensor, "row output"]],
    states: Float[Tensor, "row token d"],
    keep: Callable[[Float[Tensor, "row token d"]], Tensor],
) -> tuple[Float[Tensor, "row output"], Float[Tensor, "output ..."]]:
    """Differentiate every output in one forward and as many backward passes.

    Args:
        lm: The model.
        forward: From states to values.
        states: Where to differentiate.
        keep: What is kept of an output's slope, which is the gradient of its value with
            respect to the states, in at least float32; rows do not touch each other.

    Returns:
        The values, and what was kept, one an output; both detached.

    Raises:
        GradientsUnavailableError: The model cannot be differentiated.
        NonFiniteError: A slope is NaN or infinite.
    """
    leaf = states.detach().clone().requires_grad_(True)  # noqa: FBT003 - torch's API
    wide = torch.promote_types(states.dtype, torch.float32)

    def kept(slope: Tensor) -> Tensor:
        if not bool(torch.isfinite(slope).all()):
            raise NonFiniteError(
                f"{lm.name} has NaN or infinite gradients in {lm.info.dtype}. Try "
                "dtype='float32', or check the model's weights."
            )
        return keep(slope.to(wide))

    with differentiable(lm):
        values = forward(leaf)
        if not values.requires_grad:
            raise GradientsUnavailableError(_no_gradient(lm, "no graph was recorded"))
        totals = values.sum(0)  # rows do not touch each other, so that one pass serves all
        count = len(totals)
        side_by_side = None
        if count > 1 and leaf.shape[0] * leaf.shape[1] <= _TOKENS_SIDE_BY_SIDE:
            side_by_side = _side_by_side(totals, leaf)
        found = []
        for o in range(count):
            lm.checkpoint()
            if side_by_side is not None:
                found.append(kept(side_by_side[o]))
                continue
            (slope,) = torch.autograd.grad(totals[o], leaf, retain_graph=o + 1 < count)
            found.append(kept(slope))
    return values.detach(), torch.stack(found)


def _side_by_side(totals: Tensor, leaf: Tensor) -> Tensor | None:
    """All outputs in one batched backward pass; ``None`` where an operation has no such rule.

    It pays while the products of one output are too small to fill the processor.
    """
    each = torch.eye(len(totals), dtype=totals.dtype, device=totals.device)
    try:
        (found,) = torch.autograd.grad(totals, leaf, each, retain_graph=True, is_grads_batched=True)
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error, InterpError):
            raise
        return None
    return found


@contextmanager
def differentiable(lm: LanguageModel) -> Iterator[None]:
    """Visit the model with gradients; what has none raises ``GradientsUnavailableError``."""
    lm.checkpoint()
    try:
        with lm.untouched(), torch.enable_grad():
            yield
    except RuntimeError as error:
        if isinstance(error, InterpError) or not _about_gradients(error):
            raise
        raise GradientsUnavailableError(_no_gradient(lm, str(error))) from error


def _no_gradient(lm: LanguageModel, reason: str) -> str:
    return (
        f"{lm.name} cannot be differentiated ({reason}); quantised models usually "
        "cannot. Use a method that needs no gradients: shapley or occlusion."
    )


def _about_gradients(error: RuntimeError) -> bool:
    words = str(error).lower()
    return any(hint in words for hint in ("inference tensor", "derivative", "require grad"))


# ── many passes ───────────────────────────────────────────────────────────────


class Passes(Portions):
    """Splits rows into passes with gradients that fit, and remembers what fitted.

    Args:
        lm: The model.
        tokens: Of one row, teacher-forced ones included.
        positions: How many of them have logits.
    """

    def __init__(self, lm: LanguageModel, tokens: int, positions: int = 1) -> None:
        self._lm = lm
        self._tokens = tokens
        self._row_bytes = pass_bytes(lm, tokens, positions)
        size = f"about {self._row_bytes / 1e9:.2g} GB beside the weights"
        super().__init__(
            lm.device,
            self._first_guess(),
            f"The gradient of a single row of {tokens} tokens ({size})",
            "Free memory, shorten the prompt, or use a method that needs no gradients: shapley "
            "or occlusion.",
        )

    def _first_guess(self) -> int:
        device = self._lm.device
        tokens = _TOKENS_A_PASS.get(device.type, _TOKENS_A_PASS["cpu"])
        if device.type == "cpu":
            tokens = min(tokens, int(_WORK_A_PASS / self._lm.parameters))
        most = tokens // self._tokens
        free = free_bytes(device)
        if free is not None:
            most = min(most, int(free * _SHARE_OF_FREE / self._row_bytes))
        return max(1, most)


def pass_bytes(lm: LanguageModel, tokens: int, positions: int) -> float:
    """Estimate what a graph holds for one row, without weights: activations and logits.

    A block keeps about ten states of the model's width for each token and four of its
    feed-forward network's; eager attention two tables of its weights a head.
    """
    config = lm.model.config.get_text_config()
    width = int(getattr(config, "hidden_size", None) or 1024)
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    heads = int(getattr(config, "num_attention_heads", None) or 1)
    eager = getattr(config, "_attn_implementation", None) == "eager"
    a_token = lm.layers * (10 * width + 4 * inner + (2 * heads * tokens if eager else 0))
    logits = 3 * positions * (len(lm.labels) or lm.vocabulary_size)
    return lm.model.dtype.itemsize * tokens * a_token + 4.0 * logits


# ── precision ─────────────────────────────────────────────────────────────────


def in_float32(lm: LanguageModel) -> LanguageModel | None:
    """Return a handle on a float32 copy of a 16-bit model; the model itself is not touched.

    A model of 32 or 64 bits is handed back as it is. ``None`` where a copy does not fit, or
    where the weights are spread over devices or quantised.
    """
    if lm.model.dtype not in _HALF:
        return lm
    placed = {p.device for p in lm.model.parameters()}
    quantised = getattr(lm.model, "is_quantized", False)
    free = free_bytes(lm.device)
    needed = 4.0 * lm.parameters
    if len(placed) > 1 or quantised or (free is not None and needed > _SHARE_OF_FREE * free):
        return None
    try:
        wide: Any = copy.deepcopy(lm.model)
        return replace(lm, model=wide.float())
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    wide = None
    release(lm.device)
    return None
