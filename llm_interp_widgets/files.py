"""Where a file goes that must appear whole or not at all.

What comes in: a path of the user's. What goes out: where it leads, and a hidden name beside that
place, short enough wherever the file's own name is; what is written there is moved in one step,
with the rights of the file that it replaces.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

_NAME = 230
"""Bytes of a name that leave room for the rest of the hidden one."""


def destination(path: str | os.PathLike[str]) -> Path:
    """Return where a path leads: the user's home is known, and a link stays a link.

    Raises:
        OSError: No file can have this name: a link that leads to itself, NUL, half a character.
    """
    target = Path(path).expanduser()
    words = f"no file can be called {str(target)!r}"
    try:
        name = os.fsencode(target)
        followed = target.resolve() if target.is_symlink() else target
    except (RuntimeError, ValueError) as error:
        raise OSError(words) from error
    if b"\0" in name:
        raise OSError(words)
    return followed


def hidden(target: Path) -> str:
    """Return how all hidden names beside a file begin."""
    return f".{os.fsencode(target.name)[:_NAME].decode('utf-8', 'ignore')}."


def beside(target: Path) -> Path:
    """Return a hidden name beside a file that nobody else has."""
    return target.with_name(f"{hidden(target)}{secrets.token_hex(4)}.part")


def keep_rights(part: Path, target: Path) -> None:
    """Let no more people read a file than the one that it will replace, if there is one.

    Args:
        part: The new file; call this before anything is in it.
        target: What it will replace.

    Raises:
        OSError: It cannot have these rights.
    """
    if os.name == "nt":  # knows "read only" and nothing else, and takes no such file away
        return
    with suppress(FileNotFoundError):
        rights = stat.S_IMODE(target.stat().st_mode)
        if rights != stat.S_IMODE(part.stat().st_mode):  # not every disk lets them be set
            part.chmod(rights)
