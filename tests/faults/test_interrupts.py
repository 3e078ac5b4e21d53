"""An interrupt at every line of entering and leaving a model; a fork in the middle of a visit."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
import threading

import pytest

from llm_interp_widgets.models import visits

# What changes the model, or puts it back; not what hands control to and fro between the two.
CHANGES = {"_enter", "of", "begin", "_leave", "end", "_switch", "_switch_back"}


def state_of(model):
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return (
        [module.training for module in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [sum(len(getattr(module, name)) for name in hooks) for module in model.modules()],
        model.config.to_dict(),
        model.config._attn_implementation,
    )


class Interrupts:
    """Counts lines of what changes a model, and raises at one of them.

    The way out of a ``with`` is its line once more, and ``try:`` is a line, too. Python looks for
    signals at neither, so nothing is raised there.
    """

    def __init__(self, at):
        self.at, self.lines = at, 0
        self.inside = set()

    def __call__(self, frame, event, arg):
        code = frame.f_code
        return (
            self._line if code.co_filename == visits.__file__ and code.co_name in CHANGES else None
        )

    def _line(self, frame, event, arg):
        place = id(frame), frame.f_lineno
        line = linecache.getline(visits.__file__, frame.f_lineno).strip()
        if event == "line" and place not in self.inside and line != "try:":
            if line.startswith("with "):
                self.inside.add(place)
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self._line


def others_can_enter():
    """Whether no lock was left behind."""
    came = []

    def enter():
        if visits._door.acquire(timeout=5):
            visits._door.release()
            came.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return came == [True]


def visit(model):
    with visits.attention(model, "eager"), visits.untouched(model):
        pass


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_an_interrupt_at_any_line_of_entering_and_leaving_leaves_the_model_as_it_was(
    tiny_model, family
):
    model = tiny_model(family).train()
    next(model.parameters()).requires_grad_(False)
    before, outer = state_of(model), sys.gettrace()
    counting = Interrupts(0)
    try:
        sys.settrace(counting)
        visit(model)
        sys.settrace(outer)
        assert counting.lines > 100
        for at in range(1, counting.lines + 1):
            sys.settrace(Interrupts(at))
            with pytest.raises(KeyboardInterrupt):
                visit(model)
            sys.settrace(outer)
            assert state_of(model) == before, f"interrupted at line {at} of {counting.lines}"
            assert model not in visits._visits
            assert not visits._usual
            assert not visits._switched
            assert others_can_enter(), f"interrupted at line {at} of {counting.lines}"
    finally:
        sys.settrace(outer)
    print(f"{counting.lines} interrupts of {family}")


FORKED = """
import os, sys, threading
import torch
torch.set_num_threads(1)
from transformers import LlamaConfig, LlamaForCausalLM
from llm_interp_widgets.models import visits

sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
model = LlamaForCausalLM(LlamaConfig(vocab_size=50, **sizes)).train()
before = [m.training for m in model.modules()], model.config._attn_implementation
inside, enough = threading.Event(), threading.Event()

def visit():
    with visits.untouched(model), visits.attention(model, "eager"):
        inside.set()
        enough.wait(60)

thread = threading.Thread(target=visit)
thread.start()
inside.wait(10)
assert not model.training and model.config._attn_implementation == "eager"
number = os.fork()
if not number:
    after = [m.training for m in model.modules()], model.config._attn_implementation
    hooks = sum(len(m._forward_pre_hooks) for m in model.modules())
    with visits.untouched(model), visits.attention(model, "eager"):
        model(torch.tensor([[1, 2, 3]]))
    again = [m.training for m in model.modules()], model.config._attn_implementation
    os._exit(0 if after == again == before and not hooks else 1)
assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0, "the child's model is stuck"
assert not model.training, "the parent's visitor is still inside"
enough.set()
thread.join()
assert before == ([m.training for m in model.modules()], model.config._attn_implementation)
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_process_forked_in_the_middle_of_a_visit_has_the_model_as_it_was():
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "fine", done.stdout + done.stderr
