"""PageWidget: what every view has in common: a bundle that draws it, and a page it is frozen into.

What comes in: the traits of a subclass. What goes out: a widget that can be shown, closed and
written to one HTML file that works offline.

Guarantees:

- A view's messages are heard while a cell runs, where the host has a way for them.
- A host that loses binary buffers gets them as text, once its view said so.
- Every output carries, beside the view, a small summary without scripts: for a notebook that is
  not trusted, has no kernel, or is read on a page. What was still running is summed up anew when
  it is over: at once where no view is on screen, else when nobody is busy with one, because
  hosts draw the whole output again.
- Texts that are no Unicode travel as ``text.travel`` says.
"""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from llm_interp_widgets.errors import ClosedWidgetError
from llm_interp_widgets.export.bundles import packed, templates
from llm_interp_widgets.export.page import View, check_policy, render_page, write_page
from llm_interp_widgets.export.snapshot import snapshot
from llm_interp_widgets.results.redaction import Cover
from llm_interp_widgets.text.travel import departed
from llm_interp_widgets.widgets import _kernel
from llm_interp_widgets.widgets._browser import take
from llm_interp_widgets.words import ENGLISH, follow, language, translations

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from llm_interp_widgets import wire
    from llm_interp_widgets.export.page import Policy
    from llm_interp_widgets.results.redaction import What


_MOST_PLACES = 50  # outputs, the newest, whose summaries are kept up to date


class PageWidget(anywidget.AnyWidget):
    """A view that can stand in a notebook and on a page.

    Its trait ``words`` holds the translations that its bundles need; none for English.
    """

    bundle_name: ClassVar[str]
    part_names: ClassVar[tuple[str, ...]] = ()
    """Bundles that the view loads when it needs them."""
    shared_traits: ClassVar[tuple[str, ...]] = ()
    """Traits that a page holds."""
    browser_traits: ClassVar[tuple[str, ...]] = ("_view_count", "layout", "tabbable", "tooltip")
    """Traits that the browser may set; all others are the kernel's to say."""

    words = traitlets.Dict().tag(sync=True)

    _closed = True  # until there is something to close
    _own_layout = False  # until there is one

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401
        """Take the traits of the subclass."""
        self._esm = packed(self.bundle_name)  # may fail: before there is anything to close
        self._closed = False
        self._as_text = False  # buffers, for a host that loses them
        self._viewed = False  # by a browser
        self._places: dict[str, str] = {}  # outputs that hold it, by display id: their summaries
        self._gate = threading.RLock()  # what workers publish, and what the browser sets
        self._taking = 0  # changes by the browser that are being looked at
        self._published: dict[str, Any] = {}
        self._meanwhile: set[str] = set()  # was published while one was
        self._own_layout = "layout" not in traits
        super().__init__(words=self._translated(), **traits)
        _kernel.hear_always(self.comm)
        self.on_msg(_greet)
        follow(self)

    def __repr__(self) -> str:
        """Say what is shown."""
        heading = "".join(c if c.isprintable() else repr(c)[1:-1] for c in self.heading)
        return f"<{type(self).__name__}: {heading}>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401
        if self._closed:
            return {"text/plain": repr(self), "text/html": self._summary()}, {}
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return {**data, "text/html": self._summary()}, metadata

    def _ipython_display_(self) -> None:
        """Display the result of a cell, which IPython would give no place to be replaced at.

        Raises:
            NotImplementedError: This is no result: IPython shall go its way, which is watched.
        """
        if not self._closed:
            _kernel.watch(self)
        if self._closed or not _kernel.is_result():
            raise NotImplementedError
        _kernel.show(*self._repr_mimebundle_(), self.model_id)

    def shown_at(self, place: str, summary: str | None) -> None:
        """Take note of an output that holds this view, and of its summary, if it has one."""
        if summary is not None:
            self._places[place] = summary
            while len(self._places) > _MOST_PLACES:
                del self._places[next(iter(self._places))]

    def not_shown_at(self, place: str) -> None:
        """Take note that an output holds something else now."""
        self._places.pop(place, None)

    def sum_up_unseen(self) -> None:
        """Sum up what is over, where no view will say when."""
        if not self._viewed and self._is_over():
            self._sum_up()

    def _is_over(self) -> bool:
        """Whether nothing is computed any more."""
        return True

    def _summary(self) -> str:
        state = {name: getattr(self, name) for name in self.shared_traits}
        return snapshot(state, self.bundle_name)

    def _sum_up(self) -> None:
        """Replace the summaries of all outputs that say something else than what holds now."""
        if self._closed or not self._places:
            return
        try:
            data, metadata = self._repr_mimebundle_()
        except (AttributeError, TypeError):
            if self._closed:  # meanwhile, by another thread
                return
            raise
        now = data["text/html"]
        for place in [one for one, said in list(self._places.items()) if said != now]:
            self._places[place] = now
            _kernel.show(data, metadata, place, update=True)

    def publish(self, name: str, value: Any) -> None:  # noqa: ANN401 - whatever the trait holds
        """Set a trait that is the kernel's to say, from any thread.

        To refuse what the browser sets, traitlets rolls back all that was set meanwhile, and tells
        nobody of what is set while it does; what was published is then set, and sent, again.
        """
        with self._gate:
            self._published[name] = value
            if self._taking:
                self._meanwhile.add(name)
            setattr(self, name, value)

    def send(self, content: Any, buffers: Any = None) -> None:  # noqa: ANN401 - as ipywidgets has it
        """Send a message, its buffers as text where the host loses them."""
        if self._as_text and buffers:
            content, buffers = {**content, "buffers": as_text(list(buffers))}, None
        super().send(departed(content), buffers)

    def get_state(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as ipywidgets has it
        """Return the traits that a view has, their bytes as text where the host loses them."""
        state = departed(super().get_state(*args, **options))
        return as_text(state) if self._as_text else state

    def retell(self) -> None:
        """Say everything again: the language is another one."""
        if self._closed:
            return
        self.publish("words", self._translated())
        self._retell()
        self._sum_up()

    def _retell(self) -> None:
        """Publish again what Python says."""

    @classmethod
    def _translated(cls) -> dict[str, str]:
        if language() == ENGLISH:
            return {}
        names = (cls.bundle_name, *cls.part_names)
        return translations(template for name in names for template in templates(name))

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what the browser sets, as far as it is valid; and put the browser right."""
        put, refused, wrong = super().set_state, False, []

        def tried(some: dict[str, Any]) -> None:
            nonlocal refused
            try:
                put(some)
            except BaseException:
                refused = True
                raise

        with self._gate:
            self._taking += 1
        try:  # not within the gate: an observer may wait for a job, and a job publishes
            wrong = take(self, sync_data, tried)
        finally:
            with self._gate:
                self._taking -= 1
                meanwhile = set(self._meanwhile) if refused else set()
                if not self._taking:  # another change may be looked at by another thread
                    self._meanwhile.clear()
        for name in wrong:
            self.send_state(name)
        for name in () if self._closed else meanwhile:
            with self._gate:
                setattr(self, name, self._published[name])  # the same, unless it was rolled back
                self.send_state(name)

    @property
    def heading(self) -> str:
        """What is shown, as the title of a page."""
        raise NotImplementedError

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        overwrite: bool = False,
        redact: What | None = None,
        csp: Policy = "inline",
    ) -> Path:
        """Write one HTML file that works offline; waits for what is still running.

        Args:
            path: Where to.
            title: Of the page; what is explained by default.
            overwrite: Replace a file that is there.
            redact: What of the text is covered; see ``Attribution.redacted``.
            csp: Content security policy of the page: ``"inline"``, or ``"strict"`` for servers
                 that forbid inline scripts: a larger file that allows scripts by their hashes only.

        Raises:
            ClosedWidgetError: The widget was closed.
            ParameterError: There is no such policy, or what is to be covered is nowhere.
            ExportError: The file is there, or cannot be written.
        """
        return write_views(path, [self], title=title, overwrite=overwrite, redact=redact, csp=csp)

    def view(self, cover: Cover | None = None) -> View:
        """Return the frozen view: bundle and state, for an export.

        Args:
            cover: What of its texts is covered.

        Raises:
            ClosedWidgetError: The widget was closed.
        """
        self._check_open("export")
        self._settle()
        state = {name: getattr(self, name) for name in ("words", *self.shared_traits)}
        name = self.heading
        if cover is not None:
            state |= self._covered(cover)
            name = cover.text(name)
        return View(self.bundle_name, departed(state), self.part_names, name=name)

    def close(self) -> None:
        """Take the widget off the screen."""
        if self.comm is not None:
            _kernel.forget(self)
        self._closed = True
        layout = self.layout if self._own_layout else None
        super().close()
        self.__dict__.pop("_repr_mimebundle_", None)  # ipywidgets would show nothing any more
        if layout is not None:
            layout.close()  # which ipywidgets would keep for ever

    def _covered(self, cover: Cover) -> dict[str, Any]:
        """Return the traits that hold text, covered."""
        raise NotImplementedError

    def _settle(self) -> None:
        """Wait until the traits are final."""

    def _check_open(self, what: str) -> None:
        if self._closed:
            raise ClosedWidgetError(f"Cannot {what}: this widget was closed. Make the view again.")


def as_text(value: Any) -> Any:  # noqa: ANN401 - anything that travels
    """Return a state in which bytes, at any depth, are base64 text."""
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_text(item) for item in value]
    return value


def _greet(widget: PageWidget, content: object, _buffers: object) -> None:
    """Answer what any view may say; assumes no particular thread."""
    if not isinstance(content, dict):
        return
    match content.get("type"):
        case "ping":
            pong: wire.Pong = {"type": "pong"}
            widget.send(pong)
        case "rest":
            widget._sum_up()  # noqa: SLF001 - the wire's other half
        case "ready":
            widget._viewed = True  # noqa: SLF001
            if content.get("binary") is False and not widget._as_text:  # noqa: SLF001
                widget._as_text = True  # noqa: SLF001
                widget.send_state(list(widget.shared_traits))


def write_views(
    path: str | os.PathLike[str],
    widgets: Sequence[PageWidget],
    *,
    title: str | None,
    overwrite: bool,
    redact: What | None = None,
    csp: Policy = "inline",
) -> Path:
    """Freeze several views into one HTML file; see ``save_html``."""
    check_policy(csp)  # before what takes long
    views, cover = frozen(widgets, redact)
    name = title or widgets[0].heading
    page = render_page(views, name if cover is None else cover.text(name), csp=csp)
    return write_page(path, page, overwrite=overwrite)


def frozen(widgets: Sequence[PageWidget], redact: What | None) -> tuple[list[View], Cover | None]:
    """Return frozen views, and what covers their texts.

    Raises:
        ParameterError: What is to be covered is nowhere.
    """
    cover = None if redact is None else Cover(redact)
    if cover is not None:
        for widget in widgets:
            widget._check_open("export")  # noqa: SLF001
            widget._covered(cover)  # noqa: SLF001 - what its prompt says, another view may say
    views = [widget.view(cover) for widget in widgets]
    if cover is not None:
        cover.check()
    return views, cover
