"""Memory: how much is free, what a record takes, what running out looks like on each device.

Guarantees: what does not fit is tried again on half as many rows, and what was finished is kept;
where a single row does not fit, ``ModelMemoryError`` says so and what to do, and holds nothing of
what was in the making.
"""

from __future__ import annotations

import gc
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from llm_interp_widgets.errors import InterpError, ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from transformers import PreTrainedModel

T = TypeVar("T")
DO = "Free memory, shorten the prompt, or load the model in a smaller dtype."


def out_of_memory(error: BaseException) -> bool:
    """Return whether this error says that memory ran out, in any back end's words."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return any(hint in words for hint in ("out of memory", "not enough memory", "can't allocate"))


@dataclass(frozen=True, slots=True)
class fitting:  # noqa: N801 - used as a function is
    """Raise ``ModelMemoryError`` where memory runs out, and let go of what was in the making.

    Attributes:
        device: Whose memory.
        what: Does not fit.
        do: What to do about it.
    """

    device: torch.device
    what: str
    do: str = DO

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, trace: TracebackType | None) -> None:
        """Say what does not fit."""
        if isinstance(error, InterpError) or not isinstance(error, RuntimeError | MemoryError):
            return
        if not out_of_memory(error):
            return
        traceback.clear_frames(trace)  # they hold the tensors of the pass …
        error.__traceback__ = trace = None  # … and so do closures of torch's own
        release(self.device)
        words = f"{self.what} does not fit into the memory of {self.device}. {self.do} ({error})"
        raise ModelMemoryError(words) from error


class Portions:
    """Splits rows into portions that fit, and remembers what fitted.

    Args:
        device: Whose memory.
        rows: Of the first portion.
        what: A single row is, for the error.
        do: What to do about one that does not fit.
    """

    def __init__(self, device: torch.device, rows: int, what: str, do: str = DO) -> None:
        self.rows = rows
        self._device = device
        self._what = what
        self._do = do

    def over(self, rows: int, work: Callable[[slice], T]) -> Iterator[tuple[slice, T]]:
        """Do the work on all rows, a slice at a time, and yield what it gave.

        Raises:
            ModelMemoryError: Not even one row fits into memory.
        """
        start = 0
        while start < rows:
            part = slice(start, min(start + self.rows, rows))
            failed = None
            try:
                found = work(part)
            except (RuntimeError, MemoryError) as error:
                ours = isinstance(error, InterpError) and not isinstance(error, ModelMemoryError)
                if ours or not out_of_memory(error):
                    raise
                failed = str(error)
            if failed is not None:  # outside of the handler, whose traceback holds the pass
                self._shrink(part.stop - start, failed)
                continue
            yield part, found
            start = part.stop

    def _shrink(self, rows: int, reason: str) -> None:
        if rows == 1:
            raise ModelMemoryError(
                f"{self._what} does not fit into the memory of {self._device}. {self._do} "
                f"({reason})"
            )
        self.rows = rows // 2
        release(self._device)


def free_bytes(device: torch.device) -> int | None:
    """Return how many bytes can still be taken; ``None`` where nobody says."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # not on this system
        return None
    kilobytes = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((1024 * int(number) for number in kilobytes), None)


def release(device: torch.device) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def record_bytes(model: PreTrainedModel, tokens: int, answer: int = 0) -> int:
    """Return how many bytes queries and keys of so many tokens take.

    Args:
        model: A transformers model; of several towers, the one that reads text.
        tokens: That it reads.
        answer: That an encoder-decoder's decoder reads, its start included.
    """
    config: Any = model.config.get_text_config()

    def number(*names: str) -> int:
        return next((int(n) for name in names if (n := getattr(config, name, None))), 1)

    heads = number("num_attention_heads")
    shared = number("num_key_value_heads", "num_attention_heads")
    width = (
        number("head_dim")
        if getattr(config, "head_dim", None)
        else (number("d_kv") if hasattr(config, "d_kv") else number("hidden_size") // heads)
    )
    layers = number("num_hidden_layers")
    if not getattr(config, "is_encoder_decoder", False):
        return layers * (heads + shared) * width * tokens * model.dtype.itemsize
    encoder = number("encoder_layers", "num_hidden_layers")
    decoder = number("decoder_layers", "num_decoder_layers", "num_hidden_layers")
    asking = number("decoder_attention_heads", "num_attention_heads")
    read = encoder * 2 * heads * tokens + decoder * asking * (3 * answer + tokens)
    return read * width * model.dtype.itemsize
