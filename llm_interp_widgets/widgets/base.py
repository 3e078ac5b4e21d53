"""ResultWidget: what every view of a result has in common.

What comes in: what is explained, and either a job or a finished result. What goes out: a
live widget whose ``snapshot`` trait is always the whole truth known to the browser, and
which can be saved, re-opened, awaited, cancelled and exported.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Self

import anywidget
import numpy as np
import traitlets

from llm_interp_widgets import wire
from llm_interp_widgets.errors import CancelledJobError, ClosedWidgetError
from llm_interp_widgets.export.bundles import bundle
from llm_interp_widgets.export.page import View, render_page, write_page
from llm_interp_widgets.jobs import Job, run_here
from llm_interp_widgets.results import describe
from llm_interp_widgets.widgets import _kernel
from llm_interp_widgets.widgets._stream import Stream, totals

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from llm_interp_widgets.jobs import Progress
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.describe import About
    from llm_interp_widgets.text.tokens import Token


class ResultWidget(anywidget.AnyWidget):
    """A view of one attribution, live or finished."""

    bundle_name: ClassVar[str]
    shared_traits: ClassVar[tuple[str, ...]] = ("snapshot", "selected", "output")

    snapshot = traitlets.Dict().tag(sync=True)
    selected = traitlets.Int(None, allow_none=True).tag(sync=True)
    output = traitlets.Int(0).tag(sync=True)

    @traitlets.validate("selected")
    def _check_selected(self, proposal: dict[str, Any]) -> int | None:
        return _in_range("selected", proposal["value"], len(self._about.inputs))

    @traitlets.validate("output")
    def _check_output(self, proposal: dict[str, Any]) -> int | None:
        return _in_range("output", proposal["value"], len(self._about.outputs))

    def __init__(self, about: About, job: Job[Attribution], **traits: Any) -> None:  # noqa: ANN401
        """Follow a job: not submitted yet, running, or over."""
        self._esm = bundle(self.bundle_name)  # may fail: before there is anything to close
        self._about = about
        self._job = job
        self._closed = False
        self._guest = False
        super().__init__(snapshot=snapshot(about, job.id, job.progress, 0), **traits)
        # The worker must not keep a closed widget alive, so it holds only a weak reference.
        self._stream = Stream(
            job.id, _state_of(about), _sender(self), _keeper(self), _special(about)
        )
        job.observe(self._stream.look)
        if job.progress.status != "queued":  # what came between is in no message
            self._stream.look(job.progress)
        self.on_msg(_handle)
        _kernel.follow()

    @classmethod
    def check(cls, about: About) -> None:
        """Raise ``ResultError`` if this view cannot show what is explained."""

    @classmethod
    def of(cls, result: Attribution) -> Self:
        """Return a view of a finished or re-opened result; needs neither model nor torch.

        Example:
            >>> TokenHighlighter.of(Attribution.load("paris.liw"))  # doctest: +SKIP
        """
        cls.check(result.about())
        shape = result.scores.shape
        job: Job[Attribution] = Job(
            lambda _: (p for p in [result.as_partial()]),
            (shape[0], shape[1]),
            lambda _: result,
            took=result.seconds,
        )
        widget = cls(result.about(), job)
        run_here(job)
        return widget

    @classmethod
    def beside(cls, other: ResultWidget) -> Self:
        """Return another view of the same job, also while it runs; closing it stops nothing."""
        cls.check(other.about)
        widget = cls(other.about, other.job)
        widget._guest = True
        return widget

    @property
    def about(self) -> About:
        """What is explained."""
        return self._about

    @property
    def job(self) -> Job[Attribution]:
        """The job behind the view."""
        return self._job

    def result(self, timeout: float | None = None) -> Attribution:
        """Wait for the numbers.

        Args:
            timeout: Seconds to wait; ``None`` waits until the end. Interrupting cancels.

        Raises:
            ClosedWidgetError: The widget was closed before there was a result.
            CancelledJobError: It was cancelled before there was anything.
            TimeoutError: It is still running.
            InterpError: Whatever went wrong in the method.
        """
        try:
            return self._job.result(timeout)
        except CancelledJobError as error:
            if self._closed:
                raise ClosedWidgetError(
                    "This widget was closed before it had a result. Call explain again."
                ) from error
            raise

    def cancel(self) -> None:
        """Stop the job; the scores found so far stay on screen.

        Raises:
            ClosedWidgetError: The widget was closed.
        """
        self._check_open("cancel")
        self._job.cancel()

    def to_html(
        self, path: str | os.PathLike[str], *, title: str | None = None, overwrite: bool = False
    ) -> Path:
        """Write one HTML file that works offline; waits for the job first.

        Args:
            path: Where to.
            title: Of the page; what is explained by default.
            overwrite: Replace a file that is there.

        Raises:
            ClosedWidgetError: The widget was closed.
            ExportError: The file is there, or cannot be written.
        """
        return write_views(path, [self], title=title, overwrite=overwrite)

    def close(self) -> None:
        """Take the widget off the screen, and stop the job unless another view began it."""
        self._closed = True
        if not self._guest:
            self._job.cancel()
        self._stream.close()
        super().close()

    def view(self) -> View:
        """Return the frozen view: bundle and state, for an export.

        Raises:
            ClosedWidgetError: The widget was closed.
        """
        self._check_open("export")
        self._job.wait()
        error = self._job.progress.error
        if error is not None:
            raise error
        state = {name: getattr(self, name) for name in self.shared_traits}
        return View(bundle=self.bundle_name, state=state)

    @property
    def heading(self) -> str:
        """What is explained, as a title."""
        return f"Why {self._about.target}?"

    def _check_open(self, what: str) -> None:
        if self._closed:
            raise ClosedWidgetError(f"Cannot {what}: this widget was closed. Call explain again.")


def write_views(
    path: str | os.PathLike[str],
    widgets: Sequence[ResultWidget],
    *,
    title: str | None,
    overwrite: bool,
) -> Path:
    """Freeze several views into one HTML file; see ``save_html``."""
    views = [widget.view() for widget in widgets]
    return write_page(path, render_page(views, title or widgets[0].heading), overwrite=overwrite)


def _in_range(name: str, value: int | None, size: int) -> int | None:
    if value is not None and not 0 <= value < size:
        msg = f"{name}={value} is out of range; there are {size}, counted from 0."
        raise traitlets.TraitError(msg)
    return value


# ── the wire ──────────────────────────────────────────────────────────────────


def snapshot(about: About, job: str, look: Progress, seq: int) -> wire.Snapshot:
    """Return everything the browser needs to draw a look from nothing."""
    merged = look.merged
    subject: wire.Subject = {
        "prompt": about.prompt,
        "inputs": [_token(token) for token in about.inputs],
        "outputs": [_token(token) for token in about.outputs],
        "target": about.target,
        "unit": about.unit if about.effect else "score",
        "method": about.method,
        "method_title": about.title,
        "caution": about.caution,
    }
    return {
        "protocol": wire.PROTOCOL,
        "job": job,
        "seq": seq,
        "subject": subject,
        "state": state(about, look),
        "scores": wire.pack_rows(merged.scores, _special(about)),
        "standard_error": wire.pack_rows(
            None if merged.last.exact else merged.standard_error, _special(about)
        ),
        "totals": wire.pack(totals(look)),
    }


def state(about: About, look: Progress) -> wire.JobState:
    """Return where a job stands."""
    last = look.merged.last
    error = look.error
    return {
        "status": look.status,
        "preview": last.preview,
        "verdict": describe.verdict(look.merged, look.status),
        "done": last.done,
        "total": last.total,
        "evaluations": last.evaluations,
        "seconds": look.seconds,
        "sentences": [
            describe.sentence(about, look.merged, row) for row in range(len(about.outputs))
        ],
        "facts": [
            {"label": label, "value": value, "level": level}
            for label, value, level in describe.facts(about, look.merged)
        ],
        "error": None
        if error is None
        else {"name": type(error).__name__, "message": str(error) or "no message"},
    }


def _special(about: About) -> NDArray[np.bool_]:
    return np.array([token.special for token in about.inputs], dtype=bool)


def _token(token: Token) -> wire.TokenInfo:
    return {
        "text": token.text,
        "start": token.start,
        "end": token.end,
        "special": token.special,
        "role": token.role,
        "position": token.position,
        "size": token.size,
    }


def _state_of(about: About) -> Any:  # noqa: ANN401 - a function
    return lambda look: state(about, look)


def _sender(widget: ResultWidget) -> Any:  # noqa: ANN401 - a function
    reference = weakref.ref(widget)

    def send(message: wire.Chunk, buffers: list[bytes]) -> None:
        if (alive := reference()) is not None:
            alive.send(message, buffers)

    return send


def _keeper(widget: ResultWidget) -> Any:  # noqa: ANN401 - a function
    reference = weakref.ref(widget)

    def keep(look: Progress, seq: int) -> None:
        if (alive := reference()) is not None:
            alive.snapshot = dict(snapshot(alive._about, alive._job.id, look, seq))  # noqa: SLF001

    return keep


def _handle(widget: ResultWidget, content: object, _buffers: object) -> None:
    """Answer the browser; assumes no particular thread, so it only sets and enqueues."""
    if not isinstance(content, dict):
        return
    match content.get("type"):
        case "ready":
            widget._stream.ready()  # noqa: SLF001 - the wire's other half
        case "ack" if content.get("job") == widget.job.id and isinstance(content.get("seq"), int):
            widget._stream.acknowledge(content["seq"])  # noqa: SLF001
        case "cancel" if content.get("job") == widget.job.id:
            widget.job.cancel()
