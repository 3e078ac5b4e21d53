"""Attention weights of one pass, whole: for methods that multiply all layers.

What comes in: one row of inputs and a readout. What goes out: every layer's weights, and
from which positions of the last block each output is read; on request also the gradients
of each output with respect to the weights.

Guarantees: what ``untouched`` guarantees; eager attention and hooks only while the pass
lasts, unnoticed by other threads' passes but for eager attention; a model that hands out no
weights, or a prompt whose weights do not fit into memory, is refused with a typed error.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from llm_interp_widgets.errors import ModelMemoryError, UnsupportedModelError
from llm_interp_widgets.models.gradients import differentiable
from llm_interp_widgets.models.memory import fitting, free_bytes
from llm_interp_widgets.models.visits import attention, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Bool, Float
    from torch import Tensor
    from transformers import PreTrainedModel

    from llm_interp_widgets.models.language_model import Inputs, LanguageModel, Readout

_SHARE_OF_FREE = 0.5
_RECORDER, _RECORDS = "transformers.utils.output_capturing", "_output_capturing_hooks_installed"
_TABLES = {False: 2, True: 5}  # the most that is alive a layer and head, with gradients or not


@dataclass(frozen=True, slots=True)
class Attentions:
    """Attention of one pass.

    Attributes:
        values: Of the outputs.
        read: From which positions of the last block each output is read.
        layers: Each layer's weights, averaged over heads for each output: the plain mean, or
            that of relu(gradient · weight).
    """

    values: Float[Tensor, " output"]
    read: Bool[Tensor, "output token"]
    layers: tuple[Float[Tensor, "output query key"], ...]


def plain(lm: LanguageModel, inputs: Inputs, readout: Readout) -> Attentions:
    """Return each layer's weights, averaged over heads; needs no graph of the model.

    Args:
        lm: The model.
        inputs: One row of embeddings.
        readout: What is read.

    Raises:
        UnsupportedModelError: The model hands out no attention weights.
        ModelMemoryError: They do not fit into memory.
    """
    _check_memory(lm, inputs, readout, graph=False)
    with _fitting(lm, inputs), _watched(lm, cut=True) as seen:
        values = lm.forward(inputs, seen.through(readout))[0]
        weights = _weights(lm, seen)
        read = _read(lm, values, seen)
        means = tuple(w.detach().float().mean(1).expand(len(values), -1, -1) for w in weights)
    return Attentions(values.detach(), read, means)


def weighted(lm: LanguageModel, inputs: Inputs, readout: Readout) -> Attentions:
    """Return each layer's relu(gradient · weight), averaged over heads, for each output.

    Raises:
        UnsupportedModelError: The model hands out no attention weights.
        ModelMemoryError: They do not fit into memory.
        GradientsUnavailableError: The model cannot be differentiated.
    """
    _check_memory(lm, inputs, readout, graph=True)
    leaf = inputs.tokens.detach().clone().requires_grad_(True)  # noqa: FBT003 - torch's API
    found: list[list[Tensor]] = []
    with _fitting(lm, inputs), _watched(lm, cut=False) as seen:
        values = lm.forward(replace(inputs, tokens=leaf), seen.through(readout))[0]
        weights = _weights(lm, seen)
        read = _read(lm, values, seen)
        for o, value in enumerate(values):
            lm.checkpoint()
            slopes = torch.autograd.grad(
                value, weights, retain_graph=o + 1 < len(values), materialize_grads=True
            )
            pairs = zip(slopes, weights, strict=True)
            found.append([(s * w.detach()).float().relu().mean(1)[0] for s, w in pairs])
    layers = tuple(torch.stack(of_layer) for of_layer in zip(*found, strict=True))
    return Attentions(values.detach(), read, layers)


def handed_out(lm: LanguageModel, inputs: Inputs, readout: Readout) -> tuple[Tensor, ...]:
    """Return every layer's weights (1, head, query, key), whole, as the model hands them out.

    Raises:
        UnsupportedModelError: It hands out none.
        ModelMemoryError: They do not fit into memory.
    """
    _check_memory(lm, inputs, readout, graph=False)
    with _fitting(lm, inputs), _watched(lm, cut=True) as seen:
        lm.forward(inputs, seen.through(readout))
        return _weights(lm, seen)


# ── one watched pass ──────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Seen:
    """What hooks caught."""

    weights: Any = None
    last: Tensor | None = None
    answers: Tensor | None = None

    def through(self, readout: Readout) -> Readout:
        """Return the readout, looking at what it is given."""

        def reduce(answers: Tensor) -> Tensor:
            self.answers = answers
            return readout.reduce(answers)

        return replace(readout, reduce=reduce)


@contextmanager
def _watched(lm: LanguageModel, *, cut: bool) -> Iterator[_Seen]:
    """Run the model eagerly, with gradients, and catch its weights and last hidden states.

    Args:
        lm: The model.
        cut: Let the graph begin at the last block's output.
    """
    seen, here = _Seen(), threading.get_ident()
    stack = blocks(lm.model)

    def ask(_: object, args: Any, options: dict[str, Any]) -> Any:  # noqa: ANN401
        return (args, options | {"output_attentions": True}) if mine() else None

    def catch(_: object, __: object, output: Any) -> None:  # noqa: ANN401
        if mine():
            seen.weights = getattr(output, "attentions", None)

    def note(_: object, __: object, output: Any) -> Any:  # noqa: ANN401
        if not mine():
            return None
        is_tensor = isinstance(output, torch.Tensor)
        states = output if is_tensor else output[0]
        if cut:
            states = states.detach().requires_grad_(True)  # noqa: FBT003 - torch's API
        seen.last = states
        return states if is_tensor else type(output)([states, *output[1:]])

    def mine() -> bool:
        return threading.get_ident() == here

    hooks = [
        lm.model.register_forward_pre_hook(ask, with_kwargs=True),
        lm.model.register_forward_hook(catch),
    ]
    if stack:
        hooks.append(stack[-1].register_forward_hook(note))
    try:
        with _recorders_removed(lm.model), attention(lm.model, "eager"), differentiable(lm):
            yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _recorders_removed(model: PreTrainedModel) -> Iterator[None]:
    """Remove the hooks that transformers leaves in a model that was asked for attentions."""
    before = {
        module: (set(module._forward_hooks), _RECORDS in vars(module))  # noqa: SLF001
        for module in model.modules()
    }
    try:
        yield
    finally:
        for module, (hooks, recorded) in before.items():
            for key, hook in list(module._forward_hooks.items()):  # noqa: SLF001
                if key not in hooks and hook.__module__ == _RECORDER:
                    del module._forward_hooks[key]  # noqa: SLF001
            if not recorded:
                vars(module).pop(_RECORDS, None)


def _weights(lm: LanguageModel, seen: _Seen) -> tuple[Tensor, ...]:
    weights = seen.weights if isinstance(seen.weights, tuple | list) else ()
    square = all(
        isinstance(w, torch.Tensor) and w.ndim == 4 and w.shape[-1] == w.shape[-2] for w in weights
    )
    if not square or len(weights) != lm.layers:
        raise UnsupportedModelError(
            f"{lm.name} hands out the attention weights of {len(weights)} of its {lm.layers} "
            "layers; a rollout needs all of them. Use a method that does not look at attention: "
            "shapley, occlusion or integrated_gradients."
        )
    return tuple(weights)


def _read(lm: LanguageModel, values: Tensor, seen: _Seen) -> Bool[Tensor, "output token"]:
    """Return from which positions of the last block's output each value is read.

    First which answers a value depends on, then at which positions each answer is formed. A
    value that is saturated depends on none; then it is told by its number, if it has one.
    """
    answers, last = seen.answers, seen.last
    if last is None or answers is None or last.ndim != 3 or not answers.requires_grad:
        raise UnsupportedModelError(
            f"{lm.name} does not show from which positions its answer is read. Use a method that "
            "does not look at attention: shapley, occlusion or integrated_gradients."
        )
    probe = torch.arange(answers.shape[-1], device=answers.device).float().cos()
    formed = [_touched((answer * probe).sum(), last) for answer in answers[0]]
    used = torch.stack([_touched(value, answers) for value in values])
    own = torch.eye(len(values), dtype=torch.bool, device=used.device)
    known = own if len(values) == answers.shape[1] else torch.ones_like(used)
    used = torch.where(used.any(-1, keepdim=True), used, known)
    return (used[..., None] & torch.stack(formed)).any(1)


def _touched(value: Tensor, states: Tensor) -> Bool[Tensor, " token"]:
    """Return which positions of a row of states a value depends on."""
    (slope,) = torch.autograd.grad(value, states, retain_graph=True, materialize_grads=True)
    return (slope[0] != 0).any(-1)


# ── memory ────────────────────────────────────────────────────────────────────


def _check_memory(lm: LanguageModel, inputs: Inputs, readout: Readout, *, graph: bool) -> None:
    free = free_bytes(lm.device)
    tokens = inputs.tokens.shape[1] + len(readout.suffix)
    heads = int(getattr(lm.model.config.get_text_config(), "num_attention_heads", None) or 1)
    a_square = lm.layers * heads * _TABLES[graph] * max(4, lm.model.dtype.itemsize)
    if free is not None and a_square * tokens**2 > _SHARE_OF_FREE * free:
        most = int((_SHARE_OF_FREE * free / a_square) ** 0.5)
        raise ModelMemoryError(
            f"A rollout keeps the attention weights of all {lm.layers} layers and {heads} heads: "
            f"{a_square * tokens**2 / 1e9:.3g} GB for {tokens} tokens. Half of the free memory of "
            f"{lm.device} is {_SHARE_OF_FREE * free / 1e9:.3g} GB, enough for {most} tokens. "
            "Shorten the prompt, or use input_x_gradient or integrated_gradients."
        )


def _fitting(lm: LanguageModel, inputs: Inputs) -> fitting:
    return fitting(
        lm.device,
        f"What a rollout keeps, the attention weights of {inputs.tokens.shape[1]} tokens,",
        "Shorten the prompt, or use input_x_gradient or integrated_gradients.",
    )
