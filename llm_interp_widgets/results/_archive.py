"""Arrays out of a file that anyone may have made: a NumPy archive, read with suspicion.

What comes in: an open file and how many bytes it may unpack to. What goes out: its arrays by name.

Guarantees: nothing is unpickled, evaluated or extracted to a path. Sizes are checked before
memory is taken: of the table of contents, of every member, of all together, of each array's shape
against the bytes that are there. Whatever is not exactly what ``numpy.savez`` writes of plain
numbers raises ``ResultError``; nothing else is raised, and nothing warns.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from llm_interp_widgets.errors import ParameterError, ResultError

if TYPE_CHECKING:
    from numpy import ndarray

_FREE = 256 << 20  # bytes that any file may unpack to
_RATIO = 50  # and so many for each byte of its own: floats never shrink that far
_CONTENTS = 4 << 20  # bytes of the table of contents, about 40,000 members
_HEAD = 1 << 10  # bytes of an array's header; savez writes 118
_STEP = 1 << 20
_SUFFIX = ".npy"
_MAGIC = b"\x93NUMPY\x01\x00"
_ENCRYPTED = 0x1
# What numpy writes, and nothing that would have to be evaluated.
_HEADER = re.compile(
    r"\{'descr': '([<>|])(b1|[iu][1248]|f[248])', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,15}, ){0,3}(?:\d{1,15},?)?)\), \} *\n"
)
_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    RuntimeError,  # an encrypted member, a compression that is not there
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def unpack(file: BinaryIO, limit: int | None = None) -> dict[str, ndarray]:
    """Return a file's arrays by name.

    Args:
        file: Open for reading.
        limit: Bytes it may unpack to; by default 256 MiB, and 50 times its own size.

    Raises:
        ResultError: It is too large, or no archive of plain numbers.
        ParameterError: The limit is no positive whole number.
    """
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ParameterError(f"limit={limit!r} must be a whole number of bytes, 1 or above.")
    try:
        size = file.seek(0, io.SEEK_END)
        most = _FREE + _RATIO * size if limit is None else limit
        with zipfile.ZipFile(_Careful(file)) as archive:
            members = archive.infolist()
            _check(members, size, most)
            return {_name(one): _array(archive, one) for one in members}
    except ResultError:
        raise
    except MemoryError as error:
        raise ResultError("it does not fit into memory") from error
    except _UNREADABLE as error:
        raise ResultError(f"it is no archive of arrays ({' '.join(str(error).split())})") from error


def _check(members: list[zipfile.ZipInfo], size: int, most: int) -> None:
    """Refuse what is too large, stands twice, or is packed as savez packs nothing."""
    total = sum(one.file_size for one in members)
    if total > most:
        raise ResultError(
            f"it unpacks to {total:,} bytes, and {most:,} are allowed. If you trust it, pass "
            f"limit={total}"
        )
    if sum(one.compress_size for one in members) > size:
        raise ResultError("its parts are larger than the whole")
    names = {one.filename for one in members}
    if len(names) < len(members):
        raise ResultError("a part stands in it twice")
    for one in members:
        plain = one.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not plain or one.flag_bits & _ENCRYPTED or not one.filename.endswith(_SUFFIX):
            raise ResultError(f"its part {one.filename!r} is not one that save writes")


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(_SUFFIX)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> ndarray:
    """Read one array; its shape must ask for just the bytes that are there."""
    with archive.open(member) as file:
        start = file.read(len(_MAGIC) + 2)
        length = int.from_bytes(start[-2:], "little")
        if len(start) < len(_MAGIC) + 2 or start[:-2] != _MAGIC or length > _HEAD:
            raise ResultError(f"its part {member.filename!r} is no array")
        words = _HEADER.fullmatch(file.read(length).decode("latin-1"))
        if words is None:
            raise ResultError(f"its part {member.filename!r} is no array of plain numbers")
        order, kind, fortran, sizes = words.groups()
        shape = tuple(int(one) for one in sizes.split(",") if one.strip())
        wanted = math.prod(shape) * int(kind[1])
        there = member.file_size - len(start) - length
        if wanted != there:
            raise ResultError(f"its part {member.filename!r} has {there:,} bytes for {shape}")
        raw = bytearray()
        while part := file.read(min(_STEP, there - len(raw))):
            raw += part
        if len(raw) != there or file.read(1):
            raise ResultError(f"its part {member.filename!r} is cut off")
    found = np.frombuffer(raw, dtype=f"{order}{kind}")
    if kind == "b1":  # any byte but 0 is True, whatever it is
        found = found.view(np.uint8) != 0
    found = found.astype(found.dtype.newbyteorder("="), copy=False)
    return found.reshape(shape, order="F" if fortran == "True" else "C")


class _Careful(io.RawIOBase):
    """A file that is read in small steps only: a table of contents is read in one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1) -> bytes:
        wanted = _CONTENTS + 1 if size is None or size < 0 else size
        if size is not None and size > _CONTENTS:
            raise ResultError(f"its table of contents has {size:,} bytes")
        found = self._file.read(wanted)
        if len(found) > _CONTENTS:
            raise ResultError("its table of contents is too large")
        return found
