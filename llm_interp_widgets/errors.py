"""Every error this package raises on purpose.

Each message says what was wrong, what is available, and what to do; an error about
a name suggests the nearest one. All derive from ``InterpError``, and from the built-in
exception that plain Python code would expect in the same place.

    InterpError
    ├── NotAvailableError (LookupError)     a name that does not exist
    │   ├── UnknownModelError               no such hub id, folder or file
    │   └── UnknownMethodError              no such attribution method
    ├── PromptError (ValueError)            the text cannot be explained as it is
    │   ├── EmptyPromptError                nothing to switch off
    │   └── PromptTooLongError              longer than the model's context
    ├── TargetError (ValueError)            the scalar to explain is not well defined
    ├── ParameterError (ValueError)         a method's parameter is unknown or out of range
    ├── ModelError (RuntimeError)           the model cannot do what was asked
    │   ├── UnsupportedModelError           a kind of model not handled
    │   ├── UnsafeWeightsError              weights that could run code on loading
    │   ├── GradientsUnavailableError       a quantised or frozen-inference model
    │   ├── NonFiniteError                  NaN or infinite scores
    │   └── ModelMemoryError (MemoryError)  not even one row fits
    ├── ResultError (ValueError)            a saved result that is damaged or not ours
    ├── JobError (RuntimeError)
    │   ├── CancelledJobError               stopped before there was a result
    │   └── ClosedWidgetError               the widget was closed
    ├── ExportError (OSError)               the HTML file cannot be written
    ├── MissingPackageError (ImportError)   an optional package is not installed
    └── FrontEndMissingError (RuntimeError) the JavaScript bundles are not built
"""

from __future__ import annotations

import difflib
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST = 4_000  # characters of a message that is shown
_SECRET = re.compile("TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
_SHORTEST = 6  # characters of a variable's value that can be a secret
# A place on this machine: two folders or more, not the path of an address on the web.
_PLACE = re.compile(r"""(?<![\w:/.\\])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\'"<>:,;()\[\]]+){2,}""")


class InterpError(Exception):
    """Base class of every error raised on purpose by this package."""


class NotAvailableError(InterpError, LookupError):
    """A name that does not exist."""


class UnknownModelError(NotAvailableError):
    """No model is found under this hub id, folder or file."""


class UnknownMethodError(NotAvailableError):
    """No attribution method has this name."""


class PromptError(InterpError, ValueError):
    """The text cannot be explained as it is."""


class EmptyPromptError(PromptError):
    """The prompt holds nothing that could be switched off."""


class PromptTooLongError(PromptError):
    """The prompt is longer than the model's context; it is never cut silently."""


class TargetError(InterpError, ValueError):
    """The scalar to explain is not well defined for this model."""


class ParameterError(InterpError, ValueError):
    """A method's parameter is unknown or out of range."""


class ModelError(InterpError, RuntimeError):
    """The model cannot do what was asked of it."""


class UnsupportedModelError(ModelError):
    """This kind of model is not handled."""


class UnsafeWeightsError(ModelError):
    """Loading these weights could run code; only safetensors and GGUF are read."""


class GradientsUnavailableError(ModelError):
    """A gradient method was asked of a model that cannot be differentiated."""


class NonFiniteError(ModelError):
    """The model returned NaN or infinity where a finite score is needed."""


class ModelMemoryError(ModelError, MemoryError):
    """Not even a single row fits into the device's memory."""


class ResultError(InterpError, ValueError):
    """A saved result is damaged, too new, or not one of ours."""


class JobError(InterpError, RuntimeError):
    """A job could not deliver a result."""


class CancelledJobError(JobError):
    """The job was stopped before there was a result."""


class ClosedWidgetError(JobError):
    """The widget was closed and no longer runs or shows anything."""


class ExportError(InterpError, OSError):
    """The HTML file cannot be written."""


class MissingPackageError(InterpError, ModuleNotFoundError):
    """A package that only this call needs is not installed; the message says how to get it."""


class FrontEndMissingError(InterpError, RuntimeError):
    """The JavaScript bundles were not built into the package."""


class Told(TypedDict):
    """A failure as a reader of a notebook or a page may see it."""

    name: str
    message: str


def told(error: BaseException) -> Told:
    """Return what of an error may be shown and saved: its words, but not where this machine is.

    A path becomes its last part, and the value of an environment variable that is named like a
    secret becomes dots.

    Example:
        >>> told(OSError("cannot read '/home/eve/models/tiny/config.json'"))["message"]
        "cannot read '…/config.json'"
    """
    words = str(error) or "no message"
    secrets = {value for name, value in os.environ.items() if _SECRET.search(name)}
    for value in sorted(secrets, key=len, reverse=True):  # one may begin as another does
        if len(value) >= _SHORTEST:
            words = words.replace(value, "…")
    words = words[: 10 * _MOST]
    with suppress(RuntimeError):  # a user without a name and HOME has no home folder
        words = words.replace(str(Path.home()), "~") if Path.home() != Path("/") else words
    words = _PLACE.sub(lambda found: "…/" + re.split(r"[/\\]", found.group())[-1], words)
    return {"name": type(error).__name__, "message": words[:_MOST]}


def nearest(name: str, available: Iterable[str]) -> str:
    """Return a sentence that suggests the closest name and lists what is available.

    Args:
        name: What was asked for.
        available: The names that exist.

    Returns:
        For example ``"Did you mean 'shapley'? Available: occlusion, shapley."``
    """
    names = sorted(available)
    folded = {known.casefold(): known for known in reversed(names)}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    hint = f"Did you mean {folded[close[0]]!r}? " if close else ""
    return f"{hint}Available: {', '.join(names)}."


@contextmanager
def optional(package: str, extra: str) -> Iterator[None]:
    """Import an optional package inside of this; say what to install where it is missing.

    Args:
        package: The name it is imported by.
        extra: The extra of this package that installs it.

    Raises:
        MissingPackageError: It is not installed. A package that is there and fails to import
            keeps its own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingPackageError(
            f"This needs {package}, which is not installed. Install it: "
            f"pip install 'llm_interp_widgets[{extra}]'",
            name=package,
        ) from error
