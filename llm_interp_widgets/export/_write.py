"""A page, put into a file.

Guarantees: the file appears whole or not at all; it replaces another only if asked, with the same
rights, and never a device or a pipe. It is written beside its place under a hidden name that ends
in ``.part``, forced to the disk, and moved there in one step; what an export that was killed left
behind is taken away by the next one.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from llm_interp_widgets.errors import ExportError
from llm_interp_widgets.files import beside, destination, hidden, keep_rights

_LEFT_AFTER = 60.0
"""Seconds without a change after which nobody is still writing a page."""


def write_page(path: str | os.PathLike[str], html: str, *, overwrite: bool = False) -> Path:
    """Write a page, whole or not at all.

    Args:
        path: Where to; its folder must exist.
        html: What ``render_page`` returned.
        overwrite: Replace a file that is there.

    Returns:
        The path.

    Raises:
        ExportError: The file is there, or cannot be written, or is a device or the like.
    """
    target = check_place(path, overwrite=overwrite)
    _clear(target)
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
        ExportError: The file is there, or its folder is not, or it is a device or the like.
    """
    try:
        target = destination(path)
        blind = Path(path).expanduser().is_symlink() and not target.exists()
    except (OSError, ValueError) as error:
        raise ExportError(f"{str(path)!r} cannot be written: {error}.") from error
    if target.is_dir():
        raise ExportError(f"{target} is a folder; give the name of a file in it.")
    if not target.parent.is_dir():
        raise ExportError(
            f"The folder {target.parent} does not exist; make it first, or choose another."
        )
    if target.exists() and not target.is_file():
        raise ExportError(f"{target} is a device or a pipe; give the name of a file.")
    if (blind or target.exists()) and not overwrite:
        raise _occupied(target)
    return target


def _occupied(target: Path) -> ExportError:
    return ExportError(
        f"{target} exists already. Choose another name, or pass overwrite=True to replace it."
    )


def _put(target: Path, content: bytes, *, overwrite: bool) -> None:
    """Write beside the target, then move into place in one step."""
    part = beside(target)
    try:
        with part.open("xb") as file:
            keep_rights(part, target)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # before its name: a crash must not leave an empty page
        if overwrite or not _link(part, target):
            part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink()


def _clear(target: Path) -> None:
    """Take away what earlier exports to this place left when they were killed."""
    left = re.compile(re.escape(hidden(target)) + r"[0-9a-f]{8}\.part")
    with suppress(OSError):
        for part in [one for one in target.parent.iterdir() if left.fullmatch(one.name)]:
            if time.time() - part.stat().st_mtime > _LEFT_AFTER:
                part.unlink()


def _link(part: Path, target: Path) -> bool:
    """Link the file into place, which fails if someone else was faster.

    Returns:
        Whether this file system has links at all.

    Raises:
        FileExistsError: The target appeared in the meantime.
    """
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True
