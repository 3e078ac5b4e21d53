"""ShapBar: the pieces of one text by the size of their score."""

from __future__ import annotations

from typing import ClassVar

from llm_interp_widgets.widgets.base import ResultWidget


class ShapBar(ResultWidget):
    """Bars around zero, the largest on top, with 95 % intervals; of any method.

    Traits:
        selected: Index of the pinned piece, both ways; ``None`` when nothing is pinned.
        output: Which output row is shown, both ways.
    """

    bundle_name: ClassVar[str] = "shap_bar"
