"""TokenHighlighter: running text tinted by how much each token pushed the output."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import traitlets

from llm_interp_widgets.widgets.base import ResultWidget


class TokenHighlighter(ResultWidget):
    """The prompt as text, each token tinted by its score.

    Traits:
        selected: Index of the pinned token, both ways; ``None`` when nothing is pinned.
        output: Which output row is shown, both ways.
        color_limit: Score of the strongest tint; ``None`` takes the largest one shown.
    """

    bundle_name: ClassVar[str] = "token_highlighter"
    shared_traits: ClassVar[tuple[str, ...]] = (*ResultWidget.shared_traits, "color_limit")
    browser_traits: ClassVar[tuple[str, ...]] = (*ResultWidget.browser_traits, "color_limit")

    color_limit = traitlets.Float(None, allow_none=True).tag(sync=True)

    @traitlets.validate("color_limit")
    def _check_color_limit(self, proposal: dict[str, Any]) -> float | None:
        value: float | None = proposal["value"]
        if value is not None and not 0 < value < math.inf:
            msg = f"color_limit={value!r} must be a positive number, or None."
            raise traitlets.TraitError(msg)
        return value
