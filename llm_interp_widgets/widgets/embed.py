"""embed: views as parts of a page that someone else writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_interp_widgets.export.fragment import render_fragment
from llm_interp_widgets.widgets.page import frozen
from llm_interp_widgets.widgets.save import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_interp_widgets.export.fragment import Embedded
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.redaction import What
    from llm_interp_widgets.widgets.page import PageWidget


def embed(
    widgets: PageWidget | Attribution | Iterable[PageWidget | Attribution],
    *,
    title: str | None = None,
    redact: What | None = None,
    beside: Embedded | None = None,
) -> Embedded:
    """Return live views as HTML for a blog, a course site or a book; waits for running jobs.

    Nothing is fetched when the page is read. Each bundle is in it once, however many views there
    are; until they are drawn, and where no script may run, short summaries stand in their places.
    Light or dark follows the page around them.

    Args:
        widgets: Widgets, or results (saved ones too), in their order.
        title: Stands above them as a heading.
        redact: What of the texts is covered, in all views; see ``Attribution.redacted``.
        beside: A fragment that stands on the same page: bundles that it brings are left out.

    Returns:
        ``str()`` of it is everything, on one line, as Markdown wants it. To spread views over a
        page, take its ``places``, one for each view, and its ``script``, once.

    Raises:
        ParameterError: There is nothing to show, or something that is no view; or what is to be
            covered is nowhere.
        ClosedWidgetError: One of them was closed.

    In a notebook that Sphinx makes a page of with MyST-NB, end a cell with ``liw.embed(w)``:
    ``extensions = ["myst_nb"]`` in conf.py is all that it needs. In Markdown, write
    ``str(liw.embed(w))`` on a line of its own.

    Example:
        >>> import llm_interp_widgets as liw
        >>> a, b = liw.Attribution.load("a.npz"), liw.Attribution.load("b.npz")  # doctest: +SKIP
        >>> e = liw.embed([a, liw.waterfall(b)])  # doctest: +SKIP
        >>> page = f"<p>First</p>{e.places[0]}<p>Then</p>{e.places[1]}{e.script}"  # doctest: +SKIP
    """
    views, cover = frozen(shown(widgets), redact)
    heading = title if title is None or cover is None else cover.text(title)
    return render_fragment(views, heading, beside=beside)
