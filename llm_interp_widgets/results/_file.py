"""The file of a saved result: arrays and one JSON header in a NumPy archive.

What comes in: a result's arrays and its other fields. What goes out: one file, and from it the
same fields again, on a machine without torch or transformers.

Guarantees: nothing is ever pickled; a file is written atomically; one that is missing,
damaged, of another kind or of a newer ``FORMAT`` raises ``ResultError``.
"""

from __future__ import annotations

import json
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

R = TypeVar("R")
FORMAT = 1  # grows when the layout changes
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


def write(
    path: str | os.PathLike[str],
    result: Any,  # noqa: ANN401 - any result
    kind: str,
    arrays: Sequence[str],
    nested: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write a result to one file, atomically.

    Args:
        path: Where to; an existing file is replaced, ``~`` is the home folder.
        result: A dataclass of arrays, tokens, plain values and small dataclasses.
        kind: Of result; ``read`` asks for the same.
        arrays: Names of the fields that are arrays, or ``None``.
        nested: Names of fields that are small dataclasses of arrays, or ``None``, and theirs.

    Raises:
        ResultError: The file cannot be written.
    """
    header = {"format": FORMAT, "kind": kind}
    parts = nested or {}
    names = [f.name for f in fields(result) if f.name not in arrays and f.name not in parts]
    header |= {name: _plain(getattr(result, name)) for name in names}
    data = {name: a for name in arrays if (a := getattr(result, name)) is not None}
    for outer, inner in parts.items():
        if (part := getattr(result, outer)) is not None:
            data |= {f"{outer}.{name}": getattr(part, name) for name in inner}
    data["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    target = Path(path).expanduser()
    beside = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with beside.open("xb") as file:
            np.savez_compressed(file, **data)
        beside.replace(target)
    except OSError as error:
        raise ResultError(
            f"Cannot write {str(target)!r}: {error.strerror}. Choose a writable folder."
        ) from error
    finally:
        with suppress(OSError):  # it is in place, or was never made
            beside.unlink()
    return target


def read(path: str | os.PathLike[str], kind: str, build: Callable[[dict[str, Any]], R]) -> R:
    """Open a saved result.

    Args:
        path: Of the file.
        kind: What it must hold.
        build: Makes the result from its fields; ``inputs`` and ``outputs`` are tokens again,
            other small dataclasses are dictionaries, nested arrays too.

    Raises:
        ResultError: The file is missing, damaged, too new, or something else.
    """
    try:
        # Opened here, because np.load leaves a damaged archive's file open.
        with (
            Path(path).expanduser().open("rb") as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            data = {name: archive[name] for name in archive.files}
        header = dict(json.loads(data.pop("header").tobytes()))
    except FileNotFoundError as error:
        raise ResultError(f"There is no file {str(path)!r}. Check the path.") from error
    except _UNREADABLE as error:
        raise ResultError(
            f"{str(path)!r} is not a saved {kind}: it was not written by save, or it is damaged."
        ) from error
    found = header.pop("kind", None)
    if found != kind or header.pop("format", None) != FORMAT:
        raise ResultError(
            f"{str(path)!r} holds another kind ({found}) or a newer format; this reads {kind}, "
            f"format {FORMAT}. Open it with the class that saved it, or a newer version."
        )
    try:
        for name in ("inputs", "outputs"):
            header[name] = tuple(Token(**token) for token in header[name])
        for name in [name for name in data if "." in name]:
            outer, inner = name.split(".", 1)
            header.setdefault(outer, {})[inner] = data.pop(name)
        return build(data | header)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ResultError(f"{str(path)!r} is damaged: {error}.") from error


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value
