"""The built JavaScript, as text.

Guarantees: a bundle is what the installed package carries, read through
``importlib.resources`` (so that a zipped package works too); a missing one is an error that
says how to make it, never an empty view.
"""

from __future__ import annotations

from importlib.resources import files

from llm_interp_widgets.errors import FrontEndMissingError, nearest

_SUFFIX = ".js"


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


def _built() -> str:
    folder = files("llm_interp_widgets").joinpath("static")
    if not folder.is_dir():
        return "No bundle is built."
    names = [item.name.removesuffix(_SUFFIX) for item in folder.iterdir()]
    return nearest("", names) if names else "No bundle is built."
