"""ShapWaterfall: from the base value to the output, piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from llm_interp_widgets.widgets._shares import require_shares
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
        require_shares(about, "waterfall")
