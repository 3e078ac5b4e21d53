"""ShapWaterfall: from the base value to the output, piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.widgets.base import ResultWidget

if TYPE_CHECKING:
    from llm_interp_widgets.results.describe import About


class ShapWaterfall(ResultWidget):
    """Bars that lead from everything switched off to the text as it is, the largest on top.

    Traits:
        selected: Index of the pinned piece, both ways; ``None`` when nothing is pinned.
        output: Which output row is shown, both ways.
    """

    bundle_name: ClassVar[str] = "shap_waterfall"

    @classmethod
    def check(cls, about: About) -> None:
        """Raise ``ResultError`` if the scores are no shares, so that they lead nowhere."""
        if not about.additive:
            raise ResultError(
                f"A waterfall leads from base to output, and scores of {about.method} are no "
                "shares of that way. Show them with TokenHighlighter.of(…), or use a method that "
                "adds up, such as 'shapley'."
            )
