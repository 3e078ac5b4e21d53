"""Desk: what a view asks, answered off the main thread, newest first.

What comes in: requests, each of several wants for one place of the view. What goes out: an answer
to every want that still counts.

Guarantees:

- ``ask`` files a request and returns; any thread may call it.
- A request replaces an unanswered one of the same view and place; its wants are answered in their
  order, and not at all once it was replaced.
- What takes long is answered on a thread of its own, so that it holds up nothing quick.
- Whatever goes wrong is an answer, too; where not even that can be sent, it is kept, and what
  waits is answered all the same.
- What a view says is looked at before it is believed: nonsense is ignored.
- Threads end after a while without requests, and when the desk is closed; none outlives it.
"""

from __future__ import annotations

import atexit
import threading
import traceback
import weakref
from collections import OrderedDict
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

from llm_interp_widgets.errors import told

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from llm_interp_widgets import wire

Said: TypeAlias = "tuple[dict[str, str], list[bytes]]"
Answer: TypeAlias = "Callable[[wire.Want], Generator[Said]]"
Send: TypeAlias = "Callable[[wire.HeadsAnswer, list[bytes]], None]"
_LEAVING = 2.0  # seconds an exiting interpreter waits for an answer
_PATIENCE = 10.0  # seconds a thread waits for another request
_SLOW = ("effect", "parts")


class Desk:
    """Answers the views of one widget.

    Args:
        answer: Yields what is known of a want, the last one being the answer.
        send: Sends an answer with its buffers.
    """

    def __init__(
        self,
        answer: Answer,
        send: Send,
    ) -> None:
        self._lanes = {slow: _Lane(answer, send) for slow in (False, True)}
        _open.add(self)

    @property
    def error(self) -> BaseException | None:
        """What could not even be sent."""
        return next((lane.error for lane in self._lanes.values() if lane.error is not None), None)

    def ask(self, request: wire.AskHeads) -> None:
        """File a request."""
        wants = request["wants"]
        slow = any(want["what"] in _SLOW or want["head"] < 0 for want in wants)
        for lane in self._lanes.values():
            lane.drop(_place(request))
        self._lanes[slow].file(request)

    def close(self) -> None:
        """Answer nothing more, and let go of what answers."""
        for lane in self._lanes.values():
            lane.close()

    def join(self, seconds: float) -> None:
        """Wait until what is being answered is answered."""
        for lane in self._lanes.values():
            lane.join(seconds)


_open: weakref.WeakSet[Desk] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """Stop before the interpreter takes torch away under an answer in the making."""
    desks = list(_open)
    for desk in desks:
        desk.close()
    for desk in desks:
        desk.join(_LEAVING)


def _place(request: wire.AskHeads) -> tuple[str, str]:
    return request["view"], request["slot"]


class _Lane:
    """One thread's requests."""

    def __init__(self, answer: Answer, send: Send) -> None:
        self._serving: tuple[Answer, Send] | None = answer, send
        self._door = threading.Condition()
        self._waiting: OrderedDict[tuple[str, str], wire.AskHeads] = OrderedDict()
        self._current: wire.AskHeads | None = None
        self._running = False
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None

    def file(self, request: wire.AskHeads) -> None:
        with self._door:
            if self._serving is None:
                return
            self._waiting[_place(request)] = request
            self._waiting.move_to_end(_place(request))
            self._door.notify()
            if not self._running or self._thread is None or not self._thread.is_alive():
                self._begin()

    def _begin(self) -> None:
        self._running = True
        name = "llm_interp_widgets:desk"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def drop(self, place: tuple[str, str]) -> None:
        with self._door:
            self._waiting.pop(place, None)
            if self._current is not None and _place(self._current) == place:
                self._current = None

    def close(self) -> None:
        with self._door:
            self._waiting.clear()
            self._current = self._serving = None
            self._door.notify()

    def _run(self) -> None:
        try:
            while (taken := self._next()) is not None:
                request, answer, send = taken
                for number, want in enumerate(request["wants"]):
                    if self._current is not request:
                        break
                    self._serve(request, number, want, answer, send)
                del taken, request, answer, send  # hold nothing while waiting
        except BaseException as error:  # noqa: BLE001 - not even a failure could be sent
            traceback.clear_frames(error.__traceback__)
            with self._door:
                self.error, self._running = self.error or error, False
                if self._waiting:
                    self._begin()

    def _next(self) -> tuple[wire.AskHeads, Answer, Send] | None:
        with self._door:
            while not self._waiting and self._serving is not None:
                if not self._door.wait(_PATIENCE) and not self._waiting:
                    break
            if not self._waiting or self._serving is None:
                self._running = False
                return None
            _, self._current = self._waiting.popitem()
            return self._current, *self._serving

    def _serve(
        self, request: wire.AskHeads, number: int, want: wire.Want, ask: Answer, send: Send
    ) -> None:
        answer: wire.HeadsAnswer = {
            "type": "answer",
            "view": request["view"],
            "id": request["id"],
            "want": number,
            "error": None,
            "said": {},
        }
        try:
            with closing(ask(want)) as parts:
                for words, buffers in parts:
                    if self._current is not request:
                        return
                    send({**answer, "said": words}, buffers)
        except BaseException as error:  # noqa: BLE001 - the view shows it
            send({**answer, "error": told(error)}, [])
