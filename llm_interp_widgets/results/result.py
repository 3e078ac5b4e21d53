"""Result: what results have in common: the question, the model, the price; and that they are kept.

What comes in: the fields of a subclass, which says which of them are arrays. What goes out: the
same with its text covered; a file; the same again from the file.

Guarantees: those of ``redaction`` and of ``_file``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from llm_interp_widgets.results import _file
from llm_interp_widgets.results.redaction import over

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jaxtyping import Float64
    from numpy import ndarray

    from llm_interp_widgets.results.redaction import What
    from llm_interp_widgets.text.tokens import Token

Unit = Literal["logit", "log_prob", "prob", "cosine", "value"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model was explained.

    Attributes:
        name: Hub id, or the name of the folder, file or class.
        revision: Hub revision, if one was asked for.
        dtype: Floating-point type of the weights, e.g. ``"float32"``.
        device: Where it ran, e.g. ``"cpu"``.
    """

    name: str
    revision: str | None
    dtype: str
    device: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What was found out about one prompt; its subclasses say what the fields mean."""

    _kind: ClassVar[str]  # what its files say that they hold
    _arrays: ClassVar[Mapping[str, str]]  # fields that are arrays, and of which NumPy type
    _nested: ClassVar[Mapping[str, Sequence[str]]] = {}  # small dataclasses, and their arrays

    inputs: tuple[Token, ...]
    outputs: tuple[Token, ...]
    base_values: Float64[ndarray, " output"]
    output_values: Float64[ndarray, " output"]
    off: str = ""
    note: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    granularity: str = "token"
    target: str
    unit: Unit
    prompt: str
    model: ModelInfo
    seconds: float
    evaluations: int
    hidden: str = ""

    def redacted(self, what: What) -> Self:
        """Return the same with text covered: in the prompt, and wherever else it is said.

        Each character becomes one block, so that nothing moves; numbers stay. How long a text is
        can still be seen, and whoever has the model may guess from scores.

        Args:
            what: ``True`` for every character of the prompt but blanks; or a text, a compiled
                pattern, or a list of these, each of which must be found.

        Raises:
            ParameterError: It is something else, or found nowhere.
        """
        return over(self, what)

    def save(self, path: str | os.PathLike[str], *, redact: What | None = None) -> Path:
        """Write everything to one file, atomically.

        Args:
            path: Where to; an existing file is replaced, ``~`` is the home folder.
            redact: What is covered first; see ``redacted``.

        Raises:
            ResultError: The file cannot be written.
            ParameterError: What is to be covered is nowhere.
        """
        saved = self if redact is None else over(self, redact)
        return _file.write(path, saved, self._kind, tuple(self._arrays), self._nested)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, limit: int | None = None) -> Self:
        """Open a saved result, whoever made it; needs neither torch nor the model.

        Args:
            path: Of the file.
            limit: Bytes that it may unpack to; by default 256 MiB and 50 times its own size.

        Raises:
            ResultError: The file is missing, damaged, too large, too new, or something else.
            ParameterError: The limit is no positive whole number.
        """
        return _file.read(path, cls._kind, cls._opened, limit)

    @classmethod
    def _opened(cls, said: dict[str, Any], arrays: dict[str, ndarray]) -> Self:
        """Make a result of a file that anyone may have written."""
        raise NotImplementedError
