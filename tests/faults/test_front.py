"""A view that is slow, silent, confused or lying; one that comes back twenty times."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets import wire
from llm_interp_widgets.jobs import Progress
from llm_interp_widgets.results.partial import Merged
from llm_interp_widgets.widgets import _desk, _stream
from llm_interp_widgets.widgets._stream import Stream

TEXT = "The capital of France is"
LIMIT = 4 * 1024 * 1024
ROWS, WIDTH = 600, 4096  # 10 MB of scores


class Page:
    """Keeps what a browser would hold, and counts what is on its way."""

    def __init__(self, rows=ROWS, width=WIDTH):
        self.scores = np.full((rows, width), np.nan, np.float32)
        self.arrived, self.unread, self.flying, self.most = [], {}, 0, 0
        self.snapshots = 0
        self.stream = Stream(
            "job", lambda look: {"status": look.status}, self.take, self.keep, np.zeros(width, bool)
        )

    def take(self, message, buffers):
        size = sum(map(len, buffers))
        self.unread[message["seq"]] = size
        self.most = max(self.most, sum(self.unread.values()))
        part = slice(message["row"], message["row"] + message["rows"])
        self.scores[part] = wire.unpack(buffers[0], self.scores[part].shape)
        self.arrived.append(message["seq"])

    def keep(self, look, seq):
        self.snapshots += 1
        self.scores[:] = look.merged.scores

    def acknowledge(self, seq):
        self.unread = {s: size for s, size in self.unread.items() if s > seq}
        self.stream.acknowledge(seq)


def looks(count, rows=ROWS, width=WIDTH, changed=None):
    """Looks of a job, each of which changes some rows."""
    merged = Merged.empty(rows, width)
    for number in range(1, count + 1):
        part = range(rows) if changed is None else changed(number)
        merged.scores[part.start : part.stop] = number
        yield Progress("running", merged, part, 0.0)
    yield Progress("done", merged, range(rows), 0.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(_stream, "_INTERVAL", 0.0)


SLOW = {
    "never": lambda page: None,
    "late": lambda page: page.acknowledge(page.arrived[-1] - 8) if len(page.arrived) > 8 else None,
    "the first one always": lambda page: page.acknowledge(1),
    "an old one": lambda page: page.acknowledge(-5),
    "in the wrong order": lambda page: [page.acknowledge(s) for s in page.arrived[-3:][::-1]],
}


@pytest.mark.parametrize("how", list(SLOW))
def test_what_is_on_its_way_is_bounded_and_the_end_is_whole(how):
    page = Page()
    page.stream.ready()
    for look in looks(12):
        page.stream.look(look)
        SLOW[how](page)
        assert len(page.stream._dirty) <= ROWS
        assert sum(page.stream._flying.values()) <= LIMIT
    assert page.most <= LIMIT
    assert (page.scores == 12).all(), "the last snapshot holds everything"
    assert page.arrived == sorted(set(page.arrived))
    print(f"{how}: at most {page.most:,} bytes on their way, {len(page.arrived)} chunks")


def test_a_view_that_lies_about_what_it_drew_gets_all_the_same():
    page = Page()
    page.stream.ready()
    for look in looks(6):
        page.stream.look(look)
        page.stream.acknowledge(10**9)
        assert sum(page.stream._flying.values()) <= LIMIT
    assert (page.scores == 6).all()


def test_a_view_that_wakes_up_gets_the_newest_of_what_it_missed():
    page = Page(rows=100)
    page.stream.ready()
    last = None
    for look in looks(40, rows=100, changed=lambda n: range(n % 100, n % 100 + 1)):
        if look.status == "done":
            break
        page.stream.look(look)
        last = look
    deadline = time.monotonic() + 10
    while page.stream._dirty and time.monotonic() < deadline:
        page.acknowledge(page.arrived[-1])
    np.testing.assert_array_equal(page.scores, last.merged.scores)


def test_snapshots_do_not_pile_up_before_a_view_that_does_not_keep_up(monkeypatch):
    monkeypatch.setattr(_stream, "_SNAPSHOT_EVERY", 0.0)
    monkeypatch.setattr(_stream, "_SNAPSHOT_BYTES", 1e12)
    page = Page()
    page.stream.ready()
    for look in looks(50):
        page.stream.look(look)
    assert page.snapshots <= 3, "the first look, at most one more, and the end"
    assert (page.scores == 50).all()


def test_a_large_snapshot_is_set_less_often():
    small, large = (Progress("running", Merged.empty(1, n), range(1), 0.0) for n in (50, 4_000_000))
    assert _stream._pause(small) == 2
    assert _stream._pause(large) > 30


def test_what_fails_while_nobody_waits_is_raised_at_the_next_look(monkeypatch):
    monkeypatch.setattr(_stream, "_INTERVAL", 0.05)
    page = Page(rows=2, width=2)
    page.stream.ready()
    first, second, *_ = looks(2, rows=2, width=2)
    page.stream.look(first)

    def broken(*_):
        raise OSError("the line is dead")

    page.stream._send = broken
    page.stream.look(second)  # comes too soon: a timer sends it
    deadline = time.monotonic() + 5
    while page.stream._failed is None and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(OSError, match="the line is dead"):
        page.stream.look(second)


@pytest.mark.parametrize("seed", range(3))
def test_a_view_that_comes_back_twenty_times_has_the_whole_truth_each_time(tiny_lm, seed):
    lm, draw = tiny_lm("llama"), random.Random(seed)
    wanted = liw.attribute(lm, TEXT, 5, "shapley", evaluations=200, precision=None)
    widget = liw.explain(lm, TEXT, 5, "shapley", evaluations=200, precision=None)
    shape = widget.job.progress.merged.scores.shape
    right = []
    for _ in range(20):
        time.sleep(draw.random() * 0.01)
        with widget._feeds[0]._stream._lock:  # the worker tells nothing in between
            widget._handle_custom_msg({"type": "ready"}, [])
            told, shown = widget._feeds[0]._stream._latest, widget.snapshot
        scores = wire.unpack(shown["scores"], shape)
        right.append(told is None or np.array_equal(scores, told.merged.scores, equal_nan=True))
    widget.result(30)
    assert right == [True] * 20
    widget._handle_custom_msg({"type": "ready"}, [])
    np.testing.assert_allclose(wire.unpack(widget.snapshot["scores"], shape), wanted.scores, 1e-5)
    assert widget.snapshot["state"]["status"] == "done"
    widget.close()


NONSENSE = (
    None, 3, [], "ready", {}, {"type": None}, {"type": "ack"}, {"type": "ack", "seq": "7"},
    {"type": "ack", "job": 3, "seq": None}, {"type": "cancel"}, {"type": "cancel", "job": []},
    {"type": "contrast", "output": [], "alternative": {}}, {"type": "ask"},
    {"type": "ask", "wants": 3}, {"type": "ask", "wants": [None]}, {"type": "part"},
    {"type": "ask", "wants": [dict.fromkeys(wire.Want.__annotations__)]},
    {"type": "ask", "view": "v", "slot": "s", "id": 1,
     "wants": [dict.fromkeys(wire.Want.__annotations__)]},
    {"type": "ask", "view": "v", "slot": "s", "id": 1,  # well formed: refused on a thread
     "wants": [{"what": "no such thing", "stack": 9, "layer": -7, "head": 10**6, "how": "anyhow",
                "rows": [3, 1], "cols": [], "a": -1, "b": 10**9}]},
)  # fmt: skip


@pytest.mark.parametrize("kind", ["explain", "generate", "attend"])
def test_nonsense_from_a_view_is_no_error_anywhere(tiny_lm, caplog, monkeypatch, kind):
    lm, dead = tiny_lm("llama"), []
    monkeypatch.setattr(threading, "excepthook", dead.append)
    monkeypatch.setattr(_desk, "_PATIENCE", 0.05)  # threads end soon after the last answer
    before = set(threading.enumerate())
    widget = {
        "explain": lambda: liw.explain(lm, TEXT, 5, "occlusion"),
        "generate": lambda: liw.generate(lm, TEXT, 2, "occlusion"),
        "attend": lambda: liw.attend(lm, TEXT, 5),
    }[kind]()
    for message in NONSENSE:
        for callback in widget._msg_callbacks.callbacks:
            callback(widget, message, [])  # without ipywidgets, which would only log
    assert widget.wait(20) if kind == "attend" else widget.result(20)
    for thread in set(threading.enumerate()) - before:
        if thread.name != "llm_interp_widgets:cpu":  # the worker stays for the next job
            thread.join(20)
            assert not thread.is_alive()
    assert not dead
    assert kind != "attend" or widget._desk.error is None
    assert not caplog.records
    widget.close()
