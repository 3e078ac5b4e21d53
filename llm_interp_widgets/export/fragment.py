"""Views for a page that someone else writes: a blog, a course site, a book.

What comes in: views. What goes out: a place for each, to be put where it belongs, and one script
that makes all of them live.

Guarantees:

- Until the script runs, and where none may, each place holds a short summary.
- Nothing is asked of the network; several fragments can stand on one page, also twice, and a
  bundle is loaded once, whichever of them brings it.
- Safe inside Markdown and templates: one line, and outside of the script none of the characters
  that they give a meaning to. The same views give the same text.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from llm_interp_widgets.export._fallback import well_formed
from llm_interp_widgets.export._payload import encode
from llm_interp_widgets.export.bundles import bundle
from llm_interp_widgets.export.page import names_of
from llm_interp_widgets.export.snapshot import ON_PAGE, snapshot
from llm_interp_widgets.text.travel import arrived

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_interp_widgets.export.page import View

_MEANING = re.compile(r"[\\`*_{}\[\]$~^|:@!]")
_TAG = re.compile("(<[^>]*>)")


@dataclass(frozen=True, slots=True)
class Embedded:
    """Views as parts of a page; ``str`` of it is all of them and the script.

    Attributes:
        places: HTML of one ``<section>`` a view, to be put where it belongs.
        script: HTML that makes them live; once a page, after the places or before.
        heading: HTML of the title above them; empty without one.
        bundles: Which bundles the script brings.
    """

    places: tuple[str, ...]
    script: str = field(repr=False)
    heading: str = ""
    bundles: frozenset[str] = field(default=frozenset(), repr=False)

    def __str__(self) -> str:
        """Return everything, on one line."""
        return "".join([self.heading, *self.places, self.script])

    def _repr_html_(self) -> str:
        return str(self)


def render_fragment(
    views: Sequence[View], title: str | None = None, *, beside: Embedded | None = None
) -> Embedded:
    """Return views as parts of a page.

    Args:
        views: What to show.
        title: Stands above them as a heading; plain text.
        beside: Another fragment of the same page: what it brings is left out.

    Raises:
        FrontEndMissingError: A bundle was not built into this package.
        TypeError: A state holds something that is neither JSON nor bytes.
    """
    sources = {name: bundle(name) for name in sorted({n for v in views for n in v.bundles})}
    # Fragments of several versions may stand on one page, so that names alone will not do.
    keys = {name: f"{name}-{_digest(source)}" for name, source in sources.items()}
    models = [{"bundle": v.bundle, "kernel": v.kernel, "state": v.state} for v in views]
    of = _digest(encode(models, {}, keys))
    models = [{"id": f"liw-{of}-{i}", **model} for i, model in enumerate(models, start=1)]
    there = beside.bundles if beside else frozenset()
    new = {keys[name]: text for name, text in sources.items() if keys[name] not in there}
    island = encode(models, new, keys)
    return Embedded(
        places=tuple(
            _place(f"liw-{of}-{i}", view, name)
            for i, (view, name) in enumerate(zip(views, names_of(views), strict=True), start=1)
        ),
        script=(
            f'<script type="application/octet-stream" data-liw-island>{island}</script>'
            f'<script type="module">{bundle("host").strip()}</script>'
        ),
        heading=f"<h2>{_plain(escape(well_formed(title), quote=False))}</h2>" if title else "",
        bundles=there | frozenset(new),
    )


def _place(name: str, view: View, called: str) -> str:
    label = escape(well_formed(called))
    summary = snapshot(arrived(view.state), view.bundle, ON_PAGE)
    inside = "".join(part if part.startswith("<") else _plain(part) for part in _TAG.split(summary))
    return f'<section aria-label="{_plain(label)}" data-liw-view="{name}">{inside}</section>'


def _plain(html: str) -> str:
    """Spell out what Markdown or a template would take for its own."""
    spelt = _MEANING.sub(lambda found: f"&#{ord(found[0])};", html)
    return spelt.replace("\n", "&#10;").replace("\r", "&#13;")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
