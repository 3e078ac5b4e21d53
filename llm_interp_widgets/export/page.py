"""One HTML file that shows frozen views, anywhere, for good.

What comes in: views (the name of a bundle and the state of its model) and a title.
What goes out: a page that draws them with the very bundles of the notebook.

Guarantees:

- The page asks the network for nothing, and its content security policy forbids it to.
- Under the strict policy nothing runs but the scripts that the page was written with, each known
  by its hash; neither ``'unsafe-inline'`` nor ``blob:`` is allowed for scripts or styles.
- Every text is data: state travels in one deflated island, and everything else on the page is
  HTML-escaped. A lone surrogate reaches the view as it is and never breaks the file, which is
  pure ASCII but for titles and the fallback.
- Each bundle stands in the file once, however many views use it.
- Without JavaScript the reader still finds the sentence and the scores.
- The same views on the same day give the same page, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import count
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from llm_interp_widgets import __version__
from llm_interp_widgets.errors import ParameterError, nearest
from llm_interp_widgets.export._fallback import plain_text, well_formed
from llm_interp_widgets.export._payload import encode
from llm_interp_widgets.export._write import check_place, write_page
from llm_interp_widgets.export.bundles import bundle
from llm_interp_widgets.export.snapshot import ON_PAGE, snapshot
from llm_interp_widgets.text.travel import arrived
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Policy", "View", "check_place", "check_policy", "render_page", "write_page"]

Policy: TypeAlias = Literal["inline", "strict"]

_VIEW = "View {number}"
_MADE = "Made with {name} {version}"

_REST = "img-src data: blob:; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; }
body {
  margin: 0;
  background: light-dark(#fff, #141518);
  color: light-dark(#1b1d21, #e6e7ea);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
:is(header, main, footer) { max-width: 800px; margin: 0 auto; padding: 0 clamp(16px, 4vw, 32px); }
header { padding-top: clamp(20px, 5vw, 56px); }
footer { padding-bottom: clamp(20px, 5vw, 56px); }
h1 {
  margin: 0 0 28px; padding-bottom: 10px; overflow-wrap: anywhere;
  border-bottom: 1px solid light-dark(#1b1d2124, #e6e7ea24);
}
:is(h1, footer) {
  color: light-dark(#5f6166, #a9abb1); font-size: 14px; font-weight: 500; line-height: 1.55;
}
footer { font-size: 12px; font-weight: 400; }
.view { min-height: 12em; margin: 0 0 56px; }
pre { overflow-wrap: anywhere; font: inherit; white-space: pre-wrap; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
:is(th, td) { padding: 2px 16px 2px 0; font-weight: 400; text-align: start; }
td { white-space: nowrap; }
@media print {
  @page { margin: 16mm; }
  :root { color-scheme: light; }
  :is(header, main, footer) { max-width: none; padding: 0; }
  .view { min-height: 0; margin-bottom: 32px; }
  .view * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .view :is(button.liw-button, select, input[type=search], .liw-folds details:not([open])) {
    display: none;
  }
  .view .liw-table-box { max-height: none; overflow: visible; }
  :is(h1, h2, h3) { break-after: avoid; }
  :is(tr, li, p, figure, canvas, svg) { break-inside: avoid; }
}
"""
_QUIET = ".view { min-height: 0; }"
_PAGE = """\
<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{generator}">
<title>{title}</title>
<style>{style}</style>
<noscript><style>{quiet}</style></noscript>
</head>
<body>
{header}<main>
{main}
</main>
<footer>
<p>{made}, <time datetime="{day}">{day}</time></p>
</footer>
<script type="application/octet-stream" id="liw-page" data-liw-island>{island}</script>
{scripts}
</body>
</html>
"""
_HANDED_OUT = re.compile(r"export\{([\w$]+) as default\};?\s*$")


@dataclass(frozen=True, slots=True)
class View:
    """One view, frozen.

    Attributes:
        bundle: Name of the bundle that draws it, e.g. ``"token_highlighter"``.
        state: Traits by name; plain JSON values and, at any depth, bytes.
        parts: Bundles that the view loads when it needs them.
        kernel: Bundle that answers the view's messages where there is no kernel; or empty.
        name: What a screen reader calls it, e.g. what is explained; plain text.
    """

    bundle: str
    state: Mapping[str, object]
    parts: tuple[str, ...] = ()
    kernel: str = ""
    name: str = ""

    @property
    def bundles(self) -> tuple[str, ...]:
        """All bundles that a page needs for it."""
        return (self.bundle, *self.parts, *filter(None, [self.kernel]))


def render_page(views: Sequence[View], title: str, *, csp: Policy = "inline") -> str:
    """Return the HTML of a page that shows views from top to bottom.

    Args:
        views: What to show.
        title: Of the page; plain text.
        csp: The page's own content security policy. ``"inline"`` makes the smaller file;
            ``"strict"`` allows scripts and styles by their hashes only, and so can stand on a
            server whose policy is as strict.

    Raises:
        ParameterError: There is no such policy.
        FrontEndMissingError: A bundle was not built into this package.
        TypeError: A state holds something that is neither JSON nor bytes.
    """
    check_policy(csp)
    strict = csp == "strict"
    models = [
        {"id": f"view-{i}", "bundle": view.bundle, "kernel": view.kernel, "state": view.state}
        for i, view in enumerate(views, start=1)
    ]
    sources = {name: bundle(name) for name in sorted({n for v in views for n in v.bundles})}
    scripts = [*(_standing(source, name) for name, source in sources.items() if strict)]
    scripts.append(bundle("host"))
    return document(
        title,
        "\n".join(map(_place, count(1), views, names_of(views))),
        encode(models, {} if strict else sources),
        scripts,
        policy=_policy(scripts, [_STYLE, _QUIET] if strict else []),
    )


def document(
    title: str,
    main: str,
    island: str,
    scripts: Sequence[str],
    *,
    policy: str = "",
    style: str = "",
    header: bool = True,
) -> str:
    """Return a whole page.

    Args:
        title: Plain text.
        main: HTML.
        island: What the host shows in it.
        scripts: Modules, the host last.
        policy: Content security policy; that of ``"inline"`` by default.
        style: More style.
        header: The title stands above the rest.
    """
    name = escape(well_formed(title))
    day = _today()
    return _PAGE.format(
        lang=escape(say("en")),
        policy=escape(policy or _policy(scripts, [])),
        generator=f"llm_interp_widgets {__version__}",
        title=name,
        style=_STYLE + style,
        quiet=_QUIET,
        header=f"<header>\n<h1>{name}</h1>\n</header>\n" if header else "",
        main=main,
        made=escape(say(_MADE, name="llm_interp_widgets", version=__version__)),
        day=day,
        island=island,
        scripts="\n".join(f'<script type="module">{script}</script>' for script in scripts),
    )


def check_policy(csp: str) -> None:
    """Raise ``ParameterError`` for a policy that a page cannot have."""
    known = get_args(Policy)
    if csp not in known:
        raise ParameterError(f"csp={csp!r} is unknown. {nearest(str(csp), known)}")


def names_of(views: Sequence[View]) -> list[str]:
    """Return a name of each view's section; no two are the same, as landmarks must not be."""
    names: list[str] = []
    for number, view in enumerate(views, start=1):
        name = view.name or say(_VIEW, number=number)
        names.append(name if name not in names else f"{name} ({number})")
    return names


def _place(number: int, view: View, name: str) -> str:
    state = arrived(view.state)
    plain = plain_text(state) or snapshot(state, view.bundle, ON_PAGE)
    return (
        f'<section class="view" aria-label="{escape(well_formed(name))}" '
        f'data-liw-view="view-{number}">'
        f"<noscript>{plain}</noscript></section>"
    )


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return a policy: with hashes where styles are given, else for anything inline."""
    if not styles:
        may = "script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'"
    else:
        may = f"script-src {_hashes(scripts)}; style-src {_hashes(styles)}"
    return f"default-src 'none'; {may}; {_REST}"


def _hashes(texts: Sequence[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)


def _standing(source: str, key: str) -> str:
    """Return a bundle that puts what it hands out where the host looks for it."""
    found = _HANDED_OUT.search(source)
    if found is None:
        raise ValueError(f"The bundle {key} does not end with what it hands out.")
    modules = 'globalThis[Symbol.for("llm_interp_widgets")]??=new Map'
    return f"{source.rstrip()};({modules}).set({json.dumps(key)},{found[1]})"


def _today() -> str:
    """Return the day, or that of ``SOURCE_DATE_EPOCH`` for builds that can be repeated."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(given), UTC) if given.isdecimal() else datetime.now(UTC)
    return now.date().isoformat()
