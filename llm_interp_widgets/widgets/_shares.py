"""The condition of plots that lead from base to output: the scores must add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_interp_widgets.errors import ResultError

if TYPE_CHECKING:
    from llm_interp_widgets.results.describe import About


def require_shares(about: About, plot: str) -> None:
    """Raise ``ResultError`` if the scores are no shares of output − base.

    Args:
        about: What is explained.
        plot: What cannot be drawn, e.g. ``"waterfall"``.
    """
    if not about.additive:
        raise ResultError(
            f"A {plot} leads from base to output, and scores of {about.method} are no "
            "shares of that way. Show them with bar(…) or TokenHighlighter.of(…), or use a "
            "method that adds up, such as 'shapley'."
        )
