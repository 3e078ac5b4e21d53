"""What stays in memory: 1,000 explanations, and 300 closed widgets of all nine classes."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter

import psutil
import pytest

import llm_interp_widgets as liw

TEXT = "The capital of France is"
EXPLANATIONS = int(os.environ.get("BENCH_EXPLANATIONS", "1000"))
WIDGETS = int(os.environ.get("BENCH_WIDGETS", "300"))
WARM = 50  # until caches are full and the allocator has its pools
ROOMS = ("llm_interp_widgets", "ipywidgets", "anywidget", "comm", "threading", "torch")


def measured():
    """Resident megabytes, objects, objects of our rooms by class, widgets registered, threads."""
    import ipywidgets.widgets.widget as room

    gc.collect()
    every = gc.get_objects()
    classes = Counter(type(one) for one in every)
    ours = Counter({c: n for c, n in classes.items() if str(c.__module__).startswith(ROOMS)})
    resident = psutil.Process().memory_info().rss / 1e6
    return resident, len(every), ours, len(room._instances), threading.active_count()


def settled(seconds=15):
    """Wait for threads that end by themselves after a while."""
    deadline = time.monotonic() + seconds
    while threading.active_count() > 2 and time.monotonic() < deadline:
        time.sleep(0.1)


def line(what, before, after):
    grown = after[2] - before[2]
    names = ", ".join(f"{n} {c.__name__}" for c, n in grown.most_common(5)) or "none"
    return (
        f"| {what} | {before[0]:.1f} → {after[0]:.1f} | {before[1]:,} → {after[1]:,} | {names} "
        f"| {before[3]} → {after[3]} | {before[4]} → {after[4]} |"
    )


HEAD = [
    "| work | resident, MB | objects | more of ours | widgets registered | threads |",
    "|---|---|---|---|---|---|",
]


def explained(lm, method):
    widget = liw.explain(lm, TEXT, 5, method)
    widget.result()
    widget.close()


def all_nine(lm, a, near):
    """Make a widget of each class, let it end, and close it."""
    attended = liw.attend(lm, TEXT, 5)
    attended.wait()
    attended.record.close()
    written = liw.generate(lm, TEXT, 2, "random")
    written.result()
    side_by_side = liw.compare(lm, TEXT, 5, "random", seeds=(0, 1))
    side_by_side.results()
    shown = liw.explain(lm, TEXT, 5, "random")
    shown.result()
    views = [
        attended, written, side_by_side, shown, liw.waterfall(a), liw.force(a), liw.bar(a),
        liw.beeswarm([a, a]), liw.lime(near),
    ]  # fmt: skip
    for view in views:
        view.close()
    assert len({type(view) for view in views}) == 9
    return len(views)


@pytest.mark.parametrize("method", ["random", "occlusion"])
def test_explanations(tiny_lm, report, method):
    lm = tiny_lm("llama")
    for _ in range(WARM):
        explained(lm, method)
    before, began = measured(), time.perf_counter()
    for _ in range(EXPLANATIONS):
        explained(lm, method)
    took = time.perf_counter() - began
    settled()
    what = f"{EXPLANATIONS:,} explanations by {method} ({took:.0f} s)"
    report(["\n### What stays\n", *HEAD, line(what, before, measured())])


def test_widgets(tiny_lm, report):
    lm = tiny_lm("llama")
    a = liw.attribute(lm, TEXT, 5, "shapley", evaluations=60, precision=None)
    near = liw.attribute(lm, TEXT, 5, "lime", evaluations=30)
    for _ in range(5):
        all_nine(lm, a, near)
    settled()
    before, made = measured(), 0
    while made < WIDGETS:
        made += all_nine(lm, a, near)
    settled()
    report(["", *HEAD, line(f"{made} closed widgets of nine classes", before, measured())])


def test_without_close(tiny_lm, report):
    """What a notebook pays that shows and never closes: ipywidgets keeps what a browser may ask."""
    import ipywidgets.widgets.widget as room

    lm = tiny_lm("llama")
    for _ in range(WARM):
        explained(lm, "random")
    before, first = measured(), set(room._instances)
    for _ in range(200):
        liw.explain(lm, TEXT, 5, "random").result()
    after = measured()
    report(["", *HEAD, line("200 explanations that are never closed", before, after)])
    for name in set(room._instances) - first:
        if name in room._instances:
            room._instances[name].close()
