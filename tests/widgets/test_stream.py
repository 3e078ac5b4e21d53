"""The stream: pace, back-pressure, order; a browser is played by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest

from llm_interp_widgets import wire
from llm_interp_widgets.jobs import Progress
from llm_interp_widgets.results.partial import Merged
from llm_interp_widgets.widgets import _stream
from llm_interp_widgets.widgets._stream import Stream


class Browser:
    """Records what arrives."""

    def __init__(self):
        self.chunks, self.snapshots = [], []
        self.stream = Stream(
            "job", lambda look: {"status": look.status}, self.receive, self.keep, np.zeros(1, bool)
        )

    def receive(self, message, buffers):
        self.chunks.append((message, buffers, time.monotonic()))

    def keep(self, look, seq):
        self.snapshots.append((look, seq))


@pytest.fixture
def browser():
    return Browser()


def look(value, *, rows=2, width=3, status="running", changed=None):
    merged = Merged.empty(rows, width)
    merged.scores[:] = value
    return Progress(status, merged, range(rows) if changed is None else changed, 0.0)


def test_nothing_is_sent_before_somebody_listens_but_snapshots_are(browser):
    browser.stream.look(look(1))
    browser.stream.look(look(2, status="done"))
    assert not browser.chunks
    assert [float(s.merged.scores[0, 0]) for s, _ in browser.snapshots] == [1, 2]


def test_ready_gets_the_whole_truth_then_chunks(browser):
    browser.stream.look(look(1))
    browser.stream.ready()
    browser.stream.look(look(2))
    (message, buffers, _), *_ = browser.chunks
    assert browser.snapshots[-1][1] == 0
    assert (message["seq"], message["row"], message["rows"]) == (1, 0, 2)
    assert wire.unpack(buffers[0], (2, 3)).tolist() == [[2] * 3] * 2
    assert buffers[1] == b""


def test_only_changed_rows_travel(browser):
    browser.stream.look(look(0))
    browser.stream.ready()
    browser.stream.look(look(1, rows=5, changed=range(3, 4)))
    assert (browser.chunks[0][0]["row"], browser.chunks[0][0]["rows"]) == (3, 1)


def test_at_most_thirty_a_second_and_the_last_one_arrives(browser):
    browser.stream.ready()
    started = time.monotonic()
    sent = 0
    while time.monotonic() - started < 0.5:
        sent += 1
        browser.stream.look(look(sent))
        time.sleep(0.002)
    time.sleep(0.1)
    gaps = np.diff([at for _, _, at in browser.chunks])
    assert len(browser.chunks) <= 18
    assert gaps.min() > 0.02
    assert wire.unpack(browser.chunks[-1][1][0], (2, 3))[0, 0] == sent


def test_without_acknowledgements_it_waits_and_merges(browser, monkeypatch):
    monkeypatch.setattr(_stream, "_INTERVAL", 0.0)
    monkeypatch.setattr(_stream, "_IN_FLIGHT", 200)
    monkeypatch.setattr(_stream, "_LARGEST", 50)
    browser.stream.ready()
    for i in range(20):
        browser.stream.look(look(i))
    held = len(browser.chunks)
    assert held < 8
    browser.stream.acknowledge(browser.chunks[-1][0]["seq"])
    assert len(browser.chunks) == held + 1
    assert wire.unpack(browser.chunks[-1][1][0], (2, 3))[0, 0] == 19


def test_what_changed_while_waiting_is_all_sent(browser, monkeypatch):
    monkeypatch.setattr(_stream, "_INTERVAL", 0.0)
    monkeypatch.setattr(_stream, "_IN_FLIGHT", 1)
    browser.stream.ready()
    browser.stream.look(look(0, rows=6))
    browser.chunks.clear()
    for row in (1, 4, 3):
        browser.stream.look(look(row, rows=6, changed=range(row, row + 1)))
    assert not browser.chunks
    browser.stream.acknowledge(1)
    browser.stream.acknowledge(2)
    assert [(m["row"], m["rows"]) for m, _, _ in browser.chunks] == [(1, 1), (3, 2)]


def test_sequence_numbers_have_no_gaps_and_snapshots_know_them(browser, monkeypatch):
    monkeypatch.setattr(_stream, "_INTERVAL", 0.0)
    browser.stream.ready()
    for i in range(5):
        browser.stream.look(look(i))
    browser.stream.look(look(9, status="done"))
    assert [m["seq"] for m, _, _ in browser.chunks] == [1, 2, 3, 4, 5]
    assert browser.snapshots[-1][1] == 5


def test_large_matrices_travel_in_small_chunks(browser):
    browser.stream.ready()
    browser.stream.look(look(1, rows=64, width=4096))
    assert all(len(b[0]) + len(b[1]) <= wire.MAX_CHUNK_BYTES for _, b, _ in browser.chunks)
    covered = [r for m, _, _ in browser.chunks for r in range(m["row"], m["row"] + m["rows"])]
    assert covered == list(range(64))


def test_a_view_that_comes_late_gets_the_end(browser):
    browser.stream.look(look(3, status="done"))
    browser.stream.ready()
    assert browser.snapshots[-1][0].status == "done"


def test_closed_means_silence(browser):
    browser.stream.ready()
    browser.stream.close()
    browser.stream.look(look(1))
    assert not browser.chunks
    assert not browser.snapshots
