"""Memory: how much is free, what a record takes, what running out looks like on each device."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
