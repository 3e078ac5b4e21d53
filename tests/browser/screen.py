"""What is on the screen, read as a reader would."""

from __future__ import annotations

import re
from pathlib import Path

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "hosts"
TEXT = ".liw-text"
TOKENS = ".liw-text [data-index]"
CANCELLED = ".liw-progress[data-outcome=cancelled]"
FINISHED = ".liw-progress[data-outcome]"
SCORED = f"{TOKENS}:is([data-kind=raises], [data-kind=lowers], [data-kind=unsure])"


def scores_on(root) -> list[float | None]:
    """Read every token's score as a screen reader would: from its sentence."""
    labels = root.locator(TOKENS).evaluate_all("all => all.map(e => e.ariaLabel)")
    found = [re.search(r", ([+−]?[\d.,]+(?:e[+−]?\d+)?)(?: ±| )", label) for label in labels]
    return [float(m[1].replace("−", "-").replace(",", "")) if m else None for m in found]


def settled(page) -> None:
    """Wait until what was asked of a page so far is drawn, and has the colours it will have.

    Effects run after the next frame, and may begin a transition.
    """
    page.evaluate("""async () => {
      await new Promise((done) => {
        requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));
      });
      const ends = ({ effect }) => Number.isFinite(effect.getComputedTiming().endTime);
      await Promise.allSettled(document.getAnimations().filter(ends).map((one) => one.finished));
    }""")


def same(shown: list[float | None], exact: list[float]) -> bool:
    """Whether three significant digits agree; special tokens show no score."""
    pairs = zip(shown, exact, strict=True)
    return all(a is None or abs(a - b) <= 0.006 * abs(b) + 0.005 for a, b in pairs)
