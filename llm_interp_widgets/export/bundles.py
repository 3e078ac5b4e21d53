"""The built JavaScript, as text.

Guarantees: a bundle is what the installed package carries, read through
``importlib.resources`` (so that a zipped package works too); a missing one is an error that
says how to make it, never an empty view. A packed bundle is the same module at half the size.
"""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from importlib.resources import files

from llm_interp_widgets.errors import FrontEndMissingError, nearest

_SUFFIX = ".js"
_UNPACK = """\
const bytes = Uint8Array.from(atob("{data}"), (letter) => letter.charCodeAt(0));
const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
const source = new Blob([await new Response(stream).arrayBuffer()], {{ type: "text/javascript" }});
const url = URL.createObjectURL(source);
const {{ default: widget }} = await import(url);
URL.revokeObjectURL(url);
export default widget;
"""


def bundle(name: str) -> str:
    """Return the source of one bundle.

    Args:
        name: Without suffix, e.g. ``"token_highlighter"``.

    Raises:
        FrontEndMissingError: It was not built into this package.
    """
    folder = files("llm_interp_widgets").joinpath("static")
    try:
        return folder.joinpath(name + _SUFFIX).read_text(encoding="utf-8")
    except OSError as error:
        raise FrontEndMissingError(
            f"The bundle {name + _SUFFIX!r} is not in this package: its front end was not built. "
            f"In a clone, run `make frontend`; else reinstall the package. {_built()}"
        ) from error


@cache
def packed(name: str) -> str:
    """Return a module that unpacks itself into the bundle: every saved widget carries one.

    Args:
        name: As for ``bundle``, which raises the same errors.
    """
    data = zlib.compress(bundle(name).encode(), 9)
    return _UNPACK.format(data=base64.b64encode(data).decode("ascii"))


def templates(name: str) -> tuple[str, ...]:
    """Return the English words that a bundle says; what it may need translated.

    Args:
        name: Without suffix, e.g. ``"token_highlighter"``.

    Raises:
        FrontEndMissingError: The front end was not built into this package.
    """
    return _words().get(name, ())


@cache
def _words() -> dict[str, tuple[str, ...]]:
    folder = files("llm_interp_widgets").joinpath("static")
    try:
        text = folder.joinpath("words.json").read_text(encoding="utf-8")
    except OSError as error:
        raise FrontEndMissingError(
            "The list of words is not in this package: its front end was not built. In a clone, "
            "run `make frontend`; else reinstall the package."
        ) from error
    return {name: tuple(words) for name, words in json.loads(text).items()}


def _built() -> str:
    folder = files("llm_interp_widgets").joinpath("static")
    if not folder.is_dir():
        return "No bundle is built."
    found = (item.name for item in folder.iterdir())
    names = [name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)]
    return nearest("", names) if names else "No bundle is built."
