"""The file of a saved result: arrays and one JSON header in a NumPy archive.

What comes in: a result's arrays and its other fields. What goes out: one file, and from it the
same fields again, on a machine without torch or transformers.

Guarantees: nothing is ever pickled; a file is written atomically, and only what ``read`` can
read, with the rights of the one that it replaces; one that is missing, damaged, too large, of
another kind or of a newer ``FORMAT`` raises ``ResultError``, whatever its bytes are, without taking
more memory than its limit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.files import beside, destination, keep_rights
from llm_interp_widgets.results._archive import unpack
from llm_interp_widgets.results._schema import Wrong, parsed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from numpy import ndarray

R = TypeVar("R")
FORMAT = 1  # grows when the layout changes
_HEADER = 16 << 20  # bytes of JSON, about 140,000 tokens, unless a limit allows more


def write(
    path: str | os.PathLike[str],
    result: Any,  # noqa: ANN401 - any result
    kind: str,
    arrays: Sequence[str],
    nested: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write a result to one file, atomically.

    Args:
        path: Where to; an existing file, but no device or pipe, is replaced; ``~`` is the home
            folder.
        result: A dataclass of arrays, tokens, plain values and small dataclasses.
        kind: Of result; ``read`` asks for the same.
        arrays: Names of the fields that are arrays, or ``None``.
        nested: Names of fields that are small dataclasses of arrays, or ``None``, and theirs.

    Raises:
        ResultError: The file cannot be written, or a text is not Unicode.
    """
    header = {"format": FORMAT, "kind": kind}
    parts = nested or {}
    names = [f.name for f in fields(result) if f.name not in arrays and f.name not in parts]
    header |= {name: _plain(getattr(result, name)) for name in names}
    data = {name: a for name in arrays if (a := getattr(result, name)) is not None}
    for outer, inner in parts.items():
        if (part := getattr(result, outer)) is not None:
            data |= {f"{outer}.{name}": getattr(part, name) for name in inner}
    data["header"] = np.frombuffer(_encoded(header), dtype=np.uint8)
    part = None
    try:
        target = _place(path)
        part = beside(target)
        with part.open("xb") as file:
            keep_rights(part, target)
            np.savez_compressed(file, **data)
        part.replace(target)
    except OSError as error:
        raise ResultError(
            f"Cannot write {str(path)!r}: {error.strerror or error}. Choose another folder or name."
        ) from error
    finally:
        if part is not None:
            with suppress(OSError):  # it is in place, or was never made
                part.unlink()
    return target


def read(
    path: str | os.PathLike[str],
    kind: str,
    build: Callable[[dict[str, Any], dict[str, ndarray]], R],
    limit: int | None = None,
) -> R:
    """Open a saved result.

    Args:
        path: Of the file.
        kind: What it must hold.
        build: Makes the result from fields as JSON gave them and arrays; it trusts neither.
        limit: Bytes that the file may unpack to; by default 256 MiB and 50 times its own size.

    Raises:
        ResultError: The file is missing, damaged, too large, too new, or something else.
        ParameterError: The limit is no positive whole number.
    """
    name = repr(str(path))
    try:
        with Path(path).expanduser().open("rb") as file:
            arrays = unpack(file, limit)
    except FileNotFoundError as error:
        raise ResultError(f"There is no file {name}. Check the path.") from error
    except (OSError, ResultError, ValueError, RuntimeError) as error:
        if isinstance(error, ParameterError):
            raise
        words = getattr(error, "strerror", None) or str(error)
        raise ResultError(f"{name} is not a saved {kind}: {words}.") from error
    try:
        header = _header(arrays, limit)
    except Wrong as error:
        raise ResultError(f"{name} is not a saved {kind}: {error}.") from error
    found, made = header.pop("kind", None), header.pop("format", None)
    if found != kind or type(made) is not int or made != FORMAT:
        raise ResultError(
            f"{name} holds another kind ({found!s:.40}) or a newer format; this reads {kind}, "
            f"format {FORMAT}. Open it with the class that saved it, or a newer version."
        )
    try:
        return build(header, arrays)
    except MemoryError as error:
        raise ResultError(f"{name} does not fit into memory.") from error
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
        raise ResultError(f"{name} is damaged: {' '.join(str(error).split())}.") from error


def _place(path: str | os.PathLike[str]) -> Path:
    target = destination(path)
    if target.exists() and not target.is_file():
        raise OSError("it is a folder, a device or a pipe")
    return target


def _header(arrays: dict[str, ndarray], limit: int | None) -> dict[str, Any]:
    raw = arrays.pop("header", None)
    if raw is None or raw.dtype != np.uint8 or raw.ndim != 1:
        raise Wrong("it was not written by save, or it is damaged")
    if raw.nbytes > (limit or _HEADER):
        raise Wrong(
            f"its texts take {raw.nbytes:,} bytes. If you trust it, pass limit= that and its arrays"
        )
    try:
        found = parsed(raw.tobytes())
    except ValueError as error:
        raise Wrong(f"its header cannot be read ({error})") from error
    if type(found) is not dict:
        raise Wrong("its header has no fields")
    return found


def _encoded(header: dict[str, Any]) -> bytes:
    try:
        return json.dumps(header, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise ResultError(
            "A text of this result holds a lone surrogate, which no file can hold. Decode it with "
            'errors="replace" before it is explained.'
        ) from error


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # of a parameter, as seconds=inf: JSON has no such number
    return value
