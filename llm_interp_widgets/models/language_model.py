"""LanguageModel: a transformers model and its tokenizer, asked politely.

What comes in: a model in memory. What goes out: logits for rows of token ids or of
embeddings, gradients, and text as tokens.

Guarantees: the model is left exactly as it was, after success, error or cancel: training
flags, ``requires_grad``, gradients, configuration. It is in eval mode, without parameter
gradients, only while a batch is in flight; several threads may be in flight at once.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from llm_interp_widgets.errors import (
    CancelledJobError,
    GradientsUnavailableError,
    InterpError,
    PromptError,
    PromptTooLongError,
    UnsupportedModelError,
)
from llm_interp_widgets.models.tokenize import encode
from llm_interp_widgets.results.attribution import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxtyping import Float, Int
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from llm_interp_widgets.models.tokenize import PromptLike
    from llm_interp_widgets.text.tokens import Prompt

Kind = Literal["causal", "classifier"]
Gradient: TypeAlias = "Callable[[int], Float[Tensor, 'row token d']]"
_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Readout:
    """What to read from the model, independent of which features are on.

    Attributes:
        suffix: Token ids teacher-forced after the prompt.
        keep: How many of the last positions have logits that are needed.
        reduce: (rows, keep, vocabulary or labels) logits in float32 -> (rows, outputs).
    """

    suffix: tuple[int, ...]
    keep: int
    reduce: Callable[[Float[Tensor, "row keep vocab"]], Float[Tensor, "row output"]]


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values of a text that stands before many rows: a (1, …) pair a layer."""

    layers: tuple[tuple[Tensor, Tensor], ...]

    def for_rows(self, rows: int) -> DynamicCache:
        """Return a cache that many rows can extend without touching this one."""
        return DynamicCache(
            [(k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in self.layers]
        )


@dataclass(frozen=True, eq=False, repr=False)
class LanguageModel:
    """A transformers model and tokenizer that can be explained.

    Attributes:
        model: The transformers model itself.
        tokenizer: Its tokenizer.
        name: Hub id, folder, file or class name, for provenance.
        revision: Hub revision asked for.
        stop: Checked before every batch; once set, ``CancelledJobError`` is raised.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    revision: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Check that this kind of model can be explained.

        Raises:
            UnsupportedModelError: It is neither a decoder nor a sequence classifier.
        """
        _ = self.kind

    def __repr__(self) -> str:
        """Return one line: name, kind, precision, place."""
        info = self.info
        return f"<LanguageModel {self.name}: {self.kind}, {info.dtype}, {info.device}>"

    def stoppable(self, stop: threading.Event) -> LanguageModel:
        """Return a handle on the same model that obeys ``stop``."""
        return LanguageModel(self.model, self.tokenizer, self.name, self.revision, stop)

    def checkpoint(self) -> None:
        """Raise ``CancelledJobError`` if this handle was told to stop."""
        if self.stop.is_set():
            raise CancelledJobError("The job was cancelled.")

    # ── what it is ────────────────────────────────────────────────────────────

    @cached_property
    def kind(self) -> Kind:
        """``"causal"`` for decoder-only language models, ``"classifier"`` for classifiers."""
        config = self.model.config
        names = [cls.__name__ for cls in type(self.model).__mro__]
        one_stack = not config.is_encoder_decoder
        if one_stack and any(name.endswith("ForSequenceClassification") for name in names):
            return "classifier"
        decoder = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)
        looks_ahead = _looks_ahead(names[0]) and getattr(config, "is_decoder", True) is False
        if one_stack and decoder and not looks_ahead:
            return "causal"
        raise UnsupportedModelError(
            f"{names[0]} cannot be explained yet. What can be: decoder-only language models "
            "(…ForCausalLM) and sequence classifiers (…ForSequenceClassification)."
        )

    @property
    def device(self) -> torch.device:
        """Where the input embeddings live; inputs are sent there."""
        return self._embedding.weight.device

    @property
    def info(self) -> ModelInfo:
        """Provenance for results."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        return ModelInfo(self.name, self.revision, dtype, str(self.device))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of a classifier's labels, by index; empty for language models."""
        if self.kind != "classifier":
            return ()
        config = self.model.config
        names: dict[Any, str] = config.id2label or {}
        return tuple(str(names.get(i, f"LABEL_{i}")) for i in range(config.num_labels or 0))

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of the input embedding."""
        return int(self._embedding.weight.shape[0])

    @cached_property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def context_length(self) -> int | None:
        """Longest input in tokens, or ``None`` where there is no limit."""
        config = self.model.config.get_text_config()
        names = ("max_position_embeddings", "n_positions", "max_seq_len")
        limits = [getattr(config, name, None) for name in names]
        if self.kind == "classifier":
            limits.append(self.tokenizer.model_max_length)
        limits.append(_learned_positions(self.model))
        known = [int(n) for n in limits if n and 0 < n < _NO_LIMIT]
        return min(known) if known else None

    @property
    def _embedding(self) -> torch.nn.Embedding:
        embedding = self.model.get_input_embeddings()
        if not isinstance(getattr(embedding, "weight", None), torch.Tensor):
            raise UnsupportedModelError(
                f"{type(self.model).__name__} has no input embedding table."
            )
        return embedding  # type: ignore[return-value]

    # ── text ──────────────────────────────────────────────────────────────────

    def encode(self, prompt: PromptLike) -> Prompt:
        """Return the prompt's tokens with exact spans; see ``models.tokenize.encode``.

        Raises:
            PromptError: It is empty or of a kind that cannot be read.
            PromptTooLongError: It does not fit the model's context.
        """
        encoded = encode(self.tokenizer, prompt, add_special_tokens=True)
        self.check_ids(encoded.ids)
        self.check_length(len(encoded.tokens))
        return encoded

    def check_ids(self, ids: Sequence[int]) -> None:
        """Raise ``PromptError`` if the model has no embedding for one of these tokens."""
        wrong = [i for i in ids if not 0 <= i < self.vocabulary_size]
        if wrong:
            raise PromptError(
                f"Token id {wrong[0]} is outside of {self.name}'s vocabulary (0 to "
                f"{self.vocabulary_size - 1}): this tokenizer does not belong to this model. "
                "Load both from the same place."
            )

    def check_length(self, tokens: int) -> None:
        """Raise ``PromptTooLongError`` if so many tokens do not fit."""
        limit = self.context_length
        if limit is not None and tokens > limit:
            raise PromptTooLongError(
                f"This takes {tokens} tokens; {self.name} reads {limit}. Shorten it by "
                f"{tokens - limit} tokens, or split it. (Prompts are never cut silently.)"
            )

    # ── forward ───────────────────────────────────────────────────────────────

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Eval mode, no parameter gradients, no padding logic; all put back on leaving."""
        _enter(self.model)
        try:
            yield
        finally:
            _leave(self.model)

    def scores(
        self, ids: Int[Tensor, "row token"], readout: Readout, prefix: Prefix | None = None
    ) -> Float[Tensor, "row o"]:
        """Score rows of equal length, without gradients, in one forward pass.

        Args:
            ids: Token ids after the prefix; no row is padded.
            readout: What to append and what to read.
            prefix: From ``remember``: what stands before every row.

        Returns:
            (rows, outputs) float32 on the model's device.
        """
        self.checkpoint()
        with self.untouched(), torch.inference_mode():
            inputs = self._with_suffix(ids, readout)
            cache = prefix.for_rows(len(ids)) if prefix is not None else None
            return self._forward(readout, input_ids=inputs, past_key_values=cache)

    def remember(self, ids: Sequence[int]) -> Prefix | None:
        """Read a prefix once, so that rows that share it need not read it again.

        Returns:
            Its keys and values; ``None`` where there is nothing to share: no prefix, not a
            decoder, or a family whose cache is of a special kind.
        """
        if not ids or self.kind != "causal" or "past_key_values" not in self._accepts:
            return None
        with self.untouched(), torch.inference_mode():
            inputs = torch.tensor([list(ids)], device=self.device)
            options = {"logits_to_keep": 1} if "logits_to_keep" in self._accepts else {}
            out = self.model(input_ids=inputs, use_cache=True, return_dict=True, **options)
            cache = getattr(out, "past_key_values", None)
        layers = getattr(cache, "layers", ())
        if type(cache) is not DynamicCache or any(type(x) is not DynamicLayer for x in layers):
            return None
        return Prefix(tuple((layer.keys, layer.values) for layer in layers))

    def embed(self, ids: Int[Tensor, "row token"]) -> Float[Tensor, "row token d"]:
        """Return input embeddings, detached, as the model's own table gives them."""
        with self.untouched(), torch.no_grad():
            embedded: Tensor = self._embedding(ids.to(self.device))
        return embedded.detach().clone()

    def scores_of_embeddings(
        self, embeddings: Float[Tensor, "row token d"], readout: Readout
    ) -> Float[Tensor, "row o"]:
        """Score rows given as embeddings, without gradients."""
        self.checkpoint()
        with self.untouched(), torch.no_grad():
            return self._forward(readout, inputs_embeds=self._embed_suffix(embeddings, readout))

    def differentiate(
        self, embeddings: Float[Tensor, "row token d"], readout: Readout
    ) -> tuple[Float[Tensor, "row o"], Gradient]:
        """Score embeddings once, in a way that can be differentiated output by output.

        Returns:
            The values, and a function from an output's number to the gradient of its values,
            summed over rows, with respect to the embeddings: one backward pass a call.
            Parameters get no gradient.

        Raises:
            GradientsUnavailableError: The model cannot be differentiated.
        """
        self.checkpoint()
        leaf = embeddings.detach().clone().requires_grad_(True)  # noqa: FBT003 - torch's API
        with self._differentiable():
            values = self._forward(readout, inputs_embeds=self._embed_suffix(leaf, readout))
        if not values.requires_grad:
            raise GradientsUnavailableError(self._no_gradient("no graph was recorded"))

        def gradient(output: int) -> Tensor:
            self.checkpoint()
            with self._differentiable():
                (slope,) = torch.autograd.grad(values[:, output].sum(), leaf, retain_graph=True)
            return slope

        return values.detach(), gradient

    @contextmanager
    def _differentiable(self) -> Iterator[None]:
        """Untouched, with gradients; says so when the model has none."""
        try:
            with self.untouched(), torch.enable_grad():
                yield
        except RuntimeError as error:
            if isinstance(error, InterpError) or not _about_gradients(error):
                raise
            raise GradientsUnavailableError(self._no_gradient(str(error))) from error

    def _no_gradient(self, reason: str) -> str:
        return (
            f"{self.name} cannot be differentiated ({reason}); quantised models usually "
            "cannot. Use a method that needs no gradients: shapley or occlusion."
        )

    @cached_property
    def _accepts(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.model.forward).parameters)

    def _with_suffix(self, ids: Tensor, readout: Readout) -> Tensor:
        ids = ids.to(self.device)
        if not readout.suffix:
            return ids
        tail = torch.tensor(readout.suffix, device=ids.device, dtype=ids.dtype)
        return torch.cat([ids, tail.expand(len(ids), -1)], dim=1)

    def _embed_suffix(self, embeddings: Tensor, readout: Readout) -> Tensor:
        if not readout.suffix:
            return embeddings
        tail = self.embed(torch.tensor([readout.suffix]))
        return torch.cat([embeddings, tail.expand(len(embeddings), -1, -1)], dim=1)

    def _forward(self, readout: Readout, **inputs: Any) -> Float[Tensor, "row o"]:  # noqa: ANN401
        options: dict[str, Any] = {"return_dict": True}
        cache = inputs.pop("past_key_values", None)
        if cache is not None:
            options["past_key_values"] = cache
        if self.kind == "causal":
            if "logits_to_keep" in self._accepts:
                options["logits_to_keep"] = readout.keep
            if "use_cache" in self._accepts:
                options["use_cache"] = cache is not None
        logits: Tensor = self.model(**inputs, **options).logits
        if self.kind == "classifier":
            logits = logits[:, None]
        return readout.reduce(logits[:, -readout.keep :].float())

    def top_tokens(self, ids: Sequence[int], count: int) -> tuple[int, ...]:
        """Return ``count`` greedily generated token ids; stops after an end-of-text token.

        Uses the key/value cache where the model has one.
        """
        self.check_length(len(ids) + count - 1)  # the last one is never read
        ends = _end_ids(self.model)
        tokens: list[int] = []
        step = torch.tensor([list(ids)], device=self.device)
        cache: Any = None
        for _ in range(count):
            self.checkpoint()
            with self.untouched(), torch.inference_mode():
                extra = {"logits_to_keep": 1} if "logits_to_keep" in self._accepts else {}
                out = self.model(
                    input_ids=step,
                    past_key_values=cache,
                    use_cache=count > 1,
                    return_dict=True,
                    **extra,
                )
            best = int(out.logits[0, -1].float().argmax())
            tokens.append(best)
            if best in ends:
                break
            cache = getattr(out, "past_key_values", None)
            grown = [*ids, *tokens]
            step = torch.tensor([[best] if cache is not None else grown], device=self.device)
        return tuple(tokens)


def _looks_ahead(name: str) -> bool:
    """Whether a model of this class is an encoder unless its configuration says otherwise."""
    families = ("Bert", "Electra", "Roberta", "Camembert", "XLMRoberta", "Rembert", "RoFormer")
    return any(family.lower() in name.lower() for family in families)


def _learned_positions(model: PreTrainedModel) -> int | None:
    """Return how many tokens a learned table of positions has room for.

    RoBERTa and its kin count from one past the padding index, so that their tables hold
    fewer tokens than rows.
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            offset = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - offset
    return None


def _about_gradients(error: RuntimeError) -> bool:
    words = str(error).lower()
    return any(hint in words for hint in ("inference tensor", "derivative", "require grad"))


def _end_ids(model: PreTrainedModel) -> frozenset[int]:
    config = getattr(model, "generation_config", None) or model.config
    ends = config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or [])


# ── leaving no trace ──────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Visit:
    """What to put back when the last visitor leaves a model."""

    visitors: int
    training: list[torch.nn.Module]
    trainable: list[torch.nn.Parameter]
    pad: tuple[Any, int | None] | None


_visits: weakref.WeakKeyDictionary[PreTrainedModel, _Visit] = weakref.WeakKeyDictionary()
_door = threading.RLock()  # the garbage collector may run a visitor's end inside


def _enter(model: PreTrainedModel) -> None:
    with _door:
        visit = _visits.get(model)
        if visit is not None:
            visit.visitors += 1
            return
        training = [module for module in model.modules() if module.training]
        trainable = [p for p in model.parameters() if p.requires_grad]
        pad = None
        if hasattr(model, "score"):
            # A decoder with a classification head looks for padding to find each row's last
            # token. Rows are never padded here, but may hold the pad token as text.
            config = model.config.get_text_config()
            pad = (config, config.pad_token_id)
            config.pad_token_id = -1
        for module in training:
            module.training = False
        for parameter in trainable:
            parameter.requires_grad_(False)  # noqa: FBT003 - torch's API
        _visits[model] = _Visit(1, training, trainable, pad)


def _leave(model: PreTrainedModel) -> None:
    with _door:
        visit = _visits[model]
        visit.visitors -= 1
        if visit.visitors:
            return
        del _visits[model]
        for module in visit.training:
            module.training = True
        for parameter in visit.trainable:
            parameter.requires_grad_(True)  # noqa: FBT003 - torch's API
        if visit.pad is not None:
            visit.pad[0].pad_token_id = visit.pad[1]
