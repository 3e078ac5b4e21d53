"""Kinds: what a model is asked for, told by its class names and configuration.

What comes in: the names of a model's classes, in memory or in a saved configuration. What
goes out: its kind, or an error that lists what can be explained. The same rules decide what
``load`` opens and what ``wrap`` accepts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from llm_interp_widgets.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PretrainedConfig

Kind = Literal["causal", "classifier", "masked", "encoder", "seq2seq"]

KIND_NAMES: dict[Kind, str] = {
    "causal": "decoder",
    "classifier": "classifier",
    "masked": "masked language model",
    "encoder": "encoder",
    "seq2seq": "encoder-decoder",
}

_SUPPORTED = (
    "What can be: decoder-only language models (…ForCausalLM), encoder-decoders of text "
    "(…ForConditionalGeneration), masked language models (…ForMaskedLM), sequence classifiers "
    "(…ForSequenceClassification) and plain encoders (BertModel and its kin)."
)
_AUTO_CLASSES: dict[Kind, str] = {
    "causal": "AutoModelForCausalLM",
    "classifier": "AutoModelForSequenceClassification",
    "masked": "AutoModelForMaskedLM",
    "encoder": "AutoModel",
    "seq2seq": "AutoModelForSeq2SeqLM",
}
_WRITERS = ("ForConditionalGeneration", "LMHeadModel", "MTModel")
_HEADS = ("LMHeadModel", "HeadsModel", "PreTrainedModel", "MTModel")
_LOOK_AHEAD = ("Bert", "Electra", "Roberta", "Camembert", "XLMRoberta", "Rembert", "RoFormer")


def kind_of(names: Sequence[str], config: PretrainedConfig, whose: str) -> Kind:
    """Return what kind of model has these classes.

    Args:
        names: Its class and those that it derives from, or its configuration's
            ``architectures``.
        config: Its configuration.
        whose: What to call it in an error.

    Raises:
        UnsupportedModelError: It is of no kind that can be explained.
    """
    if not getattr(config, "is_encoder_decoder", False):
        if _any_ends(names, "ForSequenceClassification"):
            return "classifier"
        if _any_ends(names, "ForMaskedLM"):
            return "masked"
        if _any_ends(names, "ForCausalLM", "LMHeadModel") and not _looks_ahead(names[0], config):
            return "causal"
    elif _any_ends(names, *_WRITERS):
        return "seq2seq"
    if names and _is_encoder(names[0], config):
        return "encoder"
    raise UnsupportedModelError(f"{whose} cannot be explained yet. {_SUPPORTED}")


def auto_class(names: Sequence[str], config: PretrainedConfig, whose: str) -> str:
    """Return the name of the transformers class that opens such a model.

    Args:
        names: Its configuration's ``architectures``.
        config: Its configuration.
        whose: What to call it in an error.

    Raises:
        UnsupportedModelError: It is of no kind that can be explained.
    """
    kind = kind_of(names, config, whose)
    if kind == "encoder" and names[0].endswith("EncoderModel"):
        return "AutoModelForTextEncoding"
    return _AUTO_CLASSES[kind]


def _any_ends(names: Sequence[str], *ends: str) -> bool:
    return any(name.endswith(ends) for name in names)


def _looks_ahead(name: str, config: Any) -> bool:  # noqa: ANN401 - each family has its own
    """Whether each token of a model with a language head sees those after it."""
    if name.startswith("XLNet") or getattr(config, "causal", True) is False:
        return True
    is_family = any(family.lower() in name.lower() for family in _LOOK_AHEAD)
    return is_family and getattr(config, "is_decoder", True) is False


def _is_encoder(name: str, config: Any) -> bool:  # noqa: ANN401 - each family has its own
    """Whether it is a headless model of a family that is trained to fill in masked tokens."""
    if name.endswith("EncoderModel"):
        return not getattr(config, "is_decoder", False)
    two_ways = not config.is_encoder_decoder and not getattr(config, "is_decoder", False)
    fills_in = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES or (
        "AutoModelForMaskedLM" in (getattr(config, "auto_map", None) or {})
    )
    return two_ways and fills_in and name.endswith("Model") and not name.endswith(_HEADS)
