"""ShapForce: on one line, what raises the output against what lowers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from llm_interp_widgets.widgets._shares import require_shares
from llm_interp_widgets.widgets.base import ResultWidget

if TYPE_CHECKING:
    from llm_interp_widgets.results.describe import About


class ShapForce(ResultWidget):
    """Segments that push from both sides and meet at what the model says.

    Traits:
        selected: Index of the pinned piece, both ways; ``None`` when nothing is pinned.
        output: Which output row is shown, both ways.
    """

    bundle_name: ClassVar[str] = "shap_force"

    @classmethod
    def check(cls, about: About) -> None:
        """Raise ``ResultError`` if the scores are no shares, so that they lead nowhere."""
        require_shares(about, "force plot")
