"""A matrix of weights that is zoomed and dragged, and what each frame costs the main thread."""

from __future__ import annotations

import json
import math
import statistics
from bisect import bisect_left
from collections import Counter

MOVES = 150
MATRIX = ".liw-heads-matrix canvas"
LEFT, TOP = 104, 86  # of the cells, as matrix.tsx draws them
CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]


def zoom(page):
    """Ten steps in, ten out, and so on; ends zoomed in."""
    at = middle(page)
    page.mouse.move(*at)
    page.keyboard.down("Control")
    for i in range(MOVES):
        page.mouse.wheel(0, -40 if i // 10 % 2 == 0 else 40)
    page.keyboard.up("Control")


def drag(page):
    """Round in circles."""
    x, y = middle(page)
    page.mouse.move(x + 100, y)
    page.mouse.down()
    for i in range(MOVES):
        page.mouse.move(x + 100 * math.cos(i / 8), y + 100 * math.sin(i / 8))
    page.mouse.up()


def middle(page):
    page.locator(MATRIX).scroll_into_view_if_needed()
    box = page.locator(MATRIX).bounding_box()
    return box["x"] + (box["width"] + LEFT) / 2, box["y"] + TOP + (box["height"] - TOP) / 3


def worked(page, work):
    """Return milliseconds that the main thread was busy in each frame, by the clock and in CPU.

    Whatever it did counts: a frame is what comes after one commit and up to the next.
    """
    browser = page.context.browser
    browser.start_tracing(page=page, categories=CATEGORIES)
    work(page)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    commits = [event for event in events if event["name"] == "Commit"]
    (thread, count), *_ = Counter((e["pid"], e["tid"]) for e in commits).most_common(1)
    ends = sorted(e["ts"] for e in commits if (e["pid"], e["tid"]) == thread)
    wall, cpu = [0.0] * (count + 1), [0.0] * (count + 1)
    for event in events:
        if event["name"] == "RunTask" and (event["pid"], event["tid"]) == thread:
            frame = bisect_left(ends, event["ts"])
            wall[frame] += event.get("dur", 0) / 1e3
            cpu[frame] += event.get("tdur", 0) / 1e3
    return sorted(wall[1:-1]), sorted(cpu[1:-1])


def spread(values):
    return (
        f"{statistics.median(values):.1f} / {values[int(0.95 * len(values))]:.1f} "
        f"/ {values[-1]:.1f}"
    )
