"""LimeView: a local linear model, what it was fitted to, and how far it can be believed."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets

from llm_interp_widgets import wire
from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.widgets.base import ResultWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_interp_widgets.jobs import Job, Progress
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.describe import About
    from llm_interp_widgets.results.partial import Merged


class LimeView(ResultWidget):
    """Weights of each class with R², the masked texts, and the linear model against the model.

    Traits:
        selected: Index of the pinned piece, both ways; ``None`` when nothing is pinned.
        output: Which output row is shown, both ways.
        sample: Which masked text is shown, both ways; ``None`` for none.
        neighbourhood: The masked texts as the browser reads them; empty until they are known.
    """

    bundle_name: ClassVar[str] = "lime_view"
    shared_traits: ClassVar[tuple[str, ...]] = (
        *ResultWidget.shared_traits, "sample", "neighbourhood",
    )  # fmt: skip
    browser_traits: ClassVar[tuple[str, ...]] = (*ResultWidget.browser_traits, "sample")

    sample = traitlets.Int(None, allow_none=True).tag(sync=True)
    neighbourhood = traitlets.Dict().tag(sync=True)

    @traitlets.validate("sample")
    def _check_sample(self, proposal: dict[str, Any]) -> int | None:
        value: int | None = proposal["value"]
        size = self.neighbourhood.get("samples", 0)
        if value is not None and not 0 <= value < size:
            msg = f"sample={value} is out of range; there are {size}, counted from 0."
            raise traitlets.TraitError(msg)
        return value

    def __init__(self, about: About, job: Job[Attribution], **traits: Any) -> None:  # noqa: ANN401
        """Follow a job: not submitted yet, running, or over."""
        super().__init__(about, job, **traits)
        look = _looker(self)
        job.observe(look)
        look(job.progress)

    @classmethod
    def check(cls, about: About) -> None:
        """Raise ``ResultError`` if the scores are not LIME's."""
        if about.method != "lime":
            raise ResultError(
                f"The LIME view shows a local linear model; scores of {about.method} are none. "
                "Use method='lime', or show them with bar(…)."
            )


def _looker(widget: LimeView) -> Callable[[Progress], None]:
    """Return what keeps the neighbourhood up to date, without keeping the widget alive."""
    reference = weakref.ref(widget)

    def look(progress: Progress) -> None:
        alive, merged = reference(), progress.merged
        if alive is not None and (merged.fit is not None or merged.last.final):
            alive.publish("neighbourhood", dict(packed(alive.about, merged)))

    return look


def packed(about: About, merged: Merged) -> wire.NeighbourhoodData:
    """Return a neighbourhood as it travels."""
    seen = merged.neighbourhood
    return {
        "samples": 0 if seen is None else len(seen.masks),
        "places": [i for i, piece in enumerate(about.inputs) if not piece.special],
        "masks": b"" if seen is None else np.packbits(seen.masks).tobytes(),
        "values": wire.pack(None if seen is None else seen.values),
        "proximity": wire.pack(None if seen is None else seen.proximity),
        "intercept": wire.pack(None if seen is None else seen.intercept),
        "fit": wire.pack(merged.fit),
    }
