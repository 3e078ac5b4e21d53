"""One HTML file that shows frozen views, anywhere, for good.

What comes in: views (the name of a bundle and the state of its model) and a title.
What goes out: a page that draws them with the very bundles of the notebook.

Guarantees:

- The page asks the network for nothing, and its content security policy forbids it to.
- Every text is data: state travels in one JSON island in which ``<``, ``>``, ``&`` and the
  line separators are escaped, and everything else on the page is HTML-escaped. A lone
  surrogate reaches the view as it is and never breaks the file, which is pure ASCII but for
  the title and the fallback.
- Each bundle stands in the file once, however many views use it.
- Without JavaScript the reader still finds the sentence and the scores.
- A file appears whole or not at all, and never replaces another unless asked.
"""

from __future__ import annotations

import base64
import json
import math
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_interp_widgets.errors import ExportError
from llm_interp_widgets.export._fallback import plain_text, well_formed
from llm_interp_widgets.export.bundles import bundle
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Path: TypeAlias = tuple[str | int, ...]

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_STYLE = """
:root { color-scheme: light dark; }
body {
  margin: 0;
  background: light-dark(#fff, #141518);
  color: light-dark(#1b1d21, #e6e7ea);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 800px; margin: 0 auto; padding: clamp(20px, 5vw, 56px) clamp(16px, 4vw, 32px); }
h1 {
  margin: 0 0 28px; padding-bottom: 10px; overflow-wrap: anywhere;
  border-bottom: 1px solid light-dark(#1b1d2124, #e6e7ea24);
  color: light-dark(#5f6166, #a9abb1); font-size: 14px; font-weight: 500;
}
.view { min-height: 12em; margin: 0 0 56px; }
pre { overflow-wrap: anywhere; font: inherit; white-space: pre-wrap; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
:is(th, td) { padding: 2px 16px 2px 0; font-weight: 400; text-align: start; }
td { white-space: nowrap; }
@media print {
  main { max-width: none; padding: 0; }
  .view { min-height: 0; break-inside: avoid; }
}
"""
_PAGE = """\
<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="llm_interp_widgets">
<title>{title}</title>
<style>{style}</style>
<noscript><style>.view {{ min-height: 0; }}</style></noscript>
</head>
<body>
<main>
<h1>{title}</h1>
{views}
</main>
<script type="application/json" id="liw-page">{island}</script>
<script type="module">{host}</script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class View:
    """One view, frozen.

    Attributes:
        bundle: Name of the bundle that draws it, e.g. ``"token_highlighter"``.
        state: Traits by name; plain JSON values and, at any depth, bytes.
        parts: Bundles that the view loads when it needs them.
        kernel: Bundle that answers the view's messages where there is no kernel; or empty.
    """

    bundle: str
    state: Mapping[str, object]
    parts: tuple[str, ...] = ()
    kernel: str = ""

    @property
    def bundles(self) -> tuple[str, ...]:
        """All bundles that a page needs for it."""
        return (self.bundle, *self.parts, *filter(None, [self.kernel]))


def render_page(views: Sequence[View], title: str) -> str:
    """Return the HTML of a page that shows views from top to bottom.

    Args:
        views: What to show.
        title: Of the page; plain text.

    Raises:
        FrontEndMissingError: A bundle was not built into this package.
        TypeError: A state holds something that is neither JSON nor bytes.
    """
    models = [
        {
            "id": f"view-{number}",
            "bundle": view.bundle,
            "kernel": view.kernel,
            **_split(view.state),
        }
        for number, view in enumerate(views, start=1)
    ]
    names = sorted({name for view in views for name in view.bundles})
    island = {"bundles": {name: bundle(name) for name in names}, "models": models}
    places = [
        f'<div class="view" data-liw-view="view-{number}">'
        f"<noscript>{plain_text(view.state)}</noscript></div>"
        for number, view in enumerate(views, start=1)
    ]
    return _PAGE.format(
        lang=escape(say("en")),
        policy=escape(_POLICY),
        title=escape(well_formed(title)),
        style=_STYLE,
        views="\n".join(places),
        island=json.dumps(island, allow_nan=False, separators=(",", ":")).translate(_ESCAPES),
        host=bundle("host"),
    )


def write_page(path: str | os.PathLike[str], html: str, *, overwrite: bool = False) -> Path:
    """Write a page, whole or not at all.

    Args:
        path: Where to; its folder must exist.
        html: What ``render_page`` returned.
        overwrite: Replace a file that is there.

    Returns:
        The path.

    Raises:
        ExportError: The file is there, or cannot be written.
    """
    target = check_place(path, overwrite=overwrite)
    try:
        _put(target, html.encode("utf-8", "replace"), overwrite=overwrite)
    except FileExistsError as error:
        raise _occupied(target) from error
    except OSError as error:
        raise ExportError(
            f"{target} cannot be written ({error.strerror or error}); choose another folder."
        ) from error
    return target


def check_place(path: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return where a page would be written.

    Raises:
        ExportError: The file is there, or its folder is not.
    """
    target = Path(path).expanduser()
    if target.is_dir():
        raise ExportError(f"{target} is a folder; give the name of a file in it.")
    if not target.parent.is_dir():
        raise ExportError(
            f"The folder {target.parent} does not exist; make it first, or choose another."
        )
    if target.exists() and not overwrite:
        raise _occupied(target)
    return target


def _occupied(target: Path) -> ExportError:
    return ExportError(
        f"{target} exists already. Choose another name, or pass overwrite=True to replace it."
    )


def _put(target: Path, content: bytes, *, overwrite: bool) -> None:
    """Write beside the target, then move into place in one step."""
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("xb") as file:
            file.write(content)
        if overwrite or not _link(beside, target):
            beside.replace(target)
    finally:
        with suppress(OSError):
            beside.unlink()


def _link(beside: Path, target: Path) -> bool:
    """Link the file into place, which fails if someone else was faster.

    Returns:
        Whether this file system has links at all.

    Raises:
        FileExistsError: The target appeared in the meantime.
    """
    try:
        os.link(beside, target)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _split(state: Mapping[str, object]) -> dict[str, Any]:
    """Take the bytes out of a state: ``{"state": …, "buffers": [{"path", "data"}]}``."""
    buffers: list[dict[str, object]] = []

    def visit(value: object, path: _Path) -> object:
        if isinstance(value, (bytes, bytearray, memoryview)):
            data = base64.b64encode(value).decode("ascii")
            buffers.append({"path": list(path), "data": data})
            return None
        if isinstance(value, dict):
            return {str(key): visit(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [visit(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            return None  # JSON has no such number; scores travel as bytes
        return value

    return {"state": visit(dict(state), ()), "buffers": buffers}
