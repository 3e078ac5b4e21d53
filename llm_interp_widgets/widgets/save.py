"""save_html: several views, live or re-opened, on one page that works offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.widgets.page import PageWidget, write_views
from llm_interp_widgets.widgets.token_highlighter import TokenHighlighter

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from llm_interp_widgets.export.page import Policy
    from llm_interp_widgets.results.redaction import What


def save_html(
    path: str | os.PathLike[str],
    widgets: PageWidget | Attribution | Iterable[PageWidget | Attribution],
    *,
    title: str | None = None,
    overwrite: bool = False,
    redact: What | None = None,
    csp: Policy = "inline",
) -> Path:
    """Write several views to one HTML file that works offline; waits for running jobs.

    Args:
        path: Where to.
        widgets: Widgets, or results (saved ones too), from top to bottom.
        title: Of the page; that of the first view by default.
        overwrite: Replace a file that is there.
        redact: What of the texts is covered, in all views; see ``Attribution.redacted``.
        csp: Content security policy of the page: ``"inline"``, or ``"strict"`` for servers that
            forbid inline scripts: a larger file that allows scripts by their hashes only.

    Returns:
        The path.

    Raises:
        ParameterError: There is nothing to show, or something that is no view; no such policy; or
            what is to be covered is nowhere.
        ClosedWidgetError: One of them was closed.
        ExportError: The file is there, or cannot be written.

    Example:
        >>> save_html("page.html", [w], title="Why Paris?")  # doctest: +SKIP
    """
    views = shown(widgets)
    return write_views(path, views, title=title, overwrite=overwrite, redact=redact, csp=csp)


def shown(
    widgets: PageWidget | Attribution | Iterable[PageWidget | Attribution],
) -> list[PageWidget]:
    """Return widgets of what was given, one or several; of results, new ones.

    Raises:
        ParameterError: There is nothing to show, or something that is no view.
    """
    given = [widgets] if isinstance(widgets, PageWidget | Attribution) else list(widgets)
    if not given:
        raise ParameterError("There is nothing to show: pass at least one widget or result.")
    return [_view(item) for item in given]


def _view(item: object) -> PageWidget:
    if isinstance(item, PageWidget):
        return item
    if isinstance(item, Attribution):
        return TokenHighlighter.of(item)
    raise ParameterError(
        f"A {type(item).__name__} cannot stand on a page. Pass widgets from explain() or "
        "attend(), or results from attribute() or Attribution.load(); of an attention record, make "
        "a view: attend(record)."
    )
