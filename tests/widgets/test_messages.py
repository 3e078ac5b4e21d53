"""Junk from the browser: no message raises, and no state becomes what its class would not take."""

from __future__ import annotations

import json
import random
import sys
import threading

import numpy as np
import pytest
import traitlets
from ipywidgets import Widget

import llm_interp_widgets as liw
from llm_interp_widgets.widgets.page import PageWidget

MESSAGES = 500
TEXT = "The capital of France is"
KINDS = ["highlighter", "waterfall", "force", "bar", "lime", "compare", "generation", "beeswarm",
         "attention"]  # fmt: skip
TYPES = ["ready", "ack", "cancel", "contrast", "ask", "part", "hello", "ping", "hearing"]
FIELDS = ["job", "seq", "view", "slot", "id", "wants", "output", "alternative", "name", "binary",
          "buffers", "state", "text", "what"]  # fmt: skip
WANT = {"what": "grid", "stack": 0, "layer": 0, "head": 0, "how": "max", "rows": [0, 2, 5],
        "cols": [0, 2, 5], "a": 1, "b": 1}  # fmt: skip


def junk(rng, depth=0):
    """Any value that JSON can carry, and some that it cannot."""
    flat = [
        None, True, False, 0, -1, 1, 3, 2**53, 2**70, -(2**70), 1.5, -0.0, 1e308, float("nan"),
        float("inf"), "", "a", "__proto__", "<script>", "\ud800", "self", "matrix", "x" * 5_000,
        b"bytes", memoryview(b"view"), object(), {1, 2}, np.float32(2),
    ]  # fmt: skip
    match rng.randrange(6) if depth < 3 else 0:
        case 1:
            return [junk(rng, depth + 1) for _ in range(rng.randrange(5))]
        case 2:
            return {rng.choice([*FIELDS, 1, None]): junk(rng, depth + 1) for _ in range(3)}
        case 3:
            return [rng.randrange(-2, 9) for _ in range(rng.randrange(4))]
        case _:
            return rng.choice(flat)


def message(rng, widget):
    """Nearly a message of ours, with some of its fields replaced."""
    jobs = [feed.job.id for feed in getattr(widget, "_feeds", [])]
    kinds = [kind for kind in TYPES if kind != "cancel"]  # that one is heeded, and tested elsewhere
    want = WANT | {rng.choice(list(WANT)): junk(rng)}
    fine = {
        "type": rng.choice(kinds), "job": rng.choice([*jobs, "x"]), "seq": 1, "view": "v",
        "slot": "s", "id": 1, "wants": [want, WANT], "output": 0, "alternative": 1, "name": "x",
        "binary": True,
    }  # fmt: skip
    match rng.randrange(5):
        case 0:
            return junk(rng)
        case 1:
            return fine | {rng.choice(["type", *FIELDS]): junk(rng) for _ in range(3)}
        case 2:
            return {name: value for name, value in fine.items() if rng.random() < 0.5}
        case _:
            return fine | {rng.choice(["type", *FIELDS]): junk(rng)}


@pytest.fixture
def shown(tiny_lm):
    """Return ``make(kind)``: a finished widget of each kind."""
    lm, made = tiny_lm(), []

    def make(kind):
        a = liw.attribute(lm, TEXT, method="lime", evaluations=40)
        few = {"evaluations": 40, "precision": None}
        match kind:
            case "highlighter":
                w = liw.explain(lm, TEXT, **few)
            case "lime":
                w = liw.lime(a)
            case "compare":
                w = liw.compare(lm, TEXT, None, ["occlusion", "saliency"])
            case "generation":
                w = liw.generate(lm, TEXT, 3, "occlusion")
            case "beeswarm":
                w = liw.beeswarm([a, a])
            case "attention":
                w = liw.attend(lm, TEXT)
                w.wait()
            case _:
                w = getattr(liw, kind)(liw.explain(lm, TEXT, **few))
        made.append(w)
        w._settle()
        return w

    yield make
    for w in made:
        w.close()


def told(widget):
    """Return what the kernel says: every trait that the browser may not set."""
    ours = set(widget.keys) - set(widget.browser_traits) - {"failure"}
    return {name: getattr(widget, name) for name in sorted(ours)}


def check(widget, before):
    """The state is what it was, or what the class takes; and fits JSON and a page."""
    after = told(widget)
    for name in before:
        assert after[name] == before[name], name
    for name in widget.browser_traits:
        value = getattr(widget, name)
        assert not isinstance(value, bool) or name not in widget.shared_traits
        setattr(widget, name, value)  # its own validator takes it
    state = widget.get_state()
    json.dumps(state, default=_length, allow_nan=False).encode()
    assert widget.view().state


def _length(value):
    assert isinstance(value, bytes | memoryview), value
    return len(value)


@pytest.mark.parametrize("kind", KINDS)
def test_junk_messages_change_nothing_and_raise_nothing(shown, kind, caplog):
    widget, rng = shown(kind), random.Random(7)
    sent = []
    widget._msg_callbacks.callbacks.append(lambda *message: sent.append(message))
    before = told(widget)
    for _ in range(MESSAGES):
        content = message(rng, widget)
        for handle in list(widget._msg_callbacks.callbacks):
            handle(widget, content, [])
    assert len(sent) == MESSAGES
    if kind == "generation":  # junk may have asked for what can be asked for
        contrasts = widget.contrasts
        assert all(0 <= o < 3 and 0 <= c < 6 for o, c in contrasts)
        assert len(widget.others) == len(contrasts)
        widget._settle()
        before |= {"contrasts": contrasts, "others": widget.others}
    if kind == "attention":
        assert widget._desk.join(20) is None
    before |= {"snapshot": told(widget)["snapshot"]} if "snapshot" in before else {}
    check(widget, before)
    assert not caplog.records


@pytest.mark.parametrize("kind", KINDS)
def test_junk_in_traits_leaves_them_valid(shown, kind, caplog):
    widget, rng = shown(kind), random.Random(8)
    before = told(widget)
    names = [*widget.keys, "no_such_trait", "__class__"]
    ours = [*widget.browser_traits, *widget.shared_traits]
    for _ in range(MESSAGES):
        some = rng.sample(names, 2) + rng.sample(ours, 2)
        state = {name: junk(rng) for name in some}
        data = {"method": "update", "state": state, "buffer_paths": []}
        widget.comm.handle_msg({"content": {"data": data}, "buffers": []})
    check(widget, before)
    assert not caplog.records


def test_what_the_browser_sets_wrongly_is_put_right_there(shown, monkeypatch):
    widget, sent = shown("highlighter"), []
    monkeypatch.setattr(PageWidget, "send_state", lambda self, key=None: sent.append(key))
    widget.set_state({"selected": 99, "output": 0, "snapshot": {}, "color_limit": 0.5})
    assert set(sent) == {"selected", "snapshot"}
    assert (widget.selected, widget.color_limit) == (None, 0.5)
    assert widget.snapshot["subject"]["prompt"] == TEXT


@pytest.mark.parametrize(
    ("kind", "trait"),
    [
        ("highlighter", "snapshot"),
        ("compare", "others"),
        ("attention", "overviews"),
        ("attention", "failure"),
    ],
)
def test_a_refusal_loses_nothing_that_a_worker_published_meanwhile(shown, kind, trait):
    widget = shown(kind)
    latest = getattr(widget, trait) or {"name": "E", "message": "of a worker"}
    older = latest | {"seq": -1} if isinstance(latest, dict) else latest[1:]
    if trait == "failure":
        older = {}
    setattr(widget, trait, older)

    class Meanwhile(traitlets.Int):
        def validate(self, obj, value):
            obj.publish(trait, latest)
            raise traitlets.TraitError("refused")

    widget.add_traits(selected=Meanwhile(None, allow_none=True).tag(sync=True))
    widget.set_state({"selected": 99})
    assert getattr(widget, trait) == latest != older


def test_what_is_published_while_the_browser_is_refused_arrives(shown, monkeypatch):
    widget = shown("highlighter")
    first, rounds, each = dict(widget.snapshot), 60, 40
    arrived = {}

    def send(data, **_):
        state = data.get("state") or {}
        if "snapshot" in state:
            arrived["snapshot"] = state["snapshot"]["seq"]

    monkeypatch.setattr(widget.comm, "send", send)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for number in range(rounds):
            work = threading.Thread(
                target=lambda number=number: [
                    widget.publish("snapshot", first | {"seq": number * each + i})
                    for i in range(each)
                ]
            )
            work.start()
            while work.is_alive():
                widget.set_state({"selected": 99})
            work.join()
            last = number * each + each - 1
            assert widget.snapshot["seq"] == arrived["snapshot"] == last
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_published_is_kept_whatever_else_the_browser_sets(shown, alone):
    widget = shown("highlighter")
    latest = dict(widget.snapshot)
    widget.snapshot = latest | {"seq": -1}
    tried = []

    class Meanwhile(traitlets.Int):
        """Refused with others, accepted by itself; another change ends in between."""

        def validate(self, obj, value):
            if not tried:
                tried.append(value)
                obj.publish("snapshot", latest)
                if not alone:
                    other = threading.Thread(target=obj.set_state, args=({"output": 0},))
                    other.start()
                    other.join(20)
                raise traitlets.TraitError("refused")
            return super().validate(obj, value)

    widget.add_traits(selected=Meanwhile(None, allow_none=True).tag(sync=True))
    widget.set_state({"selected": 1, "color_limit": 0.5})
    assert widget.snapshot == latest
    assert (widget.selected, widget.color_limit) == (1, 0.5)


def test_an_observer_may_wait_for_what_a_worker_publishes(shown):
    widget, seen = shown("highlighter"), []

    def wait(_):
        work = threading.Thread(target=widget.publish, args=("snapshot", dict(widget.snapshot)))
        work.start()
        work.join(20)
        seen.append(work.is_alive())

    widget.observe(wait, "selected")
    widget.set_state({"selected": 1})
    assert seen == [False]


def test_what_the_browser_sets_rightly_is_taken_together(tiny_lm):
    widget = liw.attend(tiny_lm("bart"), TEXT)
    widget.wait()
    widget.set_state({"stack": "cross", "head": [1, 3], "mode": "text", "selected_heads": [[0, 1]]})
    assert (widget.stack, widget.head, widget.mode) == ("cross", [1, 3], "text")
    assert widget.selected_heads == [(0, 1)]
    widget.close()


@pytest.mark.parametrize("kind", KINDS)
def test_traits_are_the_kernels_or_the_browsers(shown, kind):
    widget = shown(kind)
    assert set(widget.browser_traits) <= set(widget.keys)
    assert isinstance(widget, Widget)
    ours = {name for name in type(widget)._traits if name in widget.keys}
    kernels = ours - set(widget.browser_traits)
    assert {"_esm", "snapshot", "subject", "data", "others", "overviews"} & ours <= kernels


def test_values_that_only_python_could_set_are_refused_there(shown):
    widget = shown("highlighter")
    for name, value in (("color_limit", float("inf")), ("color_limit", float("nan"))):
        with pytest.raises(traitlets.TraitError):
            setattr(widget, name, value)
    lime, generation = shown("lime"), shown("generation")
    for one, name, value in ((lime, "sample", 10**6), (generation, "span", 99)):
        with pytest.raises(traitlets.TraitError, match="out of range"):
            setattr(one, name, value)
