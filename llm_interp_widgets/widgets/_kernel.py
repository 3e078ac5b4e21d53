"""What we know about the kernel around us, and nothing else does.

Guarantees, for every job that is followed here:

- interrupting the kernel stops it, whether a cell is running or the kernel is idle (there
  ipykernel ignores the signal, because usually nothing runs);
- where no reader is present (nbconvert, nbclient, papermill: no standard input), the cell
  that started it does not end before the job does, so that results are in the notebook. Voila
  has no standard input either, but a reader, who waits for the cells to end.

And for every comm: what a view says is heard while a cell runs, where the front end sends it to
a subshell (JupyterLab 4.4, Notebook 7.4 and newer do).

And for every output that holds a view: the view is told of it, so that its summary can be replaced.

Outside a kernel all of it does nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from llm_interp_widgets import jobs

if TYPE_CHECKING:
    from types import FrameType

    from llm_interp_widgets.widgets.page import PageWidget

_VOILA = "VOILA_KERNEL_ID"  # Voila sets it in its kernels, before the first cell
_RETRY = 0.05  # seconds until we look again whether the cell has ended
_VIEW = "application/vnd.jupyter.widget-view+json"
_followed: set[int] = set()
_views: weakref.WeakValueDictionary[str, PageWidget] = weakref.WeakValueDictionary()
_this_thread = threading.local()


def follow() -> None:
    """Make the kernel's interrupt and its end of cell know about jobs; once a kernel."""
    shell = _shell()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return
    if id(shell) not in _followed:
        _followed.add(id(shell))
        shell.events.register("post_run_cell", _after_cell)
    loop = getattr(kernel, "io_loop", None)
    if loop is not None:
        loop.add_callback(_listen_when_idle, loop)


def hear_always(comm: Any) -> None:  # noqa: ANN401 - comms are not typed
    """Let messages for a comm go where the front end sends them: a thread that no cell holds up.

    ipykernel brings them to whoever published last on the comm, so that requests get their
    replies where they wait for them; a worker that streams counts as the main thread, which may
    be running a cell. Our handlers are at home on any thread and wait for no reply.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = _as_sent  # noqa: SLF001 - there is no public way


def is_result() -> bool:
    """Whether the result of a cell is being formatted, and not an argument of display."""
    return getattr(getattr(_shell(), "displayhook", None), "msg", None) is not None


def watch(view: PageWidget) -> None:
    """Tell a view which outputs hold it, by display id; those without an id get one.

    Hooks see what their own thread displays: what another one puts in a view's place goes unseen.
    """
    _views[view.model_id] = view
    publisher = getattr(_shell(), "display_pub", None)
    register = getattr(publisher, "register_hook", None)
    if register is not None and getattr(_this_thread, "watched", None) is not publisher:
        _this_thread.watched = publisher
        register(_place)


def forget(view: PageWidget) -> None:
    """Tell a view that is being closed nothing more."""
    _views.pop(view.model_id, None)


def _watched() -> list[PageWidget]:
    """Return the views that are told; copied at once, as other threads add to them."""
    return [view for reference in _views.valuerefs() if (view := reference()) is not None]


def _place(message: dict[str, Any]) -> dict[str, Any]:
    """See a message that displays something on its way out."""
    content = message["content"]
    shown = (content.get("data") or {}).get(_VIEW)
    name = shown.get("model_id") if isinstance(shown, dict) else None
    view = _views.get(name) if isinstance(name, str) else None
    transient = content.get("transient") or {}
    place = transient.get("display_id", None if view is None else name)
    if not isinstance(place, str):
        return message
    for other in _watched():
        other.not_shown_at(place)
    if view is not None:
        content["transient"] = {**transient, "display_id": place}
        view.shown_at(place, content["data"].get("text/html"))
    return message


def show(
    data: dict[str, Any], metadata: dict[str, Any], place: str, *, update: bool = False
) -> None:
    """Display data in an output of the cell that runs, or put it where ``place`` was shown."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return
    ipython.display.publish_display_data(
        data, metadata, transient={"display_id": place}, update=update
    )


def _as_sent(_data: object, subshell: str | None) -> str | None:
    return subshell


def _shell() -> Any:  # noqa: ANN401 - IPython is not typed
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _after_cell(result: Any = None) -> None:  # noqa: ANN401 - IPython is not typed
    if is_result():  # IPython leaves it behind where formatting was interrupted
        _shell().displayhook.msg = None
    failure = getattr(result, "error_in_exec", None)
    if isinstance(failure, KeyboardInterrupt):
        jobs.cancel_all()
    kernel = getattr(_shell(), "kernel", None)
    if (
        kernel is not None
        and not getattr(kernel, "_allow_stdin", True)
        and _VOILA not in os.environ
    ):
        for job in jobs.live():
            job.wait()
    for view in _watched():  # what ended while its output was on its way
        view.sum_up_unseen()


def _listen_when_idle(loop: Any) -> None:  # noqa: ANN401 - tornado's loop
    """Handle SIGINT between cells; ipykernel swaps handlers around every request."""
    if threading.current_thread() is not threading.main_thread():
        return
    current = signal.getsignal(signal.SIGINT)
    if current is _interrupted:
        return
    if current is signal.default_int_handler:  # a cell runs: Python raises in it by itself
        loop.call_later(_RETRY, _listen_when_idle, loop)
        return
    signal.signal(signal.SIGINT, _interrupted)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    # A signal handler runs between any two instructions of the main thread, which may hold
    # a lock that cancelling needs: do it elsewhere.
    threading.Thread(target=jobs.cancel_all, daemon=True).start()
