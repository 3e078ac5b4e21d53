"""Memory: how much is free, and what running out of it looks like on each device."""

from __future__ import annotations

import gc
from pathlib import Path

import torch


def out_of_memory(error: BaseException) -> bool:
    """Return whether this error says that memory ran out, in any back end's words."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return any(hint in words for hint in ("out of memory", "not enough memory", "can't allocate"))


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
