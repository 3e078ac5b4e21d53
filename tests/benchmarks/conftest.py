"""What all benchmarks share: alternating contenders, ratios within a round, one report."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
REPORT = Path(__file__).parents[2] / "build" / "bench.md"


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


@pytest.fixture(scope="session")
def report():
    """Return ``report(lines)``: prints, and adds to ``build/bench.md``."""
    REPORT.parent.mkdir(exist_ok=True)

    def write(lines):
        text = "\n".join(lines) + "\n"
        print(text, flush=True)
        with REPORT.open("a", encoding="utf-8") as file:
            file.write(text)

    return write


@pytest.fixture
def compare(report):
    """Return ``compare(title, contenders)``: a table against the first contender.

    Contenders run A B C A B C …; a ratio is taken within its round, and the median of the
    rounds is reported, in wall-clock and in CPU seconds: what another process takes from a
    machine spoils the first more than the second.
    """

    def run(title, contenders, rounds=ROUNDS):
        first = next(iter(contenders))
        taken = [{name: timed(work) for name, work in contenders.items()} for _ in range(rounds)]
        lines = [
            f"\n### {title}\n",
            f"| contender | × {first}, wall | × {first}, CPU | seconds |",
            "|---|---|---|---|",
        ]
        ratios = {}
        for name in contenders:
            ratios[name] = tuple(
                statistics.median(r[name][clock] / r[first][clock] for r in taken)
                for clock in (0, 1)
            )
            seconds = statistics.median(r[name][0] for r in taken)
            lines.append(
                f"| {name} | {ratios[name][0]:.2f} | {ratios[name][1]:.2f} | {seconds:.2f} |"
            )
        report(lines)
        return ratios

    return run
