"""Visits: how a user's model is entered and left without a trace.

What comes in: a transformers model. What happens inside of a visit: it is in eval mode,
its parameters take no gradients, and a cancelled job leaves it between two layers.

Guarantees: after the last visitor has left, after success, error or cancel, everything is
as it was: training flags, ``requires_grad``, hooks, configuration. Several threads may be
inside at once. A switch of the attention implementation is for one visitor at a time.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from llm_interp_widgets.errors import CancelledJobError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.utils.hooks import RemovableHandle
    from transformers import PreTrainedModel


@dataclass(slots=True)
class _Visit:
    """What to put back when the last visitor leaves a model."""

    visitors: int
    training: list[torch.nn.Module]
    trainable: list[torch.nn.Parameter]
    pad: tuple[Any, int | None] | None
    hooks: list[RemovableHandle]


_visits: weakref.WeakKeyDictionary[PreTrainedModel, _Visit] = weakref.WeakKeyDictionary()
_switches: weakref.WeakKeyDictionary[PreTrainedModel, threading.RLock] = weakref.WeakKeyDictionary()
_usual: dict[int, str] = {}  # what switched configurations had, by their id
_door = threading.RLock()  # the garbage collector may run a visitor's end inside


class _Here(threading.local):
    """The visitor on this thread; another thread's pass is none of ours."""

    stop: threading.Event | None = None
    positions: slice | None = None


_here = _Here()


@contextmanager
def untouched(model: PreTrainedModel, stop: threading.Event | None = None) -> Iterator[None]:
    """Eval mode, no parameter gradients, no padding logic; all put back on leaving.

    Args:
        model: What is entered.
        stop: Once set, ``CancelledJobError`` is raised before the next layer is computed.
    """
    _enter(model)
    outer, _here.stop = _here.stop, stop or _here.stop
    try:
        yield
    finally:
        _here.stop = outer
        _leave(model)


@contextmanager
def logits_at(positions: slice) -> Iterator[None]:
    """Let the language head of visited models see these positions only.

    A masked model has logits for every token, and one is read. What a model does with its
    logits afterwards still sees the whole vocabulary. Where the head is no module of its own,
    nothing changes.
    """
    outer, _here.positions = _here.positions, positions
    try:
        yield
    finally:
        _here.positions = outer


@contextmanager
def attention(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Use another attention implementation, e.g. ``"eager"``; put back on leaving."""
    with _door:
        lock = _switches.setdefault(model, threading.RLock())
    found: list[Any] = [m.config for m in model.modules() if hasattr(m, "config")]
    configs = {id(config): config for config in found}.values()
    with lock:
        before = [(config, config._attn_implementation) for config in configs]  # noqa: SLF001
        try:
            _usual.update((id(config), implementation) for config, implementation in before)
            for config in configs:
                config._attn_implementation = name  # noqa: SLF001
            yield
        finally:
            for config, implementation in before:
                config._attn_implementation = implementation  # noqa: SLF001
                _usual.pop(id(config), None)


def usual_attention(config: object) -> str | None:
    """Return what a configuration had before it was switched; ``None`` if it was not."""
    return _usual.get(id(config))


def _narrow(_: torch.nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if _here.positions is None or not given or given[0].ndim != 3:
        return None
    # Contiguous: a view of each row's last token would make torch multiply row by row, and
    # read the whole vocabulary's weights for each.
    return (given[0][:, _here.positions].contiguous(), *given[1:])


def _look_up(*_: object) -> None:
    if _here.stop is not None and _here.stop.is_set():
        raise CancelledJobError("The job was cancelled.")


def _enter(model: PreTrainedModel) -> None:
    with _door:
        visit = _visits.get(model)
        if visit is not None:
            visit.visitors += 1
            return
        training = [module for module in model.modules() if module.training]
        trainable = [p for p in model.parameters() if p.requires_grad]
        pad = None
        if hasattr(model, "score"):
            # A decoder with a classification head looks for padding to find each row's last
            # token. Rows are never padded here, but may hold the pad token as text.
            config = model.config.get_text_config()
            pad = (config, config.pad_token_id)
            config.pad_token_id = -1
        for module in training:
            module.training = False
        for parameter in trainable:
            parameter.requires_grad_(False)  # noqa: FBT003 - torch's API
        hooks = [layer.register_forward_pre_hook(_look_up) for layer in blocks(model)]
        head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        if head is not None:
            hooks.append(head.register_forward_pre_hook(_narrow))
        _visits[model] = _Visit(1, training, trainable, pad, hooks)


def blocks(model: PreTrainedModel) -> list[torch.nn.Module]:
    """Return the model's blocks: what stands in its outermost lists of modules."""
    lists = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.ModuleList)}
    outer = [n for n in lists if not any(n != o and n.startswith(f"{o}.") for o in lists)]
    return [layer for name in outer for layer in lists[name]]


def _leave(model: PreTrainedModel) -> None:
    with _door:
        visit = _visits[model]
        visit.visitors -= 1
        if visit.visitors:
            return
        del _visits[model]
        for hook in visit.hooks:
            hook.remove()
        for module in visit.training:
            module.training = True
        for parameter in visit.trainable:
            parameter.requires_grad_(True)  # noqa: FBT003 - torch's API
        if visit.pad is not None:
            visit.pad[0].pad_token_id = visit.pad[1]
