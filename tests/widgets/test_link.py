"""What any view says to its widget: I am here; does anybody hear? A host is played by hand."""

from __future__ import annotations

import base64
import threading
from types import SimpleNamespace

import IPython.display
import numpy as np
import pytest
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.jobs import Errand, submit
from llm_interp_widgets.widgets import _kernel

TEXT = "The capital of France is"


class Front:
    """Stands in for the browser's end of a widget's comm."""

    def __init__(self, widget):
        self.widget, self.messages = widget, []
        widget.comm.send = lambda data=None, buffers=None, **_: self.messages.append(
            (data, [bytes(buffer) for buffer in buffers or []])
        )

    def say(self, **content):
        self.widget._handle_custom_msg(content, [])

    def updates(self):
        return [data["state"] for data, _ in self.messages if data["method"] == "update"]

    def customs(self):
        return [(data["content"], b) for data, b in self.messages if data["method"] == "custom"]


@pytest.fixture(params=["explain", "beeswarm", "attend"])
def widget(request, tiny_lm):
    lm = tiny_lm()
    made = {
        "explain": lambda: liw.explain(lm, TEXT, method="occlusion"),
        "beeswarm": lambda: liw.beeswarm([liw.attribute(lm, TEXT, " a", "occlusion")] * 3),
        "attend": lambda: liw.attend(lm, TEXT),
    }[request.param]()
    made._settle()
    yield made
    made.close()


def decoded(state):
    """Text where bytes were, as bytes; fails where there are bytes still."""
    assert not isinstance(state, bytes)
    if isinstance(state, dict):
        return {name: decoded(value) for name, value in state.items()}
    return [decoded(value) for value in state] if isinstance(state, list) else state


def test_a_ping_is_answered(widget):
    front = Front(widget)
    front.say(type="ping")
    assert front.customs() == [({"type": "pong"}, [])]


def test_a_host_with_binary_buffers_gets_them(widget):
    front = Front(widget)
    front.say(type="ready", binary=True)
    widget.send_state(list(widget.shared_traits))
    assert any(buffers for _, buffers in front.messages)


def test_a_host_that_lost_them_gets_text_everywhere_and_the_same_numbers(widget):
    before = {name: getattr(widget, name) for name in widget.shared_traits}
    front = Front(widget)
    front.say(type="ready", binary=False)
    assert not any(buffers for _, buffers in front.messages)
    (state,) = (s for s in front.updates() if len(s) == len(widget.shared_traits))
    decoded(state)
    for name, value in before.items():
        assert same(state[name], value), name
    front.say(type="ready", binary=False)  # again, by a second view: nothing is sent twice
    assert sum(len(s) == len(widget.shared_traits) for s in front.updates()) == 1


def same(text, given):
    """Whether a state says in text what another says in bytes."""
    if isinstance(given, bytes):
        return base64.b64decode(text, validate=True) == given
    if isinstance(given, dict):
        return text.keys() == given.keys() and all(same(text[k], given[k]) for k in given)
    if isinstance(given, list):
        return len(text) == len(given) and all(map(same, text, given))
    return text == given


def test_messages_come_as_text_too(tiny_lm):
    w = liw.attend(tiny_lm(), TEXT)
    w.wait()
    front = Front(w)
    front.say(type="ready", binary=False)
    want = dict.fromkeys(wire.Want.__annotations__, 0) | {"rows": [], "cols": [], "how": ""}
    ask = {"type": "ask", "view": "v", "slot": "s", "id": 1}
    front.say(**ask, wants=[want | {"what": "row", "a": 2}])
    w._desk.join(0)
    for _ in range(200):
        if any(content["type"] == "answer" for content, _ in front.customs()):
            break
        w._desk._lanes[False]._thread.join(0.05)
    (answer,) = (content for content, _ in front.customs() if content["type"] == "answer")
    row = np.frombuffer(base64.b64decode(answer["buffers"][0]), "<f4")
    assert np.allclose(row, w.record.weights(0, 0, rows=2)[0])
    w.close()


@pytest.mark.parametrize("junk", [None, "ready", {}, {"type": 3}, {"type": "ready", "binary": 1}])
def test_junk_is_ignored(widget, junk):
    front = Front(widget)
    widget._handle_custom_msg(junk, [])
    assert not any(buffers is None for _, buffers in front.messages)
    assert not widget._as_text


def test_a_comm_of_ours_takes_messages_where_they_were_sent_to():
    from ipykernel.comm import Comm

    comm = Comm(primary=False, show_warning=False)
    comm._reply_subshell_id = None  # as after a worker's message: the main thread's
    assert comm._reply_subshell_for({}, "subshell") is None
    _kernel.hear_always(comm)
    assert comm._reply_subshell_for({}, "subshell") == "subshell"


# ── The summary without scripts ───────────────────────────────────────────────


class Kernel:
    """Stands in for the part of a kernel that displays."""

    def __init__(self, monkeypatch):
        self.shown, self._hooks = [], []
        self.displayhook = SimpleNamespace(msg=None)
        self.display_pub = SimpleNamespace(register_hook=self._hooks.append, publish=self._publish)
        self.formatter = DisplayFormatter()
        monkeypatch.setattr(_kernel, "_shell", lambda: self)
        monkeypatch.setattr(_kernel, "_this_thread", threading.local())
        monkeypatch.setattr(IPython.display, "publish_display_data", self._publish)

    def _publish(self, data, metadata=None, *, transient=None, update=False):
        message = {"content": {"data": data, "metadata": metadata, "transient": transient or {}}}
        for hook in self._hooks if threading.current_thread() is threading.main_thread() else ():
            message = hook(message)
        place = message["content"]["transient"].get("display_id")
        self.shown.append((data, place, update))

    def end(self, view):
        """End a cell with a view."""
        self.displayhook.msg = {}
        data, _ = self.formatter.format(view)
        self.displayhook.msg = None
        if data:
            self.shown.append((data, None, False))

    def display(self, view, display_id=None, *, update=False):
        """Call IPython's display."""
        data, metadata = self.formatter.format(view)
        transient = {} if display_id is None else {"display_id": display_id}
        if data:
            self._publish(data, metadata, transient=transient, update=update)


@pytest.fixture
def kernel(monkeypatch):
    return Kernel(monkeypatch)


@pytest.mark.parametrize("way", ["end", "display"])
def test_an_output_holds_the_view_and_a_small_summary_without_scripts(widget, kernel, way):
    getattr(kernel, way)(widget)
    ((data, place, update),) = kernel.shown
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id == place
    assert 200 < len(data["text/html"].encode()) <= 10_000
    assert "<script" not in data["text/html"]
    assert type(widget).__name__ in data["text/plain"]
    assert not update
    assert widget._repr_mimebundle_()[0] == data


def test_what_formats_a_view_gets_it(widget, kernel):
    """As ``Output.append_display_data`` does."""
    data, _ = kernel.formatter.format(widget)
    assert not kernel.shown
    assert {"text/html", "application/vnd.jupyter.widget-view+json"} <= data.keys()


@pytest.fixture
def queued(tiny_lm, kernel):
    """A displayed widget whose job waits for its turn until ``let_go`` is called."""
    gate = threading.Event()

    def hold():
        yield gate.wait()

    lm = tiny_lm()
    submit(Errand(hold), str(lm.device))
    w = liw.explain(lm, TEXT, method="occlusion")
    kernel.end(w)
    kernel.shown.clear()
    yield w, gate.set
    gate.set()
    w.close()


def test_what_was_running_is_summed_up_when_it_is_over(queued, kernel):
    w, let_go = queued
    let_go()
    w.result()
    w._settle()
    ((data, place, update),) = kernel.shown
    assert (place, update) == (w.model_id, True)
    assert "when this was saved" not in data["text/html"]
    Front(w).say(type="rest")
    assert len(kernel.shown) == 1, "nothing has changed"


def test_where_a_view_is_on_screen_it_says_when(queued, kernel):
    w, let_go = queued
    Front(w).say(type="ready", binary=True)
    let_go()
    w.result()
    w._settle()
    assert not kernel.shown
    Front(w).say(type="rest")
    assert len(kernel.shown) == 1


def test_every_output_is_summed_up_where_it_still_holds_the_view(queued, kernel):
    w, let_go = queued
    kernel.display(w, "mine")
    kernel.display(w, "taken")
    kernel.display(SimpleNamespace(), "taken", update=True)
    kernel.shown.clear()
    let_go()
    w.result()
    w._settle()
    assert {(place, update) for _, place, update in kernel.shown} == {
        (w.model_id, True), ("mine", True),
    }  # fmt: skip
    assert len(kernel.shown) == 2


def test_an_output_that_was_displayed_before_the_end_is_not_forgotten_for_one_after_it(
    queued, kernel
):
    w, let_go = queued
    Front(w).say(type="ready", binary=True)
    let_go()
    w.result()
    w._settle()
    kernel.display(w, "after")
    kernel.shown.clear()
    Front(w).say(type="rest")
    ((data, place, update),) = kernel.shown
    assert (place, update) == (w.model_id, True)
    assert "when this was saved" not in data["text/html"]


def test_what_ends_while_its_output_is_on_its_way_is_summed_up_after_the_cell(queued, kernel):
    w, let_go = queued
    data, _ = kernel.formatter.format(w)
    let_go()
    w.result()
    w._settle()
    kernel.shown.clear()
    kernel._publish(data, transient={"display_id": "late"})
    assert "when this was saved" in kernel.shown[0][0]["text/html"]
    _kernel._after_cell()
    data, place, update = kernel.shown[-1]
    assert (place, update) == ("late", True)
    assert "when this was saved" not in data["text/html"]


def test_what_is_displayed_later_or_oddly_is_displayed(widget, kernel):
    data, _ = kernel.formatter.format(widget)
    kernel.display(widget, ["no", "name"])
    widget.close()
    kernel._publish(data)
    kernel._publish({"application/vnd.jupyter.widget-view+json": "?"}, transient=None)
    assert len(kernel.shown) == 3
    assert [place for _, place, _ in kernel.shown[1:]] == [None, None]


def test_an_interrupted_result_is_not_taken_for_the_next_one(widget, kernel):
    kernel.displayhook.msg = {}
    _kernel._after_cell()
    kernel.display(widget, "mine")
    assert [place for _, place, _ in kernel.shown] == ["mine"]


def test_only_so_many_outputs_are_kept_up_to_date(widget, kernel):
    for i in range(60):
        kernel.display(widget, f"{i}")
    assert list(widget._places) == [f"{i}" for i in range(10, 60)]


def test_a_terminal_is_not_told_twice(widget, monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "publish_display_data", lambda *_, **__: shown.append(1))
    monkeypatch.setattr(_kernel, "_shell", lambda: SimpleNamespace(display_pub=DisplayPublisher()))
    assert "text/html" in DisplayFormatter().format(widget)[0]
    widget._sum_up()
    assert not shown


def test_a_closed_widget_is_still_summed_up(widget, kernel):
    widget.close()
    kernel.end(widget)
    ((data, _, _),) = kernel.shown
    assert data.keys() == {"text/plain", "text/html"}
