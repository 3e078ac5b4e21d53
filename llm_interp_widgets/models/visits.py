"""Visits: how a user's model is entered and left without a trace.

What comes in: a transformers model. What happens inside of a visit: it is in eval mode,
its parameters take no gradients, and a cancelled job leaves it between two layers.

Guarantees: after the last visitor has left, after success, error or cancel, everything is
as it was: training flags, ``requires_grad``, hooks, configuration; also where an interrupt
comes while somebody enters or leaves, and in a forked process, where visitors on other threads
are gone. Several threads may be inside at once. A switch of the attention implementation is for
one visitor at a time.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from llm_interp_widgets.errors import CancelledJobError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.utils.hooks import RemovableHandle
    from transformers import PreTrainedModel


@dataclass(slots=True)
class _Visit:
    """What to put back when the last visitor leaves a model.

    Attributes:
        visitors: Who is inside, and on which thread.
    """

    training: list[torch.nn.Module]
    trainable: list[torch.nn.Parameter]
    pad: tuple[Any, int | None] | None
    visitors: dict[object, int] = field(default_factory=dict)
    hooks: list[RemovableHandle] = field(default_factory=list)

    @classmethod
    def of(cls, model: PreTrainedModel) -> _Visit:
        """Look at a model; nothing is changed yet."""
        pad = None
        if hasattr(model, "score"):
            # A decoder with a classification head looks for padding to find each row's last
            # token. Rows are never padded here, but may hold the pad token as text.
            config = model.config.get_text_config()
            pad = (config, config.pad_token_id)
        training = [module for module in model.modules() if module.training]
        return cls(training, [p for p in model.parameters() if p.requires_grad], pad)

    def begin(self, model: PreTrainedModel) -> None:
        if self.pad is not None:
            self.pad[0].pad_token_id = -1
        for module in self.training:
            module.training = False
        for parameter in self.trainable:
            parameter.requires_grad_(False)  # noqa: FBT003 - torch's API
        for layer in blocks(model):
            self.hooks.append(layer.register_forward_pre_hook(_look_up))
        head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        if head is not None:
            self.hooks.append(head.register_forward_pre_hook(_narrow))

    def end(self) -> None:
        """Put everything back; harmless when it was done before, or not begun."""
        for hook in self.hooks:
            hook.remove()
        for module in self.training:
            module.training = True
        for parameter in self.trainable:
            parameter.requires_grad_(True)  # noqa: FBT003 - torch's API
        if self.pad is not None:
            self.pad[0].pad_token_id = self.pad[1]


_visits: weakref.WeakKeyDictionary[PreTrainedModel, _Visit] = weakref.WeakKeyDictionary()
_switches: weakref.WeakKeyDictionary[PreTrainedModel, threading.RLock] = weakref.WeakKeyDictionary()
_usual: dict[int, str] = {}  # what switched configurations had, by their id
_switched: dict[int, tuple[Any, str, int]] = {}  # these, what they had at first, whose thread
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
    visitor, outer = object(), _here.stop
    try:
        _enter(model, visitor)
        _here.stop = stop or outer
        yield
    finally:
        try:
            _here.stop = outer
            _leave(model, visitor)
        finally:  # once more, where an interrupt came between
            _leave(model, visitor)


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
        before = [_Before(c, c._attn_implementation, _usual.get(id(c))) for c in configs]  # noqa: SLF001
        try:
            _switch(before, name)
            yield
        finally:
            try:
                _switch_back(before)
            finally:  # once more, where an interrupt came between
                _switch_back(before)


def usual_attention(config: object) -> str | None:
    """Return what a configuration had before it was switched; ``None`` if it was not."""
    return _usual.get(id(config))


class _Before(NamedTuple):
    """A configuration before a switch, and what it had before one around it."""

    config: Any
    implementation: str
    usual: str | None


def _switch(before: list[_Before], name: str) -> None:
    me = threading.get_ident()
    for config, implementation, _ in before:
        _switched.setdefault(id(config), (config, implementation, me))
        _usual[id(config)] = implementation
        config._attn_implementation = name  # noqa: SLF001


def _switch_back(before: list[_Before]) -> None:
    for config, implementation, usual in before:
        config._attn_implementation = implementation  # noqa: SLF001
        if usual is not None:
            _usual[id(config)] = usual
        else:
            _usual.pop(id(config), None)
            _switched.pop(id(config), None)


def _narrow(_: torch.nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if _here.positions is None or not given or given[0].ndim != 3:
        return None
    # Contiguous: a view of each row's last token would make torch multiply row by row, and
    # read the whole vocabulary's weights for each.
    return (given[0][:, _here.positions].contiguous(), *given[1:])


def _look_up(*_: object) -> None:
    if _here.stop is not None and _here.stop.is_set():
        raise CancelledJobError("The job was cancelled.")


def _enter(model: PreTrainedModel, visitor: object) -> None:
    with _door:
        visit = _visits.get(model)
        first = visit is None
        if visit is None:
            visit = _Visit.of(model)
        visit.visitors[visitor] = threading.get_ident()
        _visits[model] = visit
        try:
            if first:
                visit.begin(model)
        except BaseException:  # before anybody else comes in
            visit.end()
            del _visits[model]
            raise


def _leave(model: PreTrainedModel, visitor: object) -> None:
    """Leave; harmless for whoever is not inside."""
    with _door:
        visit = _visits.get(model)
        if visit is None or visitor not in visit.visitors:
            return
        if len(visit.visitors) > 1:
            del visit.visitors[visitor]
            return
        visit.end()
        del _visits[model]


def _after_fork() -> None:
    """Leave for those whose threads are not in this process."""
    global _door  # noqa: PLW0603 - whoever held it is gone
    _door = threading.RLock()
    me = threading.get_ident()
    _switches.clear()
    for number, (config, implementation, thread) in list(_switched.items()):
        if thread != me:
            config._attn_implementation = implementation  # noqa: SLF001
            del _switched[number]
            _usual.pop(number, None)
    for model, visit in list(_visits.items()):
        for visitor in [one for one, thread in visit.visitors.items() if thread != me]:
            _leave(model, visitor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def blocks(model: PreTrainedModel) -> list[torch.nn.Module]:
    """Return the model's blocks: what stands in its outermost lists of modules."""
    lists = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.ModuleList)}
    outer = [n for n in lists if not any(n != o and n.startswith(f"{o}.") for o in lists)]
    return [layer for name in outer for layer in lists[name]]
