"""Where a file goes that must appear whole or not at all.

What comes in: a path of the user's. What goes out: where it leads, and a hidden name beside that
place, short enough wherever the file's own name is; what is written there is moved in one step.
"""

from __future__ import annotations

import os
import secrets
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
