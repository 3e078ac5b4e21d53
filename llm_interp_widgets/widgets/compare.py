"""Compare: several explanations of one text, piece by piece, and where they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import traitlets

from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.results.describe import target_words
from llm_interp_widgets.widgets.base import JobsWidget
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_interp_widgets.jobs import Job
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.describe import About
    from llm_interp_widgets.results.redaction import Cover


class Compare(JobsWidget):
    """Methods, models or seeds as aligned strips, with their rank correlation.

    Traits:
        selected: Index of the pinned piece, both ways; ``None`` when nothing is pinned.
        output: Which output row is shown, both ways.
        labels: What tells the explanations apart, in their order.
    """

    bundle_name: ClassVar[str] = "compare"
    shared_traits: ClassVar[tuple[str, ...]] = (*JobsWidget.shared_traits, "labels")

    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)

    @classmethod
    def among(cls, jobs: Sequence[tuple[About, Job[Attribution]]], *, owned: bool = True) -> Self:
        """Return a view of several jobs: not submitted yet, running, or over.

        Args:
            jobs: What each explains, and the job that does.
            owned: Closing the view stops them.

        Raises:
            ResultError: They are not of one text in the same pieces.
        """
        abouts = [about for about, _ in jobs]
        for about in abouts[1:]:
            _check_same(abouts[0], about)
        widget = cls(*jobs[0], labels=_labels(abouts))
        widget._feeds[0].owned = owned
        for about, job in jobs[1:]:
            widget.add(about, job, owned=owned)
        return widget

    def _covered(self, cover: Cover) -> dict[str, Any]:
        found = super()._covered(cover)
        return {**found, "labels": cover.plain(self.labels)}

    @property
    def heading(self) -> str:
        """What is explained, as a title."""
        return say("{why} {n} explanations", why=super().heading, n=len(self._feeds))

    def _retell(self) -> None:
        super()._retell()
        self.publish("labels", _labels([feed.about for feed in self._feeds]))


def _check_same(one: About, two: About) -> None:
    if one.prompt != two.prompt:
        raise ResultError(
            f"These explain different texts: {one.prompt[:40]!r} and {two.prompt[:40]!r}."
        )
    if _spans(one) != _spans(two):
        raise ResultError(
            "These split the text differently. Explain with granularity='word', or sum finished "
            "ones to words with a.grouped('word')."
        )
    if len(one.outputs) != len(two.outputs):
        raise ResultError(
            f"One explains {len(one.outputs)} outputs, another {len(two.outputs)}. Pass the same "
            "target to all."
        )


def _spans(about: About) -> list[tuple[int, int]]:
    return [(piece.start, piece.end) for piece in about.inputs if not piece.special]


def _labels(abouts: Sequence[About]) -> list[str]:
    """Say of each what tells it apart: method, model, target, seed, parameters."""
    parts = [
        {
            "method": say(about.title),
            "model": about.model.name,
            "target": target_words(about.target),
            **{name: f"{name} {value}" for name, value in about.params.items()},
            "seed": say("seed {n}", n=about.seed),
        }
        for about in abouts
    ]
    names = list(dict.fromkeys(name for part in parts for name in part))
    several = len({about.method for about in abouts}) > 1
    told = [
        name
        for name in names
        if len({part.get(name) for part in parts}) > 1
        and (name in ("method", "model", "target", "seed") or not several)
    ]
    labels = [
        " · ".join(part[name] for name in told or ["method"] if part.get(name)) for part in parts
    ]
    twice = {label for label in labels if labels.count(label) > 1}
    return [f"{label} ({i + 1})" if label in twice else label for i, label in enumerate(labels)]
