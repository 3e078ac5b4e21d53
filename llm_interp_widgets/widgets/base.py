"""ResultWidget: what every view of a result has in common.

What comes in: what is explained, and either a job or a finished result. What goes out: a
live widget whose ``snapshot`` trait is always the whole truth known to the browser, and
which can be saved, re-opened, awaited, cancelled and exported. ``JobsWidget`` shows further
jobs beside the first one; their snapshots are its trait ``others``.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Self

import traitlets

from llm_interp_widgets.errors import CancelledJobError, ClosedWidgetError
from llm_interp_widgets.jobs import FINISHED, Job, run_here
from llm_interp_widgets.results.describe import target_words
from llm_interp_widgets.widgets import _kernel
from llm_interp_widgets.widgets._feed import Feed
from llm_interp_widgets.widgets.page import PageWidget
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_interp_widgets import wire
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.describe import About
    from llm_interp_widgets.results.redaction import Cover


class ResultWidget(PageWidget):
    """A view of one attribution, live or finished."""

    shared_traits: ClassVar[tuple[str, ...]] = ("snapshot", "selected", "output")
    browser_traits: ClassVar[tuple[str, ...]] = (*PageWidget.browser_traits, "selected", "output")

    _feeds: list[Feed] = []  # noqa: RUF012 - until there are some

    snapshot = traitlets.Dict().tag(sync=True)
    selected = traitlets.Int(None, allow_none=True).tag(sync=True)
    output = traitlets.Int(0).tag(sync=True)

    @traitlets.validate("selected")
    def _check_selected(self, proposal: dict[str, Any]) -> int | None:
        return _in_range("selected", proposal["value"], len(self.about.inputs))

    @traitlets.validate("output")
    def _check_output(self, proposal: dict[str, Any]) -> int | None:
        return _in_range("output", proposal["value"], len(self.about.outputs))

    def __init__(self, about: About, job: Job[Attribution], **traits: Any) -> None:  # noqa: ANN401
        """Follow a job: not submitted yet, running, or over."""
        feed = Feed(about, job, _sender(self), _keeper(self))
        self._feeds = [feed]
        super().__init__(snapshot=dict(feed.first()), **traits)
        feed.start()
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
        job = finished(result)
        widget = cls(result.about(), job)
        run_here(job)
        return widget

    @classmethod
    def beside(cls, other: ResultWidget) -> Self:
        """Return another view of the same job, also while it runs; closing it stops nothing."""
        cls.check(other.about)
        widget = cls(other.about, other.job)
        widget._feeds[0].owned = False
        return widget

    @property
    def about(self) -> About:
        """What is explained."""
        return self._feeds[0].about

    @property
    def job(self) -> Job[Attribution]:
        """The job behind the view."""
        return self._feeds[0].job

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
        return self._result_of(self._feeds[0], timeout)

    def cancel(self) -> None:
        """Stop the job; the scores found so far stay on screen.

        Raises:
            ClosedWidgetError: The widget was closed.
        """
        self._check_open("cancel")
        for feed in self._feeds:
            feed.job.cancel()

    def close(self) -> None:
        """Take the widget off the screen, and stop its job unless another view began it."""
        self._closed = True
        for feed in self._feeds:
            feed.close()
        super().close()

    @property
    def heading(self) -> str:
        """What is explained, as a title."""
        return say("Why {target}?", target=target_words(self.about.target))

    @traitlets.observe("snapshot")
    def _end(self, _: object) -> None:
        self.sum_up_unseen()

    def _is_over(self) -> bool:
        return all(is_over(one) for one in self._snapshots())

    def _snapshots(self) -> Sequence[dict[str, Any]]:
        return [self.snapshot]

    def _result_of(self, feed: Feed, timeout: float | None) -> Attribution:
        try:
            return feed.job.result(timeout)
        except CancelledJobError as error:
            if self._closed:
                raise ClosedWidgetError(
                    "This widget was closed before it had a result. Call explain again."
                ) from error
            raise

    def _covered(self, cover: Cover) -> dict[str, Any]:
        return {"snapshot": dict(self._feeds[0].covered(cover))}

    def _retell(self) -> None:
        for feed in list(self._feeds):
            feed.retell()

    def _settle(self) -> None:
        for feed in self._feeds:
            feed.job.wait()
        error = self.job.progress.error
        if error is not None:
            raise error


class JobsWidget(ResultWidget):
    """A view of several attributions: that of a ``ResultWidget``, and others beside it."""

    shared_traits: ClassVar[tuple[str, ...]] = (*ResultWidget.shared_traits, "others")

    others = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(self, about: About, job: Job[Attribution], **traits: Any) -> None:  # noqa: ANN401
        """Follow a job: not submitted yet, running, or over."""
        self._lock = threading.RLock()  # snapshots come from workers and from the browser
        super().__init__(about, job, **traits)

    def add(
        self, about: About, job: Job[Attribution], *, owned: bool = True, place: int | None = None
    ) -> None:
        """Show another job, too: not submitted yet, running, or over.

        Args:
            about: What is explained.
            job: That explains it.
            owned: The job ends with the widget.
            place: Of the job whose place it takes; behind all others by default.
        """
        with self._lock:
            others = self._latest_others()
            at = len(others) if place is None else place
            feed = Feed(about, job, _sender(self), _keeper(self, at), owned=owned)
            for old in self._feeds[at + 1 : at + 2]:
                old.close()
            self._feeds[at + 1 : at + 2] = [feed]
            self.publish("others", [*others[:at], dict(feed.first()), *others[at + 1 :]])
        feed.start()

    def results(self, timeout: float | None = None) -> Sequence[Attribution]:
        """Wait for all results, in the order of the jobs; raises as ``result`` does."""
        return tuple(self._result_of(feed, timeout) for feed in list(self._feeds))

    @traitlets.observe("others")
    def _end_other(self, change: object) -> None:
        self._end(change)

    def _snapshots(self) -> Sequence[dict[str, Any]]:
        return [self.snapshot, *self.others]

    def _covered(self, cover: Cover) -> dict[str, Any]:
        others = [dict(feed.covered(cover)) for feed in self._feeds[1:]]
        return {**super()._covered(cover), "others": others}

    def _keep_other(self, place: int, snapshot: wire.Snapshot) -> None:
        with self._lock:
            kept = list(self._latest_others())
            kept[place] = dict(snapshot)
            self.publish("others", kept)

    def _latest_others(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._published.get("others", self.others)
        return found


def is_over(snapshot: dict[str, Any]) -> bool:
    """Whether the job of a snapshot has ended."""
    return snapshot["state"]["status"] in FINISHED


def finished(result: Attribution) -> Job[Attribution]:
    """Return a job that has nothing left to do but to hand over its result; run it here."""
    shape = result.scores.shape
    return Job(
        lambda _: (p for p in [result.as_partial()]),
        (shape[0], shape[1]),
        lambda _: result,
        took=result.seconds,
    )


def _in_range(name: str, value: int | None, size: int) -> int | None:
    if value is not None and not 0 <= value < size:
        msg = f"{name}={value} is out of range; there are {size}, counted from 0."
        raise traitlets.TraitError(msg)
    return value


# A worker must not keep a closed widget alive, so its callbacks hold only weak references.


def _sender(widget: ResultWidget) -> Any:  # noqa: ANN401 - a function
    reference = weakref.ref(widget)

    def send(message: wire.Chunk, buffers: list[bytes]) -> None:
        if (alive := reference()) is not None:
            alive.send(message, buffers)

    return send


def _keeper(widget: ResultWidget, place: int | None = None) -> Callable[[wire.Snapshot], None]:
    """Return what publishes a snapshot: as the widget's own, or in its place among the others."""
    reference = weakref.ref(widget)

    def keep(snapshot: wire.Snapshot) -> None:
        alive = reference()
        if alive is None:
            return
        if place is None:
            alive.publish("snapshot", dict(snapshot))
        elif isinstance(alive, JobsWidget):
            alive._keep_other(place, snapshot)  # noqa: SLF001 - the widget's own callback

    return keep


def _handle(widget: ResultWidget, content: object, _buffers: object) -> None:
    """Answer the browser; assumes no particular thread, so it only sets and enqueues."""
    if not isinstance(content, dict):
        return
    for feed in list(widget._feeds):  # noqa: SLF001 - the wire's other half
        mine = content.get("job") == feed.job.id
        match content.get("type"):
            case "ready":
                feed.ready()
            case "ack" if mine and type(content.get("seq")) is int:
                feed.acknowledge(content["seq"])
            case "cancel" if mine:
                feed.job.cancel()
