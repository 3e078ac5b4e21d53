"""GenerationView: which words of the prompt led to each word that was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from llm_interp_widgets.errors import ParameterError, told
from llm_interp_widgets.widgets.base import JobsWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_interp_widgets import wire
    from llm_interp_widgets.jobs import Job
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.describe import About
    from llm_interp_widgets.results.redaction import Cover

    Ask = Callable[[int, int], tuple[About, Job[Attribution], Callable[[], object]]]


class GenerationView(JobsWidget):
    """Prompt, what was written, and the matrix of how much each of one pushed each of the other.

    Traits:
        selected: Index of the pinned piece of the prompt, both ways; ``None`` for none.
        output: First written token that is explained, both ways.
        span: How many written tokens are explained together, both ways.
        alternatives: What the model nearly wrote in each place; empty where it is not known.
        contrasts: (output, alternative) of each of ``others``: why the one and not the other.
        contrast_shown: Which of these is shown, both ways; ``None`` for the tokens themselves.
        failure: Why a contrast that was asked for could not be begun; empty if it could.
    """

    bundle_name: ClassVar[str] = "generation_view"
    shared_traits: ClassVar[tuple[str, ...]] = (
        *JobsWidget.shared_traits, "span", "alternatives", "contrasts", "contrast_shown",
    )  # fmt: skip
    browser_traits: ClassVar[tuple[str, ...]] = (
        *JobsWidget.browser_traits, "span", "contrast_shown",
    )  # fmt: skip

    span = traitlets.Int(1, min=1).tag(sync=True)
    alternatives = traitlets.Dict().tag(sync=True)
    contrasts = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    contrast_shown = traitlets.Int(None, allow_none=True).tag(sync=True)
    failure = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        about: About,
        job: Job[Attribution],
        *,
        ask: Ask | None = None,
        alternatives: wire.Alternatives | None = None,
        **traits: Any,  # noqa: ANN401
    ) -> None:
        """Follow a job.

        Args:
            about: What is explained.
            job: That explains it.
            ask: Plans the contrast of an output with an alternative and returns what it is
                about, its job, and what submits the job.
            alternatives: What ``ask`` can be asked for.
            **traits: Further traits.
        """
        self._ask = ask
        super().__init__(about, job, alternatives=dict(alternatives or {}), **traits)
        self.on_msg(_handle)

    @traitlets.validate("span")
    def _check_span(self, proposal: dict[str, Any]) -> int:
        value: int = proposal["value"]
        if value > max(1, len(self.about.outputs)):
            msg = f"span={value} is out of range; there are {len(self.about.outputs)} outputs."
            raise traitlets.TraitError(msg)
        return value

    @traitlets.validate("contrast_shown")
    def _check_contrast_shown(self, proposal: dict[str, Any]) -> int | None:
        value: int | None = proposal["value"]
        if value is not None and not 0 <= value < len(self.contrasts):
            msg = f"contrast_shown={value} is out of range; there are {len(self.contrasts)}."
            raise traitlets.TraitError(msg)
        return value

    def close(self) -> None:
        """Take the widget off the screen, stop its jobs and let go of the model."""
        super().close()
        self._ask = None

    def contrast(self, output: int, alternative: int) -> Attribution:
        """Explain why a token was written and not another; shows it, and waits.

        Args:
            output: Which written token.
            alternative: Which of the candidates of that place, the likeliest being 0.

        Raises:
            ParameterError: There is no such output or alternative, or no model to ask.
            InterpError: Whatever goes wrong in the method.
        """
        place = self._begin(output, alternative)
        return self._result_of(self._feeds[place + 1], None)

    def _covered(self, cover: Cover) -> dict[str, Any]:
        found = super()._covered(cover)
        if offered := self.alternatives:
            outputs = cover.tokens(self.about.outputs, answer=True)
            tokens = cover.choices(offered["tokens"], self.about.outputs, outputs)
            found["alternatives"] = {**offered, "tokens": tokens}
        return found

    def _begin(self, output: int, alternative: int) -> int:
        """Start a contrast, or show the one that is there; return its place."""
        self._check_open("contrast")
        if self._ask is None:
            raise ParameterError(
                "This view has no model to ask. Make it with generate(lm, prompt, …)."
            )
        tokens = self.alternatives["tokens"]
        if not 0 <= output < len(tokens) or not 0 <= alternative < len(tokens[output]):
            raise ParameterError(
                f"contrast({output}, {alternative}): there are {len(tokens)} outputs with "
                f"{len(tokens[0])} candidates each, counted from 0."
            )
        wanted = [output, alternative]
        if not self._has(wanted):
            about, job, submit = self._ask(output, alternative)  # may take a pass: no lock
            with self._lock:
                if not self._has(wanted):
                    place = self.contrasts.index(wanted) if wanted in self.contrasts else None
                    if place is None:
                        self.publish("contrasts", [*self.contrasts, wanted])
                    self.add(about, job, place=place)
                    submit()
        place = self.contrasts.index(wanted)
        self.output, self.span, self.contrast_shown = output, 1, place
        return place

    def _has(self, wanted: list[int]) -> bool:
        """Whether a contrast is there, or on its way; one that failed may be asked for again."""
        with self._lock:
            if wanted not in self.contrasts:
                return False
            job = self._feeds[self.contrasts.index(wanted) + 1].job
        return job.progress.status not in ("failed", "cancelled")

    @traitlets.observe("output", "span")
    def _leave(self, _: object) -> None:
        """Let go of a contrast when something else is chosen, here or in the browser."""
        shown = self.contrast_shown
        if shown is not None and (self.contrasts[shown][0] != self.output or self.span != 1):
            self.contrast_shown = None


def _handle(widget: GenerationView, content: object, _buffers: object) -> None:
    if not isinstance(content, dict) or content.get("type") != "contrast":
        return
    output, alternative = content.get("output"), content.get("alternative")
    if type(output) is not int or type(alternative) is not int:
        return
    try:
        widget._begin(output, alternative)  # noqa: SLF001 - the wire's other half
        widget.publish("failure", {})
    except Exception as error:  # noqa: BLE001 - the view shows it; ipywidgets would only log it
        widget.publish("failure", dict(told(error)))
