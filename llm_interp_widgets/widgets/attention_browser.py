"""AttentionBrowser: all heads of a model on one text, at any length.

What comes in: one attention record, or two to compare. What goes out: a widget whose overview
draws itself on the device's worker while everything that a reader opens is computed on request,
off the main thread; heads pinned to its shelf are read in Python.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from llm_interp_widgets.errors import InterpError, ParameterError, ResultError, nearest, told
from llm_interp_widgets.export.bundles import bundle
from llm_interp_widgets.export.heads import keep, left_out_told
from llm_interp_widgets.export.page import View, check_place, render_page, write_page
from llm_interp_widgets.jobs import Errand, submit
from llm_interp_widgets.results.attention import SCORES
from llm_interp_widgets.results.redaction import Cover
from llm_interp_widgets.widgets import _kernel
from llm_interp_widgets.widgets._browser import is_question
from llm_interp_widgets.widgets._desk import Desk
from llm_interp_widgets.widgets._heads import Answers
from llm_interp_widgets.widgets._overview import Drawing, steps
from llm_interp_widgets.widgets._texts import Texts
from llm_interp_widgets.widgets.page import PageWidget
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from llm_interp_widgets import wire
    from llm_interp_widgets.errors import Told
    from llm_interp_widgets.export.page import Policy
    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.results.redaction import What
    from llm_interp_widgets.widgets._texts import Kept

BUDGET = 10_000_000
_CAUTION = "Weights, not importance: they say where a head looked, not what its looking did."
_PARTS = ("attention_head",)


class AttentionBrowser(PageWidget):
    """Overview of all heads, and each of them as matrix, lines, text, or split query by key.

    Traits:
        head: (layer, head) that is open, both ways; head -1 for heads taken together as ``how``
            says, layer -1 for all layers.
        how: ``"mean"``, ``"max"``, ``"rollout"``, ``"value"`` or ``"gradient"``, both ways.
        stack: Name of the stack that is shown, both ways: ``"self"``, ``"encoder"``, ``"cross"`` …
        beside: (layer, head), or (layer, head, stack), that ``head`` is compared with, both ways;
            empty for none.
        mode: ``"matrix"``, ``"lines"``, ``"text"``, ``"compare"`` or ``"why"``, both ways.
        selected: Position of the query that is looked at, both ways; ``None`` for none.
        key: Position of the key, likewise.
        selected_heads: Heads on the shelf, both ways: a list of (layer, head), with the stack's
            name as a third where it is not the first stack.
        sort: Score by which heads are ranked, both ways; empty for their place in the model.
        least: Heads whose score is lower are left out, both ways.
        scale: Of colours, ``"root"``, ``"linear"`` or ``"log"``, both ways.
        pieces: What tokens are taken together to: ``"token"``, ``"window"``, ``"sentence"``,
            ``"role"``, both ways.
    """

    bundle_name: ClassVar[str] = "attention_browser"
    part_names: ClassVar[tuple[str, ...]] = _PARTS
    shared_traits: ClassVar[tuple[str, ...]] = (
        "subject", "overviews", "head", "how", "stack", "beside", "mode", "selected", "key",
        "selected_heads", "sort", "least", "scale", "pieces",
    )  # fmt: skip
    browser_traits: ClassVar[tuple[str, ...]] = (*PageWidget.browser_traits, *shared_traits[2:])

    subject = traitlets.Dict().tag(sync=True)
    overviews = traitlets.List(traitlets.Dict()).tag(sync=True)
    failure = traitlets.Dict().tag(sync=True)
    kept = traitlets.List(traitlets.Dict()).tag(sync=True)
    head = traitlets.List(traitlets.Int(), [0, 0], minlen=2, maxlen=2).tag(sync=True)
    how = traitlets.Enum(("", "mean", "max", "rollout", "value", "gradient"), "").tag(sync=True)
    stack = traitlets.Unicode().tag(sync=True)
    beside: Any = traitlets.List([]).tag(sync=True)
    mode = traitlets.Enum(("matrix", "lines", "text", "compare", "why"), "matrix").tag(sync=True)
    selected = traitlets.Int(None, allow_none=True).tag(sync=True)
    key = traitlets.Int(None, allow_none=True).tag(sync=True)
    selected_heads: Any = traitlets.List([]).tag(sync=True)
    sort = traitlets.Enum(("", *SCORES), "").tag(sync=True)
    least = traitlets.Float(0.0).tag(sync=True)
    scale = traitlets.Enum(("root", "linear", "log"), "root").tag(sync=True)
    pieces = traitlets.Enum(("token", "window", "sentence", "role"), "token").tag(sync=True)

    def __init__(
        self,
        record: AttentionRecord,
        beside: AttentionRecord | None = None,
        *,
        redact: What | None = None,
        **traits: Any,  # noqa: ANN401
    ) -> None:
        """Show a record: live, or opened from a file.

        Args:
            record: From ``attention`` or ``AttentionRecord.load``; all of its stacks are shown.
            beside: Of another text, to compare the same heads.
            redact: What of the texts is covered; see ``Attribution.redacted``.
            **traits: Initial traits.
        """
        self.record = record
        cover = None if redact is None else Cover(redact)
        self._texts = Texts(record, beside, cover)
        self._drawings = [Drawing(one) for one in self._texts.records]
        send = _sender(self)
        subject = dict(self._texts.subject(say(_CAUTION)))
        if cover is not None:
            cover.check()
        self._desk = Desk(Answers(self._texts.records, cover), send)
        drawn = _drawn(self._drawings, send, _keeper(self), _teller(self))
        self._errand = Errand(drawn, _ended(self))
        try:
            super().__init__(
                subject=subject,
                overviews=[dict(drawing.state()) for drawing in self._drawings],
                **({"stack": record.name} | traits),
            )
        except traitlets.TraitError as error:
            raise ParameterError(str(error)) from error
        self.on_msg(_handle)
        _kernel.follow()
        submit(self._errand, str(record.model.device))

    @classmethod
    def check(cls, traits: dict[str, Any]) -> None:
        """Raise ``ParameterError`` for a trait that cannot be set at the start."""
        can = set(cls.shared_traits) - {"subject", "overviews"}
        for name in traits.keys() - can:
            raise ParameterError(f"attend has no {name!r}. {nearest(name, sorted(can))}")
        head = traits.get("head", (0, 0))
        if not isinstance(head, tuple | list) or len(head) != 2:
            raise ParameterError(f"head={head!r} must be a pair: head=(layer, head).")

    # ── what may be set ───────────────────────────────────────────────────────

    @traitlets.validate("stack")
    def _check_stack(self, proposal: dict[str, Any]) -> str:
        self._stack(proposal["value"])
        return str(proposal["value"])

    @traitlets.validate("head")
    def _check_head(self, proposal: dict[str, Any]) -> list[int]:
        layer, head = proposal["value"]
        size = self._stack(self.stack)
        _in_range("layer", layer, size.layers, least=-1)
        _in_range("head", head, size.heads, least=-1)
        if layer < 0 <= head:
            msg = f"head={head} of all layers is no head: (-1, -1) takes all heads together."
            raise traitlets.TraitError(msg)
        return [layer, head]

    @traitlets.validate("selected", "key")
    def _check_token(self, proposal: dict[str, Any]) -> int | None:
        value: int | None = proposal["value"]
        name = proposal["trait"].name
        if value is not None:
            size = self._stack(self.stack)
            _in_range(name, value, size.queries if name == "selected" else size.keys)
        return value

    @traitlets.validate("selected_heads", "beside")
    def _check_heads(self, proposal: dict[str, Any]) -> list[Any]:
        name, value = proposal["trait"].name, proposal["value"]
        first, heads = self._texts.names[0], []
        for one in [value] if name == "beside" and value else value:
            if not isinstance(one, tuple | list) or len(one) not in (2, 3):
                msg = f"{name} holds (layer, head), or (layer, head, stack); not {one!r}."
                raise traitlets.TraitError(msg)
            layer, head, stack = (*one, first)[:3]
            size = self._stack(stack)
            _in_range("layer", layer, size.layers)
            _in_range("head", head, size.heads)
            heads.append((layer, head) if stack == first else (layer, head, stack))
        return list(heads[0]) if name == "beside" and heads else list(dict.fromkeys(heads))

    @traitlets.observe("stack")
    def _enter_stack(self, _: object) -> None:
        """Let go of a head and of tokens that another stack has and this one has not."""
        size = self._stack(self.stack)
        if self.head[0] >= size.layers or self.head[1] >= size.heads:
            self.head = [0, 0]
        for name, count in (("selected", size.queries), ("key", size.keys)):
            if (getattr(self, name) or 0) >= count:
                setattr(self, name, None)

    def _stack(self, name: str) -> Kept:
        """Return a stack's size; its record may be closed, as what is asked of it will say."""
        size: Kept | None = self._texts.kept.get(name)
        if size is None:
            names = ", ".join(map(repr, self._texts.names))
            msg = f"There is no stack {name!r}; this view has {names}."
            raise traitlets.TraitError(msg)
        return size

    # ── life ──────────────────────────────────────────────────────────────────

    def __repr__(self) -> str:
        """Return one line: what is shown, and which head is open."""
        model = replace(self.record.model, name=self._name)
        return f"<AttentionBrowser {self.head} of {replace(self.record, model=model)!r}>"

    @property
    def heading(self) -> str:
        """What is shown, as the title of a page."""
        return say("Attention in {model}", model=self._name)

    @property
    def _name(self) -> str:
        """The model's name as the view says it: covered, where that was asked for."""
        return str(self.subject.get("title", ""))

    def _retell(self) -> None:
        self.publish("subject", dict(self._texts.subject(say(_CAUTION))))

    def _told(self, error: BaseException) -> Told:
        """Return what of an error may be shown: nothing that is covered."""
        return told(self._texts.covered(error))

    def _is_over(self) -> bool:
        return self._errand.finished

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the overview is complete; return whether it is.

        Args:
            timeout: Seconds to wait; ``None`` waits until the end.

        Raises:
            InterpError: What it failed with.
        """
        over = self._errand.wait(timeout)
        error = self._errand.error or self._desk.error
        if error is not None:
            raise self._texts.covered(error)
        return over

    def close(self) -> None:
        """Take the widget off the screen and stop what it computes; the record stays open."""
        if not self._closed:
            self._errand.cancel()
            self._desk.close()
        super().close()

    def to_html(
        self, path: str | os.PathLike[str], *, title: str | None = None, overwrite: bool = False,
        redact: What | None = None, csp: Policy = "inline", budget: int = BUDGET,
    ) -> Path:  # fmt: skip
        """Write one HTML file in which every head can be opened offline.

        Args:
            path: Where to.
            title: Of the page.
            overwrite: Replace a file that is there.
            redact: What of the texts is covered; see ``Attribution.redacted``.
            csp: Content security policy of the page, as for every view.
            budget: Bytes of the whole file. What does not fit is left out, heads on the shelf
                last, and the view says so; the overview and the view itself, about 0.3 MB and
                up to 1 MB of pictures, always stay.

        Raises:
            ClosedWidgetError: The widget was closed.
            ParameterError: The budget is negative, there is no such policy, or what is to be
                covered is nowhere.
            ExportError: The file is there, or cannot be written.
        """
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 0:
            raise ParameterError(f"budget={budget!r} must be a whole number of bytes, 0 or above.")
        check_place(path, overwrite=overwrite)  # before what takes long
        cover = None if redact is None else Cover(redact)
        bare, name = self._with([], cover), title or self.heading
        if cover is not None:
            cover.check()
            name = cover.text(name)
        size = len(render_page([bare], name, csp=csp).encode())
        full = self._with(self._kept(max(0, budget - size)), cover)
        page = render_page([full], name, csp=csp)
        return write_page(path, page, overwrite=overwrite)

    def view(self, cover: Cover | None = None) -> View:
        """Return the frozen view with every head that fits into 10 MB; see ``to_html``.

        Args:
            cover: What of its texts is covered.

        Raises:
            ClosedWidgetError: The widget was closed.
        """
        return self._with(self._kept(BUDGET), cover)

    def _covered(self, cover: Cover) -> dict[str, Any]:
        return {"subject": dict(self._texts.subject(say(_CAUTION), cover))}

    def _with(self, kept: list[dict[str, Any]], cover: Cover | None) -> View:
        frozen = super().view(cover)
        state = dict(frozen.state) | {"kept": kept}
        return View(frozen.bundle, state, self.part_names, "attention_kernel", frozen.name)

    def _kept(self, budget: int) -> list[dict[str, Any]]:
        pinned = [(*one, self._texts.names[0])[:3] for one in self.selected_heads]
        whole = max(1, sum(_size(one) for one in self._texts.records))  # 0: all were closed
        kept: list[dict[str, Any]] = []
        for name, record in zip(self._texts.names, self._texts.records, strict=True):
            first = [(layer, head) for layer, head, stack in pinned if stack == name]
            if name == self.stack and min(self.head) >= 0:
                first.insert(0, (self.head[0], self.head[1]))
            try:
                found = dict(keep(record, budget * _size(record) // whole, first))
                kept.append(found | {"left_out": left_out_told(str(found["left_out"]))})
            except ResultError as error:  # the record was closed: the overview is all there is
                kept.append({"left_out": str(error)})
        return kept

    def _settle(self) -> None:
        self.wait()


def _size(record: AttentionRecord) -> int:
    queries, keys = record.shape
    return record.layers * record.heads * (queries + keys)


def _in_range(name: str, value: object, size: int, least: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < size:
        msg = f"{name}={value!r} is out of range: there are {size}, 0 to {size - 1}."
        raise traitlets.TraitError(msg)


# Workers must not keep a closed widget alive, so what they call holds only weak references.


def _drawn(drawings: Sequence[Drawing], send: Any, keep: Any, tell: Any) -> Callable[[], Any]:  # noqa: ANN401
    return lambda: steps(list(drawings), send, keep, tell)


def _teller(widget: AttentionBrowser) -> Callable[[InterpError], None]:
    reference = weakref.ref(widget)

    def tell(error: InterpError) -> None:
        if (alive := reference()) is not None and not alive._closed:  # noqa: SLF001
            failure = alive._told(error)  # noqa: SLF001
            words = f"Induction and duplicate-token scores stay unknown. {failure['message']}"
            alive.publish("failure", dict(failure) | {"message": words})

    return tell


def _sender(widget: AttentionBrowser) -> Any:  # noqa: ANN401 - a function
    reference = weakref.ref(widget)

    def send(message: Any, buffers: list[bytes]) -> None:  # noqa: ANN401 - any of the wire's
        if (alive := reference()) is not None and not alive._closed:  # noqa: SLF001
            alive.send(message, buffers)

    return send


def _keeper(widget: AttentionBrowser) -> Callable[[], None]:
    reference = weakref.ref(widget)

    def publish() -> None:
        if (alive := reference()) is not None and not alive._closed:  # noqa: SLF001
            alive.publish("overviews", [dict(one.state()) for one in alive._drawings])  # noqa: SLF001

    return publish


def _ended(widget: AttentionBrowser) -> Callable[[str], None]:
    publish, reference = _keeper(widget), weakref.ref(widget)

    def end(status: str) -> None:
        alive = reference()
        if alive is None or alive._closed:  # noqa: SLF001
            return
        for drawing in alive._drawings:  # noqa: SLF001
            if drawing.status != "done":
                drawing.status = status  # type: ignore[assignment]
        error = alive._errand.error  # noqa: SLF001
        if error is not None:
            alive.publish("failure", dict(alive._told(error)))  # noqa: SLF001
        publish()
        if not alive._viewed:  # noqa: SLF001
            alive._sum_up()  # noqa: SLF001

    return end


def _handle(widget: AttentionBrowser, content: object, _buffers: object) -> None:
    """Answer the browser; assumes no particular thread, so it only files."""
    if not isinstance(content, dict):
        return
    if content.get("type") == "ready":
        if not widget._errand.finished:  # noqa: SLF001 - the wire's other half
            _keeper(widget)()
    elif content.get("type") == "part" and content.get("name") in _PARTS:
        found: wire.PartSource = {"type": "part", "name": content["name"]}
        try:
            widget.send(found, [bundle(content["name"]).encode()])
        except InterpError as error:
            widget.publish("failure", dict(widget._told(error)))  # noqa: SLF001
    elif content.get("type") == "ask" and is_question(content):
        widget._desk.ask(content)  # noqa: SLF001
