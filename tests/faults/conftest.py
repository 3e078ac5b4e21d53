"""Faults: something is raised at the k-th pass of a model, forward or backward, or k-th look."""

from __future__ import annotations

import functools
from contextlib import contextmanager

import pytest
import torch

from llm_interp_widgets.models import memory, scoring
from llm_interp_widgets.models.heads import Call

# What running out of memory looks like on a GPU, on a CPU, and in Python itself.
OUT_OF_MEMORY = (
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …"),
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to …"),
    lambda: MemoryError("Unable to allocate 3.1 GiB"),
)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Faults:
    """Counts passes, and raises at one of them, or from one of them on.

    Attributes:
        passes: Seen so far: "forward", "backward" and "look" one after the other.
    """

    def __init__(self):
        self.passes, self.at, self.last, self.error = 0, 0, 0, None

    @contextmanager
    def raising(self, error, at, *, always=False):
        """Raise at pass number ``at``, counted from 1; and at all later ones."""
        self.passes, self.at, self.last, self.error = 0, at, 10**9 if always else at, error
        try:
            yield self
        finally:
            self.at = self.last = 0

    def counted(self, work):
        """Return how many passes some work takes, and what it gives."""
        self.passes = 0
        found = work()
        return self.passes, found

    def memory(self, k):
        """Return one of the ways in which memory runs out."""
        return OUT_OF_MEMORY[k % len(OUT_OF_MEMORY)]

    def met(self):
        self.passes += 1
        if self.at <= self.passes <= self.last:
            raise self.error()


@pytest.fixture
def faults(monkeypatch):
    """Faults in what is read of ``watched`` models, in gradients, and in looks at attention."""
    found = Faults()
    for room in (memory, scoring):  # collecting garbage each time takes longer than all else
        monkeypatch.setattr(room, "release", lambda _: None)

    def wrapped(work):
        @functools.wraps(work)
        def counted(*args, **options):
            found.met()
            return work(*args, **options)

        return counted

    def watch(model):
        monkeypatch.setattr(model, "forward", wrapped(model.forward), raising=False)
        return model

    found.watch = watch
    monkeypatch.setattr(torch.autograd, "grad", wrapped(torch.autograd.grad))
    monkeypatch.setattr(Call, "look", wrapped(Call.look))
    monkeypatch.setattr(Call, "log_sums", wrapped(Call.log_sums))
    return found


def flags_of(model):
    """Everything of a model but its weights that an explanation could disturb."""
    return (
        [module.training for module in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [p.grad is None for p in model.parameters()],
        [p.dtype for p in model.parameters()],
        [{name: len(getattr(m, name)) for name in HOOKS} for m in model.modules()],
        model.config.to_dict(),
        [m.config._attn_implementation for m in model.modules() if hasattr(m, "config")],
        sorted(vars(model)),
    )


@pytest.fixture
def same():
    """Return ``same(model)``, which remembers a model, and tells what changed since."""

    def remember(model):
        before = flags_of(model)
        weights = {name: p.detach().clone() for name, p in model.state_dict().items()}

        def check(*, bits=True):
            for was, now in zip(before, flags_of(model), strict=True):
                assert was == now
            state = model.state_dict() if bits else {}
            assert all(torch.equal(weights[name], state[name]) for name in state)

        return check

    return remember
